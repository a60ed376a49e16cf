import { describeAttachment } from './attachments.ts';
import { Budget } from './budget.ts';
import { cleanText } from './format.ts';
import { editHeader } from './headers.ts';
import { type Leaf, leavesOf, strayLeaves } from './leaves.ts';
import { type Part, walkStructure } from './mime.ts';
import type { ParsedAttachment } from './types.ts';

export interface StrippedMessage {
  readonly message: Buffer;
  /** Names of the files that were taken out, normalised; empty when the message is as it was. */
  readonly removed: readonly string[];
}

const CONTENT_FIELDS = ['content-'];

/**
 * Takes out the attachments that `unwanted` says yes to; a short text stands in their place. Everything else stays byte
 * for byte. A part that holds several readings of a file goes as a whole when one of them is unwanted, and so does an
 * attached message with such a file in it. Signatures over the body break by this: the caller seals or says so.
 */
export async function stripAttachments(
  message: Buffer,
  unwanted: (file: ParsedAttachment) => boolean,
  notice: (names: readonly string[]) => string = defaultNotice,
): Promise<StrippedMessage> {
  const budget = new Budget();
  const found: { part: Part; names: string[] }[] = [];
  const structure = walkStructure(message);
  const look = async (part: Part, leaves: readonly Leaf[]) => {
    const names: string[] = [];
    for (const leaf of leaves) {
      if (leaf.isBody) continue;
      const file = await describeAttachment({ ...leaf, other: null }, budget);
      if (unwanted(file)) names.push(file.name);
    }
    if (names.length > 0) found.push({ part, names });
  };
  for (const [index, part] of structure.parts.entries()) await look(part, leavesOf(message, part, index));
  for (const leaf of strayLeaves(message, structure)) await look(leaf.part, [leaf]);
  const pieces: Buffer[] = [];
  const removed: string[] = [];
  let at = 0;
  for (const { part, names } of found.toSorted((a, b) => a.part.headerStart - b.part.headerStart)) {
    removed.push(...names);
    if (part.headerStart < at) continue;
    // Outside of all parts there is no place for a notice: the bytes go.
    const instead = part.stray === true ? Buffer.alloc(0) : replacement(message, part, notice(names));
    pieces.push(message.subarray(at, part.headerStart), instead);
    at = part.bodyEnd;
  }
  pieces.push(message.subarray(at));
  return { message: removed.length === 0 ? message : Buffer.concat(pieces), removed };
}

/** A message that is nothing but the file keeps the fields that are not about its content. */
function replacement(message: Buffer, part: Part, text: string): Buffer {
  const isWhole = part.depth === 0;
  const block = message.subarray(part.headerStart, part.bodyStart);
  const kept = isWhole ? editHeader(withoutEnd(block), { remove: CONTENT_FIELDS }) : Buffer.alloc(0);
  const fields = [
    'Content-Type: text/plain; charset=utf-8\r\n',
    'Content-Transfer-Encoding: base64\r\n',
    isWhole ? '' : 'Content-Disposition: attachment; filename="removed.txt"\r\n',
    '\r\n',
    Buffer.from(`${cleanText(text)}\r\n`)
      .toString('base64')
      .replace(/(.{76})/g, '$1\r\n'),
    isWhole ? '\r\n' : '',
  ];
  return Buffer.concat([kept, Buffer.from(fields.join(''))]);
}

/** The header block without the empty line. */
function withoutEnd(block: Buffer): Buffer {
  const text = block.toString('latin1');
  const end = /(?<=\n)\r?\n$/.exec(text);
  return end === null ? block : block.subarray(0, end.index);
}

function defaultNotice(names: readonly string[]): string {
  return `The attachment ${names.map((name) => `"${name}"`).join(', ')} was removed because files of its kind are not allowed.`;
}

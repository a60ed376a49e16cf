import { decodeTransfer } from './decode.ts';
import { headerEnd } from './fields.ts';
import { findInline, type InlineKind } from './inline.ts';
import type { Part, Structure } from './mime.ts';

const MAX_INLINE = 100;

/** A file or text of a message, decoded. */
export interface Leaf {
  readonly part: Part;
  /** At least one, never empty: a part without a name gets one from its type. */
  readonly names: readonly string[];
  readonly contentType: string;
  readonly content: Buffer;
  /** A text that a reader shows in the body, not a file. */
  readonly isBody: boolean;
  /** How it was written into the text of another part; null: it is a part itself. */
  readonly inline: InlineKind | null;
}

/** All that a part holds: once for each transfer encoding that its header names, and the files written into its text. */
export function leavesOf(message: Buffer, part: Part, index: number): Leaf[] {
  const raw = message.subarray(part.bodyStart, part.bodyEnd);
  const types = part.types.length === 0 ? [part.contentType] : part.types;
  const isText = types.every((type) => type.startsWith('text/'));
  const isBody = part.names.length === 0 && part.disposition !== 'attachment' && isText;
  const names = part.names.length > 0 ? part.names : [defaultName(part.contentType, index)];
  const leaves: Leaf[] = [];
  for (const encoding of part.encodings) {
    const content = decodeTransfer(raw, encoding);
    leaves.push({ part, names, contentType: part.contentType, content, isBody, inline: null });
    if (!isText) continue;
    for (const file of findInline(content, MAX_INLINE)) {
      leaves.push({
        part,
        names: [file.name],
        contentType: 'application/octet-stream',
        content: file.content,
        isBody: false,
        inline: file.kind,
      });
    }
  }
  return leaves;
}

/**
 * Files written into what belongs to no part: in front of the first delimiter, behind the last, between a closing and the next.
 * Readers without MIME show those places, and old ones unpack them.
 */
export function strayLeaves(message: Buffer, structure: Structure): Leaf[] {
  const { parts } = structure;
  const whole = parts[0];
  if (whole === undefined || parts.every((part) => part.depth === 0)) return [];
  const leaves: Leaf[] = [];
  let at = headerEnd(message).body;
  const add = (from: number, to: number) => {
    for (const file of findInline(message.subarray(from, to), MAX_INLINE)) {
      leaves.push({
        part: {
          ...whole,
          headerStart: from,
          bodyStart: from,
          bodyEnd: to,
          names: [file.name],
          encodings: ['7bit'],
          stray: true,
        },
        names: [file.name],
        contentType: 'application/octet-stream',
        content: file.content,
        isBody: false,
        inline: file.kind,
      });
    }
  };
  for (const part of parts.toSorted((a, b) => a.bodyStart - b.bodyStart)) {
    if (part.headerStart > at) add(at, part.headerStart);
    at = Math.max(at, part.bodyEnd);
  }
  if (at < message.length) add(at, message.length);
  return leaves;
}

const ENDINGS: Readonly<Record<string, string>> = {
  'text/plain': 'txt',
  'text/html': 'html',
  'text/calendar': 'ics',
  'message/rfc822': 'eml',
  'message/global': 'eml',
  'message/delivery-status': 'txt',
  'text/rfc822-headers': 'txt',
  'image/jpeg': 'jpg',
  'image/png': 'png',
  'image/gif': 'gif',
  'application/pdf': 'pdf',
};

function defaultName(contentType: string, index: number): string {
  return `part-${index + 1}.${ENDINGS[contentType] ?? 'bin'}`;
}

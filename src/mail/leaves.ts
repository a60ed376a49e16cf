import { decodeTransfer, findUuencoded } from './decode.ts';
import type { Part } from './mime.ts';

const MAX_UUENCODED = 100;

/** A file or text of a message, decoded. */
export interface Leaf {
  readonly part: Part;
  /** At least one, never empty: a part without a name gets one from its type. */
  readonly names: readonly string[];
  readonly contentType: string;
  readonly content: Buffer;
  /** A text that a reader shows in the body, not a file. */
  readonly isBody: boolean;
  /** Found in the text of another part. */
  readonly uuencoded: boolean;
}

/** All that a part holds: once for each transfer encoding that its header names, and the uuencoded files in its text. */
export function leavesOf(message: Buffer, part: Part, index: number): Leaf[] {
  const raw = message.subarray(part.bodyStart, part.bodyEnd);
  const types = part.types.length === 0 ? [part.contentType] : part.types;
  const isText = types.every((type) => type.startsWith('text/'));
  const isBody = part.names.length === 0 && part.disposition !== 'attachment' && isText;
  const names = part.names.length > 0 ? part.names : [defaultName(part.contentType, index)];
  const leaves: Leaf[] = [];
  for (const encoding of part.encodings) {
    const content = decodeTransfer(raw, encoding);
    leaves.push({ part, names, contentType: part.contentType, content, isBody, uuencoded: false });
    if (!isText) continue;
    for (const file of findUuencoded(content, MAX_UUENCODED)) {
      leaves.push({
        part,
        names: [file.name],
        contentType: 'application/octet-stream',
        content: file.content,
        isBody: false,
        uuencoded: true,
      });
    }
  }
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

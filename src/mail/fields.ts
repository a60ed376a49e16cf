/** One field of a raw header block, byte for byte: folding, odd spacing and foreign character sets stay as they came. */
export interface RawField {
  /** Lower-case, without the white space that obsolete syntax allows before the colon; empty for a line that is no field. */
  readonly name: string;
  /** With its line end. */
  readonly raw: Buffer;
}

const LF = 0x0a;
const SPACE = 0x20;
const TAB = 0x09;
const COLON = 0x3a;

/**
 * Where the header ends: the offset behind the empty line, or the length when there is none. Accepts CRLF and LF, since
 * archives and attached messages come in both.
 */
export function headerEnd(message: Buffer, from = 0, to = message.length): { header: number; body: number } {
  let line = from;
  while (line < to) {
    const first = message[line];
    if (first === LF) return { header: line, body: line + 1 };
    if (first === 0x0d && message[line + 1] === LF && line + 1 < to) return { header: line, body: line + 2 };
    const next = message.indexOf(LF, line);
    if (next < 0 || next >= to) return { header: to, body: to };
    line = next + 1;
  }
  return { header: to, body: to };
}

/** Cuts a header block into its fields. The concatenation of all `raw` is the block, always. */
export function splitFields(block: Buffer): RawField[] {
  const fields: RawField[] = [];
  let start = 0;
  while (start < block.length) {
    let end = lineEnd(block, start);
    while (end < block.length && (block[end] === SPACE || block[end] === TAB)) end = lineEnd(block, end);
    const raw = block.subarray(start, end);
    fields.push({ name: fieldName(raw), raw });
    start = end;
  }
  return fields;
}

function lineEnd(block: Buffer, from: number): number {
  const at = block.indexOf(LF, from);
  return at < 0 ? block.length : at + 1;
}

function fieldName(raw: Buffer): string {
  const colon = raw.indexOf(COLON);
  if (colon <= 0 || raw[0] === SPACE || raw[0] === TAB) return '';
  const name = raw.toString('latin1', 0, Math.min(colon, 200)).replace(/[ \t]+$/, '');
  return /^[\x21-\x39\x3b-\x7e]+$/.test(name) ? name.toLowerCase() : '';
}

/** The value of a field, unfolded, white space at both ends removed; bytes read as UTF-8 where they are, else Latin-1. */
export function fieldValue(field: RawField): string {
  const colon = field.raw.indexOf(COLON);
  return decodeText(field.raw.subarray(colon + 1))
    .replace(/\r?\n(?=[ \t])/g, '')
    .trim();
}

const utf8 = new TextDecoder('utf-8', { fatal: true });

export function decodeText(bytes: Buffer): string {
  try {
    return utf8.decode(bytes);
  } catch {
    return bytes.toString('latin1');
  }
}

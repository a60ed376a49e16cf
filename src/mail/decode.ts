/** Undoes a Content-Transfer-Encoding (RFC 2045 section 6), forgivingly; what is not known comes back as it is. */
export function decodeTransfer(raw: Buffer, encoding: string): Buffer {
  if (encoding.includes('base64')) return decodeBase64(raw);
  if (encoding === 'quoted-printable') return decodeQuotedPrintable(raw);
  if (encoding.includes('uu')) return findUuencoded(raw, 1)[0]?.content ?? raw;
  return raw;
}

/** Base64 with anything between its characters; padding in the middle ends a stretch, not the data (`TVo=kAAD`). */
export function decodeBase64(raw: Buffer): Buffer {
  let end = raw.length;
  while (end > 0 && (raw[end - 1] === 0x3d || (raw[end - 1] ?? 0) <= 0x20)) end -= 1;
  const text = raw.toString('latin1', 0, end);
  if (!text.includes('=')) return Buffer.from(text, 'base64');
  return Buffer.concat(text.split(/=+/).map((stretch) => Buffer.from(stretch, 'base64')));
}

function hexDigit(byte: number | undefined): number {
  if (byte === undefined) return -1;
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30;
  const lower = byte | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : -1;
}

export function decodeQuotedPrintable(raw: Buffer): Buffer {
  const result = Buffer.alloc(raw.length);
  let length = 0;
  for (let at = 0; at < raw.length; at += 1) {
    const byte = raw[at] ?? 0;
    if (byte === 0x3d) {
      const high = hexDigit(raw[at + 1]);
      const low = hexDigit(raw[at + 2]);
      if (high >= 0 && low >= 0) {
        result[length] = high * 16 + low;
        length += 1;
        at += 2;
        continue;
      }
      let skip = at + 1;
      while (raw[skip] === 0x20 || raw[skip] === 0x09) skip += 1;
      if (raw[skip] === 0x0d && raw[skip + 1] === 0x0a) {
        at = skip + 1;
        continue;
      }
      if (raw[skip] === 0x0a) {
        at = skip;
        continue;
      }
    }
    result[length] = byte;
    length += 1;
  }
  return result.subarray(0, length);
}

export interface Uuencoded {
  readonly name: string;
  readonly content: Buffer;
}

/**
 * Files in the text between `begin 644 name` and `end`. Each line is looked at once: a begin that nothing sensible follows
 * costs one line, so that a text of nothing but begins is no burden.
 */
export function findUuencoded(text: Buffer, max: number): Uuencoded[] {
  const found: Uuencoded[] = [];
  let line = 0;
  let name: string | null = null;
  let pieces: Buffer[] = [];
  const finish = () => {
    if (name !== null && pieces.length > 0) found.push({ name, content: Buffer.concat(pieces) });
    name = null;
    pieces = [];
  };
  while (line < text.length && found.length < max) {
    const lf = text.indexOf(0x0a, line);
    const next = lf < 0 ? text.length : lf + 1;
    const first = text[line];
    if (name === null) {
      // 'b': a line that may begin a file
      if (first === 0x62) name = beginName(text.toString('latin1', line, Math.min(next, line + 512)));
    } else if (first === 0x62) {
      finish();
      name = beginName(text.toString('latin1', line, Math.min(next, line + 512)));
    } else {
      const decoded = uuLine(text.subarray(line, next));
      if (decoded === null || decoded.length === 0) finish();
      else pieces.push(decoded);
    }
    line = next;
  }
  finish();
  return found;
}

function beginName(line: string): string | null {
  return /^begin [0-7]{3,4} ([^\r\n]+)/.exec(line)?.[1]?.trim() ?? null;
}

/** One line of uuencoded data; null when it is not one. */
function uuLine(line: Buffer): Buffer | null {
  const length = ((line[0] ?? 0) - 0x20) & 0x3f;
  if ((line[0] ?? 0) < 0x20 || (line[0] ?? 0) > 0x60) return null;
  const groups = Math.ceil(length / 3);
  const result = Buffer.alloc(groups * 3);
  for (let group = 0; group < groups; group += 1) {
    let bits = 0;
    for (let index = 0; index < 4; index += 1) {
      const byte = line[1 + group * 4 + index] ?? 0x20;
      // Trailing spaces are often cut off on the way: what is missing counts as zero.
      const value = byte === 0x0d || byte === 0x0a ? 0 : byte < 0x20 || byte > 0x60 ? -1 : (byte - 0x20) & 0x3f;
      if (value < 0) return null;
      bits = (bits << 6) | value;
    }
    result.writeUIntBE(bits, group * 3, 3);
  }
  return result.subarray(0, length);
}

import { decodeBase64, findUuencoded } from './decode.ts';

export type InlineKind = 'uuencode' | 'yenc' | 'binhex';

/** A file that is written into a text, without MIME. */
export interface InlineFile {
  readonly kind: InlineKind;
  readonly name: string;
  readonly content: Buffer;
}

/**
 * Files in a text: uuencoded (also in its base64 form, POSIX.1-2017 uuencode), yEnc (yenc.org, 2002) and BinHex (RFC 1741). Every
 * line is looked at a bounded number of times.
 */
export function findInline(text: Buffer, max: number): InlineFile[] {
  const found: InlineFile[] = [];
  if (text.includes('begin ')) {
    for (const file of findUuencoded(text, max)) found.push({ kind: 'uuencode', ...file });
  }
  if (text.includes('begin-base64 ')) found.push(...findBeginBase64(text, max));
  if (text.includes('=ybegin ')) found.push(...findYenc(text, max));
  if (hasBinhexMark(text)) found.push(...findBinhex(text, max));
  return found.slice(0, max);
}

const LF = 0x0a;

/** Lines as [start, end) with the line end left out. */
function* linesOf(text: Buffer): Generator<{ start: number; end: number }> {
  for (let start = 0; start < text.length; ) {
    const lf = text.indexOf(LF, start);
    const next = lf < 0 ? text.length : lf + 1;
    let end = lf < 0 ? text.length : lf;
    if (end > start && text[end - 1] === 0x0d) end -= 1;
    yield { start, end };
    start = next;
  }
}

function startsWith(text: Buffer, at: number, word: string): boolean {
  return text.toString('latin1', at, at + word.length) === word;
}

function findBeginBase64(text: Buffer, max: number): InlineFile[] {
  const found: InlineFile[] = [];
  let name: string | null = null;
  let from = 0;
  const finish = (to: number) => {
    const content = name === null ? Buffer.alloc(0) : decodeBase64(text.subarray(from, to));
    if (name !== null && content.length > 0) found.push({ kind: 'uuencode', name, content });
    name = null;
  };
  for (const { start, end } of linesOf(text)) {
    if (found.length >= max) return found;
    if (startsWith(text, start, 'begin-base64 ')) {
      finish(start);
      name =
        /^begin-base64 [0-7]{3,4} (.+)$/.exec(text.toString('utf8', start, Math.min(end, start + 512)))?.[1]?.trim() ??
        null;
      from = Math.min(end + 1, text.length);
    } else if (name !== null && (startsWith(text, start, '====') || end === start)) finish(start);
  }
  finish(text.length);
  return found;
}

function findYenc(text: Buffer, max: number): InlineFile[] {
  const found: InlineFile[] = [];
  let name: string | null = null;
  let pieces: Buffer[] = [];
  const finish = () => {
    if (name !== null && pieces.length > 0) found.push({ kind: 'yenc', name, content: Buffer.concat(pieces) });
    name = null;
    pieces = [];
  };
  for (const { start, end } of linesOf(text)) {
    if (found.length >= max) break;
    if (text[start] === 0x3d && text[start + 1] === 0x79) {
      if (startsWith(text, start, '=ybegin ')) {
        finish();
        name = /\sname=(.+)$/.exec(text.toString('utf8', start, Math.min(end, start + 1024)))?.[1]?.trim() ?? 'unnamed';
      } else if (startsWith(text, start, '=yend')) finish();
    } else if (name !== null) pieces.push(yencLine(text.subarray(start, end)));
  }
  finish();
  return found;
}

function yencLine(line: Buffer): Buffer {
  const result = Buffer.alloc(line.length);
  let length = 0;
  for (let at = 0; at < line.length; at += 1) {
    let byte = line[at] ?? 0;
    if (byte === 0x3d) {
      at += 1;
      byte = (line[at] ?? 0) - 64;
    }
    result[length] = (byte - 42) & 0xff;
    length += 1;
  }
  return result.subarray(0, length);
}

const BINHEX_MARK = 'must be converted with BinHex';
const BINHEX_ALPHABET = '!"#$%&\'()*+,-012345689@ABCDEFGHIJKLMNPQRSTUVXYZ[`abcdefhijklmpqr';
const BINHEX_MAX = 16 * 1024 * 1024;

export function hasBinhexMark(text: Buffer): boolean {
  return text.includes(BINHEX_MARK);
}

function findBinhex(text: Buffer, max: number): InlineFile[] {
  const found: InlineFile[] = [];
  let at = text.indexOf(BINHEX_MARK);
  while (at >= 0 && found.length < max) {
    const next = text.indexOf(BINHEX_MARK, at + BINHEX_MARK.length);
    const colon = text.indexOf(':', at + BINHEX_MARK.length);
    if (colon < 0) break;
    const end = text.indexOf(':', colon + 1);
    const limit = next < 0 ? text.length : next;
    const file = binhexFile(unpackBinhex(text.subarray(colon + 1, Math.min(end < 0 ? text.length : end, limit))));
    if (file !== null) found.push(file);
    at = next;
  }
  return found;
}

/** Six bits a character, then runs: 0x90 and a count repeat the octet before, 0x90 and 0 are 0x90. */
function unpackBinhex(text: Buffer): Buffer {
  const packed = Buffer.alloc(Math.ceil((text.length * 3) / 4));
  let length = 0;
  let bits = 0;
  let count = 0;
  for (const byte of text) {
    const value = BINHEX_VALUES[byte] ?? -1;
    if (value < 0) continue;
    bits = ((bits << 6) | value) & 0xffff;
    count += 6;
    if (count >= 8) {
      count -= 8;
      packed[length] = (bits >> count) & 0xff;
      length += 1;
    }
  }
  return expandRuns(packed.subarray(0, length));
}

function expandRuns(packed: Buffer): Buffer {
  const result = Buffer.alloc(Math.min(BINHEX_MAX, packed.length * 128 + 256));
  let length = 0;
  for (let at = 0; at < packed.length && length < result.length; at += 1) {
    const byte = packed[at] ?? 0;
    const repeat = byte === 0x90 ? (packed[at + 1] ?? 0) : 1;
    if (byte === 0x90) at += 1;
    if (byte === 0x90 && repeat > 0) {
      const last = length === 0 ? 0 : (result[length - 1] ?? 0);
      result.fill(last, length, length + repeat - 1);
      length = Math.min(result.length, length + repeat - 1);
    } else {
      result[length] = byte;
      length += 1;
    }
  }
  return result.subarray(0, length);
}

const BINHEX_VALUES: readonly number[] = Array.from({ length: 256 }, (_, code) =>
  BINHEX_ALPHABET.indexOf(String.fromCharCode(code)),
);

/** Name, version, type, creator, flags, lengths of data and resource fork, a checksum, then the data fork. */
function binhexFile(raw: Buffer): InlineFile | null {
  const length = raw[0] ?? 0;
  const data = 1 + length + 1 + 4 + 4 + 2;
  if (length === 0 || length > 63 || data + 10 > raw.length) return null;
  const start = data + 10;
  return {
    kind: 'binhex',
    name: raw.toString('latin1', 1, 1 + length),
    content: raw.subarray(start, start + raw.readUInt32BE(data)),
  };
}

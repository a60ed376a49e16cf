import type { Budget, Visitor } from './budget.ts';
import { decodeText } from './fields.ts';

const BLOCK = 512;

/** Whether the first block is a tar header: its checksum is right (POSIX ustar, GNU and old forms alike). */
export function isTar(content: Buffer): boolean {
  return content.length >= BLOCK && content[0] !== 0 && checksumFits(content.subarray(0, BLOCK));
}

/** Shows the files of a tar, long names of GNU (`L`) and POSIX (`x`) honoured; what follows its end is flagged. */
export async function walkTar(tar: Buffer, budget: Budget, visitor: Visitor): Promise<void> {
  let at = 0;
  let longNames: string[] = [];
  while (at + BLOCK <= tar.length) {
    const header = tar.subarray(at, at + BLOCK);
    if (header.every((byte) => byte === 0)) {
      if (tar.subarray(at).some((byte) => byte !== 0)) visitor.flag('archive.trailing');
      return;
    }
    if (!checksumFits(header)) {
      visitor.flag('archive.damaged');
      return;
    }
    const size = readNumber(header.subarray(124, 136));
    const start = at + BLOCK;
    if (size < 0 || start + size > tar.length) visitor.flag('archive.truncated');
    const content = tar.subarray(start, Math.min(tar.length, start + Math.max(0, size)));
    const type = String.fromCharCode(header[156] ?? 0);
    at = start + Math.ceil(Math.max(0, size) / BLOCK) * BLOCK;
    if (type === 'L') longNames.push(text(content.subarray(0, 4096)));
    else if (type === 'x') longNames.push(...paxPaths(content.subarray(0, 65_536)));
    else if (type === '0' || type === '\u0000' || type === '7') {
      const prefix = text(header.subarray(345, 500));
      const name = text(header.subarray(0, 100));
      if (!budget.takeEntry() || !budget.takeRead(content.length)) {
        visitor.flag('archive.entries');
        return;
      }
      const own = header.toString('latin1', 257, 262) === 'ustar' && prefix !== '' ? `${prefix}/${name}` : name;
      await visitor.member({
        names: [...new Set([...longNames, own])],
        content,
        bytes: content.length,
        encrypted: false,
      });
      longNames = [];
    } else if (!/[1-6gKVDMS]/.test(type)) visitor.flag('archive.unknown_member');
  }
}

function text(field: Buffer): string {
  const end = field.indexOf(0);
  return decodeText(field.subarray(0, end < 0 ? field.length : end));
}

/** `path` records of a POSIX extended header: `27 path=…\n`. */
function paxPaths(content: Buffer): string[] {
  return [...decodeText(content).matchAll(/^\d+ path=([^\n]*)$/gm)].map((match) => match[1] ?? '').slice(0, 10);
}

/** Octal, or base 256 when the first bit is set. */
function readNumber(field: Buffer): number {
  if (((field[0] ?? 0) & 0x80) !== 0) {
    let value = 0;
    for (const byte of field.subarray(1)) value = value * 256 + byte;
    return Number.isSafeInteger(value) ? value : Number.MAX_SAFE_INTEGER;
  }
  const digits = field.toString('latin1').replace(/[\0 ]+/g, '');
  return digits === '' ? 0 : /^[0-7]+$/.test(digits) ? Number.parseInt(digits, 8) : -1;
}

function checksumFits(header: Buffer): boolean {
  let sum = 0;
  for (let at = 0; at < BLOCK; at += 1) sum += at >= 148 && at < 156 ? 0x20 : (header[at] ?? 0);
  return readNumber(header.subarray(148, 156)) === sum;
}

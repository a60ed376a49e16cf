import { crc32 } from 'node:zlib';
import { type Entry, fromBuffer, getFileNameLowLevel, type ZipFile } from 'yauzl';
import type { Budget, Visitor } from './budget.ts';
import { decodeText } from './fields.ts';
import { inflate } from './inflate.ts';

const LOCAL = Buffer.from('PK\u0003\u0004', 'latin1');
const END = Buffer.from('PK\u0005\u0006', 'latin1');
const ZIP64_END = 0x06064b50;
const ENCRYPTED = 0x0001;
const DESCRIPTOR = 0x0008;
const STRONG = 0x2040;

interface LocalHeader {
  readonly start: number;
  readonly name: string;
  readonly flags: number;
  readonly method: number;
  readonly crc: number;
  readonly compressed: number;
  readonly size: number;
  readonly dataStart: number;
}

/** Central entry with the stretch of the file that it claims. */
interface Claim {
  readonly entry: CentralEntry;
  readonly local: LocalHeader | null;
  readonly end: number;
}

interface CentralEntry {
  readonly names: readonly string[];
  readonly rawName: string;
  readonly offset: number;
  readonly flags: number;
  readonly method: number;
  readonly crc: number;
  readonly compressed: number;
  readonly size: number;
  /** Octets that the entry takes in the directory. */
  readonly span: number;
}

/**
 * Shows every file that any unpacker could find in a zip: those of the central directory, and those that only local
 * headers name. Whatever an honest packer never does is flagged: names, methods or sizes that differ between the two
 * places, stretches that overlap, bytes that belong to nothing, a directory that is longer or shorter than it says.
 * Measured with yauzl, fflate, zip.js, libarchive and 7-Zip, of which no two agree on such files.
 */
export async function walkZip(zip: Buffer, budget: Budget, visitor: Visitor): Promise<void> {
  const directory = await readDirectory(zip, budget);
  if (directory.error) visitor.flag('archive.parser_error');
  if (directory.cut) visitor.flag('archive.entries');
  const claims = directory.entries
    .map((entry): Claim => {
      const local = readLocal(zip, entry.offset);
      return { entry, local, end: (local?.dataStart ?? entry.offset) + entry.compressed };
    })
    .toSorted((a, b) => a.entry.offset - b.entry.offset);
  checkLayout(zip, claims, directory, visitor);
  for (const claim of claims) {
    if (!budget.takeEntry()) {
      visitor.flag('archive.entries');
      return;
    }
    await showClaim(zip, claim, budget, visitor);
  }
  if (!directory.cut) await showHidden(zip, claims, budget, visitor);
}

/** Whether a zip ends exactly at the end of the content: what comes before it may be anything (self-extractors, images). */
export function endsAsZip(content: Buffer): boolean {
  const at = content.lastIndexOf(END);
  return at >= 0 && at + 22 <= content.length && at + 22 + content.readUInt16LE(at + 20) === content.length;
}

interface Directory {
  readonly entries: readonly CentralEntry[];
  readonly error: boolean;
  /** There are more entries than the budget allows; they were not read. */
  readonly cut: boolean;
  /** Where the directory starts and where it should end, by the end record; -1 when there is none. */
  readonly start: number;
  readonly end: number;
}

async function readDirectory(zip: Buffer, budget: Budget): Promise<Directory> {
  const entries: CentralEntry[] = [];
  let error = false;
  let cut = false;
  try {
    const file = await open(zip);
    await new Promise<void>((resolve, reject) => {
      file.on('entry', (entry: Entry) => {
        if (entries.length >= budget.limits.entries) {
          cut = true;
          resolve();
          return;
        }
        entries.push(centralEntry(entry));
        file.readEntry();
      });
      file.once('end', resolve);
      file.once('error', reject);
      file.readEntry();
    });
  } catch {
    error = true;
  }
  const end = zip.lastIndexOf(END);
  if (end < 0 || end + 22 > zip.length) return { entries, error: true, cut, start: -1, end: -1 };
  let start = zip.readUInt32LE(end + 16);
  let directoryEnd = end;
  // ZIP64: the locator (20 octets) points to a record that holds the true offset.
  if (end >= 20 && zip.readUInt32LE(end - 20) === 0x07064b50) {
    const record = Number(zip.readBigUInt64LE(end - 12));
    if (record + 56 <= zip.length && zip.readUInt32LE(record) === ZIP64_END) {
      start = Number(zip.readBigUInt64LE(record + 48));
      directoryEnd = record;
    }
  }
  return { entries, error, cut, start, end: directoryEnd };
}

function open(zip: Buffer): Promise<ZipFile> {
  return new Promise((resolve, reject) => {
    fromBuffer(zip, { lazyEntries: true, decodeStrings: false, validateEntrySizes: false }, (error, file) => {
      if (error !== null) reject(error);
      else resolve(file);
    });
  });
}

function centralEntry(entry: Entry): CentralEntry {
  const raw = Buffer.from(entry.fileNameRaw);
  const plain = decodeText(raw);
  let unicode = plain;
  try {
    // Honours the Unicode path field (0x7075) of Info-ZIP, which other programs ignore: both names count.
    unicode = getFileNameLowLevel(entry.generalPurposeBitFlag, entry.fileNameRaw, entry.extraFields, true);
  } catch {
    // A damaged extra field leaves the plain name.
  }
  return {
    names: [...new Set([plain, unicode])],
    rawName: raw.toString('latin1'),
    offset: entry.relativeOffsetOfLocalHeader,
    flags: entry.generalPurposeBitFlag,
    method: entry.compressionMethod,
    crc: entry.crc32,
    compressed: entry.compressedSize,
    size: entry.uncompressedSize,
    span: 46 + entry.fileNameLength + entry.extraFieldLength + entry.fileCommentLength,
  };
}

function readLocal(zip: Buffer, start: number): LocalHeader | null {
  if (start < 0 || start + 30 > zip.length || !zip.subarray(start, start + 4).equals(LOCAL)) return null;
  const nameLength = zip.readUInt16LE(start + 26);
  const dataStart = start + 30 + nameLength + zip.readUInt16LE(start + 28);
  if (dataStart > zip.length) return null;
  return {
    start,
    name: zip.toString('latin1', start + 30, start + 30 + nameLength),
    flags: zip.readUInt16LE(start + 6),
    method: zip.readUInt16LE(start + 8),
    crc: zip.readUInt32LE(start + 14),
    compressed: zip.readUInt32LE(start + 18),
    size: zip.readUInt32LE(start + 22),
    dataStart,
  };
}

/** The claims, in order of their place, must tile the file from its first octet to the directory. */
function checkLayout(zip: Buffer, claims: readonly Claim[], directory: Directory, visitor: Visitor): void {
  if (directory.start < 0) return;
  let at = 0;
  let slack: readonly number[] = [0];
  for (const claim of claims) {
    const gap = claim.entry.offset - at;
    if (gap < 0) visitor.flag('archive.overlap');
    else if (!slack.includes(gap) && !directory.cut) visitor.flag(at === 0 ? 'archive.prefix' : 'archive.gap');
    at = Math.max(at, claim.end);
    slack = (claim.entry.flags & DESCRIPTOR) !== 0 ? [0, 12, 16, 20, 24] : [0];
  }
  // What was not read cannot be told from what nothing claims.
  if (directory.cut) return;
  const gap = directory.start - at;
  if (gap < 0) visitor.flag('archive.overlap');
  else if (!slack.includes(gap)) visitor.flag(claims.length === 0 ? 'archive.prefix' : 'archive.gap');
  const span = claims.reduce((sum, claim) => sum + claim.entry.span, 0);
  if (directory.start + span !== directory.end && !directory.error) visitor.flag('archive.directory_size');
  const end = zip.lastIndexOf(END);
  if (end + 22 + zip.readUInt16LE(end + 20) !== zip.length) visitor.flag('archive.trailing');
}

async function showClaim(zip: Buffer, claim: Claim, budget: Budget, visitor: Visitor): Promise<void> {
  const { entry, local } = claim;
  if (local === null || disagrees(entry, local)) visitor.flag('archive.disagreement');
  const names =
    local === null ? entry.names : [...new Set([...entry.names, decodeText(Buffer.from(local.name, 'latin1'))])];
  if (names.some(isUnsafe)) visitor.flag('archive.unsafe_name');
  if (names.every((name) => name.endsWith('/')) && entry.size === 0 && entry.compressed === 0) return;
  const flags = entry.flags | (local?.flags ?? 0);
  if (isEncrypted(flags, entry.method)) {
    await visitor.member({ names, content: null, bytes: entry.size, encrypted: true });
    return;
  }
  const start = local?.dataStart ?? -1;
  const content = start < 0 ? null : extract(zip, start, claim.end, entry.method, budget, visitor);
  if (content !== null && content.length !== entry.size) visitor.flag('archive.disagreement');
  if (content !== null && crc32(content) !== entry.crc) visitor.flag('archive.crc');
  await visitor.member({ names, content, bytes: content?.length ?? entry.size, encrypted: false });
}

function disagrees(entry: CentralEntry, local: LocalHeader): boolean {
  const deferred = (local.flags & DESCRIPTOR) !== 0;
  const sizes =
    deferred && local.compressed === 0
      ? true
      : local.compressed === entry.compressed || local.compressed === 0xffffffff;
  return (
    local.name !== entry.rawName ||
    local.method !== entry.method ||
    ((local.flags ^ entry.flags) & ENCRYPTED) !== 0 ||
    !sizes
  );
}

function isEncrypted(flags: number, method: number): boolean {
  return (flags & (ENCRYPTED | STRONG)) !== 0 || method === 99;
}

/** Traversal, absolute paths, drive letters (APPNOTE 4.4.17). */
function isUnsafe(name: string): boolean {
  return /(?:^|[\\/])\.\.(?:[\\/]|$)|^[\\/]|^[A-Za-z]:/.test(name) || name.includes('\u0000');
}

function extract(
  zip: Buffer,
  start: number,
  end: number,
  method: number,
  budget: Budget,
  visitor: Visitor,
): Buffer | null {
  if (end > zip.length) visitor.flag('archive.truncated');
  const data = zip.subarray(start, Math.min(end, zip.length));
  if (method === 8) return inflate(data, 'raw', budget, (code) => visitor.flag(code));
  if (method === 0) {
    if (budget.takeRead(data.length)) return data;
    visitor.flag('archive.work');
    return null;
  }
  visitor.flag('archive.method');
  return null;
}

/** Local headers that no entry of the directory claims: a stream reader unpacks them. */
async function showHidden(zip: Buffer, claims: readonly Claim[], budget: Budget, visitor: Visitor): Promise<void> {
  let index = 0;
  let covered = 0;
  for (let at = zip.indexOf(LOCAL); at >= 0; at = zip.indexOf(LOCAL, at + 4)) {
    for (let claim = claims[index]; claim !== undefined && claim.entry.offset <= at; claim = claims[index]) {
      if (claim.local !== null) covered = Math.max(covered, claim.end);
      index += 1;
    }
    if (at < covered) continue;
    const local = readLocal(zip, at);
    if (local === null) continue;
    visitor.flag('archive.hidden_entry');
    if (!budget.takeEntry()) {
      visitor.flag('archive.entries');
      return;
    }
    const names = [decodeText(Buffer.from(local.name, 'latin1'))];
    if (isEncrypted(local.flags, local.method)) {
      await visitor.member({ names, content: null, bytes: local.size, encrypted: true });
      continue;
    }
    const known = local.compressed > 0 && local.compressed !== 0xffffffff;
    const next = zip.indexOf(LOCAL, local.dataStart);
    const end = known ? local.dataStart + local.compressed : next < 0 ? zip.length : next;
    const content = extract(zip, local.dataStart, end, local.method, budget, visitor);
    await visitor.member({ names, content, bytes: content?.length ?? local.size, encrypted: false });
  }
}

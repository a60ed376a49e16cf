import { fileTypeFromBuffer } from 'file-type';
import { SCRIPT_TYPES, sniffScript } from './scripts.ts';

const OLE = Buffer.from('d0cf11e0a1b11ae1', 'hex');

interface Magic {
  readonly type: string;
  readonly at: number;
  readonly bytes: Buffer;
}

function magic(type: string, at: number, bytes: string, form: 'latin1' | 'hex' = 'latin1'): Magic {
  return { type, at, bytes: Buffer.from(bytes, form) };
}

/** Programs: what starts when it is opened, whatever its name. */
const PROGRAMS: readonly Magic[] = [
  magic('application/x-elf', 0, '7f454c46', 'hex'),
  magic('application/x-mach-binary', 0, 'feedface', 'hex'),
  magic('application/x-mach-binary', 0, 'feedfacf', 'hex'),
  magic('application/x-mach-binary', 0, 'cefaedfe', 'hex'),
  magic('application/x-mach-binary', 0, 'cffaedfe', 'hex'),
  // Java classes and universal Mach-O share it; both run.
  magic('application/java-vm', 0, 'cafebabe', 'hex'),
  magic('application/x-ms-shortcut', 0, '4c0000000114020000000000c000000000000046', 'hex'),
  magic('application/vnd.android.dex', 0, 'dex\n03'),
  magic('application/vnd.ms-htmlhelp', 0, 'ITSF'),
  magic('application/onenote', 0, 'e4525c7b8cd8a74daeb15378d02996d3', 'hex'),
];

/** Containers without a walker of our own: 7-Zip lists them, or nobody does. */
const CONTAINERS: readonly Magic[] = [
  magic('application/x-rar-compressed', 0, 'Rar!\u001a\u0007'),
  magic('application/x-7z-compressed', 0, '377abcaf271c', 'hex'),
  magic('application/x-xz', 0, 'fd377a585a00', 'hex'),
  magic('application/x-lzip', 0, 'LZIP'),
  magic('application/zstd', 0, '28b52ffd', 'hex'),
  magic('application/x-lz4', 0, '04224d18', 'hex'),
  magic('application/vnd.ms-cab-compressed', 0, 'MSCF'),
  magic('application/x-ace-compressed', 7, '**ACE**'),
  magic('application/x-arj', 0, '60ea', 'hex'),
  magic('application/x-lzh-compressed', 2, '-lh'),
  magic('application/x-compress', 0, '1f9d', 'hex'),
  magic('application/x-compress', 0, '1fa0', 'hex'),
  magic('application/x-iso9660-image', 0x8001, 'CD001'),
  magic('application/x-iso9660-image', 0x8001, 'BEA01'),
  magic('application/x-vhd', 0, 'conectix'),
  magic('application/x-vhdx', 0, 'vhdxfile'),
  magic('application/x-vmdk', 0, 'KDMV'),
  magic('application/x-ms-wim', 0, 'MSWIM\u0000\u0000\u0000'),
  magic('application/x-xar', 0, 'xar!'),
  magic('application/x-unix-archive', 0, '!<arch>\n'),
  magic('application/x-rpm', 0, 'edabeedb', 'hex'),
  magic('application/x-squashfs', 0, 'hsqs'),
  magic('application/x-egg', 0, 'EGGA'),
  magic('application/x-alz', 0, 'ALZ\u0001'),
  magic('application/x-zoo', 20, 'dca7c4fd', 'hex'),
  magic('application/x-stuffit', 0, 'SIT!'),
  magic('application/x-stuffit', 0, 'StuffIt '),
];

const DOCUMENTS: readonly Magic[] = [
  magic('application/zip', 0, 'PK\u0003\u0004'),
  magic('application/zip', 0, 'PK\u0005\u0006'),
  magic('application/zip', 0, 'PK\u0007\u0008PK\u0003\u0004'),
  magic('application/gzip', 0, '1f8b', 'hex'),
  magic('application/x-tar', 257, 'ustar'),
  { type: 'application/x-ole-storage', at: 0, bytes: OLE },
  magic('application/pdf', 0, '%PDF-'),
  magic('application/rtf', 0, '{\\rt'),
  magic('application/ms-tnef', 0, '789f3e22', 'hex'),
];

function has(content: Buffer, entry: Magic): boolean {
  return content.subarray(entry.at, entry.at + entry.bytes.length).equals(entry.bytes);
}

/** What the first bytes say, by our own table; null when they say nothing. Synchronous, of constant cost. */
export function sniffMagic(content: Buffer): string | null {
  if (isDosProgram(content)) return 'application/x-msdownload';
  if (content[0] === 0x23 && content[1] === 0x21 && /^#! ?\/\S/.test(content.toString('latin1', 0, 8))) {
    return 'application/x-shellscript';
  }
  if (isBzip2(content)) return 'application/x-bzip2';
  if (/^07070[127][0-9A-Fa-f]{60}/.test(content.toString('latin1', 0, 80))) return 'application/x-cpio';
  const image = diskImage(content);
  if (image !== null) return image;
  const script = sniffScript(content);
  if (script !== null) return script;
  for (const table of [PROGRAMS, DOCUMENTS, CONTAINERS]) {
    for (const entry of table) if (has(content, entry)) return entry.type;
  }
  return null;
}

/** `MZ`, with something behind it that no text has: "MZ" begins words too. */
function isDosProgram(content: Buffer): boolean {
  const mark = content.toString('latin1', 0, 2);
  return (mark === 'MZ' || mark === 'ZM') && content.subarray(2, 64).some((byte) => byte < 0x09 || byte >= 0x80);
}

function isBzip2(content: Buffer): boolean {
  const mark = content.toString('hex', 4, 10);
  return /^BZh[1-9]$/.test(content.toString('latin1', 0, 4)) && (mark === '314159265359' || mark === '177245385090');
}

/** Images whose mark lies at the end (macOS, a fixed VHD), and those of a disk or of one file system as it is. */
function diskImage(content: Buffer): string | null {
  if (content.length < 512) return null;
  const end = content.length - 512;
  if (content.toString('latin1', end, end + 4) === 'koly') return 'application/x-apple-diskimage';
  if (content.toString('latin1', end, end + 8) === 'conectix') return 'application/x-vhd';
  if (content[510] !== 0x55 || content[511] !== 0xaa) return null;
  const jump = (content[0] === 0xeb && content[2] === 0x90) || content[0] === 0xe9;
  const system = content.toString('latin1', 3, 11) === 'NTFS    ' || /^FAT/.test(content.toString('latin1', 54, 57));
  const fat32 = /^FAT32/.test(content.toString('latin1', 82, 87));
  return jump && (system || fat32) ? 'application/x-disk-image' : null;
}

const PROGRAM_TYPES = new Set([
  ...PROGRAMS.map((entry) => entry.type),
  'application/x-msdownload',
  'application/x-shellscript',
  ...SCRIPT_TYPES,
  // What a double click mounts as a drive, past the mark of the web: refused whatever is on it, as Gmail does.
  'application/x-iso9660-image',
  'application/x-vhd',
  'application/x-vhdx',
  'application/x-vmdk',
  'application/x-disk-image',
  'application/x-apple-diskimage',
]);
const CONTAINER_TYPES = new Set([
  ...CONTAINERS.map((entry) => entry.type),
  'application/x-bzip2',
  'application/x-apple-diskimage',
  'application/x-disk-image',
  'application/x-cpio',
]);

export function isProgramType(type: string | null): boolean {
  return type !== null && PROGRAM_TYPES.has(type);
}

export function isContainerType(type: string): boolean {
  return CONTAINER_TYPES.has(type);
}

/** Our own table first, then file-type on the first 64 KiB; null when the content says nothing. Never throws. */
export async function sniffType(content: Buffer): Promise<string | null> {
  const own = sniffMagic(content);
  if (own !== null || content.length === 0) return own;
  try {
    const type = (await fileTypeFromBuffer(content.subarray(0, 65_536)))?.mime ?? null;
    // It takes every text that begins with MZ for a program, and with BZh for an archive.
    return type === 'application/x-msdownload' || type === 'application/x-bzip2' ? null : type;
  } catch {
    return null;
  }
}

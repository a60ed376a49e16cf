const MAGIC = Buffer.from('d0cf11e0a1b11ae1', 'hex');
const NO_SECTOR = 0xfffffffa;
const ENTRY = 128;
const MAX_ENTRIES = 20_000;

/** An entry of the directory (MS-CFB section 2.6.1). */
export interface CfbEntry {
  readonly name: string;
  readonly kind: 'storage' | 'stream' | 'root';
  /** 32 hex digits, as they lie in the file. */
  readonly classId: string;
  readonly start: number;
  readonly size: number;
}

export interface Cfb {
  readonly entries: readonly CfbEntry[];
  /** A chain left the file or ran in a circle: what was read until then is in `entries`. */
  readonly damaged: boolean;
  /** The first `max` octets of a stream, as many as its chain gives. */
  read(entry: CfbEntry, max: number): Buffer;
}

/**
 * Reads the directory of a compound file (doc, xls, ppt, msg, msi). Null when the header is not one. Every chain is followed
 * for as many steps as the file has sectors, so that no circle holds it. Throws for nothing inside.
 */
export function readCfb(content: Buffer): Cfb | null {
  if (content.length < 512 || !content.subarray(0, 8).equals(MAGIC)) return null;
  const shift = content.readUInt16LE(30);
  const miniShift = content.readUInt16LE(32);
  if ((shift !== 9 && shift !== 12) || miniShift !== 6) return null;
  return new Reader(content, shift).open();
}

class Reader {
  readonly #content: Buffer;
  readonly #shift: number;
  readonly #sectors: number;
  #fat: number[] = [];
  #mini: Buffer = Buffer.alloc(0);
  #miniFat: Buffer = Buffer.alloc(0);
  #damaged = false;

  constructor(content: Buffer, shift: number) {
    this.#content = content;
    this.#shift = shift;
    this.#sectors = Math.ceil(content.length / 2 ** shift);
  }

  open(): Cfb {
    this.#fat = this.#fatSectors();
    const directory = this.#chain(this.#content.readUInt32LE(48), MAX_ENTRIES * ENTRY);
    const entries: CfbEntry[] = [];
    for (let at = 0; at + ENTRY <= directory.length; at += ENTRY) {
      const entry = readEntry(directory.subarray(at, at + ENTRY));
      if (entry !== null) entries.push(entry);
    }
    const root = entries.find((entry) => entry.kind === 'root');
    if (root === undefined) this.#damaged = true;
    else this.#mini = root.size === 0 ? Buffer.alloc(0) : this.#chain(root.start, root.size);
    const miniStart = this.#content.readUInt32LE(60);
    if (miniStart < NO_SECTOR)
      this.#miniFat = this.#chain(miniStart, this.#content.readUInt32LE(64) * 2 ** this.#shift);
    const cutoff = this.#content.readUInt32LE(56);
    return {
      entries,
      damaged: this.#damaged,
      read: (entry, max) => {
        const size = Math.min(entry.size, max);
        if (size === 0 || entry.kind === 'storage') return Buffer.alloc(0);
        const whole =
          entry.size < cutoff && entry.kind === 'stream'
            ? this.#miniChain(entry.start, size)
            : this.#chain(entry.start, size);
        return whole.subarray(0, size);
      },
    };
  }

  /** Numbers of the sectors that hold the table: 109 in the header, then a chain of their own. */
  #fatSectors(): number[] {
    const found: number[] = [];
    const size = 2 ** this.#shift;
    for (let index = 0; index < 109; index += 1) found.push(this.#content.readUInt32LE(76 + 4 * index));
    let next = this.#content.readUInt32LE(68);
    for (let steps = 0; next < NO_SECTOR && steps <= this.#sectors; steps += 1) {
      const start = (next + 1) * size;
      if (start + size > this.#content.length) {
        this.#damaged = true;
        break;
      }
      for (let at = 0; at < size - 4; at += 4) found.push(this.#content.readUInt32LE(start + at));
      next = this.#content.readUInt32LE(start + size - 4);
    }
    return found.filter((sector) => sector < NO_SECTOR).slice(0, this.#sectors);
  }

  #next(sector: number): number {
    const perSector = 2 ** (this.#shift - 2);
    const table = this.#fat[Math.floor(sector / perSector)];
    if (table === undefined) return -1;
    const at = (table + 1) * 2 ** this.#shift + 4 * (sector % perSector);
    return at + 4 <= this.#content.length ? this.#content.readUInt32LE(at) : -1;
  }

  #chain(first: number, max: number): Buffer {
    const size = 2 ** this.#shift;
    const pieces: Buffer[] = [];
    let length = 0;
    let sector = first;
    for (let steps = 0; sector >= 0 && sector < NO_SECTOR && length < max; steps += 1) {
      const start = (sector + 1) * size;
      if (start >= this.#content.length || steps > this.#sectors) {
        this.#damaged = true;
        break;
      }
      const piece = this.#content.subarray(start, Math.min(start + size, this.#content.length));
      pieces.push(piece);
      length += piece.length;
      sector = this.#next(sector);
    }
    if (sector < 0) this.#damaged = true;
    return Buffer.concat(pieces);
  }

  #miniChain(first: number, max: number): Buffer {
    const pieces: Buffer[] = [];
    let sector = first;
    for (let length = 0; sector < NO_SECTOR && length < max; length += 64) {
      const at = sector * 64;
      if (at >= this.#mini.length || length > this.#mini.length) break;
      pieces.push(this.#mini.subarray(at, at + 64));
      sector = 4 * sector + 4 <= this.#miniFat.length ? this.#miniFat.readUInt32LE(4 * sector) : NO_SECTOR;
    }
    return Buffer.concat(pieces);
  }
}

const KINDS: Readonly<Record<number, CfbEntry['kind']>> = { 1: 'storage', 2: 'stream', 5: 'root' };

function readEntry(raw: Buffer): CfbEntry | null {
  const kind = KINDS[raw[66] ?? 0];
  const length = raw.readUInt16LE(64);
  if (kind === undefined) return null;
  return {
    name: raw.toString('utf16le', 0, Math.max(0, Math.min(64, length) - 2)),
    kind,
    classId: raw.toString('hex', 80, 96),
    start: raw.readUInt32LE(116),
    size: raw.readUInt32LE(120),
  };
}

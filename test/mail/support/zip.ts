import { crc32, deflateRawSync } from 'node:zlib';

export interface TestEntry {
  readonly name: string;
  readonly content: Buffer;
  readonly method?: 0 | 8;
  /** Everything an attacker may write differently. */
  readonly lie?: {
    readonly localName?: string;
    readonly localMethod?: number;
    readonly centralMethod?: number;
    readonly size?: number;
    readonly crc?: number;
    readonly flags?: number;
    readonly localFlags?: number;
    readonly offset?: number;
    /** Left out of the central directory. */
    readonly hidden?: boolean;
  };
}

export interface ZipLies {
  readonly prefix?: Buffer;
  readonly trailing?: Buffer;
  readonly count?: number;
  readonly between?: Buffer;
}

/** A zip written by hand, honest or not. */
export function makeZip(entries: readonly TestEntry[], lies: ZipLies = {}): Buffer {
  const body: Buffer[] = [lies.prefix ?? Buffer.alloc(0)];
  const central: Buffer[] = [];
  let offset = body[0]?.length ?? 0;
  let listed = 0;
  for (const entry of entries) {
    const lie = entry.lie ?? {};
    const method = entry.method ?? 8;
    const data = method === 8 ? deflateRawSync(entry.content) : entry.content;
    const crc = lie.crc ?? crc32(entry.content);
    const size = lie.size ?? entry.content.length;
    const localName = Buffer.from(lie.localName ?? entry.name);
    const local = Buffer.alloc(30);
    local.writeUInt32LE(0x04034b50, 0);
    local.writeUInt16LE(20, 4);
    local.writeUInt16LE(lie.localFlags ?? lie.flags ?? 0, 6);
    local.writeUInt16LE(lie.localMethod ?? method, 8);
    local.writeUInt32LE(crc, 14);
    local.writeUInt32LE(data.length, 18);
    local.writeUInt32LE(size, 22);
    local.writeUInt16LE(localName.length, 26);
    body.push(local, localName, data);
    if (lie.hidden !== true) {
      const name = Buffer.from(entry.name);
      const row = Buffer.alloc(46);
      row.writeUInt32LE(0x02014b50, 0);
      row.writeUInt16LE(20, 4);
      row.writeUInt16LE(20, 6);
      row.writeUInt16LE(lie.flags ?? 0, 8);
      row.writeUInt16LE(lie.centralMethod ?? method, 10);
      row.writeUInt32LE(crc, 16);
      row.writeUInt32LE(data.length, 20);
      row.writeUInt32LE(size, 24);
      row.writeUInt16LE(name.length, 28);
      row.writeUInt32LE(lie.offset ?? offset, 42);
      central.push(row, name);
      listed += 1;
    }
    offset += local.length + localName.length + data.length;
  }
  const between = lies.between ?? Buffer.alloc(0);
  body.push(between);
  offset += between.length;
  const directory = Buffer.concat(central);
  const end = Buffer.alloc(22);
  end.writeUInt32LE(0x06054b50, 0);
  end.writeUInt16LE(lies.count ?? listed, 8);
  end.writeUInt16LE(lies.count ?? listed, 10);
  end.writeUInt32LE(directory.length, 12);
  end.writeUInt32LE(offset, 16);
  return Buffer.concat([...body, directory, end, lies.trailing ?? Buffer.alloc(0)]);
}

/** A tar of plain files. */
export function makeTar(entries: readonly { name: string; content: Buffer; type?: string }[], ending = true): Buffer {
  const blocks: Buffer[] = [];
  for (const entry of entries) {
    const header = Buffer.alloc(512);
    header.write(entry.name, 0, 100);
    header.write('0000644\0', 100);
    header.write('0000000\0', 108);
    header.write('0000000\0', 116);
    header.write(`${entry.content.length.toString(8).padStart(11, '0')}\0`, 124);
    header.write('00000000000\0', 136);
    header.write(entry.type ?? '0', 156);
    header.write('ustar\0', 257);
    header.write('00', 263);
    header.fill(0x20, 148, 156);
    const sum = header.reduce((total, byte) => total + byte, 0);
    header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
    blocks.push(header, entry.content, Buffer.alloc((512 - (entry.content.length % 512)) % 512));
  }
  if (ending) blocks.push(Buffer.alloc(1024));
  return Buffer.concat(blocks);
}

export interface TestStream {
  readonly name: string;
  readonly content: Buffer;
}

const FREE = 0xffffffff;
const END = 0xfffffffe;

/** A compound file written by hand: streams under 4096 octets in the mini stream, the others in sectors of 512. */
export function makeCfb(
  streams: readonly TestStream[],
  rootClass = '0'.repeat(32),
  storages: readonly string[] = [],
): Buffer {
  const sectors: Buffer[] = [];
  const chains: number[] = [];
  const put = (data: Buffer): number => {
    const first = sectors.length;
    const count = Math.max(1, Math.ceil(data.length / 512));
    for (let index = 0; index < count; index += 1) {
      const sector = Buffer.alloc(512);
      data.subarray(index * 512, index * 512 + 512).copy(sector);
      sectors.push(sector);
      chains.push(index === count - 1 ? END : first + index + 1);
    }
    return first;
  };
  const mini: Buffer[] = [];
  const miniFat: number[] = [];
  const placed = streams.map(({ content }) => {
    if (content.length >= 4096) return put(content);
    const first = mini.length;
    const count = Math.max(1, Math.ceil(content.length / 64));
    for (let index = 0; index < count; index += 1) {
      const sector = Buffer.alloc(64);
      content.subarray(index * 64, index * 64 + 64).copy(sector);
      mini.push(sector);
      miniFat.push(index === count - 1 ? END : first + index + 1);
    }
    return first;
  });
  const miniStart = put(Buffer.concat(mini));
  const fatOfMini = Buffer.alloc(Math.max(1, Math.ceil(miniFat.length / 128)) * 512, 0xff);
  for (const [index, value] of miniFat.entries()) fatOfMini.writeUInt32LE(value, 4 * index);
  const miniFatStart = put(fatOfMini);
  const entry = (name: string, kind: number, start: number, size: number, classId = '0'.repeat(32)) => {
    const raw = Buffer.alloc(128);
    raw.write(name, 0, 62, 'utf16le');
    raw.writeUInt16LE(2 * name.length + 2, 64);
    raw[66] = kind;
    Buffer.from(classId, 'hex').copy(raw, 80);
    raw.writeUInt32LE(start, 116);
    raw.writeUInt32LE(size, 120);
    return raw;
  };
  const directory = Buffer.concat([
    entry('Root Entry', 5, miniStart, mini.length * 64, rootClass),
    ...storages.map((name) => entry(name, 1, 0, 0)),
    ...streams.map(({ name, content }, index) => entry(name, 2, placed[index] ?? 0, content.length)),
  ]);
  const directoryStart = put(directory);
  const fatSectors = Math.ceil((chains.length + 4) / 128);
  const fat = Buffer.alloc(fatSectors * 512, 0xff);
  for (const [index, value] of chains.entries()) fat.writeUInt32LE(value, 4 * index);
  const fatStart = sectors.length;
  const header = Buffer.alloc(512);
  Buffer.from('d0cf11e0a1b11ae1', 'hex').copy(header);
  header.writeUInt16LE(9, 30);
  header.writeUInt16LE(6, 32);
  header.writeUInt32LE(fatSectors, 44);
  header.writeUInt32LE(directoryStart, 48);
  header.writeUInt32LE(4096, 56);
  header.writeUInt32LE(miniFatStart, 60);
  header.writeUInt32LE(1, 64);
  header.writeUInt32LE(END, 68);
  for (let index = 0; index < 109; index += 1) {
    header.writeUInt32LE(index < fatSectors ? fatStart + index : FREE, 76 + 4 * index);
  }
  return Buffer.concat([header, ...sectors, fat]);
}

/** The stream of a Package object that carries a file (packager.exe). */
export function olePackage(name: string, content: Buffer): Buffer {
  const text = (value: string) => Buffer.concat([Buffer.from(value, 'latin1'), Buffer.alloc(1)]);
  const u32 = (value: number) => {
    const raw = Buffer.alloc(4);
    raw.writeUInt32LE(value);
    return raw;
  };
  const temporary = text(`C:\\Temp\\${name}`);
  const body = Buffer.concat([
    Buffer.from([2, 0]),
    text(name),
    text(`C:\\files\\${name}`),
    Buffer.from([0, 0, 3, 0]),
    u32(temporary.length),
    temporary,
    u32(content.length),
    content,
  ]);
  return Buffer.concat([u32(body.length), body]);
}

import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import type { SevenZipModule, SevenZipModuleFactory, SevenZipModuleOptions } from '7z-wasm';
import type { Budget, Visitor } from './budget.ts';
import { RATIO_FROM } from './inflate.ts';

/**
 * The containers that have no walker of our own (rar, 7z, cab, arj, lzh, iso, disk images, wim, xz, bzip2 ...), listed and
 * unpacked by 7-Zip as WebAssembly: its own memory, a file system in memory, no way out of it. It is loaded when the first
 * such file is met. All of it is synchronous, so callers run it in a thread that can be ended.
 */

/** The little of WebAssembly that is used here; its types come with the DOM library only. */
interface WasmMemory {
  readonly buffer: ArrayBuffer;
  grow(pages: number): number;
}
interface WasmInstance {
  readonly exports: Readonly<Record<string, unknown>>;
}
interface Wasm {
  readonly Memory: new (...args: never[]) => WasmMemory;
  compile(bytes: Buffer): Promise<object>;
  instantiate(code: object, imports: object): Promise<WasmInstance>;
}
const wasm = (globalThis as unknown as { readonly WebAssembly: Wasm }).WebAssembly;

/** Memory of one run of 7-Zip; the largest dictionary that honest packers choose is 64 MiB. */
const HEAP_MAX = 384 * 1024 * 1024;
const PAGE = 65_536;
const INPUT = '/in';
const OUTPUT = '/out';
const OUTPUT_LINES_MAX = 100_000;
const NAME_MAX = 4096;
/** ENOSPC of the file system in memory: 7-Zip ends as it does on a full disk. */
const NO_SPACE = 51;

/** Types that 7-Zip cannot read, so it is not asked. */
const UNREADABLE: ReadonlySet<string> = new Set([
  'application/x-ace-compressed',
  'application/x-lz4',
  'application/x-egg',
  'application/x-alz',
  'application/x-zoo',
  'application/x-stuffit',
]);

/** One stream without a name of its own; its size is not known before it is read. */
const SINGLE: ReadonlySet<string> = new Set([
  'application/x-xz',
  'application/x-bzip2',
  'application/x-lzip',
  'application/x-compress',
  'application/zstd',
]);

export interface ListedEntry {
  readonly path: string;
  readonly bytes: number;
  readonly folder: boolean;
  readonly encrypted: boolean;
}

interface Run {
  readonly code: number;
  readonly lines: readonly string[];
  readonly encrypted: boolean;
}

/** Shows every file of a container that 7-Zip can open; flags `archive.opaque` when it cannot. Throws for nothing inside. */
export async function walkSeven(
  content: Buffer,
  type: string,
  name: string,
  budget: Budget,
  visitor: Visitor,
): Promise<void> {
  if (UNREADABLE.has(type)) return visitor.flag('archive.opaque');
  if (!budget.takeRead(content.length)) return visitor.flag('archive.work');
  const listing = await run(content, ['l', '-slt'], 0);
  if (listing.run.encrypted) {
    if (!budget.takeEntry()) return visitor.flag('archive.entries');
    return visitor.member({ names: ['encrypted'], content: null, bytes: 0, encrypted: true });
  }
  const entries = listedEntries(listing.run.lines).filter((entry) => !entry.folder);
  if (listing.run.code > 1) visitor.flag(entries.length > 0 ? 'archive.damaged' : 'archive.opaque');
  if (hasSurplus(listing.run.lines, type)) visitor.flag('archive.trailing');
  if (SINGLE.has(type)) return showSingle(content, name, budget, visitor);
  if (entries.length === 0) return;
  await showEntries(content, entries, budget, visitor);
}

/** A stream that holds one file: unpacked until it ends or a bound is met. */
async function showSingle(content: Buffer, name: string, budget: Budget, visitor: Visitor): Promise<void> {
  if (!budget.takeEntry()) return visitor.flag('archive.entries');
  const byRatio = Math.max(RATIO_FROM, content.length * budget.limits.ratio);
  const bound = Math.min(budget.inflatable, byRatio);
  const { run: result, module, written } = await run(content, ['x', '-y', `-o${OUTPUT}`], bound);
  budget.inflatedUsed += Math.min(written(), bound);
  const found = written() > bound ? null : (unpacked(module)[0]?.content ?? null);
  if (written() > bound) visitor.flag(bound === byRatio ? 'archive.ratio' : 'archive.size');
  else if (result.code > 1) visitor.flag(outOfMemory(result) ? 'archive.work' : 'archive.damaged');
  await visitor.member({ names: [innerName(name)], content: found, bytes: found?.length ?? 0, encrypted: false });
}

/** The name that programs give to what a compressed file holds: `a.tar.xz` holds `a.tar`, `a.tbz2` holds a tar too. */
export function innerName(name: string): string {
  const inner = name.replace(/\.t(?:gz|xz|bz2?|zst|lz|z)$/i, '.tar').replace(/\.(?:gz|xz|bz2?|lzma|lz|zst|z)$/i, '');
  return inner === '' ? 'content' : inner.slice(-NAME_MAX);
}

async function showEntries(
  content: Buffer,
  entries: readonly ListedEntry[],
  budget: Budget,
  visitor: Visitor,
): Promise<void> {
  const total = entries.reduce((sum, entry) => sum + entry.bytes, 0);
  const byRatio = Math.max(RATIO_FROM, content.length * budget.limits.ratio);
  const tooMany = entries.length > budget.limits.entries - budget.entriesUsed;
  if (entries.some((entry) => isUnsafe(entry.path))) visitor.flag('archive.unsafe_name');
  if (tooMany) visitor.flag('archive.entries');
  if (total > byRatio) visitor.flag('archive.ratio');
  else if (total > budget.inflatable) visitor.flag('archive.size');
  const open = entries.filter((entry) => !entry.encrypted);
  const readable = !tooMany && total <= byRatio && total <= budget.inflatable && open.length > 0;
  const files = readable ? await extract(content, entries, total, budget, visitor) : new Map<string, Buffer>();
  for (const entry of entries) {
    if (!budget.takeEntry()) return visitor.flag('archive.entries');
    const found = entry.encrypted ? undefined : files.get(entry.path);
    files.delete(entry.path);
    // What is listed and does not come out is not known: a link, a device, or a lie.
    if (readable && !entry.encrypted && found === undefined) visitor.flag('archive.disagreement');
    if (found !== undefined && found.length !== entry.bytes) visitor.flag('archive.disagreement');
    await visitor.member({
      names: [entry.path],
      content: found ?? null,
      bytes: found?.length ?? entry.bytes,
      encrypted: entry.encrypted,
    });
  }
  // Under a name that 7-Zip had to change for its file system.
  for (const [path, found] of files) {
    if (!budget.takeEntry()) return visitor.flag('archive.entries');
    await visitor.member({ names: [path], content: found, bytes: found.length, encrypted: false });
  }
}

async function extract(
  content: Buffer,
  entries: readonly ListedEntry[],
  total: number,
  budget: Budget,
  visitor: Visitor,
): Promise<Map<string, Buffer>> {
  const excluded = entries.filter((entry) => entry.encrypted).map((entry) => `-x!${entry.path}`);
  const bound = Math.min(budget.inflatable, total + PAGE);
  const {
    run: result,
    module,
    written,
  } = await run(content, ['x', '-y', '-aou', '-spd', `-o${OUTPUT}`, ...excluded], bound);
  budget.inflatedUsed += Math.min(written(), bound);
  if (written() > bound) visitor.flag('archive.disagreement');
  else if (result.encrypted || result.code > 1) visitor.flag(outOfMemory(result) ? 'archive.work' : 'archive.damaged');
  return new Map(unpacked(module).map((file) => [file.path, file.content]));
}

function outOfMemory(result: Run): boolean {
  return result.lines.some((line) => /allocate required memory|E_OUTOFMEMORY/i.test(line));
}

/** Traversal, absolute paths, drive letters. */
function isUnsafe(name: string): boolean {
  return /(?:^|[\\/])\.\.(?:[\\/]|$)|^[\\/]|^[A-Za-z]:/.test(name);
}

/** Bytes behind the end, for the kinds that end somewhere: a disk image is followed by what the medium has left. */
function hasSurplus(lines: readonly string[], type: string): boolean {
  if (!/rar|7z|cab|arj/.test(type)) return false;
  return lines.some((line) => /^Tail Size = [1-9]/.test(line));
}

/** The records of `7z l -slt`: `Key = value` lines, an empty line between them, after the line of ten dashes. */
export function listedEntries(lines: readonly string[]): ListedEntry[] {
  const entries: ListedEntry[] = [];
  let fields = new Map<string, string>();
  let inEntries = false;
  const finish = () => {
    const path = fields.get('Path');
    if (inEntries && path !== undefined) {
      const bytes = Number(fields.get('Size') ?? '0');
      entries.push({
        path: path.slice(-NAME_MAX),
        bytes: Number.isSafeInteger(bytes) && bytes >= 0 ? bytes : 0,
        folder: fields.get('Folder') === '+' || /^D/.test(fields.get('Attributes') ?? ''),
        encrypted: fields.get('Encrypted') === '+',
      });
    }
    fields = new Map();
  };
  for (const line of lines) {
    if (line === '----------') {
      finish();
      inEntries = true;
    } else if (line === '--') {
      // A container in a container (a disk in a disk image): only the entries of the innermost one are listed.
      fields = new Map();
      inEntries = false;
    } else if (line === '') finish();
    else {
      const match = /^([A-Z][A-Za-z ]{0,30}) = (.*)$/s.exec(line);
      // The first counts: a name with a line break in it must not replace what follows.
      if (match !== null && !fields.has(match[1] ?? '')) fields.set(match[1] ?? '', match[2] ?? '');
    }
  }
  finish();
  return entries;
}

interface Unpacked {
  readonly path: string;
  readonly content: Buffer;
}

/** What lies in the output folder; links are not followed. */
function unpacked(module: SevenZipModule): Unpacked[] {
  const { FS } = module;
  const found: Unpacked[] = [];
  const pending = [OUTPUT];
  for (let folder = pending.pop(); folder !== undefined; folder = pending.pop()) {
    let names: string[] = [];
    try {
      names = FS.readdir(folder);
    } catch {
      continue;
    }
    for (const name of names) {
      if (name === '.' || name === '..') continue;
      const place = `${folder}/${name}`;
      try {
        const { mode } = FS.lstat(place);
        if (FS.isDir(mode)) pending.push(place);
        else if (FS.isFile(mode)) {
          found.push({ path: place.slice(OUTPUT.length + 1), content: Buffer.from(FS.readFile(place)) });
        }
      } catch {
        // An entry without rights to it: it then counts as one that did not come out.
      }
    }
  }
  return found;
}

interface Ran {
  readonly run: Run;
  readonly module: SevenZipModule;
  /** Octets that it tried to write. */
  written(): number;
}

/** One command on the content, in an instance of its own. Never throws for what 7-Zip does. */
async function run(content: Buffer, command: readonly string[], maxWritten: number): Promise<Ran> {
  const lines: string[] = [];
  let encrypted = false;
  const keep = (line: string): void => {
    if (/^\s*Enter password|encrypted archive\. Wrong password/i.test(line)) encrypted = true;
    if (lines.length < OUTPUT_LINES_MAX) lines.push(line.slice(0, 2 * NAME_MAX));
  };
  const module = await instance(keep);
  let written = 0;
  guard(module, (end) => {
    written = Math.max(written, 0) + end;
    return written <= maxWritten;
  });
  module.FS.writeFile(INPUT, content);
  module.FS.mkdir(OUTPUT);
  let code = 2;
  // Its glue takes the process for its own.
  const { exitCode } = process;
  try {
    // There is no password and nobody to ask: an encrypted archive ends the run before any key is derived.
    code = Number(module.callMain([...command, '-sccUTF-8', INPUT]) ?? 2);
  } catch {
    // 7-Zip gave up: a C++ exception, an abort or a trap of the virtual machine.
  } finally {
    process.exitCode = exitCode;
  }
  const said = lines.some((line) => /Enter password/.test(line));
  return { run: { code, lines, encrypted: encrypted || said }, module, written: () => written };
}

interface FileCalls {
  write(
    stream: { path?: string },
    buffer: ArrayBufferView,
    offset: number,
    length: number,
    position?: number,
    own?: boolean,
  ): number;
  ftruncate(fd: number, length: number): void;
  symlink(target: string, link: string): unknown;
  readonly ErrnoError: new (code: number) => Error;
}

/** Every octet that goes to the output is counted before it is written; beyond the bound the disk is full. Links are not made. */
function guard(module: SevenZipModule, take: (bytes: number) => boolean): void {
  const calls = module.FS as unknown as FileCalls;
  const write = calls.write.bind(calls);
  const ftruncate = calls.ftruncate.bind(calls);
  calls.write = (stream, buffer, offset, length, position, own) => {
    if (stream.path?.startsWith(OUTPUT) === true && !take(length)) throw new calls.ErrnoError(NO_SPACE);
    return write(stream, buffer, offset, length, position, own);
  };
  calls.ftruncate = (fd, length) => {
    // Room made beforehand is written to, and counted, later.
    if (length > HEAP_MAX) throw new calls.ErrnoError(NO_SPACE);
    ftruncate(fd, length);
  };
  calls.symlink = () => {
    throw new calls.ErrnoError(NO_SPACE);
  };
}

let loaded: { readonly create: SevenZipModuleFactory; readonly code: object } | null = null;

async function instance(say: (line: string) => void): Promise<SevenZipModule> {
  if (loaded === null) {
    const require = createRequire(import.meta.url);
    const create = require('7z-wasm') as SevenZipModuleFactory;
    const code = await wasm.compile(readFileSync(require.resolve('7z-wasm/7zz.wasm')));
    loaded = { create, code };
  }
  const { create, code } = loaded;
  const options: Partial<SevenZipModuleOptions> & {
    instantiateWasm(imports: object, done: (instance: WasmInstance, module: object) => void): object;
  } = {
    print: say,
    printErr: say,
    stdin: () => null as unknown as number,
    // The glue would set the exit code of the process.
    quit: (_code, status) => {
      throw status;
    },
    instantiateWasm(imports, done) {
      void wasm.instantiate(code, imports).then((made) => {
        capMemory(made);
        done(made, code);
      });
      return {};
    },
  };
  return create(options);
}

/** Growth beyond the bound fails as it does when a machine has no more memory: 7-Zip says so and ends. */
function capMemory(made: WasmInstance): void {
  for (const memory of Object.values(made.exports)) {
    if (!(memory instanceof wasm.Memory)) continue;
    const grow = memory.grow.bind(memory);
    memory.grow = (pages) => {
      if (memory.buffer.byteLength + pages * PAGE > HEAP_MAX) throw new RangeError('the memory of 7-Zip is bounded');
      return grow(pages);
    };
  }
}

import { createReadStream } from 'node:fs';
import { access, type FileHandle, mkdir, open, readdir, rename, rm, stat, statfs } from 'node:fs/promises';
import path from 'node:path';
import { Readable } from 'node:stream';
import type { Clock } from '../core/clock.ts';
import type { ArrivingContent, ContentStore, StoredContent } from '../core/content.ts';
import { AppError } from '../core/errors.ts';
import { isId, newId } from '../core/id.ts';
import type { SystemDb } from '../db/db.ts';
import { sql } from '../db/sql.ts';
import { LineNormalizer, type LineOptions } from '../mail/lines.ts';
import { RecentBodies } from './recent.ts';
import { SpoolWriter } from './spool-writer.ts';

/** What reaches the disk. The seam at which a test lets a disk fail. */
export interface SpoolDisk {
  /** fsync of a file or folder (POSIX fsync(2)); rejects with EIO when the disk fails. */
  sync(handle: FileHandle): Promise<void>;
  /** Octets that an unprivileged process may still write under a folder. */
  freeBytes(folder: string): Promise<number>;
}

export const realDisk: SpoolDisk = {
  sync: (handle) => handle.sync(),
  async freeBytes(folder) {
    const { bavail, bsize } = await statfs(folder);
    return bavail * bsize;
  },
};

const GROUPS = Array.from({ length: 256 }, (_, index) => index.toString(16).padStart(2, '0'));
const CHUNK = 65_536;
/** Messages up to this size are held whole until they are written at once; larger ones go to the file as they come. */
const WHOLE_MAX = 131_072;
/** How long the disk's word that it has room many times over is good for. Any other word is asked for each time. */
const FREE_MS = 500;
const FREE_TIMES = 16;

/**
 * Message bodies as files: `<folder>/<last two hex digits of the id>/<id>.eml`. A message is written to `tmp`, synced, moved
 * to its place, and the folder of its place is synced: when `write` resolves it survives a loss of power (rule 1).
 */
export class Spool implements ContentStore {
  readonly folder: string;
  readonly #disk: SpoolDisk;
  /** Null with a test's disk, which is asked in this thread. */
  readonly #writer: SpoolWriter | null;
  readonly #wholeMax: number;
  readonly #recent = new RecentBodies();
  #ample: { readonly at: number; readonly bytes: number } | null = null;

  private constructor(folder: string, disk: SpoolDisk) {
    this.folder = folder;
    this.#disk = disk;
    this.#writer = disk === realDisk ? new SpoolWriter() : null;
    this.#wholeMax = this.#writer === null ? CHUNK : WHOLE_MAX;
  }

  /** Makes the folders, all at once, so that no write has to sync a parent of its own. */
  static async open(folder: string, disk: SpoolDisk = realDisk): Promise<Spool> {
    const spool = new Spool(folder, disk);
    const made = await mkdir(folder, { recursive: true, mode: 0o700 });
    // A folder that is new must survive too: it is an entry of the one above.
    if (made !== undefined) {
      const top = path.dirname(path.resolve(made));
      for (let above = path.dirname(path.resolve(folder)); above.length >= top.length; above = path.dirname(above)) {
        await spool.#syncFolder(above);
        if (above === top) break;
      }
    }
    for (const group of ['tmp', ...GROUPS]) await mkdir(path.join(folder, group), { recursive: true, mode: 0o700 });
    await spool.#syncFolder(folder);
    return spool;
  }

  /** As `take`, and waits until the message is stored. */
  async write(source: Readable, options: LineOptions = {}): Promise<StoredContent> {
    const { id, bytes, sha256, stored } = await this.take(source, options);
    await stored;
    return { id, bytes, sha256 };
  }

  /**
   * Takes a message with its line ends made CRLF. Answers when it is here; a small one is still being written then. Throws
   * MailFormatError for a message that must be refused for its form; any other failure, here or of `stored`, is the disk's, and
   * nothing is left behind.
   */
  async take(source: Readable, options: LineOptions = {}): Promise<ArrivingContent> {
    const id = newId();
    const temporary = path.join(this.folder, 'tmp', id);
    const target = this.placeOf(id);
    const lines = new LineNormalizer(options);
    let held: Buffer[] = [];
    let bytes = 0;
    let handle: FileHandle | null = null;
    try {
      for await (const chunk of source as AsyncIterable<Buffer>) {
        const piece = lines.write(chunk);
        held.push(piece);
        bytes += piece.length;
        // Small pieces are put together first: a write per line would cost more than the mail.
        if (bytes < (handle === null ? this.#wholeMax : CHUNK)) continue;
        handle ??= await open(temporary, 'wx', 0o600);
        await writeAll(handle, held);
        held = [];
        bytes = 0;
      }
      const { tail, report } = lines.end();
      held.push(tail);
      const content = { id, bytes: report.bytes, sha256: report.sha256 };
      if (handle === null && this.#writer !== null) {
        const message = joined(held);
        this.#recent.put(id, message);
        const stored = this.#writer.write({ temporary, target, message }).catch(async (error: unknown) => {
          await this.#discard(id, temporary, target);
          throw error;
        });
        // Whoever needs it waits for it; who has given up before is not told.
        stored.catch(() => undefined);
        return { ...content, message, stored };
      }
      handle ??= await open(temporary, 'wx', 0o600);
      await writeAll(handle, held);
      await this.#disk.sync(handle);
      await handle.close();
      await rename(temporary, target);
      await this.#syncFolder(path.dirname(target));
      return { ...content, message: null, stored: Promise.resolve() };
    } catch (error) {
      await handle?.close().catch(() => undefined);
      await this.#discard(id, temporary, target);
      throw error;
    }
  }

  async #discard(id: string, ...files: readonly string[]): Promise<void> {
    this.#recent.delete(id);
    await Promise.allSettled(files.map((file) => rm(file, { force: true })));
  }

  async path(id: string): Promise<string> {
    const file = this.placeOf(id);
    if (this.#recent.get(id) !== undefined) return file;
    try {
      await access(file);
    } catch (error) {
      throw new AppError('not_found', 'the message body is not there', { cause: error });
    }
    return file;
  }

  async open(id: string): Promise<Readable> {
    const held = this.#recent.get(id);
    if (held === undefined) return createReadStream(await this.path(id));
    return Readable.from([Buffer.from(held.buffer, held.byteOffset, held.length)], { objectMode: false });
  }

  async remove(id: string): Promise<void> {
    this.#recent.delete(id);
    await rm(this.placeOf(id), { force: true });
  }

  /** Throws `insufficient_storage` unless `bytes` and half as much again fit (the rule of Postfix, smtpd_check.c). */
  async requireSpace(bytes: number): Promise<void> {
    const needed = bytes * 1.5;
    if (this.#ample !== null && performance.now() - this.#ample.at < FREE_MS && needed <= this.#ample.bytes) return;
    const free = await this.#disk.freeBytes(this.folder);
    this.#ample = { at: performance.now(), bytes: free / FREE_TIMES };
    if (free < needed) throw new AppError('insufficient_storage', 'the disk of the spool is full');
  }

  /**
   * Removes files older than `hours` of which no message row knows: what a crash between file and commit left. Answers how
   * many went. Safe beside running sessions, whose files are younger.
   */
  async sweep(db: SystemDb, clock: Clock, hours = 36): Promise<number> {
    const before = clock.now().getTime() - hours * 3_600_000;
    let removed = 0;
    for (const group of ['tmp', ...GROUPS]) {
      const old: string[] = [];
      for (const name of await readdir(path.join(this.folder, group))) {
        const found = await stat(path.join(this.folder, group, name)).catch(() => null);
        if (found !== null && found.mtimeMs < before) old.push(name);
      }
      if (old.length === 0) continue;
      const ids = old.map((name) => name.replace(/\.eml$/, ''));
      const known = group === 'tmp' ? new Set<string>() : await knownContents(db, ids);
      for (const [index, name] of old.entries()) {
        if (known.has(ids[index] ?? '')) continue;
        await rm(path.join(this.folder, group, name), { force: true });
        removed += 1;
      }
    }
    return removed;
  }

  /** Where the message of an id is, or would be. */
  placeOf(id: string): string {
    // Ids come from the database, but a path is never made of what was not checked.
    if (!isId(id)) throw new AppError('not_found', 'the message body is not there');
    return path.join(this.folder, id.slice(-2), `${id}.eml`);
  }

  async #syncFolder(folder: string): Promise<void> {
    const handle = await open(folder, 'r');
    try {
      await this.#disk.sync(handle);
    } finally {
      await handle.close();
    }
  }
}

/** All of it or an error: one write may end short where the disk does, without an error (write(2)). */
async function writeAll(handle: FileHandle, pieces: readonly Buffer[]): Promise<void> {
  const whole = Buffer.concat(pieces);
  for (let at = 0; at < whole.length; ) at += (await handle.write(whole, at)).bytesWritten;
}

/** In memory of its own: what is handed to another thread is a copy. */
function joined(pieces: readonly Buffer[]): Uint8Array {
  const whole = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.length, 0));
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.length;
  }
  return whole;
}

async function knownContents(db: SystemDb, ids: readonly string[]): Promise<Set<string>> {
  const rows = await db.system(
    (tx) =>
      tx.rows<{ id: string }>(sql`select m.content_id as id from messages m where m.content_id = any(${ids}::text[])`),
    { readOnly: true },
  );
  return new Set(rows.map((row) => row.id));
}

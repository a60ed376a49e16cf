import { randomBytes } from 'node:crypto';
import { access, constants, mkdir, rm, stat, statfs, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { AppError } from '../core/errors.ts';

/** What a first start writes before any mail comes: PostgreSQL's files and its first log. */
const FIRST_START_BYTES = 150_000_000;
/** PostgreSQL has room for paths of 1023 bytes, and initdb ends with a fault of memory beyond; the names below the home need the rest. */
const PATH_BYTES_MAX = 800;

const WORDS: Readonly<Record<string, string>> = {
  EEXIST: 'a file of that name is there',
  ENOTDIR: 'a part of the path is a file',
  ENOENT: 'the system makes no folder there',
  EACCES: 'this user may not',
  EPERM: 'this user may not',
  EROFS: 'the file system is read-only',
  ENOSPC: 'no space is left',
  EDQUOT: 'the quota is used up',
  ENAMETOOLONG: 'the name is too long',
  ELOOP: 'its links lead in a circle',
};

/**
 * Makes the home and looks whether it can be worked in, before anything is started in it: what is wrong is then one sentence and not
 * PostgreSQL's log. Throws AppError `config_invalid`.
 */
export async function prepareHome({
  home,
  databaseUrl,
}: {
  readonly home: string;
  /** Null: the embedded PostgreSQL works in the home. */
  readonly databaseUrl: string | null;
}): Promise<void> {
  const bytes = Buffer.byteLength(home);
  if (databaseUrl === null && bytes > PATH_BYTES_MAX)
    throw fault(`TOLLGATE_HOME is too long for PostgreSQL: ${bytes} bytes of at most ${PATH_BYTES_MAX}`);
  await prepareFolder('TOLLGATE_HOME', home);
  if (databaseUrl !== null) return;
  const data = path.join(home, 'postgres', 'data');
  const owner = await ownerOf(data);
  if (owner === null) {
    await requireSpace(home);
    return;
  }
  const own = process.getuid?.();
  if (own !== undefined && owner !== own)
    throw fault(
      `the database of this home belongs to another user (uid ${owner}, this is ${own}): ${data}\n` +
        'run Tollgate as that user, or set TOLLGATE_HOME to another folder',
    );
}

/** Makes a folder, and those above it, and looks whether this user may write there. Throws AppError `config_invalid`. */
export async function prepareFolder(setting: string, folder: string): Promise<void> {
  try {
    await makeFolder(folder);
  } catch (error) {
    throw fault(`${setting} can't be made as a folder: ${whyNot(error)} ${folder}`, error);
  }
  try {
    await access(folder, constants.R_OK | constants.W_OK | constants.X_OK);
  } catch (error) {
    throw fault(`${setting} can't be written to: ${whyNot(error)} ${folder}`, error);
  }
}

/** `mkdir` with `recursive` asks for ever where a file system has no place for new folders, as /proc. */
async function makeFolder(folder: string): Promise<void> {
  try {
    await mkdir(folder, { mode: 0o700 });
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EEXIST' && (await stat(folder)).isDirectory()) return;
    if (code !== 'ENOENT' || path.dirname(folder) === folder) throw error;
    await makeFolder(path.dirname(folder));
    await mkdir(folder, { mode: 0o700 }).catch((again: NodeJS.ErrnoException) => {
      if (again.code !== 'EEXIST') throw again;
    });
  }
}

/** A small disk, a quota and a disk that says yes and writes no are found here. */
async function requireSpace(home: string): Promise<void> {
  const { bavail, bsize } = await statfs(home);
  const free = bavail * bsize;
  if (free < FIRST_START_BYTES)
    throw fault(
      `TOLLGATE_HOME has too little space: ${megabytes(free)} MB are free and a first start needs ${megabytes(FIRST_START_BYTES)}: ${home}`,
    );
  const probe = path.join(home, `probe.${randomBytes(6).toString('hex')}`);
  try {
    await writeFile(probe, randomBytes(8_192), { mode: 0o600 });
  } catch (error) {
    throw fault(`TOLLGATE_HOME can't be written to: ${whyNot(error)} ${home}`, error);
  } finally {
    await rm(probe, { force: true });
  }
}

const megabytes = (bytes: number): number => Math.floor(bytes / 1_000_000);

/** Uid of the owner; null: there is nothing. */
async function ownerOf(file: string): Promise<number | null> {
  try {
    return (await stat(file)).uid;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') return null;
    throw fault(`the database of TOLLGATE_HOME can't be looked at: ${whyNot(error)} ${file}`, error);
  }
}

function whyNot(error: unknown): string {
  const code = String((error as NodeJS.ErrnoException).code ?? error);
  const words = WORDS[code];
  return words === undefined ? code : `${code} (${words})`;
}

function fault(message: string, cause?: unknown): AppError {
  return new AppError('config_invalid', message, cause === undefined ? {} : { cause });
}

import { randomUUID } from 'node:crypto';
import { link, mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { AppError } from '../core/errors.ts';
import { isAlive, processStart } from './process.ts';

/**
 * Which process serves from a folder with the embedded PostgreSQL. A second service would work as the same node and, when it
 * ends, stop the first one's database. The process id alone would not do: after kill -9 or a reboot it may be another
 * program's, so the process's start time is kept beside it, as systemd and PostgreSQL's own lock do in their ways.
 */
interface Holder {
  readonly pid: number;
  /** What the system says of the start of that process; empty: it says nothing. */
  readonly started: string;
}

/** Claims are numbered: the highest one counts. */
const FILE = 'service.lock';
const NUMBERED = /^service\.lock\.(\d{1,15})$/;
const GIVEN_BACK = '{}\n';
const TRIES = 20;

/**
 * Claims the folder for this process; answers how to give it back. What a killed process left is taken at once.
 * Throws AppError `config_invalid`, which names the folder and the process that serves from it.
 *
 * A stale claim is never taken away, but followed by the next number, which one process alone can link: to take away and then to
 * claim would be two steps, between which another claims. The one who has the highest number removes the lower ones.
 */
export async function claimFolder(home: string): Promise<() => Promise<void>> {
  await mkdir(home, { recursive: true, mode: 0o700 });
  const mine: Holder = { pid: process.pid, started: await processStart(process.pid) };
  // Written whole under another name and then linked: nobody reads half a claim.
  const fresh = path.join(home, `${FILE}.new.${randomUUID()}`);
  await writeFile(fresh, `${JSON.stringify(mine)}\n`, { mode: 0o600 });
  try {
    for (let attempt = 1; attempt <= TRIES; attempt += 1) {
      const last = (await claims(home)).at(-1) ?? 0;
      const holder = last === 0 ? null : await readClaim(home, last);
      if (holder !== null && (await isRunning(holder))) throw heldBy(home, holder);
      if (!(await linked(fresh, claimFile(home, last + 1)))) continue;
      const known = await claims(home);
      // Whoever looked long ago has linked a number that was in use and removed since: the higher one has the folder.
      if (known.at(-1) !== last + 1) {
        await rm(claimFile(home, last + 1), { force: true });
        continue;
      }
      for (const one of known.slice(0, -1)) await rm(claimFile(home, one), { force: true });
      return () => giveBack(home, last + 1);
    }
  } finally {
    await rm(fresh, { force: true });
  }
  throw new AppError('config_invalid', `another Tollgate is starting from the folder ${home}`);
}

/** The running service of the folder, or null. */
export async function serviceOf(home: string): Promise<Holder | null> {
  const last = (await claims(home).catch(() => [])).at(-1);
  const holder = last === undefined ? null : await readClaim(home, last);
  return holder !== null && (await isRunning(holder)) ? holder : null;
}

const claimFile = (home: string, number: number): string => path.join(home, `${FILE}.${number}`);

/** The numbers of the claims, lowest first. */
async function claims(home: string): Promise<number[]> {
  return (await readdir(home))
    .flatMap((name) => Number(NUMBERED.exec(name)?.[1] ?? Number.NaN))
    .filter((number) => !Number.isNaN(number))
    .sort((a, b) => a - b);
}

async function readClaim(home: string, number: number): Promise<Holder | null> {
  const text = await readFile(claimFile(home, number), 'utf8').catch(() => null);
  return text === null ? null : parseHolder(text);
}

function heldBy(home: string, { pid }: Holder): AppError {
  return new AppError(
    'config_invalid',
    `another Tollgate serves from this folder (pid ${pid}): ${home}\n` +
      'stop it first, or set TOLLGATE_HOME to another folder; commands work beside it as they are',
  );
}

async function linked(from: string, to: string): Promise<boolean> {
  try {
    await link(from, to);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

/** The number stays, so that numbers only grow; its content says that nobody serves. */
async function giveBack(home: string, number: number): Promise<void> {
  const empty = path.join(home, `${FILE}.new.${randomUUID()}`);
  try {
    await writeFile(empty, GIVEN_BACK, { mode: 0o600 });
    await rename(empty, claimFile(home, number));
  } catch {
    // The folder is gone, or the disk is full: the claim ends with its process.
  }
}

function parseHolder(text: string): Holder | null {
  try {
    const { pid, started } = JSON.parse(text) as Partial<Holder>;
    return Number.isInteger(pid) && Number(pid) > 0 ? { pid: Number(pid), started: String(started ?? '') } : null;
  } catch {
    return null;
  }
}

async function isRunning({ pid, started }: Holder): Promise<boolean> {
  return isAlive(pid) && (await processStart(pid)) === started;
}

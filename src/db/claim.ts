import { link, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
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

const FILE = 'service.lock';
const TRIES = 5;

/**
 * Claims the folder for this process; answers how to give it back. What a killed process left is taken at once.
 * Throws AppError `config_invalid`, which names the folder and the process that serves from it.
 */
export async function claimFolder(home: string): Promise<() => Promise<void>> {
  await mkdir(home, { recursive: true, mode: 0o700 });
  const file = path.join(home, FILE);
  const mine: Holder = { pid: process.pid, started: await processStart(process.pid) };
  const text = `${JSON.stringify(mine)}\n`;
  // Written whole under another name and then linked: nobody reads half a claim, and of two links one succeeds.
  const fresh = `${file}.${process.pid}`;
  await writeFile(fresh, text, { mode: 0o600 });
  try {
    for (let attempt = 1; attempt <= TRIES; attempt += 1) {
      if (await linked(fresh, file)) return () => giveBack(file, text);
      const found = await readFile(file, 'utf8').catch(() => null);
      if (found === null) continue;
      const holder = parseHolder(found);
      if (holder !== null && (await isRunning(holder))) throw heldBy(home, holder);
      await moveAway(file, found);
    }
  } finally {
    await rm(fresh, { force: true });
  }
  throw new AppError('config_invalid', `another Tollgate is starting from the folder ${home}`);
}

/** The running service of the folder, or null. */
export async function serviceOf(home: string): Promise<Holder | null> {
  const found = await readFile(path.join(home, FILE), 'utf8').catch(() => null);
  const holder = found === null ? null : parseHolder(found);
  return holder !== null && (await isRunning(holder)) ? holder : null;
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

/** Takes a stale claim away. Another start may have replaced it since it was read: then that one is put back. */
async function moveAway(file: string, read: string): Promise<void> {
  const aside = `${file}.${process.pid}.stale`;
  try {
    await rename(file, aside);
  } catch {
    return;
  }
  if ((await readFile(aside, 'utf8')) !== read) await linked(aside, file);
  await rm(aside, { force: true });
}

async function giveBack(file: string, text: string): Promise<void> {
  if ((await readFile(file, 'utf8').catch(() => null)) === text) await rm(file, { force: true });
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

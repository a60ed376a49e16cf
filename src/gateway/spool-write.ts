import { closeSync, fsyncSync, openSync, renameSync, rmSync, writeSync } from 'node:fs';
import path from 'node:path';

/** A whole message and where it goes: written to `temporary`, moved to `target`. */
export interface WriteJob {
  readonly temporary: string;
  readonly target: string;
  readonly message: Uint8Array;
}

/** Null: it survives a loss of power from now on. Else why not, and nothing of it is left. */
export type WriteResult = { readonly message: string; readonly code: string | null } | null;

/** fsync(2) of an open file or folder. The seam at which a test lets a disk fail. */
export type Sync = (descriptor: number, target: string) => void;

/**
 * Writes messages as rule 1 wants it, each step for all of them before the next step: file and fsync, rename, fsync of the
 * folders, of which each is synced once. Blocks its thread; the calls are as few as they can be.
 */
export function writeBatch(jobs: readonly WriteJob[], sync: Sync = fsyncSync): WriteResult[] {
  const written = jobs.map((job) => attempt(job, () => writeFile(job, sync)));
  const results = jobs.map((job, index) => written[index] ?? attempt(job, () => renameSync(job.temporary, job.target)));
  const folders = new Set(jobs.flatMap((job, index) => (results[index] === null ? [path.dirname(job.target)] : [])));
  for (const folder of folders) {
    const failure = failureOf(() => syncFolder(folder, sync));
    if (failure === null) continue;
    for (const [index, job] of jobs.entries()) {
      if (results[index] !== null || path.dirname(job.target) !== folder) continue;
      remove(job);
      results[index] = failure;
    }
  }
  return results;
}

function writeFile({ temporary, message, target }: WriteJob, sync: Sync): void {
  const file = openSync(temporary, 'wx', 0o600);
  try {
    for (let at = 0; at < message.length; ) at += writeSync(file, message, at);
    sync(file, target);
  } finally {
    closeSync(file);
  }
}

function syncFolder(folder: string, sync: Sync): void {
  const handle = openSync(folder, 'r');
  try {
    sync(handle, folder);
  } finally {
    closeSync(handle);
  }
}

function attempt(job: WriteJob, step: () => void): WriteResult {
  const failure = failureOf(step);
  if (failure !== null) remove(job);
  return failure;
}

function failureOf(step: () => void): WriteResult {
  try {
    step();
    return null;
  } catch (error) {
    const { message, code } = error as NodeJS.ErrnoException;
    return { message, code: code ?? null };
  }
}

function remove(job: WriteJob): void {
  for (const file of [job.temporary, job.target]) failureOf(() => rmSync(file, { force: true }));
}

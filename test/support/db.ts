import { randomBytes } from 'node:crypto';
import type { TestContext } from 'node:test';
import pg from 'pg';
import { type Clock, ManualClock } from '../../src/core/clock.ts';
import { type Logger, silentLogger } from '../../src/core/log.ts';
import { Database } from '../../src/db/db.ts';
import { withDatabase } from '../../src/db/embedded.ts';
import { roleUrl } from '../../src/db/migrate.ts';
import { startTestCluster, TEMPLATE, TEST_PASSWORDS, type TestCluster } from './cluster.ts';

export interface TestDatabase {
  readonly db: Database;
  readonly clock: ManualClock;
  /** As the owner, for looking behind the curtain in tests. */
  readonly owner: pg.Client;
  readonly ownerUrl: string;
  /** What is to end before the database goes: hooks of a test run in the order in which they were set. */
  readonly before: (close: () => Promise<unknown>) => void;
}

let cluster: Promise<TestCluster> | undefined;

/** The runner's PostgreSQL, or one of this file's own when the file is run alone with `node --test`. */
async function clusterUrl(): Promise<string> {
  const given = process.env['TOLLGATE_TEST_OWNER_URL'];
  if (given !== undefined) return given;
  cluster ??= startTestCluster();
  return (await cluster).ownerUrl;
}

export const TEST_NOW = '2026-10-14T09:30:00Z';

/**
 * A fresh migrated database for one test, dropped at its end. A connection that is still open then fails the test: it
 * would be a leak in the service too.
 */
export async function openDatabase(
  t: TestContext,
  options: { clock?: ManualClock; logger?: Logger } = {},
): Promise<TestDatabase> {
  const url = await clusterUrl();
  const name = `t_${randomBytes(6).toString('hex')}`;
  const admin = new pg.Client({ connectionString: withDatabase(url, 'postgres') });
  admin.on('error', () => undefined);
  await admin.connect();
  await admin.query(`create database ${name} template ${TEMPLATE} strategy file_copy`);
  const ownerUrl = withDatabase(url, name);
  const clock = options.clock ?? new ManualClock(TEST_NOW);
  const db = openPools(ownerUrl, clock, options.logger);
  const owner = new pg.Client({ connectionString: ownerUrl });
  owner.on('error', () => undefined);
  await owner.connect();
  const closers: (() => Promise<unknown>)[] = [];
  t.after(async () => {
    for (const close of closers.reverse()) await close();
    await owner.end();
    await db[Symbol.asyncDispose]();
    const left = await openSessions(admin, name);
    await admin.query(`drop database ${name} with (force)`);
    await admin.end();
    if (left.length > 0) throw new Error(`the test left ${left.length} database connections open: ${left[0]}`);
  });
  return { db, clock, owner, ownerUrl, before: (close) => closers.push(close) };
}

export function openPools(ownerUrl: string, clock: Clock, logger: Logger = silentLogger): Database {
  return new Database({
    appUrl: roleUrl(ownerUrl, 'tollgate_app', TEST_PASSWORDS.app),
    systemUrl: roleUrl(ownerUrl, 'tollgate_system', TEST_PASSWORDS.system),
    clock,
    logger,
    // What waits for its turn on a machine that has other things to do is no fault.
    connectMs: 60_000,
  });
}

/** Sessions of a database. A closed connection's server process takes a moment to go, so the answer is asked for again. */
async function openSessions(admin: pg.Client, database: string): Promise<string[]> {
  for (let attempt = 1; ; attempt += 1) {
    const { rows } = await admin.query<{ query: string }>('select query from pg_stat_activity where datname = $1', [
      database,
    ]);
    if (rows.length === 0 || attempt === 3_000) return rows.map((row) => row.query);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

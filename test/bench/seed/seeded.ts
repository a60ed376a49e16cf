import { mkdir, rm } from 'node:fs/promises';
import path from 'node:path';
import pg from 'pg';
import { createKey } from '../../../src/accounts/keys.ts';
import { packageRoot } from '../../../src/config/root.ts';
import { ManualClock } from '../../../src/core/clock.ts';
import { silentLogger } from '../../../src/core/log.ts';
import type { Database } from '../../../src/db/db.ts';
import { openStore, type Store } from '../../../src/db/store.ts';
import { ensurePartitions } from '../../../src/ledger/partitions.ts';
import { fillDays } from '../../../src/rollups/days.ts';
import { rebuild } from '../../../src/rollups/rebuild.ts';
import { checkSeed, countTables, type SeedCounts } from './check.ts';
import { makeDirectory, makeTools } from './directory.ts';
import { makeHistory } from './history.ts';
import { dropIndexes } from './indexes.ts';
import { makeMail } from './mail.ts';
import { DAY_MS, END, PARTNER_ID, type SeedParameters, seedFolder, times } from './parameters.ts';
import { countMail, makeTail, writeState } from './rollups.ts';

/** A database with the seed in it, its server running. */
export interface Seeded {
  readonly folder: string;
  readonly store: Store;
  readonly owner: pg.Client;
  readonly apiKey: string;
  readonly counts: SeedCounts;
  /** Seconds that it took to load; null: it was there. */
  readonly seconds: number | null;
  /** Closes and stops the server; the files stay for the next run. */
  close(): Promise<void>;
}

const TIER_DAYS = 10;

export const SEED_PASSWORDS = { app: 'bench-app', system: 'bench-system' };

/** Opens the database of a seed: the one that an earlier run has left, else a new one. `say` hears of the steps. */
export async function openSeeded(
  parameters: SeedParameters,
  say: (text: string) => void,
  home?: string,
): Promise<Seeded> {
  const folder = seedFolder(parameters, home);
  for (;;) {
    await mkdir(folder, { recursive: true });
    const store = await openStore({
      databaseUrl: null,
      home: folder,
      migrationsFolder: path.join(packageRoot(), 'migrations'),
      passwords: SEED_PASSWORDS,
      clock: new ManualClock(END.toISOString()),
      logger: silentLogger,
    });
    const owner = new pg.Client({ connectionString: store.ownerUrl });
    owner.on('error', () => undefined);
    await owner.connect();
    const close = async () => {
      await owner.end();
      await store.close({ takeOver: true });
    };
    const known = await marker(owner);
    if (known !== null) return { folder, store, owner, close, ...known, seconds: null };
    const { rows } = await owner.query<{ n: string }>('select count(*) as n from partners');
    if (Number(rows[0]?.n) === 0)
      return { folder, store, owner, close, ...(await load(store, owner, parameters, say)) };
    say('what an interrupted run has left is thrown away');
    await close();
    await rm(folder, { recursive: true, force: true });
  }
}

async function marker(owner: pg.Client): Promise<{ apiKey: string; counts: SeedCounts } | null> {
  const { rows } = await owner.query<{ there: boolean }>(`select to_regclass('bench.done') is not null as there`);
  if (rows[0]?.there !== true) return null;
  const done = await owner.query<{ apiKey: string; counts: SeedCounts }>(
    'select api_key as "apiKey", counts from bench.done',
  );
  return done.rows[0] ?? null;
}

async function load(
  store: Store,
  owner: pg.Client,
  parameters: SeedParameters,
  say: (text: string) => void,
): Promise<{ apiKey: string; counts: SeedCounts; seconds: number }> {
  const begun = performance.now();
  const step = async (name: string, work: () => Promise<unknown>) => {
    const at = performance.now();
    await work();
    say(`${name}: ${((performance.now() - at) / 1000).toFixed(0)} s`);
  };
  await loosen(owner);
  const second = await session(store.ownerUrl);
  await session(store.ownerUrl, owner);
  await makeTools(owner);
  await step('directory', () => makeDirectory(owner, parameters));
  const { ledgerStart } = times(parameters);
  await ensurePartitions(store.runAsOwner, new Date(ledgerStart.getTime() + DAY_MS), parameters.ledgerDays);
  const rollups = ['rollup_traffic', 'rollup_mailboxes', 'rollup_senders', 'rollup_reasons'];
  const ofRollups = await dropIndexes(owner, rollups, 'dropped');
  const ofMail = await dropIndexes(owner, ['ledger', 'messages', 'deliveries'], 'kept');
  await Promise.all([step('history', () => makeHistory(second, parameters)), makeMail(owner, parameters, step)]);
  await step('counts of the mail', () => countMail(owner));
  const make = (client: pg.Client, statements: readonly string[]) =>
    statements.reduce(
      (last, statement) => last.then(() => client.query(statement)).then(() => undefined),
      Promise.resolve(),
    );
  await Promise.all([
    step('indexes of the rollups', () => make(second, ofRollups)),
    step('indexes of the mail', () => make(owner, ofMail)),
  ]);
  await second.end();
  await step('vacuum', () => owner.query('vacuum (analyze, freeze)'));
  await writeState(owner, parameters);
  await owner.query(`set session_replication_role = default`);
  const { token } = await store.db.system((tx) =>
    createKey(tx, { partnerId: PARTNER_ID, label: 'bench', scopes: ['admin'], actor: 'bench' }),
  );
  await step('days and months', () => fillTiers(owner, store.db, parameters));
  // What is counted beside the traffic; history before the ledger has none of it.
  await step('sketches, senders and items', () => rebuild(store.db));
  await step('check', () => checkSeed(owner, store.db));
  await makeTail(owner);
  await owner.query('drop table bench.mail');
  await owner.query('vacuum (analyze) rollup_days, rollup_months');
  const counts = await countTables(owner);
  await tighten(owner);
  await owner.query('create table bench.done as select $1::text as api_key, $2::jsonb as counts', [
    token,
    JSON.stringify(counts),
  ]);
  return { apiKey: token, counts, seconds: (performance.now() - begun) / 1000 };
}

const LOOSE = {
  fsync: 'off',
  synchronous_commit: 'off',
  full_page_writes: 'off',
  max_wal_size: `'8GB'`,
  autovacuum: 'off',
};

/** While the seed is loaded nothing has to survive a crash: a run that was broken off starts from nothing. */
async function loosen(owner: pg.Client): Promise<void> {
  for (const [name, value] of Object.entries(LOOSE)) await owner.query(`alter system set ${name} = ${value}`);
  await owner.query('select pg_reload_conf()');
}

async function tighten(owner: pg.Client): Promise<void> {
  for (const name of Object.keys(LOOSE)) await owner.query(`alter system reset ${name}`);
  await owner.query('select pg_reload_conf()');
  await owner.query('checkpoint');
}

/** A session without triggers and foreign keys: the seed says the same by its making, and `checkSeed` looks. */
async function session(url: string, given?: pg.Client): Promise<pg.Client> {
  const client = given ?? new pg.Client({ connectionString: url });
  if (given === undefined) {
    client.on('error', () => undefined);
    await client.connect();
  }
  await client.query(`set session_replication_role = replica; set work_mem = '256MB'; set maintenance_work_mem = '512MB';
    set jit = off; set statement_timeout = 0`);
  return client;
}

/**
 * Days and months by the product's own statement, some days at a time: it may take no longer than any statement of the service. The zones
 * are said beforehand, or the first call would look at a year of every client.
 */
async function fillTiers(owner: pg.Client, db: Database, parameters: SeedParameters): Promise<void> {
  await owner.query(
    'insert into rollup_zones (partner_id, client_id, time_zone) select c.partner_id, c.id, c.time_zone from clients c',
  );
  const { start } = times(parameters);
  for (let at = start.getTime(); at < END.getTime(); at += TIER_DAYS * DAY_MS) {
    const range = { from: new Date(at), to: new Date(Math.min(at + TIER_DAYS * DAY_MS, END.getTime())) };
    await db.system((tx) => fillDays(tx, range));
  }
}

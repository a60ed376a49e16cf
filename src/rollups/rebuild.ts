import type { SystemDb, SystemTx } from '../db/db.ts';
import { sql } from '../db/sql.ts';
import { recordLate } from './late.ts';
import { completeThrough } from './read.ts';
import { type BucketKey, type ChangedBucket, countBuckets, touchedBuckets } from './recompute.ts';
import {
  type Horizon,
  readCursor,
  readFloor,
  readHorizon,
  requireOwnCluster,
  takeWatermarks,
  UNCOUNTED,
  waitForRoller,
  writeCursor,
} from './state.ts';

const DAY_MS = 86_400_000;

/**
 * Drops all rollups and counts them anew from the ledger, in one transaction: readers see the old numbers until the new
 * ones are whole, writers are not held up. Days whose events retention has dropped keep their rollups. A closed bucket that
 * gets another number is recorded as restated (rule 5).
 */
export async function rebuild(db: SystemDb): Promise<{ events: number; buckets: number }> {
  return db.system(async (tx) => {
    await waitForRoller(tx);
    const horizon = await readHorizon(tx);
    const cursor = await readCursor(tx);
    if (cursor !== null) requireOwnCluster(cursor, horizon);
    return recountAll(tx, horizon, cursor);
  });
}

/** The same within the roller's transaction. Without a cursor nothing was counted before, so nothing is restated. */
export async function recountAll(
  tx: SystemTx,
  horizon: Horizon,
  cursor: Horizon | null,
): Promise<{ events: number; buckets: number }> {
  const said = await completeThrough(tx);
  const floor = await readFloor(tx);
  if (floor !== null) await addBelow(tx, floor, cursor, horizon, said);
  let events = 0;
  let buckets = 0;
  for (const day of await daysOf(tx, floor)) {
    const range = [day, new Date(day.getTime() + DAY_MS)] as const;
    const before = cursor === null ? null : await digests(tx, ...range);
    await dropRollups(tx, ...range);
    const keys = await bucketsOf(tx, ...range, horizon.xid);
    await countBuckets(tx, keys, { from: UNCOUNTED, to: horizon.xid, add: false });
    if (before !== null) await recordLate(tx, changes(before, await digests(tx, ...range), keys), said);
    events += keys.reduce((sum, key) => sum + key.events, 0);
    buckets += keys.length;
  }
  await takeWatermarks(tx, horizon);
  await writeCursor(tx, horizon);
  return { events, buckets };
}

/** Buckets before the floor can't be counted anew: what is new there is added, as the roller would. */
async function addBelow(
  tx: SystemTx,
  floor: Date,
  cursor: Horizon | null,
  horizon: Horizon,
  said: Date | null,
): Promise<void> {
  // After a take-over nothing tells what was counted already; leaving it as it is beats counting it twice.
  if (cursor === null || cursor.xid === UNCOUNTED) return;
  const touched = await touchedBuckets(tx, cursor.xid, horizon.xid);
  const below = touched.filter((key) => key.bucket.getTime() < floor.getTime());
  await countBuckets(tx, below, { from: cursor.xid, to: horizon.xid, add: true });
  await recordLate(tx, below, said);
}

/** The UTC days, from the floor on, of which there are events or rollups. Only those: a wild clock must not mean an endless loop. */
async function daysOf(tx: SystemTx, floor: Date | null): Promise<Date[]> {
  const rows = await tx.rows<{ day: Date }>(sql`
    with moments as (
      select e.occurred_at as at from ledger e
      union all select r.bucket from rollup_traffic r
      union all select r.bucket from rollup_mailboxes r
      union all select r.bucket from rollup_senders r
      union all select r.bucket from rollup_reasons r)
    select distinct date_bin('1 day', m.at, timestamptz '2000-01-01 00:00Z') as day
    from moments m where m.at >= coalesce(${floor}::timestamptz, '-infinity') order by day`);
  return rows.map((row) => row.day);
}

async function bucketsOf(tx: SystemTx, from: Date, to: Date, horizon: string): Promise<ChangedBucket[]> {
  return tx.rows<ChangedBucket>(sql`
    select e.partner_id, e.client_id, date_bin('15 minutes', e.occurred_at, timestamptz '2000-01-01 00:00Z') as bucket,
           count(*) as events
    from ledger e where e.occurred_at >= ${from} and e.occurred_at < ${to} and e.xid < ${horizon}::xid8
    group by 1, 2, 3`);
}

async function dropRollups(tx: SystemTx, from: Date, to: Date): Promise<void> {
  await tx.run(sql`delete from rollup_traffic where bucket >= ${from} and bucket < ${to}`);
  await tx.run(sql`delete from rollup_mailboxes where bucket >= ${from} and bucket < ${to}`);
  await tx.run(sql`delete from rollup_senders where bucket >= ${from} and bucket < ${to}`);
  await tx.run(sql`delete from rollup_reasons where bucket >= ${from} and bucket < ${to}`);
}

interface DigestRow extends BucketKey {
  readonly digest: string;
}

/** A fingerprint of each bucket's rows. */
async function digests(tx: SystemTx, from: Date, to: Date): Promise<Map<string, DigestRow>> {
  const rows = await tx.rows<DigestRow>(sql`
    with prints as (
      select r.partner_id, r.client_id, r.bucket, hashtextextended(r::text, 1)::numeric as print
      from rollup_traffic r where r.bucket >= ${from} and r.bucket < ${to}
      union all
      select r.partner_id, r.client_id, r.bucket, hashtextextended(r::text, 2)::numeric
      from rollup_mailboxes r where r.bucket >= ${from} and r.bucket < ${to}
      union all
      select r.partner_id, r.client_id, r.bucket, hashtextextended(r::text, 3)::numeric
      from rollup_senders r where r.bucket >= ${from} and r.bucket < ${to}
      union all
      select r.partner_id, r.client_id, r.bucket, hashtextextended(r::text, 4)::numeric
      from rollup_reasons r where r.bucket >= ${from} and r.bucket < ${to})
    select p.partner_id, p.client_id, p.bucket, sum(p.print)::text as digest from prints p group by 1, 2, 3`);
  return new Map(rows.map((row) => [keyOf(row), row]));
}

function keyOf(key: BucketKey): string {
  return `${key.partner_id} ${key.client_id} ${key.bucket.getTime()}`;
}

/** Buckets whose fingerprints differ, with the events that they hold now. */
function changes(
  before: ReadonlyMap<string, DigestRow>,
  after: ReadonlyMap<string, DigestRow>,
  counted: readonly ChangedBucket[],
): ChangedBucket[] {
  const events = new Map(counted.map((key) => [keyOf(key), key.events]));
  return [...new Map([...before, ...after])]
    .filter(([key]) => before.get(key)?.digest !== after.get(key)?.digest)
    .map(([key, row]) => ({ ...row, events: events.get(key) ?? 0 }));
}

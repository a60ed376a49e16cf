import type { SystemDb, SystemTx } from '../db/db.ts';
import { sql } from '../db/sql.ts';
import { type BucketKey, recomputeBuckets } from './recompute.ts';
import { type Horizon, readHorizon, takeWatermarks, waitForRoller, writeCursor } from './state.ts';

const DAY_MS = 86_400_000;

/**
 * Drops all rollups and counts them anew from the ledger, in one transaction: readers see the old numbers until the new
 * ones are whole, writers are not held up. Days whose ledger was dropped by retention keep their rollups.
 */
export async function rebuild(db: SystemDb): Promise<{ events: number; buckets: number }> {
  // The lock comes first, in a transaction whose snapshot is taken after it is granted.
  return db.system(async (tx) => {
    await waitForRoller(tx);
    return rebuildIn(tx, await readHorizon(tx));
  });
}

export async function rebuildIn(tx: SystemTx, horizon: Horizon): Promise<{ events: number; buckets: number }> {
  const range = await tx.one<{ first: Date | null; last: Date | null }>(sql`
    select min(e.occurred_at) as first, max(e.occurred_at) as last from ledger e where e.xid < ${horizon.xid}::xid8`);
  let events = 0;
  let buckets = 0;
  if (range.first !== null && range.last !== null) {
    const start = Math.floor(range.first.getTime() / DAY_MS) * DAY_MS;
    await dropRollups(tx, new Date(start));
    for (let day = start; day <= range.last.getTime(); day += DAY_MS) {
      const keys = await bucketsOfDay(tx, new Date(day), new Date(day + DAY_MS), horizon.xid);
      await recomputeBuckets(tx, keys, horizon.xid);
      events += keys.reduce((sum, key) => sum + key.events, 0);
      buckets += keys.length;
    }
  }
  await takeWatermarks(tx, horizon);
  await writeCursor(tx, horizon);
  return { events, buckets };
}

async function bucketsOfDay(
  tx: SystemTx,
  from: Date,
  to: Date,
  horizon: string,
): Promise<(BucketKey & { events: number })[]> {
  return tx.rows(sql`
    select e.partner_id, e.client_id, date_bin('15 minutes', e.occurred_at, timestamptz '2000-01-01 00:00Z') as bucket,
           count(*) as events
    from ledger e where e.occurred_at >= ${from} and e.occurred_at < ${to} and e.xid < ${horizon}::xid8
    group by 1, 2, 3`);
}

async function dropRollups(tx: SystemTx, from: Date): Promise<void> {
  await tx.run(sql`delete from rollup_traffic where bucket >= ${from}`);
  await tx.run(sql`delete from rollup_mailboxes where bucket >= ${from}`);
  await tx.run(sql`delete from rollup_senders where bucket >= ${from}`);
  await tx.run(sql`delete from rollup_reasons where bucket >= ${from}`);
}

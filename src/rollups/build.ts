import type { SystemDb, SystemTx } from '../db/db.ts';
import { sql } from '../db/sql.ts';
import { rebuildIn } from './rebuild.ts';
import { type BucketKey, recomputeBuckets } from './recompute.ts';
import { lockRoller, readCursor, readHorizon, takeWatermarks, writeCursor } from './state.ts';

export interface RollResult {
  /** Events that this round took in. */
  readonly events: number;
  /** Buckets that were counted anew. */
  readonly buckets: number;
}

const NOTHING: RollResult = { events: 0, buckets: 0 };
/** A bucket older than this that changes is recorded: a day that was closed has been restated (rule 5). */
const LATE_MS = 24 * 3_600_000;

/**
 * One round of the roller: takes the events of all transactions between its cursor and the horizon (the oldest transaction
 * that still runs), counts the buckets they touch anew, and moves the cursor, all in one transaction.
 *
 * Below the horizon nothing can appear any more, so no event is missed, whatever the order of commits; a sequence value or
 * a time would miss those that commit late. Many nodes may call it: one rolls, the others get an empty answer.
 */
export async function rollOnce(db: SystemDb): Promise<RollResult> {
  return db.system(
    async (tx) => {
      if (!(await lockRoller(tx))) return NOTHING;
      const horizon = await readHorizon(tx);
      const cursor = await readCursor(tx);
      // Transaction ids of another cluster say nothing here: after a dump and restore everything is counted anew.
      if (cursor === null || cursor.cluster !== horizon.cluster) return rebuildIn(tx, horizon);
      const touched = await touchedBuckets(tx, cursor.xid, horizon.xid);
      await recomputeBuckets(tx, touched, horizon.xid);
      await recordLate(tx, touched);
      await takeWatermarks(tx, horizon);
      await writeCursor(tx, horizon);
      return { events: touched.reduce((sum, key) => sum + key.events, 0), buckets: touched.length };
    },
    { repeatableRead: true },
  );
}

interface TouchedBucket extends BucketKey {
  readonly events: number;
}

async function touchedBuckets(tx: SystemTx, from: string, to: string): Promise<TouchedBucket[]> {
  return tx.rows<TouchedBucket>(sql`
    select e.partner_id, e.client_id, date_bin('15 minutes', e.occurred_at, timestamptz '2000-01-01 00:00Z') as bucket,
           count(*) as events
    from ledger e where e.xid >= ${from}::xid8 and e.xid < ${to}::xid8
    group by 1, 2, 3`);
}

async function recordLate(tx: SystemTx, touched: readonly TouchedBucket[]): Promise<void> {
  const late = touched.filter((key) => key.bucket.getTime() < tx.now.getTime() - LATE_MS);
  if (late.length === 0) return;
  await tx.run(sql`
    insert into rollup_late (partner_id, client_id, bucket, noticed_at, events)
    select l.partner_id, l.client_id, l.bucket, ${tx.now}, l.events
    from unnest(${late.map((key) => key.partner_id)}::uuid[], ${late.map((key) => key.client_id)}::uuid[],
                ${late.map((key) => key.bucket)}::timestamptz[], ${late.map((key) => key.events)}::bigint[])
      as l (partner_id, client_id, bucket, events)
    on conflict (partner_id, client_id, bucket, noticed_at) do update set events = rollup_late.events + excluded.events`);
}

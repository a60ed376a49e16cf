import type { SystemDb } from '../db/db.ts';
import { recordLate } from './late.ts';
import { completeThrough } from './read.ts';
import { recountAll } from './rebuild.ts';
import { countBuckets, touchedBuckets } from './recompute.ts';
import {
  lockRoller,
  readCursor,
  readFloor,
  readHorizon,
  requireOwnCluster,
  takeWatermarks,
  UNCOUNTED,
  writeCursor,
} from './state.ts';

export interface RollResult {
  /** Events that this round took in. */
  readonly events: number;
  /** Buckets that were counted anew. */
  readonly buckets: number;
}

const NOTHING: RollResult = { events: 0, buckets: 0 };

/**
 * One round of the roller: takes the events of all transactions between its cursor and the horizon (the oldest transaction
 * that still runs), counts the buckets they touch anew, and moves the cursor, all in one transaction.
 *
 * Below the horizon nothing can appear any more, so no event is missed, whatever the order of commits; a sequence value or
 * a time would miss those that commit late. Many nodes may call it: one rolls, the others get an empty answer.
 *
 * Each statement has its own snapshot on purpose: rows below the horizon are the same in all of them, while one snapshot for
 * all would be older than the lock, and blind to rows that move into a new partition meanwhile.
 */
export async function rollOnce(db: SystemDb): Promise<RollResult> {
  return db.system(async (tx) => {
    if (!(await lockRoller(tx))) return NOTHING;
    const horizon = await readHorizon(tx);
    const cursor = await readCursor(tx);
    if (cursor === null || cursor.xid === UNCOUNTED) return recountAll(tx, horizon, cursor);
    requireOwnCluster(cursor, horizon);
    const said = await completeThrough(tx);
    const touched = await touchedBuckets(tx, cursor.xid, horizon.xid);
    const floor = (await readFloor(tx))?.getTime() ?? Number.NEGATIVE_INFINITY;
    await countBuckets(
      tx,
      touched.filter((key) => key.bucket.getTime() >= floor),
      { from: UNCOUNTED, to: horizon.xid, add: false },
    );
    await countBuckets(
      tx,
      touched.filter((key) => key.bucket.getTime() < floor),
      { from: cursor.xid, to: horizon.xid, add: true },
    );
    await recordLate(tx, touched, said);
    await takeWatermarks(tx, horizon);
    await writeCursor(tx, horizon);
    return { events: touched.reduce((sum, key) => sum + key.events, 0), buckets: touched.length };
  });
}

import type { SystemDb, SystemTx } from '../db/db.ts';
import { absorb, nextSlice, SLICE_EVENTS } from './absorb.ts';
import { syncZones } from './days.ts';
import { recordLate } from './late.ts';
import { completeThrough } from './read.ts';
import { recountAll } from './rebuild.ts';
import {
  type Horizon,
  lockRoller,
  readCursor,
  readHorizon,
  requireOwnCluster,
  takeWatermarks,
  UNCOUNTED,
  writeCursor,
} from './state.ts';

export interface RollResult {
  /** Events that this round took in. */
  readonly events: number;
  /** Buckets that they changed. */
  readonly buckets: number;
  /** Whether there is more below the horizon: the next round is due at once. */
  readonly behind: boolean;
}

const NOTHING: RollResult = { events: 0, buckets: 0, behind: false };
/** Clients whose days are counted anew in one round, after their zone changed. */
const ZONES_MAX = 50;

/**
 * One round of the roller: takes the events of the transactions between its cursor and the horizon (the oldest transaction
 * that still runs), at most about `sliceEvents` of them, adds them to every rollup and moves the cursor, all in one transaction.
 *
 * Below the horizon nothing can appear any more, so no event is missed, whatever the order of commits; a sequence value or
 * a time would miss those that commit late. The cursor moves with what was added or not at all, so none is added twice. Many
 * nodes may call it: one rolls, the others get an empty answer.
 *
 * Each statement has its own snapshot on purpose: rows below the horizon are the same in all of them, while one snapshot for
 * all would be older than the lock, and blind to rows that move into a new partition meanwhile.
 */
export async function rollOnce(db: SystemDb, sliceEvents = SLICE_EVENTS): Promise<RollResult> {
  return db.system(async (tx) => {
    if (!(await lockRoller(tx))) return NOTHING;
    const horizon = await readHorizon(tx);
    const cursor = await readCursor(tx);
    if (cursor === null || cursor.xid === UNCOUNTED) {
      return { ...(await recountAll(tx, horizon, cursor)), behind: false };
    }
    requireOwnCluster(cursor, horizon);
    return advance(tx, cursor, horizon, sliceEvents);
  });
}

async function advance(tx: SystemTx, cursor: Horizon, horizon: Horizon, sliceEvents: number): Promise<RollResult> {
  // After the horizon was read: whoever wrote an event below it had seen its client, so this sees it too.
  await syncZones(tx, ZONES_MAX);
  const said = await completeThrough(tx);
  const slice = await nextSlice(tx, cursor.xid, horizon.xid, sliceEvents);
  const touched = slice === null ? [] : await absorb(tx, slice);
  await recordLate(tx, touched, said);
  const reached = { ...horizon, xid: slice?.to ?? horizon.xid };
  await takeWatermarks(tx, reached);
  await writeCursor(tx, reached);
  return {
    events: touched.reduce((sum, key) => sum + key.events, 0),
    buckets: touched.length,
    behind: slice?.behind ?? false,
  };
}

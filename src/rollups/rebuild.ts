import type { SystemDb, SystemTx } from '../db/db.ts';
import { absorb, nextSlice } from './absorb.ts';
import { mendDays, syncZones } from './days.ts';
import { absorbDimensions } from './dimensions.ts';
import { settleFolds } from './fold.ts';
import { recordLate } from './late.ts';
import { mendMailboxDays } from './mend-dimensions.ts';
import { piecesOf } from './pieces.ts';
import { completeThrough } from './read.ts';
import { recount } from './recompute.ts';
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

/**
 * Counts all rollups anew from the ledger and writes what differs, in one transaction: readers see the old numbers until the new
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

/**
 * The same within the roller's transaction. Without a cursor nothing was counted before, so nothing is restated. `buckets`: of
 * how many the numbers have changed.
 */
export async function recountAll(
  tx: SystemTx,
  horizon: Horizon,
  cursor: Horizon | null,
): Promise<{ events: number; buckets: number }> {
  await syncZones(tx, null);
  const said = await completeThrough(tx);
  const floor = await readFloor(tx);
  if (floor !== null) await catchUp(tx, cursor, horizon, said);
  let events = 0;
  let buckets = 0;
  for (const piece of await piecesOf(tx, { from: floor, to: null })) {
    const counted = await recount(tx, { ...piece, below: horizon.xid });
    if (cursor !== null) await recordLate(tx, counted.changed, said);
    events += counted.events;
    buckets += counted.changed.length;
  }
  for (const mended of [await mendDays(tx), await mendMailboxDays(tx)]) {
    if (cursor !== null) await recordLate(tx, mended, said);
  }
  await takeWatermarks(tx, horizon);
  await writeCursor(tx, horizon);
  return { events, buckets };
}

/**
 * Takes in what the roller has not seen yet, as it would. Buckets before the floor can't be counted anew, nor a fold that begins before it
 * and ends after: what is new there can only be added. What lies after the floor is then found right.
 */
async function catchUp(tx: SystemTx, cursor: Horizon | null, horizon: Horizon, said: Date | null): Promise<void> {
  // After a take-over nothing tells what was counted already; leaving it as it is beats counting it twice.
  if (cursor === null || cursor.xid === UNCOUNTED) return;
  for (let from = cursor.xid; ; ) {
    const slice = await nextSlice(tx, from, horizon.xid);
    if (slice === null) return;
    const touched = await absorb(tx, slice);
    await absorbDimensions(tx, slice, { before: null });
    await settleFolds(tx, touched, slice.to);
    await recordLate(tx, touched, said);
    if (!slice.behind) return;
    from = slice.to;
  }
}

import { BUCKET_MS } from '../core/period.ts';
import type { SystemDb, SystemTx } from '../db/db.ts';
import { sql } from '../db/sql.ts';
import { absorb, nextSlice } from './absorb.ts';
import { mendDays, syncZones } from './days.ts';
import { recordLate } from './late.ts';
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

const DAY_MS = 86_400_000;
/** So many events a statement: what it sorts stays in memory, and it ends long before its time is over. */
const EVENTS_MAX = 250_000;

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
  if (floor !== null) await addBelow(tx, floor, cursor, horizon, said);
  let events = 0;
  let buckets = 0;
  for (const day of await daysOf(tx, floor, horizon.xid)) {
    for (const [from, to] of cut(day.day, day.events)) {
      const changed = await recount(tx, { from, to, below: horizon.xid });
      if (cursor !== null)
        await recordLate(
          tx,
          changed.map((key) => ({ ...key, events: 0 })),
          said,
        );
      buckets += changed.length;
    }
    events += day.events;
  }
  const mended = await mendDays(tx);
  if (cursor !== null) await recordLate(tx, mended, said);
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
  for (let from = cursor.xid; ; ) {
    const slice = await nextSlice(tx, from, horizon.xid);
    if (slice === null) return;
    await recordLate(tx, await absorb(tx, slice, { before: floor }), said);
    if (!slice.behind) return;
    from = slice.to;
  }
}

interface LedgerDay {
  readonly day: Date;
  readonly events: number;
}

/** The UTC days, from the floor on, of which there are events or rollups. Only those: a wild clock must not mean an endless loop. */
async function daysOf(tx: SystemTx, floor: Date | null, horizon: string): Promise<LedgerDay[]> {
  return tx.rows<LedgerDay>(sql`
    with moments as (
      select date_bin('1 day', e.occurred_at, timestamptz '2000-01-01 00:00Z') as day, count(*) as events
      from ledger e where e.xid < ${horizon}::xid8 and e.occurred_at >= coalesce(${floor}::timestamptz, '-infinity')
      group by 1
      union all
      select date_bin('1 day', r.bucket, timestamptz '2000-01-01 00:00Z'), 0
      from (select bucket from rollup_traffic union all select bucket from rollup_mailboxes
            union all select bucket from rollup_senders union all select bucket from rollup_reasons) as r
      where r.bucket >= coalesce(${floor}::timestamptz, '-infinity') group by 1)
    select m.day, sum(m.events)::bigint as events from moments m group by 1 order by 1`);
}

/** Cuts a day with many events into even parts of whole buckets. */
function cut(day: Date, events: number): [Date, Date][] {
  const parts = Math.min(DAY_MS / BUCKET_MS, Math.ceil(Math.max(1, events) / EVENTS_MAX));
  const edge = (part: number) =>
    new Date(day.getTime() + Math.round(((part / parts) * DAY_MS) / BUCKET_MS) * BUCKET_MS);
  return Array.from({ length: parts }, (_, part) => [edge(part), edge(part + 1)]);
}

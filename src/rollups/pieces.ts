import { BUCKET_MS } from '../core/period.ts';
import type { SystemTx } from '../db/db.ts';
import { sql } from '../db/sql.ts';

const DAY_MS = 86_400_000;
/** So many events a statement: what it sorts stays in memory, and it ends long before its time is over. */
const EVENTS_MAX = 250_000;

/** A stretch of time in whole buckets. */
export interface Piece {
  readonly from: Date;
  readonly to: Date;
}

export interface Range {
  readonly from: Date | null;
  readonly to: Date | null;
}

/**
 * Cuts a time into pieces of a bounded number of events, each within one UTC day. Only days of which there are events or
 * rollups: a wild clock must not mean an endless loop.
 */
export async function piecesOf(tx: SystemTx, { from, to }: Range): Promise<Piece[]> {
  const days = await tx.rows<{ day: Date; events: number }>(sql`
    with moments as (
      select date_bin('1 day', e.occurred_at, timestamptz '2000-01-01 00:00Z') as day, count(*) as events
      from ledger e
      where e.occurred_at >= coalesce(${from}::timestamptz, '-infinity') and e.occurred_at < coalesce(${to}::timestamptz, 'infinity')
      group by 1
      union all
      select date_bin('1 day', r.bucket, timestamptz '2000-01-01 00:00Z'), 0
      from (select bucket from rollup_traffic union all select bucket from rollup_mailboxes
            union all select bucket from rollup_senders union all select bucket from rollup_reasons) as r
      where r.bucket >= coalesce(${from}::timestamptz, '-infinity') and r.bucket < coalesce(${to}::timestamptz, 'infinity')
      group by 1)
    select m.day, sum(m.events)::bigint as events from moments m group by 1 order by 1`);
  const low = from?.getTime() ?? Number.NEGATIVE_INFINITY;
  const high = to?.getTime() ?? Number.POSITIVE_INFINITY;
  return days
    .flatMap(({ day, events }) => cut(day, events))
    .map((piece) => ({
      from: new Date(Math.max(piece.from.getTime(), low)),
      to: new Date(Math.min(piece.to.getTime(), high)),
    }))
    .filter((piece) => piece.from < piece.to);
}

/** Cuts a day with many events into even parts of whole buckets. */
function cut(day: Date, events: number): Piece[] {
  const parts = Math.min(DAY_MS / BUCKET_MS, Math.ceil(Math.max(1, events) / EVENTS_MAX));
  const edge = (part: number) =>
    new Date(day.getTime() + Math.round(((part / parts) * DAY_MS) / BUCKET_MS) * BUCKET_MS);
  return Array.from({ length: parts }, (_, part) => ({ from: edge(part), to: edge(part + 1) }));
}

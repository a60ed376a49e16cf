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

/** The days of which each table has rows, a statement a table: all of them in one would be too long for a statement some day. */
const ROLLUP_DAYS = [
  ({ from, to }: Range) => sql`
    select date_bin('1 day', r.bucket, timestamptz '2000-01-01 00:00Z') as day, 0 as events from rollup_traffic r
    where r.bucket >= coalesce(${from}::timestamptz, '-infinity') and r.bucket < coalesce(${to}::timestamptz, 'infinity') group by 1`,
  ({ from, to }: Range) => sql`
    select date_bin('1 day', r.bucket, timestamptz '2000-01-01 00:00Z') as day, 0 as events from rollup_mailboxes r
    where r.bucket >= coalesce(${from}::timestamptz, '-infinity') and r.bucket < coalesce(${to}::timestamptz, 'infinity') group by 1`,
  ({ from, to }: Range) => sql`
    select date_bin('1 day', r.bucket, timestamptz '2000-01-01 00:00Z') as day, 0 as events from rollup_senders r
    where r.bucket >= coalesce(${from}::timestamptz, '-infinity') and r.bucket < coalesce(${to}::timestamptz, 'infinity') group by 1`,
  ({ from, to }: Range) => sql`
    select date_bin('1 day', r.bucket, timestamptz '2000-01-01 00:00Z') as day, 0 as events from rollup_reasons r
    where r.bucket >= coalesce(${from}::timestamptz, '-infinity') and r.bucket < coalesce(${to}::timestamptz, 'infinity') group by 1`,
  ({ from, to }: Range) => sql`
    select date_bin('1 day', r.bucket, timestamptz '2000-01-01 00:00Z') as day, 0 as events from rollup_sketches r
    where r.bucket >= coalesce(${from}::timestamptz, '-infinity') and r.bucket < coalesce(${to}::timestamptz, 'infinity') group by 1`,
  ({ from, to }: Range) => sql`
    select date_bin('1 day', r.bucket, timestamptz '2000-01-01 00:00Z') as day, 0 as events from rollup_items r
    where r.bucket >= coalesce(${from}::timestamptz, '-infinity') and r.bucket < coalesce(${to}::timestamptz, 'infinity') group by 1`,
  ({ from, to }: Range) => sql`
    select date_bin('1 day', r.starts, timestamptz '2000-01-01 00:00Z') as day, 0 as events from rollup_folds r
    where r.starts >= coalesce(${from}::timestamptz, '-infinity') and r.starts < coalesce(${to}::timestamptz, 'infinity') group by 1`,
];

/**
 * Cuts a time into pieces of a bounded number of events, each within one UTC day. Only days of which there are events or
 * rollups: a wild clock must not mean an endless loop.
 */
export async function piecesOf(tx: SystemTx, { from, to }: Range): Promise<Piece[]> {
  const events = new Map<number, number>();
  const add = (rows: readonly { day: Date; events: number }[]) => {
    for (const row of rows) events.set(row.day.getTime(), (events.get(row.day.getTime()) ?? 0) + row.events);
  };
  add(
    await tx.rows(sql`
      select date_bin('1 day', e.occurred_at, timestamptz '2000-01-01 00:00Z') as day, count(*) as events
      from ledger e
      where e.occurred_at >= coalesce(${from}::timestamptz, '-infinity') and e.occurred_at < coalesce(${to}::timestamptz, 'infinity')
      group by 1`),
  );
  for (const read of ROLLUP_DAYS) add(await tx.rows(read({ from, to })));
  const days = [...events].sort(([a], [b]) => a - b).map(([day, count]) => ({ day: new Date(day), events: count }));
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

import type { Completeness } from '../core/counts.ts';
import { buckets, type Granularity, type Interval, interval, type LocalPeriod } from '../core/period.ts';
import type { Direction, Verdict } from '../core/verdict.ts';
import type { TenantTx } from '../db/db.ts';
import { sql } from '../db/sql.ts';
import { readReach } from './reach.ts';

/** Sums of one mailbox. */
export interface MailboxTotals {
  /** Inbound deliveries to the mailbox. */
  readonly received: number;
  /** Those of them that were neither clean nor bulk. */
  readonly unwanted: number;
  /** Outbound deliveries of the mailbox: recipients. */
  readonly sent: number;
  /** SMTP transactions in both directions, each once. */
  readonly messages: number;
  /** Of those messages. */
  readonly bytes: number;
  /** `received` and `sent` by the verdict they got. */
  readonly byVerdict: ReadonlyMap<Verdict, number>;
}

export interface MailboxStatistics extends Completeness {
  readonly totals: MailboxTotals;
  readonly buckets: readonly (Interval & { readonly complete: boolean; readonly totals: MailboxTotals })[];
}

interface Row {
  readonly mailbox_id: string;
  readonly slot: number;
  readonly direction: Direction;
  readonly verdict: Verdict | '';
  readonly deliveries: number;
  readonly messages: number;
  readonly bytes: number;
}

/** Counts of mailboxes, cut into local hours, days, weeks or months: in as many statements as for one. Under the mailbox' id. */
export async function readMailboxStatistics(
  tx: TenantTx,
  mailboxIds: readonly string[],
  period: LocalPeriod,
  granularity: Granularity,
): Promise<Map<string, MailboxStatistics>> {
  const whole = interval(period);
  const pieces = buckets(period, granularity);
  const ids = [...mailboxIds];
  // Before the numbers: what the roller takes in meanwhile makes them newer than what is said of them, never older.
  const reach = await readReach(tx);
  const rows = await tx.rows<Row>(sql`
    with counts as (
      select r.mailbox_id, r.bucket as at, r.direction, r.verdict, r.deliveries, r.messages, r.bytes
      from rollup_mailboxes r
      where r.partner_id = ${tx.partnerId} and r.mailbox_id = any(${ids}::uuid[])
        and r.bucket >= ${whole.start} and r.bucket < ${whole.end}
      union all
      select e.mailbox_id, e.occurred_at, e.direction, coalesce(e.verdict, ''), 1, case when e.leads & 8 <> 0 then 1 else 0 end,
             case when e.leads & 8 <> 0 then e.bytes else 0 end
      from (
        select l.* from ledger l
        where ${reach.tail}::boolean
          and l.xid >= (select coalesce(max(s.cursor::text::bigint), 3)::text::xid8 from rollup_state s)
          and l.xid < pg_snapshot_xmax(pg_current_snapshot()) and l.partner_id = ${tx.partnerId}
          and l.occurred_at >= ${whole.start} and l.occurred_at < ${whole.end}
        offset 0) as e
      where e.partner_id = ${tx.partnerId} and e.mailbox_id = any(${ids}::uuid[]) and e.kind in ('accepted', 'rejected')
        and e.occurred_at >= ${whole.start} and e.occurred_at < ${whole.end})
    select c.mailbox_id, width_bucket(c.at, ${pieces.map((piece) => piece.start)}::timestamptz[]) - 1 as slot, c.direction,
           c.verdict, sum(c.deliveries)::bigint as deliveries, sum(c.messages)::bigint as messages, sum(c.bytes)::bigint as bytes
    from counts c group by 1, 2, 3, 4`);
  const own = new Map<string, Row[]>(mailboxIds.map((id) => [id, []]));
  for (const row of rows) own.get(row.mailbox_id)?.push(row);
  const through = reach.completeThrough?.getTime() ?? Number.NEGATIVE_INFINITY;
  const known = { complete: through >= whole.end.getTime(), completeThrough: reach.completeThrough };
  return new Map(
    [...own].map(([id, mine]) => [
      id,
      {
        ...known,
        totals: totalsOf(mine),
        buckets: pieces.map((piece, slot) => ({
          ...piece,
          complete: through >= piece.end.getTime(),
          totals: totalsOf(mine.filter((row) => row.slot === slot)),
        })),
      },
    ]),
  );
}

function totalsOf(rows: readonly Row[]): MailboxTotals {
  const sum = (of: (row: Row) => number) => rows.reduce((total, row) => total + of(row), 0);
  const received = rows.filter((row) => row.direction === 'inbound');
  const byVerdict = new Map<Verdict, number>();
  for (const { verdict, deliveries } of rows) {
    if (verdict !== '') byVerdict.set(verdict, (byVerdict.get(verdict) ?? 0) + deliveries);
  }
  const count = (some: readonly Row[]) => some.reduce((total, row) => total + row.deliveries, 0);
  return {
    received: count(received),
    unwanted: count(received.filter((row) => row.verdict !== 'clean' && row.verdict !== 'bulk')),
    sent: count(rows.filter((row) => row.direction === 'outbound')),
    messages: sum((row) => row.messages),
    bytes: sum((row) => row.bytes),
    byVerdict,
  };
}

import type { Completeness } from '../core/counts.ts';
import { buckets, type Granularity, type Interval, interval, type LocalPeriod } from '../core/period.ts';
import type { Direction, Verdict } from '../core/verdict.ts';
import type { TenantTx } from '../db/db.ts';
import { sql } from '../db/sql.ts';
import { completeness } from './read.ts';

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
  const known = await completeness(tx, whole.end);
  const rows = await tx.rows<Row>(sql`
    select r.mailbox_id, width_bucket(r.bucket, ${pieces.map((piece) => piece.start)}::timestamptz[]) - 1 as slot, r.direction,
           r.verdict, sum(r.deliveries)::bigint as deliveries, sum(r.messages)::bigint as messages, sum(r.bytes)::bigint as bytes
    from rollup_mailboxes r
    where r.partner_id = ${tx.partnerId} and r.mailbox_id = any(${[...mailboxIds]}::uuid[])
      and r.bucket >= ${whole.start} and r.bucket < ${whole.end}
    group by 1, 2, 3, 4`);
  const own = new Map<string, Row[]>(mailboxIds.map((id) => [id, []]));
  for (const row of rows) own.get(row.mailbox_id)?.push(row);
  const through = known.completeThrough?.getTime() ?? Number.NEGATIVE_INFINITY;
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

import type { Completeness, Totals } from '../core/counts.ts';
import type { EventKind } from '../core/event.ts';
import { buckets, type Granularity, type Interval, interval, type LocalPeriod } from '../core/period.ts';
import type { Disposition, Verdict } from '../core/verdict.ts';
import type { TenantTx, Tx } from '../db/db.ts';
import { sql } from '../db/sql.ts';

/** The one reader of the rollups (rule 12): API, pages, reports and billing take their numbers from here. */

export interface StatisticsBucket extends Interval {
  readonly complete: boolean;
  readonly totals: Totals;
}

export interface Statistics extends Completeness {
  readonly totals: Totals;
  readonly buckets: readonly StatisticsBucket[];
}

const ENDING: readonly string[] = [
  'rejected',
  'quarantined',
  'delivered',
  'bounced',
  'expired',
  'discarded',
] satisfies EventKind[];

/**
 * Through which moment the rollups hold everything: the least of what the nodes have vouched for and the roller has believed.
 * A node that stopped in order has told all and holds nothing back; a dead one holds until it returns or is retired. When no
 * node is left, it is the last moment that one vouched for. Null: nothing is known.
 */
export async function completeThrough(tx: Tx): Promise<Date | null> {
  const row = await tx.one<{ holding: Date | null; latest: Date | null }>(sql`
    select min(w.complete_through) filter (where w.state = 'alive' and n.state is distinct from 'retired') as holding,
           max(w.complete_through) as latest
    from rollup_watermarks w left join nodes n on n.id = w.node`);
  return row.holding ?? row.latest;
}

/** Whether everything before `end` is counted. */
export async function completeness(tx: Tx, end: Date): Promise<Completeness> {
  const through = await completeThrough(tx);
  return { complete: through !== null && through.getTime() >= end.getTime(), completeThrough: through };
}

interface TrafficRow {
  slot: number;
  kind: EventKind;
  verdict: Verdict | '';
  disposition: Disposition | '';
  deliveries: number;
  messages: number;
  bytes: number;
}

export interface StatisticsQuery {
  /** Null: the partner as a whole; a message to two clients then counts once. */
  readonly clientId: string | null;
  readonly period: LocalPeriod;
  readonly granularity: Granularity;
}

interface Cut {
  readonly whole: Interval;
  readonly pieces: readonly Interval[];
}

const CUTS_MAX = 500;
const cuts = new Map<string, Cut>();

/** A period and its buckets. Kept, since the rules of zones are slow to ask and the same days are asked for all the time. */
function cut(period: LocalPeriod, granularity: Granularity): Cut {
  const key = `${period.zone} ${period.from} ${period.to} ${granularity}`;
  const known = cuts.get(key);
  if (known !== undefined) return known;
  if (cuts.size >= CUTS_MAX) cuts.clear();
  const made = { whole: interval(period), pieces: buckets(period, granularity) };
  cuts.set(key, made);
  return made;
}

/** Counts of a period in the zone of `period`, in all and cut into buckets, each with its completeness (rules 4 and 6). */
export async function readStatistics(tx: TenantTx, query: StatisticsQuery): Promise<Statistics> {
  const { whole, pieces } = cut(query.period, query.granularity);
  // Before the numbers: a round of the roller between the two then makes them newer than what is said of them, never older.
  const known = await completeness(tx, whole.end);
  const rows = await tx.rows<TrafficRow>(sql`
    select width_bucket(r.bucket, ${pieces.map((piece) => piece.start)}::timestamptz[]) - 1 as slot, r.kind, r.verdict,
           r.disposition, sum(r.deliveries)::bigint as deliveries,
           sum(case when ${query.clientId === null} then r.partner_messages else r.messages end)::bigint as messages,
           sum(case when ${query.clientId === null} then r.partner_bytes else r.bytes end)::bigint as bytes
    from rollup_traffic r
    where r.partner_id = ${tx.partnerId}
      and (${query.clientId}::uuid is null or r.client_id = ${query.clientId}::uuid)
      and r.bucket >= ${whole.start} and r.bucket < ${whole.end}
    group by 1, 2, 3, 4`);
  return assemble(known, pieces, rows);
}

/** The same for many clients of one zone, in as many statements as for one. Clients without traffic have zeros. */
export async function readStatisticsOf(
  tx: TenantTx,
  query: Omit<StatisticsQuery, 'clientId'> & { readonly clientIds: readonly string[] },
): Promise<Map<string, Statistics>> {
  const { whole, pieces } = cut(query.period, query.granularity);
  const known = await completeness(tx, whole.end);
  const rows = await tx.rows<TrafficRow & { client_id: string }>(sql`
    select r.client_id, width_bucket(r.bucket, ${pieces.map((piece) => piece.start)}::timestamptz[]) - 1 as slot, r.kind,
           r.verdict, r.disposition, sum(r.deliveries)::bigint as deliveries, sum(r.messages)::bigint as messages,
           sum(r.bytes)::bigint as bytes
    from rollup_traffic r
    where r.partner_id = ${tx.partnerId} and r.client_id = any(${[...query.clientIds]}::uuid[])
      and r.bucket >= ${whole.start} and r.bucket < ${whole.end}
    group by 1, 2, 3, 4, 5`);
  const byClient = new Map<string, TrafficRow[]>(query.clientIds.map((id) => [id, []]));
  for (const row of rows) byClient.get(row.client_id)?.push(row);
  return new Map([...byClient].map(([id, own]) => [id, assemble(known, pieces, own)]));
}

/**
 * Counts of a stretch of whole buckets, cut at the starts of `pieces`, which follow each other without gaps: for what is no
 * local hour, day, week or month.
 */
export async function readPieces(
  tx: TenantTx,
  clientId: string | null,
  pieces: readonly [Interval, ...Interval[]],
): Promise<Statistics> {
  const { start } = pieces[0];
  const end = (pieces.at(-1) ?? pieces[0]).end;
  const known = await completeness(tx, end);
  const rows = await tx.rows<TrafficRow>(sql`
    select width_bucket(r.bucket, ${pieces.map((piece) => piece.start)}::timestamptz[]) - 1 as slot, r.kind, r.verdict,
           r.disposition, sum(r.deliveries)::bigint as deliveries,
           sum(case when ${clientId === null} then r.partner_messages else r.messages end)::bigint as messages,
           sum(case when ${clientId === null} then r.partner_bytes else r.bytes end)::bigint as bytes
    from rollup_traffic r
    where r.partner_id = ${tx.partnerId} and (${clientId}::uuid is null or r.client_id = ${clientId}::uuid)
      and r.bucket >= ${start} and r.bucket < ${end}
    group by 1, 2, 3, 4`);
  return assemble(known, pieces, rows);
}

function assemble(known: Completeness, pieces: readonly Interval[], rows: readonly TrafficRow[]): Statistics {
  const through = known.completeThrough?.getTime() ?? Number.NEGATIVE_INFINITY;
  const sums = pieces.map(() => new Sum());
  const total = new Sum();
  for (const row of rows) {
    sums[row.slot]?.add(row);
    total.add(row);
  }
  return {
    ...known,
    totals: total.totals(),
    buckets: pieces.map((piece, index) => ({
      ...piece,
      complete: through >= piece.end.getTime(),
      totals: sums[index]?.totals() ?? new Sum().totals(),
    })),
  };
}

type Countable = Omit<TrafficRow, 'slot'>;

class Sum {
  #messages = 0;
  #deliveries = 0;
  #refused = 0;
  #bytes = 0;
  readonly #verdicts = new Map<Verdict, number>();
  readonly #dispositions = new Map<Disposition, number>();

  add(row: Countable): void {
    if (row.kind === 'refused') this.#refused += row.deliveries;
    if (row.kind === 'accepted' || row.kind === 'rejected') {
      this.#messages += row.messages;
      this.#deliveries += row.deliveries;
      this.#bytes += row.bytes;
      if (row.verdict !== '') this.#verdicts.set(row.verdict, (this.#verdicts.get(row.verdict) ?? 0) + row.deliveries);
    }
    if (ENDING.includes(row.kind) && row.disposition !== '') {
      this.#dispositions.set(row.disposition, (this.#dispositions.get(row.disposition) ?? 0) + row.deliveries);
    }
  }

  totals(): Totals {
    return {
      messages: this.#messages,
      deliveries: this.#deliveries,
      refused: this.#refused,
      bytes: this.#bytes,
      byVerdict: this.#verdicts,
      byDisposition: this.#dispositions,
    };
  }
}

export interface Ranked {
  /** Sender address, mailbox id or reason code. */
  readonly key: string;
  readonly deliveries: number;
  /** Of those, deliveries with any verdict but clean and bulk. */
  readonly unwanted: number;
}

/** Envelope senders by deliveries; the null sender is the empty key. `clientId` null, here and below: of all clients. */
export async function topSenders(
  tx: TenantTx,
  clientId: string | null,
  range: Interval,
  limit: number,
): Promise<Ranked[]> {
  return tx.rows<Ranked>(sql`
    select r.sender as key, sum(r.deliveries)::bigint as deliveries,
           coalesce(sum(r.deliveries) filter (where r.verdict not in ('clean', 'bulk')), 0)::bigint as unwanted
    from rollup_senders r
    where r.partner_id = ${tx.partnerId} and (${clientId}::uuid is null or r.client_id = ${clientId}::uuid) and r.direction = 'inbound'
      and r.bucket >= ${range.start} and r.bucket < ${range.end}
    group by r.sender order by deliveries desc, key limit ${limit}`);
}

/** Mailboxes by unwanted deliveries: the most targeted first. */
export async function topMailboxes(
  tx: TenantTx,
  clientId: string | null,
  range: Interval,
  limit: number,
): Promise<Ranked[]> {
  return tx.rows<Ranked>(sql`
    select r.mailbox_id::text as key, sum(r.deliveries)::bigint as deliveries,
           coalesce(sum(r.deliveries) filter (where r.verdict not in ('clean', 'bulk')), 0)::bigint as unwanted
    from rollup_mailboxes r
    where r.partner_id = ${tx.partnerId} and (${clientId}::uuid is null or r.client_id = ${clientId}::uuid) and r.direction = 'inbound'
      and r.bucket >= ${range.start} and r.bucket < ${range.end}
    group by r.mailbox_id order by unwanted desc, deliveries desc, key limit ${limit}`);
}

/** Machine reasons by deliveries that they were given for. */
export async function topReasons(
  tx: TenantTx,
  clientId: string | null,
  range: Interval,
  limit: number,
): Promise<{ key: string; deliveries: number }[]> {
  return tx.rows(sql`
    select r.reason as key, sum(r.deliveries)::bigint as deliveries
    from rollup_reasons r
    where r.partner_id = ${tx.partnerId} and (${clientId}::uuid is null or r.client_id = ${clientId}::uuid)
      and r.bucket >= ${range.start} and r.bucket < ${range.end}
    group by r.reason order by deliveries desc, key limit ${limit}`);
}

/**
 * When a period was last changed after it had been closed; null: never. A report that was issued before then no longer says
 * what is known now (rule 5). `clientId` null: of any client.
 */
export async function restatedAt(tx: TenantTx, clientId: string | null, range: Interval): Promise<Date | null> {
  const row = await tx.one<{ at: Date | null }>(sql`
    select max(l.noticed_at) as at from rollup_late l
    where l.partner_id = ${tx.partnerId} and (${clientId}::uuid is null or l.client_id = ${clientId}::uuid)
      and l.bucket >= ${range.start} and l.bucket < ${range.end}`);
  return row.at;
}

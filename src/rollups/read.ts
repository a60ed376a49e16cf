import type { Completeness, Totals } from '../core/counts.ts';
import {
  addDays,
  BUCKET_MS,
  buckets,
  type Granularity,
  type Interval,
  interval,
  type LocalPeriod,
  localDate,
} from '../core/period.ts';
import type { TenantTx, Tx } from '../db/db.ts';
import { sql } from '../db/sql.ts';
import { together } from '../db/together.ts';
import { type Reach, ROLLED_MAX_MS, readReach, TRANSACTIONS_MAX } from './reach.ts';
import { type Days, wholeMonths } from './spans.ts';
import { PENDING_MAX } from './state.ts';
import { type NarrowCount, Sum } from './totals.ts';

export { topSenders } from './read-dimensions.ts';
export { type ClientsOverview, readClientsOverview } from './read-overview.ts';

/** The one reader of the rollups (rule 12): API, pages, reports and billing take their numbers from here. */

export interface StatisticsBucket extends Interval {
  readonly complete: boolean;
  readonly totals: Totals;
}

export interface Statistics extends Completeness {
  readonly totals: Totals;
  readonly buckets: readonly StatisticsBucket[];
}

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

export interface StatisticsQuery {
  /** Null: the partner as a whole; a message to two clients then counts once. */
  readonly clientId: string | null;
  readonly period: LocalPeriod;
  readonly granularity: Granularity;
}

interface Cut {
  readonly whole: Interval;
  /** Its ends as text: a Date is dear to write at every question. */
  readonly from: string;
  readonly to: string;
  readonly pieces: readonly Interval[];
  /** The moments with which the pieces begin, as an array of PostgreSQL, written once: it is dear to write at every question. */
  readonly startsText: string;
  /** The local days with which the pieces begin, for PostgreSQL. */
  readonly datesText: string;
  /** Of what days and whole months the period is made; null: of hours, which have no tier. */
  readonly tier: { readonly head: Days; readonly months: Days; readonly tail: Days } | null;
}

const CUTS_MAX = 500;
const cuts = new Map<string, Cut>();

/** A period and its buckets. Kept, since the rules of zones are slow to ask and the same days are asked for all the time. */
function cut(period: LocalPeriod, granularity: Granularity): Cut {
  const key = `${period.zone} ${period.from} ${period.to} ${granularity}`;
  const known = cuts.get(key);
  if (known !== undefined) return known;
  if (cuts.size >= CUTS_MAX) cuts.clear();
  const pieces = buckets(period, granularity);
  const whole = interval(period);
  const made: Cut = {
    whole,
    from: whole.start.toISOString(),
    to: whole.end.toISOString(),
    pieces,
    startsText: arrayText(pieces.map((piece) => piece.start.toISOString())),
    datesText: arrayText(granularity === 'HOUR' ? [] : pieces.map((piece) => localDate(piece.start, period.zone))),
    tier: granularity === 'HOUR' ? null : tierOf(period, granularity),
  };
  cuts.set(key, made);
  return made;
}

const arrayText = (items: readonly string[]) => `{${items.join(',')}}`;

function tierOf(period: LocalPeriod, granularity: Granularity): NonNullable<Cut['tier']> {
  const end = addDays(period.to, 1);
  const none = { from: end, to: end };
  const all = { from: period.from, to: end };
  if (granularity !== 'MONTH') return { head: all, months: none, tail: none };
  const months = wholeMonths(all);
  return { head: { from: period.from, to: months.from }, months, tail: { from: months.to, to: end } };
}

/** Counts of a period in the zone of `period`, in all and cut into buckets, each with its completeness (rules 4 and 6). */
export async function readStatistics(tx: TenantTx, query: StatisticsQuery): Promise<Statistics> {
  const { clientId, period, granularity } = query;
  if (clientId === null) return readPartner(tx, cut(period, granularity), period.zone);
  const read = await readStatisticsOf(tx, { clientIds: [clientId], period, granularity });
  return read.get(clientId) ?? assemble({ completeThrough: null }, cut(period, granularity), []);
}

/** Quarter hours and the tail come in a row for each sum, the days of a client in one: `wide` has a list for each piece. */
type Row =
  | (NarrowCount & { readonly slot: number; readonly wide: null })
  | { readonly kind: null; readonly wide: readonly (readonly [slot: number, ...sums: number[]])[] };

/**
 * The same for many clients, in as many statements as for one. Clients without traffic have zeros.
 *
 * Whole days of a client whose own zone this is are taken from its days and months, all else from the quarter hours; what is
 * committed and not yet rolled is added from the ledger. One statement, so one snapshot: an event is in exactly one of them.
 */
export async function readStatisticsOf(
  tx: TenantTx,
  query: Omit<StatisticsQuery, 'clientId'> & { readonly clientIds: readonly string[] },
): Promise<Map<string, Statistics>> {
  return readClients(tx, query.clientIds, cut(query.period, query.granularity), query.period.zone);
}

/** Counts of one quarter hour, which is no piece of a local period; `clientId` null: of all clients. */
export async function readQuarterHour(tx: TenantTx, clientId: string | null, start: Date): Promise<Statistics> {
  const whole = { start, end: new Date(start.getTime() + BUCKET_MS) };
  const from = start.toISOString();
  const to = whole.end.toISOString();
  const parts: Cut = { whole, from, to, pieces: [whole], startsText: arrayText([from]), datesText: '{}', tier: null };
  if (clientId === null) return readPartner(tx, parts, 'UTC');
  const read = await readClients(tx, [clientId], parts, 'UTC');
  return read.get(clientId) ?? assemble({ completeThrough: null }, parts, []);
}

async function readClients(
  tx: TenantTx,
  clientIds: readonly string[],
  parts: Cut,
  zone: string,
): Promise<Map<string, Statistics>> {
  const { from, to, startsText, datesText, tier } = parts;
  const clients = [...new Set(clientIds)];
  // Sent together, the reach first: a round of the roller between the two makes the numbers newer than what is said of them, never
  // older. Whether the tail is small enough to be counted is asked again by the statement itself, which says whether it was.
  const rolledSince = new Date(tx.now.getTime() - ROLLED_MAX_MS).toISOString();
  const [reach, rows] = await together([
    readReach(tx),
    tx.rows<Row & { client_id: string | null }>(sql`
    with gate as materialized (
      select (s.cursor is null or (s.cursor <> '0' and s.rolled_at >= ${rolledSince}::timestamptz)) and coalesce(s.pending, 0) <= ${PENDING_MAX}
             and pg_snapshot_xmax(pg_current_snapshot())::text::bigint - coalesce(s.cursor::text::bigint, 3) <= ${TRANSACTIONS_MAX}
               as tail
      from (select 1) as one left join rollup_state s on true),
    tiered as materialized (
      select z.client_id from rollup_zones z
      where z.partner_id = ${tx.partnerId} and z.client_id = any(${clients}::uuid[]) and z.time_zone = ${zone}
        and ${tier !== null}::boolean),
    others as materialized (select unnest(${clients}::uuid[]) as client_id except select t.client_id from tiered t),
    days as (
      select d.* from rollup_days d
      where d.partner_id = ${tx.partnerId} and d.client_id = any(array(select t.client_id from tiered t))
        and d.day >= ${tier?.head.from}::date and d.day < ${tier?.head.to}::date
      union all
      select d.* from rollup_months d
      where d.partner_id = ${tx.partnerId} and d.client_id = any(array(select t.client_id from tiered t))
        and d.day >= ${tier?.months.from}::date and d.day < ${tier?.months.to}::date
      union all
      select d.* from rollup_days d
      where d.partner_id = ${tx.partnerId} and d.client_id = any(array(select t.client_id from tiered t))
        and d.day >= ${tier?.tail.from}::date and d.day < ${tier?.tail.to}::date)
    select w.client_id, -1 as slot, null as kind, null as verdict, null as disposition, 0::bigint as deliveries, 0::bigint as messages,
           0::bigint as bytes, json_agg(w.sums) as wide
    from (
      select d.client_id,
             json_build_array(d.slot, sum(d.messages), sum(d.deliveries), sum(d.refused),
                              sum(d.bytes), sum(d.verdict_clean), sum(d.verdict_bulk), sum(d.verdict_spam), sum(d.verdict_spoof),
                              sum(d.verdict_phish), sum(d.verdict_policy), sum(d.verdict_unscannable), sum(d.verdict_malware),
                              sum(d.ended_queued), sum(d.ended_deferred), sum(d.ended_delivered), sum(d.ended_tagged),
                              sum(d.ended_stripped), sum(d.ended_quarantined), sum(d.ended_rejected), sum(d.ended_bounced),
                              sum(d.ended_expired), sum(d.ended_discarded), sum(d.ended_released)) as sums
      from (select o.*, width_bucket(o.day, ${datesText}::date[]) - 1 as slot from days o) as d group by d.client_id, d.slot) as w
    group by w.client_id
    union all
    select r.client_id, width_bucket(r.bucket, ${startsText}::timestamptz[]) - 1, r.kind, r.verdict, r.disposition,
           sum(r.deliveries)::bigint, sum(r.messages)::bigint, sum(r.bytes)::bigint, null
    from rollup_traffic r
    where r.partner_id = ${tx.partnerId}
      -- Asked once, before any row: without it PostgreSQL goes through the quarter hours to find none of nobody.
      and (select count(*) > 0 from others) and r.client_id = any(array(select o.client_id from others o))
      and r.bucket >= ${from}::timestamptz and r.bucket < ${to}::timestamptz
    group by 1, 2, 3, 4, 5
    union all
    select e.client_id, width_bucket(e.occurred_at, ${startsText}::timestamptz[]) - 1, e.kind, coalesce(e.verdict, ''),
           coalesce(e.disposition, ''), count(*), count(*) filter (where e.leads & 2 <> 0),
           coalesce(sum(e.bytes) filter (where e.leads & 2 <> 0), 0)::bigint, null
    -- With an offset the tail is found by its few transactions, and never by going through all that a client has.
    from (
      select l.* from ledger l
      where (select g.tail from gate g)
        and l.xid >= (select coalesce(max(s.cursor::text::bigint), 3)::text::xid8 from rollup_state s)
        and l.xid < pg_snapshot_xmax(pg_current_snapshot()) and l.partner_id = ${tx.partnerId}
        and l.occurred_at >= ${from}::timestamptz and l.occurred_at < ${to}::timestamptz
      offset 0) as e
    where e.partner_id = ${tx.partnerId} and e.client_id = any(${clients}::uuid[])
      and e.occurred_at >= ${from}::timestamptz and e.occurred_at < ${to}::timestamptz
    group by 1, 2, 3, 4, 5
    union all
    select null, -1, null, null, null, 0, 0, 0, null from gate g where g.tail`),
  ] as const);
  const byClient = new Map<string, Row[]>(clients.map((id) => [id, []]));
  for (const row of rows) if (row.client_id !== null) byClient.get(row.client_id)?.push(row);
  const isWhole = rows.some((row) => row.client_id === null);
  const said = isWhole ? reach : { completeThrough: reach.rolledThrough };
  return new Map([...byClient].map(([id, own]) => [id, assemble(said, parts, own)]));
}

/** The partner as a whole: a message to two clients counts once. */
async function readPartner(tx: TenantTx, parts: Cut, zone: string): Promise<Statistics> {
  const { from, to, startsText, datesText, tier } = parts;
  const reach = await readReach(tx);
  const rows = await tx.rows<Row>(sql`
    with tiered as materialized (
      select z.client_id from rollup_zones z
      where z.partner_id = ${tx.partnerId} and z.time_zone = ${zone} and ${tier !== null}::boolean),
    others as materialized (
      select c.id as client_id from clients c where c.partner_id = ${tx.partnerId}
      union select z.client_id from rollup_zones z where z.partner_id = ${tx.partnerId}
      except select t.client_id from tiered t),
    days as (
      select d.* from rollup_days d
      where d.partner_id = ${tx.partnerId} and d.client_id in (select t.client_id from tiered t)
        and d.day >= ${tier?.head.from}::date and d.day < ${tier?.head.to}::date
      union all
      select d.* from rollup_months d
      where d.partner_id = ${tx.partnerId} and d.client_id in (select t.client_id from tiered t)
        and d.day >= ${tier?.months.from}::date and d.day < ${tier?.months.to}::date
      union all
      select d.* from rollup_days d
      where d.partner_id = ${tx.partnerId} and d.client_id in (select t.client_id from tiered t)
        and d.day >= ${tier?.tail.from}::date and d.day < ${tier?.tail.to}::date)
    select -1 as slot, null as kind, null as verdict, null as disposition, 0::bigint as deliveries, 0::bigint as messages,
           0::bigint as bytes, json_agg(w.sums) as wide
    from (
      select json_build_array(d.slot, sum(d.partner_messages), sum(d.deliveries), sum(d.refused),
                              sum(d.partner_bytes), sum(d.verdict_clean), sum(d.verdict_bulk), sum(d.verdict_spam), sum(d.verdict_spoof),
                              sum(d.verdict_phish), sum(d.verdict_policy), sum(d.verdict_unscannable), sum(d.verdict_malware),
                              sum(d.ended_queued), sum(d.ended_deferred), sum(d.ended_delivered), sum(d.ended_tagged),
                              sum(d.ended_stripped), sum(d.ended_quarantined), sum(d.ended_rejected), sum(d.ended_bounced),
                              sum(d.ended_expired), sum(d.ended_discarded), sum(d.ended_released)) as sums
      from (select o.*, width_bucket(o.day, ${datesText}::date[]) - 1 as slot from days o) as d group by d.slot) as w
    having count(*) > 0
    union all
    select width_bucket(r.bucket, ${startsText}::timestamptz[]) - 1, r.kind, r.verdict, r.disposition,
           sum(r.deliveries)::bigint, sum(r.partner_messages)::bigint, sum(r.partner_bytes)::bigint, null
    from rollup_traffic r
    where r.partner_id = ${tx.partnerId} and (select count(*) > 0 from others)
      and r.client_id = any(array(select o.client_id from others o))
      and r.bucket >= ${from}::timestamptz and r.bucket < ${to}::timestamptz
    group by 1, 2, 3, 4
    union all
    select width_bucket(e.occurred_at, ${startsText}::timestamptz[]) - 1, e.kind, coalesce(e.verdict, ''),
           coalesce(e.disposition, ''), count(*), count(*) filter (where e.leads & 1 <> 0),
           coalesce(sum(e.bytes) filter (where e.leads & 1 <> 0), 0)::bigint, null
    from (
      select l.* from ledger l
      where ${reach.tail}::boolean
        and l.xid >= (select coalesce(max(s.cursor::text::bigint), 3)::text::xid8 from rollup_state s)
        and l.xid < pg_snapshot_xmax(pg_current_snapshot()) and l.partner_id = ${tx.partnerId}
        and l.occurred_at >= ${from}::timestamptz and l.occurred_at < ${to}::timestamptz
      offset 0) as e
    where e.partner_id = ${tx.partnerId} and e.occurred_at >= ${from}::timestamptz and e.occurred_at < ${to}::timestamptz
    group by 1, 2, 3, 4`);
  return assemble(reach, parts, rows);
}

function assemble({ completeThrough }: Pick<Reach, 'completeThrough'>, parts: Cut, rows: readonly Row[]): Statistics {
  const through = completeThrough?.getTime() ?? Number.NEGATIVE_INFINITY;
  const sums = parts.pieces.map(() => new Sum());
  const total = new Sum();
  for (const row of rows) {
    if (row.kind !== null) {
      sums[row.slot]?.add(row);
      total.add(row);
      continue;
    }
    for (const list of row.wide) {
      sums[list[0]]?.addSums(list, 1);
      total.addSums(list, 1);
    }
  }
  return {
    complete: through >= parts.whole.end.getTime(),
    completeThrough,
    totals: total.totals(),
    buckets: parts.pieces.map((piece, index) => ({
      ...piece,
      complete: through >= piece.end.getTime(),
      totals: sums[index]?.totals() ?? new Sum().totals(),
    })),
  };
}

export interface Ranked {
  /** Mailbox id or reason code. */
  readonly key: string;
  readonly deliveries: number;
  /** Of those, deliveries with any verdict but clean and bulk. */
  readonly unwanted: number;
}

/**
 * Mailboxes by unwanted deliveries: the most targeted first. `clientId` null, here and below: of all clients. What is not rolled yet
 * is counted with the rest, here and below.
 */
export async function topMailboxes(
  tx: TenantTx,
  clientId: string | null,
  range: Interval,
  limit: number,
): Promise<Ranked[]> {
  const reach = await readReach(tx);
  return tx.rows<Ranked>(sql`
    with counts as (
      select r.mailbox_id, r.verdict, r.deliveries
      from rollup_mailboxes r
      where r.partner_id = ${tx.partnerId} and (${clientId}::uuid is null or r.client_id = ${clientId}::uuid)
        and r.direction = 'inbound' and r.bucket >= ${range.start} and r.bucket < ${range.end}
      union all
      select e.mailbox_id, coalesce(e.verdict, ''), 1
      from (
        select l.* from ledger l
        where ${reach.tail}::boolean
          and l.xid >= (select coalesce(max(s.cursor::text::bigint), 3)::text::xid8 from rollup_state s)
          and l.xid < pg_snapshot_xmax(pg_current_snapshot()) and l.partner_id = ${tx.partnerId}
          and l.occurred_at >= ${range.start} and l.occurred_at < ${range.end}
        offset 0) as e
      where e.partner_id = ${tx.partnerId} and (${clientId}::uuid is null or e.client_id = ${clientId}::uuid)
        and e.direction = 'inbound' and e.kind in ('accepted', 'rejected') and e.mailbox_id is not null
        and e.occurred_at >= ${range.start} and e.occurred_at < ${range.end})
    select c.mailbox_id::text as key, sum(c.deliveries)::bigint as deliveries,
           coalesce(sum(c.deliveries) filter (where c.verdict not in ('clean', 'bulk')), 0)::bigint as unwanted
    from counts c group by c.mailbox_id order by unwanted desc, deliveries desc, key limit ${limit}`);
}

/** Machine reasons by deliveries that they were given for. */
export async function topReasons(
  tx: TenantTx,
  clientId: string | null,
  range: Interval,
  limit: number,
): Promise<{ key: string; deliveries: number }[]> {
  const reach = await readReach(tx);
  return tx.rows(sql`
    with counts as (
      select r.reason, r.deliveries
      from rollup_reasons r
      where r.partner_id = ${tx.partnerId} and (${clientId}::uuid is null or r.client_id = ${clientId}::uuid)
        and r.bucket >= ${range.start} and r.bucket < ${range.end}
      union all
      select x.reason, 1
      from (
        select l.* from ledger l
        where ${reach.tail}::boolean
          and l.xid >= (select coalesce(max(s.cursor::text::bigint), 3)::text::xid8 from rollup_state s)
          and l.xid < pg_snapshot_xmax(pg_current_snapshot()) and l.partner_id = ${tx.partnerId}
          and l.occurred_at >= ${range.start} and l.occurred_at < ${range.end}
        offset 0) as e cross join lateral (select distinct u.reason from unnest(e.reasons) as u (reason)) as x
      where e.partner_id = ${tx.partnerId} and (${clientId}::uuid is null or e.client_id = ${clientId}::uuid)
        and e.kind in ('accepted', 'rejected', 'refused')
        and e.occurred_at >= ${range.start} and e.occurred_at < ${range.end})
    select c.reason as key, sum(c.deliveries)::bigint as deliveries
    from counts c group by c.reason order by deliveries desc, key limit ${limit}`);
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

import { DISTINCT_ERROR, estimate, merge, REGISTERS, raise } from '../core/hll.ts';
import { type Interval, interval, type LocalPeriod } from '../core/period.ts';
import { BIN_STARTS, type Bin, quantile, RELATIVE_ERROR } from '../core/sketch.ts';
import type { Direction } from '../core/verdict.ts';
import type { TenantTx } from '../db/db.ts';
import { sql } from '../db/sql.ts';
import { type Reach, readReach } from './reach.ts';

/**
 * Reads what else is counted beside traffic: percentiles, distinct mailboxes and senders, top lists with their bounds, domains and
 * directions. `clientId` null, throughout: all clients of the partner. What is not rolled yet is counted with the rest, as in read.ts.
 */

export type Metric = 'delivery_ms' | 'bytes';

/** Percentiles; null where nothing was counted. */
export interface Percentiles {
  /** How many values: deliveries for `delivery_ms`, messages for `bytes`. */
  readonly count: number;
  readonly p50: number | null;
  readonly p90: number | null;
  readonly p95: number | null;
  readonly p99: number | null;
  /** How far each may be from the true percentile, as a part of it. */
  readonly relativeError: number;
}

/** Percentiles of a period, exact sums of its quarter hours' bins; in both directions when `direction` is null. */
export async function readPercentiles(
  tx: TenantTx,
  metric: Metric,
  clientId: string | null,
  range: Interval,
  direction: Direction | null,
): Promise<Percentiles> {
  const reach = await readReach(tx);
  const bins = await tx.rows<Bin>(sql`
    with counts as (
      select r.bin, case when ${clientId}::uuid is null then r.partner_count else r.count end as count
      from rollup_sketches r
      where r.partner_id = ${tx.partnerId} and (${clientId}::uuid is null or r.client_id = ${clientId}::uuid)
        and r.metric = ${metric} and r.bucket >= ${range.start} and r.bucket < ${range.end}
        and (${direction}::text is null or r.direction = ${direction}::text)
      union all
      select width_bucket(v.value, ${BIN_STARTS}::bigint[]) - 1, 1
      from (
        select l.* from ledger l
        where ${reach.tail}::boolean
          and l.xid >= (select coalesce(max(s.cursor::text::bigint), 3)::text::xid8 from rollup_state s)
          and l.xid < pg_snapshot_xmax(pg_current_snapshot()) and l.partner_id = ${tx.partnerId}
          and l.occurred_at >= ${range.start} and l.occurred_at < ${range.end}
        offset 0) as e
      cross join lateral (values
        ('delivery_ms', e.latency_ms,
         e.kind = 'delivered' and e.disposition is distinct from 'released' and e.latency_ms is not null),
        ('bytes', e.bytes, e.leads & case when ${clientId}::uuid is null then 1 else 2 end <> 0)) as v (metric, value, counts)
      where e.partner_id = ${tx.partnerId} and (${clientId}::uuid is null or e.client_id = ${clientId}::uuid)
        and e.occurred_at >= ${range.start} and e.occurred_at < ${range.end}
        and v.metric = ${metric} and v.counts and (${direction}::text is null or e.direction = ${direction}::text))
    select c.bin, sum(c.count)::bigint as count from counts c group by c.bin having sum(c.count) > 0`);
  return {
    count: bins.reduce((sum, bin) => sum + bin.count, 0),
    p50: quantile(bins, 0.5),
    p90: quantile(bins, 0.9),
    p95: quantile(bins, 0.95),
    p99: quantile(bins, 0.99),
    relativeError: RELATIVE_ERROR,
  };
}

/**
 * Mailboxes that got or sent at least one delivery in the period: exact. Clients whose days are those of the period's zone are read
 * from the days, others from the quarter hours.
 */
export async function distinctMailboxes(tx: TenantTx, clientId: string | null, period: LocalPeriod): Promise<number> {
  const range = interval(period);
  const reach = await readReach(tx);
  const row = await tx.one<{ mailboxes: number }>(sql`
    select count(*) as mailboxes
    from (select d.mailbox_id
          from rollup_mailbox_days d
          join rollup_zones z on z.partner_id = d.partner_id and z.client_id = d.client_id
          where d.partner_id = ${tx.partnerId} and (${clientId}::uuid is null or d.client_id = ${clientId}::uuid)
            and z.time_zone = ${period.zone} and d.day >= ${period.from}::date and d.day <= ${period.to}::date
          union
          select r.mailbox_id
          from rollup_mailboxes r
          left join rollup_zones z on z.partner_id = r.partner_id and z.client_id = r.client_id
          where r.partner_id = ${tx.partnerId} and (${clientId}::uuid is null or r.client_id = ${clientId}::uuid)
            and z.time_zone is distinct from ${period.zone} and r.bucket >= ${range.start} and r.bucket < ${range.end}
          union
          select e.mailbox_id
          from (
            select l.* from ledger l
            where ${reach.tail}::boolean
              and l.xid >= (select coalesce(max(s.cursor::text::bigint), 3)::text::xid8 from rollup_state s)
              and l.xid < pg_snapshot_xmax(pg_current_snapshot()) and l.partner_id = ${tx.partnerId}
              and l.occurred_at >= ${range.start} and l.occurred_at < ${range.end}
            offset 0) as e
          where e.partner_id = ${tx.partnerId} and (${clientId}::uuid is null or e.client_id = ${clientId}::uuid)
            and e.occurred_at >= ${range.start} and e.occurred_at < ${range.end}
            and e.kind in ('accepted', 'rejected') and e.mailbox_id is not null) as active`);
  return row.mailboxes;
}

export interface Distinct {
  readonly estimate: number;
  /** At three standard errors, as a part of the true number; 0 when exact. */
  readonly relativeError: number;
  readonly exact: boolean;
}

const FOLDS_MAX = 2_000;

/**
 * Envelope senders of inbound mail: exact while every one of the period is listed, else by HyperLogLog. Whether all are listed and
 * how many they are is one statement and so one moment, whatever the transaction: a day may be folded at any time. The registers may be
 * read one after the other, since whom both have counts once.
 */
export async function distinctSenders(tx: TenantTx, clientId: string | null, range: Interval): Promise<Distinct> {
  const reach = await readReach(tx);
  const { senders } = await tx.one<{ senders: number | null }>(sql`
    select case when not exists (
        select from rollup_folds f
        where f.partner_id = ${tx.partnerId} and (${clientId}::uuid is null or f.client_id = ${clientId}::uuid)
          and f.dimension = 'sender' and f.direction = 'inbound' and f.starts >= ${range.start} and f.starts < ${range.end}
          and f.bound > 0)
      then (
        select count(*)
        from (select r.sender from rollup_senders r
              where r.partner_id = ${tx.partnerId} and (${clientId}::uuid is null or r.client_id = ${clientId}::uuid)
                and r.direction = 'inbound' and r.bucket >= ${range.start} and r.bucket < ${range.end}
              union
              select e.sender
              from (
                select l.* from ledger l
                where ${reach.tail}::boolean
                  and l.xid >= (select coalesce(max(s.cursor::text::bigint), 3)::text::xid8 from rollup_state s)
                  and l.xid < pg_snapshot_xmax(pg_current_snapshot()) and l.partner_id = ${tx.partnerId}
                  and l.occurred_at >= ${range.start} and l.occurred_at < ${range.end}
                offset 0) as e
              where e.partner_id = ${tx.partnerId} and (${clientId}::uuid is null or e.client_id = ${clientId}::uuid)
                and e.occurred_at >= ${range.start} and e.occurred_at < ${range.end}
                and e.direction = 'inbound' and e.kind in ('accepted', 'rejected')
              union
              select unnest(f.items) from rollup_folds f
              where f.partner_id = ${tx.partnerId} and (${clientId}::uuid is null or f.client_id = ${clientId}::uuid)
                and f.dimension = 'sender' and f.direction = 'inbound' and f.starts >= ${range.start} and f.starts < ${range.end}) as s)
      end as senders`);
  if (senders !== null) return { estimate: senders, relativeError: 0, exact: true };
  const registers = await youngRegisters(tx, clientId, range, reach);
  await mergeFolds(tx, clientId, range, registers);
  return { estimate: estimate(registers), relativeError: DISTINCT_ERROR, exact: false };
}

/** The registers of the days that are not folded. */
async function youngRegisters(
  tx: TenantTx,
  clientId: string | null,
  range: Interval,
  reach: Reach,
): Promise<Uint8Array> {
  const registers = new Uint8Array(REGISTERS);
  const rows = await tx.rows<{ at: number; rank: number }>(sql`
    select hll_index(h.hash) as at, max(hll_rank(h.hash)) as rank
    from (select distinct hll_hash(r.sender) as hash from rollup_senders r
          where r.partner_id = ${tx.partnerId} and (${clientId}::uuid is null or r.client_id = ${clientId}::uuid)
            and r.direction = 'inbound' and r.bucket >= ${range.start} and r.bucket < ${range.end}
          union
          select hll_hash(e.sender)
          from (
            select l.* from ledger l
            where ${reach.tail}::boolean
              and l.xid >= (select coalesce(max(s.cursor::text::bigint), 3)::text::xid8 from rollup_state s)
              and l.xid < pg_snapshot_xmax(pg_current_snapshot()) and l.partner_id = ${tx.partnerId}
              and l.occurred_at >= ${range.start} and l.occurred_at < ${range.end}
            offset 0) as e
          where e.partner_id = ${tx.partnerId} and (${clientId}::uuid is null or e.client_id = ${clientId}::uuid)
            and e.occurred_at >= ${range.start} and e.occurred_at < ${range.end}
            and e.direction = 'inbound' and e.kind in ('accepted', 'rejected')) as h
    group by 1`);
  for (const { at, rank } of rows) raise(registers, at, rank);
  return registers;
}

/** Some thousand sets at a time: a partner's month may have more than fit into memory comfortably. */
async function mergeFolds(
  tx: TenantTx,
  clientId: string | null,
  range: Interval,
  registers: Uint8Array,
): Promise<void> {
  let after: { at: Date; client: string } | null = null;
  for (;;) {
    const rows: { starts: Date; client_id: string; registers: Uint8Array }[] = await tx.rows(sql`
      select f.starts, f.client_id, f.registers
      from rollup_folds f
      where f.partner_id = ${tx.partnerId} and (${clientId}::uuid is null or f.client_id = ${clientId}::uuid)
        and f.dimension = 'sender' and f.direction = 'inbound' and f.starts >= ${range.start} and f.starts < ${range.end}
        and (${after?.client ?? null}::uuid is null
             or (f.starts, f.client_id) > (${after?.at ?? null}::timestamptz, ${after?.client ?? null}::uuid))
      order by f.starts, f.client_id limit ${FOLDS_MAX}`);
    for (const row of rows) merge(registers, row.registers);
    const last = rows.at(-1);
    if (last === undefined || rows.length < FOLDS_MAX) return;
    after = { at: last.starts, client: last.client_id };
  }
}

export interface RankedWithin {
  readonly key: string;
  readonly deliveries: number;
  /** Of those, deliveries with any verdict but clean and bulk. */
  readonly unwanted: number;
  /** The item may have had so many deliveries more: the sum of the bounds of the days on which it is not listed. */
  readonly maxError: number;
}

/** Envelope senders of inbound mail by deliveries; the null sender is the empty key. */
export async function topSenders(
  tx: TenantTx,
  clientId: string | null,
  range: Interval,
  limit: number,
): Promise<RankedWithin[]> {
  const reach = await readReach(tx);
  return tx.rows<RankedWithin>(sql`
    with folds as materialized (
      select f.* from rollup_folds f
      where f.partner_id = ${tx.partnerId} and (${clientId}::uuid is null or f.client_id = ${clientId}::uuid)
        and f.dimension = 'sender' and f.direction = 'inbound' and f.starts >= ${range.start} and f.starts < ${range.end}),
    counted as (
      select r.sender as item, r.deliveries, case when r.verdict in ('clean', 'bulk') then 0 else r.deliveries end as unwanted,
             0 as bound
      from rollup_senders r
      where r.partner_id = ${tx.partnerId} and (${clientId}::uuid is null or r.client_id = ${clientId}::uuid)
        and r.direction = 'inbound' and r.bucket >= ${range.start} and r.bucket < ${range.end}
      union all
      select e.sender, 1, case when e.verdict in ('clean', 'bulk') then 0 else 1 end, 0
      from (
        select l.* from ledger l
        where ${reach.tail}::boolean
          and l.xid >= (select coalesce(max(s.cursor::text::bigint), 3)::text::xid8 from rollup_state s)
          and l.xid < pg_snapshot_xmax(pg_current_snapshot()) and l.partner_id = ${tx.partnerId}
          and l.occurred_at >= ${range.start} and l.occurred_at < ${range.end}
        offset 0) as e
      where e.partner_id = ${tx.partnerId} and (${clientId}::uuid is null or e.client_id = ${clientId}::uuid)
        and e.occurred_at >= ${range.start} and e.occurred_at < ${range.end}
        and e.direction = 'inbound' and e.kind in ('accepted', 'rejected')
      union all
      select u.item, u.deliveries, u.unwanted, f.bound
      from folds f cross join lateral unnest(f.items, f.deliveries, f.unwanted) as u (item, deliveries, unwanted))
    select c.item as key, sum(c.deliveries)::bigint as deliveries, sum(c.unwanted)::bigint as unwanted,
           ((select coalesce(sum(f.bound), 0) from folds f) - sum(c.bound))::bigint as "maxError"
    from counted c group by c.item order by deliveries desc, key limit ${limit}`);
}

/** Attachment types or subjects of inbound mail by deliveries. */
export async function topItems(
  tx: TenantTx,
  dimension: 'attachment_type' | 'subject',
  clientId: string | null,
  range: Interval,
  limit: number,
): Promise<RankedWithin[]> {
  const reach = await readReach(tx);
  return tx.rows<RankedWithin>(sql`
    with folds as materialized (
      select f.* from rollup_folds f
      where f.partner_id = ${tx.partnerId} and (${clientId}::uuid is null or f.client_id = ${clientId}::uuid)
        and f.dimension = ${dimension} and f.direction = 'inbound' and f.starts >= ${range.start} and f.starts < ${range.end}),
    counted as (
      select r.item, r.deliveries, r.unwanted, 0 as bound
      from rollup_items r
      where r.partner_id = ${tx.partnerId} and (${clientId}::uuid is null or r.client_id = ${clientId}::uuid)
        and r.dimension = ${dimension} and r.direction = 'inbound' and r.bucket >= ${range.start} and r.bucket < ${range.end}
      union all
      select i.item, 1, case when e.verdict in ('clean', 'bulk') then 0 else 1 end, 0
      from (
        select l.* from ledger l
        where ${reach.tail}::boolean
          and l.xid >= (select coalesce(max(s.cursor::text::bigint), 3)::text::xid8 from rollup_state s)
          and l.xid < pg_snapshot_xmax(pg_current_snapshot()) and l.partner_id = ${tx.partnerId}
          and l.occurred_at >= ${range.start} and l.occurred_at < ${range.end}
        offset 0) as e
      join messages m on m.partner_id = e.partner_id and m.id = e.message_id
      cross join lateral message_items(m.attachments, m.campaign, coalesce(e.verdict, '')) as i
      where e.partner_id = ${tx.partnerId} and (${clientId}::uuid is null or e.client_id = ${clientId}::uuid)
        and e.occurred_at >= ${range.start} and e.occurred_at < ${range.end}
        and e.direction = 'inbound' and e.kind in ('accepted', 'rejected') and i.dimension = ${dimension}
      union all
      select u.item, u.deliveries, u.unwanted, f.bound
      from folds f cross join lateral unnest(f.items, f.deliveries, f.unwanted) as u (item, deliveries, unwanted))
    select c.item as key, sum(c.deliveries)::bigint as deliveries, sum(c.unwanted)::bigint as unwanted,
           ((select coalesce(sum(f.bound), 0) from folds f) - sum(c.bound))::bigint as "maxError"
    from counted c group by c.item order by deliveries desc, key limit ${limit}`);
}

/** Sums of one domain or one direction. */
export interface GroupCount {
  readonly key: string;
  readonly deliveries: number;
  /** Each counted once in its group. */
  readonly messages: number;
  readonly bytes: number;
  readonly unwanted: number;
}

/** Protected domains by deliveries, both directions together. */
export async function byDomain(
  tx: TenantTx,
  clientId: string | null,
  range: Interval,
  limit: number,
): Promise<Omit<GroupCount, 'bytes'>[]> {
  const reach = await readReach(tx);
  return tx.rows(sql`
    with counts as (
      select r.domain, r.verdict, r.deliveries, r.domain_messages as messages
      from rollup_traffic r
      where r.partner_id = ${tx.partnerId} and (${clientId}::uuid is null or r.client_id = ${clientId}::uuid)
        and r.kind in ('accepted', 'rejected') and r.bucket >= ${range.start} and r.bucket < ${range.end}
      union all
      select e.domain, coalesce(e.verdict, ''), 1, case when e.leads & 4 <> 0 then 1 else 0 end
      from (
        select l.* from ledger l
        where ${reach.tail}::boolean
          and l.xid >= (select coalesce(max(s.cursor::text::bigint), 3)::text::xid8 from rollup_state s)
          and l.xid < pg_snapshot_xmax(pg_current_snapshot()) and l.partner_id = ${tx.partnerId}
          and l.occurred_at >= ${range.start} and l.occurred_at < ${range.end}
        offset 0) as e
      where e.partner_id = ${tx.partnerId} and (${clientId}::uuid is null or e.client_id = ${clientId}::uuid)
        and e.occurred_at >= ${range.start} and e.occurred_at < ${range.end}
        and e.kind in ('accepted', 'rejected'))
    select c.domain as key, sum(c.deliveries)::bigint as deliveries, sum(c.messages)::bigint as messages,
           coalesce(sum(c.deliveries) filter (where c.verdict not in ('clean', 'bulk')), 0)::bigint as unwanted
    from counts c group by c.domain order by deliveries desc, key limit ${limit}`);
}

/** Inbound and outbound, those that occurred. */
export async function byDirection(tx: TenantTx, clientId: string | null, range: Interval): Promise<GroupCount[]> {
  const reach = await readReach(tx);
  return tx.rows<GroupCount>(sql`
    with counts as (
      select r.direction, r.verdict, r.deliveries,
             case when ${clientId}::uuid is null then r.partner_messages else r.messages end as messages,
             case when ${clientId}::uuid is null then r.partner_bytes else r.bytes end as bytes
      from rollup_traffic r
      where r.partner_id = ${tx.partnerId} and (${clientId}::uuid is null or r.client_id = ${clientId}::uuid)
        and r.kind in ('accepted', 'rejected') and r.bucket >= ${range.start} and r.bucket < ${range.end}
      union all
      select e.direction, coalesce(e.verdict, ''), 1, case when l.leads then 1 else 0 end, case when l.leads then e.bytes else 0 end
      from (
        select l.* from ledger l
        where ${reach.tail}::boolean
          and l.xid >= (select coalesce(max(s.cursor::text::bigint), 3)::text::xid8 from rollup_state s)
          and l.xid < pg_snapshot_xmax(pg_current_snapshot()) and l.partner_id = ${tx.partnerId}
          and l.occurred_at >= ${range.start} and l.occurred_at < ${range.end}
        offset 0) as e
      cross join lateral (select e.leads & case when ${clientId}::uuid is null then 1 else 2 end <> 0) as l (leads)
      where e.partner_id = ${tx.partnerId} and (${clientId}::uuid is null or e.client_id = ${clientId}::uuid)
        and e.occurred_at >= ${range.start} and e.occurred_at < ${range.end}
        and e.kind in ('accepted', 'rejected'))
    select c.direction as key, sum(c.deliveries)::bigint as deliveries, sum(c.messages)::bigint as messages,
           sum(c.bytes)::bigint as bytes,
           coalesce(sum(c.deliveries) filter (where c.verdict not in ('clean', 'bulk')), 0)::bigint as unwanted
    from counts c group by c.direction order by c.direction`);
}

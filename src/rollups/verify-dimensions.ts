import { BIN_STARTS } from '../core/sketch.ts';
import type { SystemTx } from '../db/db.ts';
import { sql } from '../db/sql.ts';
import { allDates, datesOf, zoneKeys } from './days.ts';
import { ITEMS_KEPT, SENDERS_KEPT } from './fold.ts';
import type { Found } from './verify.ts';
import { zoneTable } from './zones.ts';

const SHOWN = 100;
const DATES_MAX = 7;

interface Part {
  readonly from: Date;
  readonly to: Date;
  readonly clients: readonly string[] | null;
}

export async function compareSketches(tx: SystemTx, { from, to, clients }: Part): Promise<Found[]> {
  return tx.rows<Found>(sql`
    with floor as (select coalesce((select f.whole_from from retention_floor f), '-infinity') as at),
    counted as (
      select e.partner_id, e.client_id, date_bin('15 minutes', e.occurred_at, timestamptz '2000-01-01 00:00Z') as bucket,
             jsonb_build_array(e.direction, v.metric, width_bucket(v.value, ${BIN_STARTS}::bigint[]) - 1) as grp,
             count(*) as n, count(*) filter (where v.partners) as partners
      from ledger e
      cross join lateral (values
        ('delivery_ms', e.latency_ms,
         e.kind = 'delivered' and e.disposition is distinct from 'released' and e.latency_ms is not null, true),
        ('bytes', e.bytes, e.leads & 2 <> 0, e.leads & 1 <> 0)) as v (metric, value, counts, partners)
      where e.xid < (select s.cursor from rollup_state s) and v.counts
        and e.occurred_at >= ${from} and e.occurred_at < ${to} and e.occurred_at >= (select f.at from floor f)
        and (${clients}::uuid[] is null or e.client_id = any(${clients}::uuid[]))
      group by 1, 2, 3, 4),
    kept as (
      select r.partner_id, r.client_id, r.bucket, jsonb_build_array(r.direction, r.metric, r.bin) as grp, r.count as n,
             r.partner_count as partners
      from rollup_sketches r
      where r.bucket >= ${from} and r.bucket < ${to} and r.bucket >= (select f.at from floor f)
        and (${clients}::uuid[] is null or r.client_id = any(${clients}::uuid[]))),
    joined as materialized (
      select partner_id, client_id, bucket, grp, c.n as n1, k.n as n2, c.partners as p1, k.partners as p2
      from counted c full join kept k using (partner_id, client_id, bucket, grp)),
    differing as (
      select j.partner_id, j.client_id, j.bucket, j.grp, x.measure, coalesce(x.ledger, 0) as ledger, coalesce(x.rollup, 0) as rollup
      from joined j
      cross join lateral (values ('count', j.n1, j.n2), ('partner_count', j.p1, j.p2)) as x (measure, ledger, rollup)
      where coalesce(x.ledger, 0) <> coalesce(x.rollup, 0)
      order by j.bucket limit ${SHOWN})
    select t.groups, d.partner_id as "partnerId", d.client_id as "clientId", d.bucket, d.grp::text as "group", d.measure,
           d.ledger, d.rollup
    from (select count(*) as groups from joined) t left join differing d on true`);
}

/** Attachment types and subjects that are not folded. */
export async function compareItems(tx: SystemTx, { from, to, clients }: Part): Promise<Found[]> {
  return tx.rows<Found>(sql`
    with floor as (select coalesce((select f.whole_from from retention_floor f), '-infinity') as at),
    counted as (
      select e.partner_id, e.client_id, date_bin('15 minutes', e.occurred_at, timestamptz '2000-01-01 00:00Z') as bucket,
             jsonb_build_array(i.dimension, e.direction, i.item) as grp, count(*) as n,
             count(*) filter (where coalesce(e.verdict, '') not in ('clean', 'bulk')) as unwanted,
             count(*) filter (where e.leads & 2 <> 0) as messages
      from ledger e
      join messages m on m.partner_id = e.partner_id and m.id = e.message_id
      cross join lateral message_items(m.attachments, m.campaign, coalesce(e.verdict, '')) as i
      where e.xid < (select s.cursor from rollup_state s) and e.kind in ('accepted', 'rejected')
        and e.occurred_at >= ${from} and e.occurred_at < ${to} and e.occurred_at >= (select f.at from floor f)
        and (${clients}::uuid[] is null or e.client_id = any(${clients}::uuid[]))
        and not exists (select from rollup_folds f
                        where f.partner_id = e.partner_id and f.client_id = e.client_id and f.dimension = i.dimension
                          and f.direction = e.direction and f.starts <= e.occurred_at and f.ends > e.occurred_at
                          and f.starts < ${to} and f.ends > ${from} and f.starts > ${from}::timestamptz - interval '3 days')
      group by 1, 2, 3, 4),
    kept as (
      select r.partner_id, r.client_id, r.bucket, jsonb_build_array(r.dimension, r.direction, r.item) as grp, r.deliveries as n,
             r.unwanted, r.messages
      from rollup_items r
      where r.bucket >= ${from} and r.bucket < ${to} and r.bucket >= (select f.at from floor f)
        and (${clients}::uuid[] is null or r.client_id = any(${clients}::uuid[]))),
    joined as materialized (
      select partner_id, client_id, bucket, grp, c.n as n1, k.n as n2, c.unwanted as u1, k.unwanted as u2, c.messages as m1,
             k.messages as m2
      from counted c full join kept k using (partner_id, client_id, bucket, grp)),
    differing as (
      select j.partner_id, j.client_id, j.bucket, j.grp, x.measure, coalesce(x.ledger, 0) as ledger, coalesce(x.rollup, 0) as rollup
      from joined j
      cross join lateral (values ('deliveries', j.n1, j.n2), ('unwanted', j.u1, j.u2), ('messages', j.m1, j.m2))
        as x (measure, ledger, rollup)
      where coalesce(x.ledger, 0) <> coalesce(x.rollup, 0)
      order by j.bucket limit ${SHOWN})
    select t.groups, d.partner_id as "partnerId", d.client_id as "clientId", d.bucket, d.grp::text as "group", d.measure,
           d.ledger, d.rollup
    from (select count(*) as groups from joined) t left join differing d on true`);
}

/** Folds that start in this time, with the ledger folded: listed items by their counts, the rest, the bound, the registers. */
export async function compareFolds(tx: SystemTx, { from, to, clients }: Part): Promise<Found[]> {
  return tx.rows<Found>(sql`
    with pairs as materialized (
      select f.partner_id, f.client_id, f.starts as bucket, jsonb_build_array(f.dimension, f.direction) as grp, f as kept, c as counted,
             (c.items, c.deliveries, c.unwanted, c.messages) is distinct from (f.items, f.deliveries, f.unwanted, f.messages) as listed,
             c.registers is distinct from f.registers as registered
      from rollup_folds f
      cross join lateral fold_of(f.partner_id, f.client_id, f.dimension, f.direction, f.starts, f.ends,
                                 (select s.cursor from rollup_state s),
                                 case when f.dimension = 'sender' then ${SENDERS_KEPT}::integer else ${ITEMS_KEPT}::integer end) as c
      where f.starts >= ${from} and f.starts < ${to}
        and f.starts >= coalesce((select w.whole_from from retention_floor w), '-infinity')
        and (${clients}::uuid[] is null or f.client_id = any(${clients}::uuid[]))),
    differing as (
      select p.partner_id, p.client_id, p.bucket, p.grp || to_jsonb(array_remove(array[x.item], null)) as grp, x.measure, x.ledger, x.rollup
      from pairs p
      cross join lateral (
        select null as item, 'rest_deliveries' as measure, (p.counted).rest_deliveries as ledger, (p.kept).rest_deliveries as rollup
        union all select null, 'rest_unwanted', (p.counted).rest_unwanted, (p.kept).rest_unwanted
        union all select null, 'rest_messages', (p.counted).rest_messages, (p.kept).rest_messages
        union all select null, 'bound', (p.counted).bound, (p.kept).bound
        -- A set has no number: 1 is as it should be.
        union all select null, 'registers', 1, 0 where p.registered
        union all
        select item, v.measure, coalesce(v.ledger, 0), coalesce(v.rollup, 0)
        from unnest((p.counted).items, (p.counted).deliveries, (p.counted).unwanted, (p.counted).messages) as n (item, d, u, m)
        full join unnest((p.kept).items, (p.kept).deliveries, (p.kept).unwanted, (p.kept).messages) as o (item, d, u, m) using (item)
        cross join lateral (values ('deliveries', n.d, o.d), ('unwanted', n.u, o.u), ('messages', n.m, o.m)) as v (measure, ledger, rollup)
        where p.listed) as x
      where x.ledger <> x.rollup
      order by p.bucket limit ${SHOWN})
    select t.groups, d.partner_id as "partnerId", d.client_id as "clientId", d.bucket, d.grp::text as "group", d.measure,
           d.ledger, d.rollup
    from (select count(*) as groups from pairs) t left join differing d on true`);
}

interface Range {
  readonly from: Date | null;
  readonly to: Date | null;
  readonly clients: readonly string[] | null;
}

/** Compares the mailboxes of each day with the quarter hours that they are made of. */
export async function compareMailboxDays(
  tx: SystemTx,
  { from, to, clients }: Range,
  take: (table: 'mailbox_days', rows: readonly Found[]) => void,
): Promise<void> {
  const all = await zoneKeys(tx);
  const keys = clients === null ? all : all.filter((key) => clients.includes(key.client_id));
  const dates = clients === null ? await allDates(tx, { from, to }) : await datesOf(tx, keys, { from, to });
  for (let at = 0; at < dates.length; at += DATES_MAX) {
    const some = dates.slice(at, at + DATES_MAX);
    const zones = zoneTable([...new Set(keys.map((key) => key.zone))], some);
    take(
      'mailbox_days',
      await tx.rows<Found>(sql`
        with zones as materialized (
          select z.zone, z.starts::timestamptz[] as starts, z.days::date[] as days
          from unnest(${zones.zones}::text[], ${zones.starts}::text[], ${zones.days}::text[]) as z (zone, starts, days)),
        keys as materialized (
          select k.partner_id, k.client_id, z.starts, z.days
          from unnest(${keys.map((key) => key.partner_id)}::uuid[], ${keys.map((key) => key.client_id)}::uuid[],
                      ${keys.map((key) => key.zone)}::text[]) as k (partner_id, client_id, zone)
          join rollup_zones c on c.partner_id = k.partner_id and c.client_id = k.client_id and c.time_zone = k.zone
          join zones z on z.zone = k.zone),
        counted as (
          select g.partner_id, g.client_id, g.day, g.mailbox_id,
                 coalesce(sum(g.deliveries) filter (where g.direction = 'inbound'), 0)::bigint as received,
                 coalesce(sum(g.deliveries) filter (where g.direction = 'inbound' and g.verdict not in ('clean', 'bulk')), 0)::bigint as unwanted,
                 coalesce(sum(g.deliveries) filter (where g.direction = 'outbound'), 0)::bigint as sent
          from (select r.*, k.days[width_bucket(r.bucket, k.starts)] as day
                from rollup_mailboxes r join keys k using (partner_id, client_id)
                where r.bucket >= ${zones.from} and r.bucket < ${zones.to}) as g
          where g.day is not null
          group by 1, 2, 3, 4),
        kept as (select r.* from rollup_mailbox_days r join keys k using (partner_id, client_id) where r.day = any(${some}::date[])),
        joined as materialized (
          select partner_id, client_id, day, mailbox_id, c.received as r1, k.received as r2, c.unwanted as u1, k.unwanted as u2,
                 c.sent as s1, k.sent as s2
          from counted c full join kept k using (partner_id, client_id, day, mailbox_id)),
        differing as (
          select j.partner_id, j.client_id, w.starts[array_position(w.days, j.day)] as bucket, j.mailbox_id, x.measure,
                 coalesce(x.ledger, 0) as ledger, coalesce(x.rollup, 0) as rollup
          from joined j
          join keys w using (partner_id, client_id)
          cross join lateral (values ('received', j.r1, j.r2), ('unwanted', j.u1, j.u2), ('sent', j.s1, j.s2))
            as x (measure, ledger, rollup)
          where coalesce(x.ledger, 0) <> coalesce(x.rollup, 0)
          order by j.day limit ${SHOWN})
        select t.groups, d.partner_id as "partnerId", d.client_id as "clientId", d.bucket,
               jsonb_build_array(d.mailbox_id)::text as "group", d.measure, d.ledger, d.rollup
        from (select count(*) as groups from joined) t left join differing d on true`),
    );
  }
}

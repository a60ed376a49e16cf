import { BIN_STARTS } from '../core/sketch.ts';
import type { SystemTx } from '../db/db.ts';
import { sql } from '../db/sql.ts';
import { allDates, datesOf, type ZoneKey, zoneKeys } from './days.ts';
import type { BucketKey, ChangedBucket, Counting } from './recompute.ts';
import { zoneTable } from './zones.ts';

const DATES_MAX = 31;

/** Counts sketches, attachment types and subjects of a stretch of time anew and writes what differs (see recompute.ts). */
export async function mendDimensions(tx: SystemTx, counting: Counting): Promise<BucketKey[]> {
  return [...(await mendSketches(tx, counting)), ...(await mendItems(tx, counting))];
}

async function mendSketches(tx: SystemTx, { from, to, below }: Counting): Promise<BucketKey[]> {
  return tx.rows<BucketKey>(sql`
    with counted as materialized (
      select e.partner_id, e.client_id, date_bin('15 minutes', e.occurred_at, timestamptz '2000-01-01 00:00Z') as bucket,
             e.direction, v.metric, (width_bucket(v.value, ${BIN_STARTS}::bigint[]) - 1)::smallint as bin, count(*) as count,
             count(*) filter (where v.partners) as partner_count
      from ledger e
      cross join lateral (values
        ('delivery_ms', e.latency_ms,
         e.kind = 'delivered' and e.disposition is distinct from 'released' and e.latency_ms is not null, true),
        ('bytes', e.bytes, e.leads & 2 <> 0, e.leads & 1 <> 0)) as v (metric, value, counts, partners)
      where e.occurred_at >= ${from} and e.occurred_at < ${to} and e.xid < ${below}::xid8 and v.counts
      group by 1, 2, 3, 4, 5, 6),
    kept as materialized (select r.* from rollup_sketches r where r.bucket >= ${from} and r.bucket < ${to}),
    gone as (
      delete from rollup_sketches r
      using (select k.* from kept k left join counted c using (partner_id, client_id, bucket, direction, metric, bin)
             where c.partner_id is null) as g
      where r.partner_id = g.partner_id and r.client_id = g.client_id and r.bucket = g.bucket and r.direction = g.direction
        and r.metric = g.metric and r.bin = g.bin
      returning r.partner_id, r.client_id, r.bucket),
    mended as (
      insert into rollup_sketches as r (partner_id, client_id, bucket, direction, metric, bin, count, partner_count)
      select c.* from counted c left join kept k using (partner_id, client_id, bucket, direction, metric, bin)
      where (k.count, k.partner_count) is distinct from (c.count, c.partner_count)
      order by c.partner_id, c.client_id, c.bucket
      on conflict (partner_id, client_id, bucket, direction, metric, bin) do update
      set count = excluded.count, partner_count = excluded.partner_count
      returning r.partner_id, r.client_id, r.bucket)
    select partner_id, client_id, bucket from gone union select partner_id, client_id, bucket from mended`);
}

/** Without what is folded: that is mended whole (fold.ts). */
async function mendItems(tx: SystemTx, { from, to, below }: Counting): Promise<BucketKey[]> {
  return tx.rows<BucketKey>(sql`
    with counted as materialized (
      select e.partner_id, e.client_id, date_bin('15 minutes', e.occurred_at, timestamptz '2000-01-01 00:00Z') as bucket,
             i.dimension, e.direction, i.item, count(*) as deliveries,
             count(*) filter (where coalesce(e.verdict, '') not in ('clean', 'bulk')) as unwanted,
             count(*) filter (where e.leads & 2 <> 0) as messages
      from ledger e
      join messages m on m.partner_id = e.partner_id and m.id = e.message_id
      cross join lateral message_items(m.attachments, m.campaign, coalesce(e.verdict, '')) as i
      where e.occurred_at >= ${from} and e.occurred_at < ${to} and e.xid < ${below}::xid8 and e.kind in ('accepted', 'rejected')
        and not exists (select from rollup_folds f
                        where f.partner_id = e.partner_id and f.client_id = e.client_id and f.dimension = i.dimension
                          and f.direction = e.direction and f.starts <= e.occurred_at and f.ends > e.occurred_at
                          and f.starts < ${to} and f.ends > ${from} and f.starts > ${from}::timestamptz - interval '3 days')
      group by 1, 2, 3, 4, 5, 6),
    kept as materialized (select r.* from rollup_items r where r.bucket >= ${from} and r.bucket < ${to}),
    gone as (
      delete from rollup_items r
      using (select k.* from kept k left join counted c using (partner_id, client_id, bucket, dimension, direction, item)
             where c.partner_id is null) as g
      where r.partner_id = g.partner_id and r.client_id = g.client_id and r.bucket = g.bucket and r.dimension = g.dimension
        and r.direction = g.direction and r.item = g.item
      returning r.partner_id, r.client_id, r.bucket),
    mended as (
      insert into rollup_items as r (partner_id, client_id, bucket, dimension, direction, item, deliveries, unwanted, messages)
      select c.* from counted c left join kept k using (partner_id, client_id, bucket, dimension, direction, item)
      where (k.deliveries, k.unwanted, k.messages) is distinct from (c.deliveries, c.unwanted, c.messages)
      order by c.partner_id, c.client_id, c.bucket
      on conflict (partner_id, client_id, bucket, dimension, direction, item) do update
      set deliveries = excluded.deliveries, unwanted = excluded.unwanted, messages = excluded.messages
      returning r.partner_id, r.client_id, r.bucket)
    select partner_id, client_id, bucket from gone union select partner_id, client_id, bucket from mended`);
}

/**
 * Counts the mailboxes of each day anew from rollup_mailboxes and writes what differs: of these clients, or of all. Answers with the
 * first moments of the days that got other numbers.
 */
export async function mendMailboxDays(tx: SystemTx, given?: readonly ZoneKey[]): Promise<ChangedBucket[]> {
  const keys = given ?? (await zoneKeys(tx));
  if (keys.length === 0) return [];
  const dates = given === undefined ? await allDates(tx) : await datesOf(tx, keys);
  const changed: ChangedBucket[] = [];
  for (let at = 0; at < dates.length; at += DATES_MAX) {
    changed.push(...(await mendSome(tx, keys, dates.slice(at, at + DATES_MAX))));
  }
  return changed;
}

async function mendSome(tx: SystemTx, keys: readonly ZoneKey[], dates: readonly string[]): Promise<ChangedBucket[]> {
  const zones = zoneTable([...new Set(keys.map((key) => key.zone))], dates);
  return tx.rows<ChangedBucket>(sql`
    with zones as materialized (
      select z.zone, z.starts::timestamptz[] as starts, z.days::date[] as days
      from unnest(${zones.zones}::text[], ${zones.starts}::text[], ${zones.days}::text[]) as z (zone, starts, days)),
    keys as materialized (
      select k.partner_id, k.client_id, z.starts, z.days
      from unnest(${keys.map((key) => key.partner_id)}::uuid[], ${keys.map((key) => key.client_id)}::uuid[],
                  ${keys.map((key) => key.zone)}::text[]) as k (partner_id, client_id, zone)
      join zones z on z.zone = k.zone),
    counted as materialized (
      select g.partner_id, g.client_id, g.day, g.mailbox_id,
             coalesce(sum(g.deliveries) filter (where g.direction = 'inbound'), 0)::bigint as received,
             coalesce(sum(g.deliveries) filter (where g.direction = 'inbound' and g.verdict not in ('clean', 'bulk')), 0)::bigint as unwanted,
             coalesce(sum(g.deliveries) filter (where g.direction = 'outbound'), 0)::bigint as sent
      from (select r.*, k.days[width_bucket(r.bucket, k.starts)] as day
            from rollup_mailboxes r join keys k using (partner_id, client_id)
            where r.bucket >= ${zones.from} and r.bucket < ${zones.to}) as g
      where g.day is not null
      group by 1, 2, 3, 4),
    kept as materialized (
      select r.* from rollup_mailbox_days r join keys k using (partner_id, client_id) where r.day = any(${dates}::date[])),
    gone as (
      delete from rollup_mailbox_days r
      using (select k.* from kept k left join counted c using (partner_id, client_id, day, mailbox_id) where c.partner_id is null) as g
      where r.partner_id = g.partner_id and r.client_id = g.client_id and r.day = g.day and r.mailbox_id = g.mailbox_id
      returning r.partner_id, r.client_id, r.day),
    mended as (
      insert into rollup_mailbox_days as r
      select c.* from counted c left join kept k using (partner_id, client_id, day, mailbox_id)
      where k is distinct from c
      order by c.partner_id, c.client_id, c.day
      on conflict (partner_id, client_id, day, mailbox_id) do update
      set received = excluded.received, unwanted = excluded.unwanted, sent = excluded.sent
      returning r.partner_id, r.client_id, r.day)
    select m.partner_id, m.client_id, k.starts[array_position(k.days, m.day)] as bucket, 0 as events
    from (select * from gone union select * from mended) as m join keys k using (partner_id, client_id)`);
}

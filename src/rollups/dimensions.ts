import { BIN_STARTS } from '../core/sketch.ts';
import type { SystemTx } from '../db/db.ts';
import { sql } from '../db/sql.ts';
import type { Absorbing, Slice } from './absorb.ts';
import { datesAround, zoneTable } from './zones.ts';

/**
 * Adds the events of a slice to the sketches, the mailboxes of each day, and the attachment types and subjects: the same bargain as
 * `absorb`, which does it for the rest.
 */
export async function absorbDimensions(tx: SystemTx, slice: Slice, { before }: Absorbing): Promise<void> {
  await addSketches(tx, slice, before);
  await addMailboxDays(tx, slice, before);
  await addItems(tx, slice, before);
}

/**
 * `delivery_ms`: from acceptance to delivery, the pauses between tries included. Without what people let out of a quarantine: it is
 * they who took the time. `bytes`: each message once.
 */
async function addSketches(tx: SystemTx, slice: Slice, before: Date | null): Promise<void> {
  await tx.run(sql`
    insert into rollup_sketches as r (partner_id, client_id, bucket, direction, metric, bin, count, partner_count)
    select e.partner_id, e.client_id, date_bin('15 minutes', e.occurred_at, timestamptz '2000-01-01 00:00Z'), e.direction, v.metric,
           (width_bucket(v.value, ${BIN_STARTS}::bigint[]) - 1)::smallint, count(*), count(*) filter (where v.partners)
    from ledger e
    cross join lateral (values
      ('delivery_ms', e.latency_ms,
       e.kind = 'delivered' and e.disposition is distinct from 'released' and e.latency_ms is not null, true),
      ('bytes', e.bytes, e.leads & 2 <> 0, e.leads & 1 <> 0)) as v (metric, value, counts, partners)
    where e.xid >= ${slice.from}::xid8 and e.xid < ${slice.to}::xid8
      and (${before}::timestamptz is null or e.occurred_at < ${before}::timestamptz) and v.counts
    group by 1, 2, 3, 4, 5, 6 order by 1, 2, 3
    on conflict (partner_id, client_id, bucket, direction, metric, bin) do update
    set count = r.count + excluded.count, partner_count = r.partner_count + excluded.partner_count`);
}

async function addMailboxDays(tx: SystemTx, slice: Slice, before: Date | null): Promise<void> {
  const known = await tx.rows<{ zone: string }>(sql`select distinct z.time_zone as zone from rollup_zones z`);
  const zones = zoneTable(
    known.map((row) => row.zone),
    datesAround(slice.days),
  );
  await tx.run(sql`
    with zones as materialized (
      select z.zone, z.starts::timestamptz[] as starts, z.days::date[] as days
      from unnest(${zones.zones}::text[], ${zones.starts}::text[], ${zones.days}::text[]) as z (zone, starts, days)),
    counted as (
      select e.partner_id, e.client_id, z.days[width_bucket(e.occurred_at, z.starts)] as day, e.mailbox_id,
             count(*) filter (where e.direction = 'inbound') as received,
             count(*) filter (where e.direction = 'inbound' and coalesce(e.verdict, '') not in ('clean', 'bulk')) as unwanted,
             count(*) filter (where e.direction = 'outbound') as sent
      from ledger e
      join rollup_zones c on c.partner_id = e.partner_id and c.client_id = e.client_id
      join zones z on z.zone = c.time_zone
      where e.xid >= ${slice.from}::xid8 and e.xid < ${slice.to}::xid8
        and (${before}::timestamptz is null or e.occurred_at < ${before}::timestamptz)
        and e.kind in ('accepted', 'rejected') and e.mailbox_id is not null
      group by 1, 2, 3, 4)
    insert into rollup_mailbox_days as r (partner_id, client_id, day, mailbox_id, received, unwanted, sent)
    select * from counted n where n.day is not null order by n.partner_id, n.client_id, n.day
    on conflict (partner_id, client_id, day, mailbox_id) do update
    set received = r.received + excluded.received, unwanted = r.unwanted + excluded.unwanted, sent = r.sent + excluded.sent`);
}

async function addItems(tx: SystemTx, slice: Slice, before: Date | null): Promise<void> {
  await tx.run(sql`
    insert into rollup_items as r (partner_id, client_id, bucket, dimension, direction, item, deliveries, unwanted, messages)
    select e.partner_id, e.client_id, date_bin('15 minutes', e.occurred_at, timestamptz '2000-01-01 00:00Z'), i.dimension,
           e.direction, i.item, count(*), count(*) filter (where coalesce(e.verdict, '') not in ('clean', 'bulk')),
           count(*) filter (where e.leads & 2 <> 0)
    from ledger e
    join messages m on m.partner_id = e.partner_id and m.id = e.message_id
    cross join lateral message_items(m.attachments, m.campaign, coalesce(e.verdict, '')) as i
    where e.xid >= ${slice.from}::xid8 and e.xid < ${slice.to}::xid8
      and (${before}::timestamptz is null or e.occurred_at < ${before}::timestamptz) and e.kind in ('accepted', 'rejected')
    group by 1, 2, 3, 4, 5, 6 order by 1, 2, 3
    on conflict (partner_id, client_id, bucket, dimension, direction, item) do update
    set deliveries = r.deliveries + excluded.deliveries, unwanted = r.unwanted + excluded.unwanted,
        messages = r.messages + excluded.messages`);
}

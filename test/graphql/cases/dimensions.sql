select c.id, c.partner_id, c.name, c.time_zone, c.status, c.created_at
from clients c
where c.partner_id = $1 and c.id = any($2::uuid[]);

select case when not exists (
  select
  from rollup_folds f
  where f.partner_id = $1 and ($2::uuid is null or f.client_id = $3::uuid) and f.dimension = 'sender' and f.direction =
    'inbound' and f.starts >= $4 and f.starts < $5 and f.bound > 0) then (
  select count(*)
  from (select r.sender
    from rollup_senders r
    where r.partner_id = $6 and ($7::uuid is null or r.client_id = $8::uuid) and r.direction = 'inbound' and r.bucket >=
      $9 and r.bucket < $10
    union
    select e.sender
    from (
      select l.*
      from ledger l
      where $11::boolean and l.xid >= (select coalesce(max(s.cursor::text::bigint), 3)::text::xid8
        from rollup_state s) and l.xid < pg_snapshot_xmax(pg_current_snapshot()) and l.partner_id = $12 and
        l.occurred_at >= $13 and l.occurred_at < $14
      offset 0) as e
    where e.partner_id = $15 and ($16::uuid is null or e.client_id = $17::uuid) and e.occurred_at >= $18 and
      e.occurred_at < $19 and e.direction = 'inbound' and e.kind in ('accepted', 'rejected')
    union
    select unnest(f.items)
    from rollup_folds f
    where f.partner_id = $20 and ($21::uuid is null or f.client_id = $22::uuid) and f.dimension = 'sender' and
      f.direction = 'inbound' and f.starts >= $23 and f.starts < $24) as s) end as senders;

select count(*) as mailboxes
from (select d.mailbox_id
  from rollup_mailbox_days d
  join rollup_zones z on z.partner_id = d.partner_id and z.client_id = d.client_id
  where d.partner_id = $1 and ($2::uuid is null or d.client_id = $3::uuid) and z.time_zone = $4 and d.day >= $5::date
    and d.day <= $6::date
  union
  select r.mailbox_id
  from rollup_mailboxes r
  left join rollup_zones z on z.partner_id = r.partner_id and z.client_id = r.client_id
  where r.partner_id = $7 and ($8::uuid is null or r.client_id = $9::uuid) and z.time_zone is distinct
  from $10 and r.bucket >= $11 and r.bucket < $12
  union
  select e.mailbox_id
  from (
    select l.*
    from ledger l
    where $13::boolean and l.xid >= (select coalesce(max(s.cursor::text::bigint), 3)::text::xid8
      from rollup_state s) and l.xid < pg_snapshot_xmax(pg_current_snapshot()) and l.partner_id = $14 and l.occurred_at
      >= $15 and l.occurred_at < $16
    offset 0) as e
  where e.partner_id = $17 and ($18::uuid is null or e.client_id = $19::uuid) and e.occurred_at >= $20 and e.occurred_at
    < $21 and e.kind in ('accepted', 'rejected') and e.mailbox_id is not null) as active;

-- 11 times
select s.cursor::text as cursor, s.pending, s.rolled_at as rolled, w.*, n.*,
  pg_snapshot_xmax(pg_current_snapshot())::text::bigint - coalesce(s.cursor::text::bigint, 3) as transactions
from (select min(w.complete_through) filter (where w.state = 'alive' and n.state is distinct
    from 'retired') as holding, max(w.complete_through) as latest
  from rollup_watermarks w
  left join nodes n on n.id = w.node) as w
cross
join (select min(n.flushed_through) filter (where n.state = 'alive') as "holdingNow", max(n.flushed_through) as
    "latestNow"
  from nodes n) as n
left join rollup_state s on true;

-- 3 times
with counts as (
  select r.bin, case when $1::uuid is null then r.partner_count else r.count end as count
  from rollup_sketches r
  where r.partner_id = $2 and ($3::uuid is null or r.client_id = $4::uuid) and r.metric = $5 and r.bucket >= $6 and
    r.bucket < $7 and ($8::text is null or r.direction = $9::text)
  union all
  select width_bucket(v.value, $10::bigint[]) - 1, 1
  from (
    select l.*
    from ledger l
    where $11::boolean and l.xid >= (select coalesce(max(s.cursor::text::bigint), 3)::text::xid8
      from rollup_state s) and l.xid < pg_snapshot_xmax(pg_current_snapshot()) and l.partner_id = $12 and l.occurred_at
      >= $13 and l.occurred_at < $14
    offset 0) as e
  cross
  join lateral (values ('delivery_ms', e.latency_ms, e.kind = 'delivered' and e.disposition is distinct
      from 'released' and e.latency_ms is not null), ('bytes', e.bytes, e.leads & case when $15::uuid is null then 1
        else 2 end <> 0)) as v (metric, value, counts)
  where e.partner_id = $16 and ($17::uuid is null or e.client_id = $18::uuid) and e.occurred_at >= $19 and e.occurred_at
    < $20 and v.metric = $21 and v.counts and ($22::text is null or e.direction = $23::text))
select c.bin, sum(c.count)::bigint as count
from counts c
group by c.bin
having sum(c.count) > 0;

with counts as (
  select r.direction, r.verdict, r.deliveries, case when $1::uuid is null then r.partner_messages else r.messages end as
    messages, case when $2::uuid is null then r.partner_bytes else r.bytes end as bytes
  from rollup_traffic r
  where r.partner_id = $3 and ($4::uuid is null or r.client_id = $5::uuid) and r.kind in ('accepted', 'rejected') and
    r.bucket >= $6 and r.bucket < $7
  union all
  select e.direction, coalesce(e.verdict, ''), 1, case when l.leads then 1 else 0 end, case when l.leads then e.bytes
    else 0 end
  from (
    select l.*
    from ledger l
    where $8::boolean and l.xid >= (select coalesce(max(s.cursor::text::bigint), 3)::text::xid8
      from rollup_state s) and l.xid < pg_snapshot_xmax(pg_current_snapshot()) and l.partner_id = $9 and l.occurred_at
      >= $10 and l.occurred_at < $11
    offset 0) as e
  cross
  join lateral (select e.leads & case when $12::uuid is null then 1 else 2 end <> 0) as l (leads)
  where e.partner_id = $13 and ($14::uuid is null or e.client_id = $15::uuid) and e.occurred_at >= $16 and e.occurred_at
    < $17 and e.kind in ('accepted', 'rejected'))
select c.direction as key, sum(c.deliveries)::bigint as deliveries, sum(c.messages)::bigint as messages,
  sum(c.bytes)::bigint as bytes, coalesce(sum(c.deliveries) filter (where c.verdict not in ('clean', 'bulk')),
    0)::bigint as unwanted
from counts c
group by c.direction
order by c.direction;

with counts as (
  select r.domain, r.verdict, r.deliveries, r.domain_messages as messages
  from rollup_traffic r
  where r.partner_id = $1 and ($2::uuid is null or r.client_id = $3::uuid) and r.kind in ('accepted', 'rejected') and
    r.bucket >= $4 and r.bucket < $5
  union all
  select e.domain, coalesce(e.verdict, ''), 1, case when e.leads & 4 <> 0 then 1 else 0 end
  from (
    select l.*
    from ledger l
    where $6::boolean and l.xid >= (select coalesce(max(s.cursor::text::bigint), 3)::text::xid8
      from rollup_state s) and l.xid < pg_snapshot_xmax(pg_current_snapshot()) and l.partner_id = $7 and l.occurred_at
      >= $8 and l.occurred_at < $9
    offset 0) as e
  where e.partner_id = $10 and ($11::uuid is null or e.client_id = $12::uuid) and e.occurred_at >= $13 and e.occurred_at
    < $14 and e.kind in ('accepted', 'rejected'))
select c.domain as key, sum(c.deliveries)::bigint as deliveries, sum(c.messages)::bigint as messages,
  coalesce(sum(c.deliveries) filter (where c.verdict not in ('clean', 'bulk')), 0)::bigint as unwanted
from counts c
group by c.domain
order by deliveries desc, key
limit $15;

-- 2 times
with folds as materialized (
  select f.*
  from rollup_folds f
  where f.partner_id = $1 and ($2::uuid is null or f.client_id = $3::uuid) and f.dimension = $4 and f.direction =
    'inbound' and f.starts >= $5 and f.starts < $6), counted as (
  select r.item, r.deliveries, r.unwanted, 0 as bound
  from rollup_items r
  where r.partner_id = $7 and ($8::uuid is null or r.client_id = $9::uuid) and r.dimension = $10 and r.direction =
    'inbound' and r.bucket >= $11 and r.bucket < $12
  union all
  select i.item, 1, case when e.verdict in ('clean', 'bulk') then 0 else 1 end, 0
  from (
    select l.*
    from ledger l
    where $13::boolean and l.xid >= (select coalesce(max(s.cursor::text::bigint), 3)::text::xid8
      from rollup_state s) and l.xid < pg_snapshot_xmax(pg_current_snapshot()) and l.partner_id = $14 and l.occurred_at
      >= $15 and l.occurred_at < $16
    offset 0) as e
  join messages m on m.partner_id = e.partner_id and m.id = e.message_id
  cross
  join lateral message_items(m.attachments, m.campaign, coalesce(e.verdict, '')) as i
  where e.partner_id = $17 and ($18::uuid is null or e.client_id = $19::uuid) and e.occurred_at >= $20 and e.occurred_at
    < $21 and e.direction = 'inbound' and e.kind in ('accepted', 'rejected') and i.dimension = $22
  union all
  select u.item, u.deliveries, u.unwanted, f.bound
  from folds f
  cross
  join lateral unnest(f.items, f.deliveries, f.unwanted) as u (item, deliveries, unwanted))
select c.item as key, sum(c.deliveries)::bigint as deliveries, sum(c.unwanted)::bigint as unwanted, ((select
      coalesce(sum(f.bound), 0)
    from folds f) - sum(c.bound))::bigint as "maxError"
from counted c
group by c.item
order by deliveries desc, key
limit $23;

with folds as materialized (
  select f.*
  from rollup_folds f
  where f.partner_id = $1 and ($2::uuid is null or f.client_id = $3::uuid) and f.dimension = 'sender' and f.direction =
    'inbound' and f.starts >= $4 and f.starts < $5), counted as (
  select r.sender as item, r.deliveries, case when r.verdict in ('clean', 'bulk') then 0 else r.deliveries end as
    unwanted, 0 as bound
  from rollup_senders r
  where r.partner_id = $6 and ($7::uuid is null or r.client_id = $8::uuid) and r.direction = 'inbound' and r.bucket >=
    $9 and r.bucket < $10
  union all
  select e.sender, 1, case when e.verdict in ('clean', 'bulk') then 0 else 1 end, 0
  from (
    select l.*
    from ledger l
    where $11::boolean and l.xid >= (select coalesce(max(s.cursor::text::bigint), 3)::text::xid8
      from rollup_state s) and l.xid < pg_snapshot_xmax(pg_current_snapshot()) and l.partner_id = $12 and l.occurred_at
      >= $13 and l.occurred_at < $14
    offset 0) as e
  where e.partner_id = $15 and ($16::uuid is null or e.client_id = $17::uuid) and e.occurred_at >= $18 and e.occurred_at
    < $19 and e.direction = 'inbound' and e.kind in ('accepted', 'rejected')
  union all
  select u.item, u.deliveries, u.unwanted, f.bound
  from folds f
  cross
  join lateral unnest(f.items, f.deliveries, f.unwanted) as u (item, deliveries, unwanted))
select c.item as key, sum(c.deliveries)::bigint as deliveries, sum(c.unwanted)::bigint as unwanted, ((select
      coalesce(sum(f.bound), 0)
    from folds f) - sum(c.bound))::bigint as "maxError"
from counted c
group by c.item
order by deliveries desc, key
limit $20;

with gate as materialized (
  select (s.cursor is null or (s.cursor <> '0' and s.rolled_at >= $1::timestamptz)) and coalesce(s.pending, 0) <= $2 and
    pg_snapshot_xmax(pg_current_snapshot())::text::bigint - coalesce(s.cursor::text::bigint, 3) <= $3 as tail
  from (select 1) as one
  left join rollup_state s on true), tiered as materialized (
  select z.client_id
  from rollup_zones z
  where z.partner_id = $4 and z.client_id = any($5::uuid[]) and z.time_zone = $6 and $7::boolean), others as
  materialized (select unnest($8::uuid[]) as client_id except
  select t.client_id
  from tiered t), days as (
  select d.*
  from rollup_days d
  where d.partner_id = $9 and d.client_id = any(array(select t.client_id
      from tiered t)) and d.day >= $10::date and d.day < $11::date
  union all
  select d.*
  from rollup_months d
  where d.partner_id = $12 and d.client_id = any(array(select t.client_id
      from tiered t)) and d.day >= $13::date and d.day < $14::date
  union all
  select d.*
  from rollup_days d
  where d.partner_id = $15 and d.client_id = any(array(select t.client_id
      from tiered t)) and d.day >= $16::date and d.day < $17::date)
select w.client_id, -1 as slot, null as kind, null as verdict, null as disposition, 0::bigint as deliveries, 0::bigint
  as messages, 0::bigint as bytes, json_agg(w.sums) as wide
from (
  select d.client_id, json_build_array(d.slot, sum(d.messages), sum(d.deliveries), sum(d.refused), sum(d.bytes),
      sum(d.verdict_clean), sum(d.verdict_bulk), sum(d.verdict_spam), sum(d.verdict_spoof), sum(d.verdict_phish),
      sum(d.verdict_policy), sum(d.verdict_unscannable), sum(d.verdict_malware), sum(d.ended_queued),
      sum(d.ended_deferred), sum(d.ended_delivered), sum(d.ended_tagged), sum(d.ended_stripped),
      sum(d.ended_quarantined), sum(d.ended_rejected), sum(d.ended_bounced), sum(d.ended_expired),
      sum(d.ended_discarded), sum(d.ended_released)) as sums
  from (select o.*, width_bucket(o.day, $18::date[]) - 1 as slot
    from days o) as d
  group by d.client_id, d.slot) as w
group by w.client_id
union all
select r.client_id, width_bucket(r.bucket, $19::timestamptz[]) - 1, r.kind, r.verdict, r.disposition,
  sum(r.deliveries)::bigint, sum(r.messages)::bigint, sum(r.bytes)::bigint, null
from rollup_traffic r
where r.partner_id = $20 -- Asked once, before any row: without it PostgreSQL goes through the quarter hours to find
  none of nobody. and (select count(*) > 0
  from others) and r.client_id = any(array(select o.client_id
    from others o)) and r.bucket >= $21::timestamptz and r.bucket < $22::timestamptz
group by 1, 2, 3, 4, 5
union all
select e.client_id, width_bucket(e.occurred_at, $23::timestamptz[]) - 1, e.kind, coalesce(e.verdict, ''),
  coalesce(e.disposition, ''), count(*), count(*) filter (where e.leads & 2 <> 0), coalesce(sum(e.bytes) filter (where
      e.leads & 2 <> 0), 0)::bigint, null -- With an
offset the tail is found by its few transactions, and never by going through all that a client has.
from (
  select l.*
  from ledger l
  where (select g.tail
    from gate g) and l.xid >= (select coalesce(max(s.cursor::text::bigint), 3)::text::xid8
    from rollup_state s) and l.xid < pg_snapshot_xmax(pg_current_snapshot()) and l.partner_id = $24 and l.occurred_at >=
    $25::timestamptz and l.occurred_at < $26::timestamptz
  offset 0) as e
where e.partner_id = $27 and e.client_id = any($28::uuid[]) and e.occurred_at >= $29::timestamptz and e.occurred_at <
  $30::timestamptz
group by 1, 2, 3, 4, 5
union all
select null, -1, null, null, null, 0, 0, 0, null
from gate g
where g.tail;

select c.id, c.partner_id, c.name, c.time_zone, c.status, c.created_at
from clients c
where c.partner_id = $1 and c.id = any($2::uuid[]);

-- 2 times
select distinct z.time_zone as zone
from rollup_zones z
where z.partner_id = $1;

select id, name
from partners
where id = $1;

-- 2 times
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

-- 2 times
with spans as (
  select p.sign, p.low, p.high
  from unnest(array[1, 1, -1, -1], $1::date[], $2::date[]) as p (sign, low, high)
  where p.low < p.high), days as (
  select p.sign, d.*
  from spans p
  join rollup_days d on d.partner_id = $3 and d.day >= p.low and d.day < p.high
  union all
  select 1, d.*
  from rollup_months d
  where d.partner_id = $4 and d.day >= $5::date and d.day < $6::date), zones as materialized (
  select z.zone, z.low, z.high
  from unnest($7::text[], $8::timestamptz[], $9::timestamptz[]) as z (zone, low, high))
select d.client_id, null as kind, null as verdict, null as disposition, 0::bigint as deliveries, 0::bigint as messages,
  0::bigint as bytes, sum(d.sign * d.partner_messages)::bigint as partner_messages, sum(d.sign *
    d.partner_bytes)::bigint as partner_bytes, json_build_array(sum(d.sign * d.messages), sum(d.sign * d.deliveries),
    sum(d.sign * d.refused), sum(d.sign * d.bytes), sum(d.sign * d.verdict_clean), sum(d.sign * d.verdict_bulk),
    sum(d.sign * d.verdict_spam), sum(d.sign * d.verdict_spoof), sum(d.sign * d.verdict_phish), sum(d.sign *
      d.verdict_policy), sum(d.sign * d.verdict_unscannable), sum(d.sign * d.verdict_malware), sum(d.sign *
      d.ended_queued), sum(d.sign * d.ended_deferred), sum(d.sign * d.ended_delivered), sum(d.sign * d.ended_tagged),
    sum(d.sign * d.ended_stripped), sum(d.sign * d.ended_quarantined), sum(d.sign * d.ended_rejected), sum(d.sign *
      d.ended_bounced), sum(d.sign * d.ended_expired), sum(d.sign * d.ended_discarded), sum(d.sign * d.ended_released))
  as wide
from days d
group by 1
union all
select e.client_id, e.kind, coalesce(e.verdict, ''), coalesce(e.disposition, ''), count(*), count(*) filter (where
    e.leads & 2 <> 0), coalesce(sum(e.bytes) filter (where e.leads & 2 <> 0), 0)::bigint, count(*) filter (where e.leads
    & 1 <> 0 and e.kind in ('accepted', 'rejected')), coalesce(sum(e.bytes) filter (where e.leads & 1 <> 0 and e.kind in
      ('accepted', 'rejected')), 0)::bigint, null
from (
  select l.*
  from ledger l
  where $10::boolean and l.xid >= (select coalesce(max(s.cursor::text::bigint), 3)::text::xid8
    from rollup_state s) and l.xid < pg_snapshot_xmax(pg_current_snapshot()) and l.partner_id = $11 and l.occurred_at >=
    $12 and l.occurred_at < $13
  offset 0) as e
join rollup_zones c on c.partner_id = e.partner_id and c.client_id = e.client_id
join zones z on z.zone = c.time_zone
where e.partner_id = $14 and e.occurred_at >= z.low and e.occurred_at < z.high
group by 1, 2, 3, 4;

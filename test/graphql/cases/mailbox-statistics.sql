select c.id, c.partner_id, c.name, c.time_zone, c.status, c.created_at
from clients c
where c.partner_id = $1 and c.id = any($2::uuid[]);

select m.id, m.client_id, m.address, m.name, m.kind, m.status, m.forward_to, m.forward_keep
from mailboxes m
where m.partner_id = $1 and m.id = any($2::uuid[]);

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

with counts as (
  select r.mailbox_id, r.bucket as at, r.direction, r.verdict, r.deliveries, r.messages, r.bytes
  from rollup_mailboxes r
  where r.partner_id = $1 and r.mailbox_id = any($2::uuid[]) and r.bucket >= $3 and r.bucket < $4
  union all
  select e.mailbox_id, e.occurred_at, e.direction, coalesce(e.verdict, ''), 1, case when e.leads & 8 <> 0 then 1 else 0
    end, case when e.leads & 8 <> 0 then e.bytes else 0 end
  from (
    select l.*
    from ledger l
    where $5::boolean and l.xid >= (select coalesce(max(s.cursor::text::bigint), 3)::text::xid8
      from rollup_state s) and l.xid < pg_snapshot_xmax(pg_current_snapshot()) and l.partner_id = $6 and l.occurred_at
      >= $7 and l.occurred_at < $8
    offset 0) as e
  where e.partner_id = $9 and e.mailbox_id = any($10::uuid[]) and e.kind in ('accepted', 'rejected') and e.occurred_at
    >= $11 and e.occurred_at < $12)
select c.mailbox_id, width_bucket(c.at, $13::timestamptz[]) - 1 as slot, c.direction, c.verdict,
  sum(c.deliveries)::bigint as deliveries, sum(c.messages)::bigint as messages, sum(c.bytes)::bigint as bytes
from counts c
group by 1, 2, 3, 4;

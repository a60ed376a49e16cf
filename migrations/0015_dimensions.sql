-- The subject as it is counted (src/mail/campaign.ts), made when the message came in. Null: from before, or there is none.
alter table messages add column campaign text;

-- Latencies and sizes as the bins of logarithmic sketches (src/core/sketch.ts): a row per bin, so that adding, merging and
-- counting anew are sums. `partner_count`: as the partner's, of a message to two clients only the first has it.
create table rollup_sketches (
  partner_id uuid not null,
  client_id uuid not null,
  bucket timestamptz not null,
  direction text not null,
  -- delivery_ms or bytes.
  metric text not null,
  bin smallint not null,
  count bigint not null,
  partner_count bigint not null,
  primary key (partner_id, client_id, bucket, direction, metric, bin)
) with (fillfactor = 80);
create index rollup_sketches_bucket on rollup_sketches using brin (bucket) with (pages_per_range = 32, autosummarize = on);

-- One row per client, mailbox and day of the client: what mailboxes were active, exactly.
create table rollup_mailbox_days (
  partner_id uuid not null,
  client_id uuid not null,
  day date not null,
  mailbox_id uuid not null,
  -- Inbound deliveries, those of them that were neither clean nor bulk, and outbound deliveries.
  received bigint not null,
  unwanted bigint not null,
  sent bigint not null,
  primary key (partner_id, client_id, day, mailbox_id)
) with (fillfactor = 80);
create index rollup_mailbox_days_day on rollup_mailbox_days (partner_id, day);

-- Attachment types and subjects of campaigns, exactly, while their day is young.
create table rollup_items (
  partner_id uuid not null,
  client_id uuid not null,
  bucket timestamptz not null,
  -- attachment_type or subject.
  dimension text not null,
  direction text not null,
  item text not null,
  deliveries bigint not null,
  unwanted bigint not null,
  messages bigint not null,
  primary key (partner_id, client_id, bucket, dimension, direction, item)
) with (fillfactor = 80);
create index rollup_items_bucket on rollup_items using brin (bucket) with (pages_per_range = 32, autosummarize = on);

-- A day of a client that is over for two days: the items with the most deliveries, the rest as one sum. Replaces the rows of
-- rollup_senders (dimension `sender`) and rollup_items of that time.
create table rollup_folds (
  partner_id uuid not null,
  client_id uuid not null,
  dimension text not null,
  direction text not null,
  starts timestamptz not null,
  ends timestamptz not null,
  -- By deliveries, the most first; the other three arrays go with it.
  items text[] not null,
  deliveries bigint[] not null,
  unwanted bigint[] not null,
  messages bigint[] not null,
  rest_deliveries bigint not null,
  rest_unwanted bigint not null,
  rest_messages bigint not null,
  -- The most deliveries that an item has which is not listed; 0: all are listed.
  bound bigint not null,
  -- HyperLogLog of all items (src/core/hll.ts); of senders only.
  registers bytea,
  primary key (partner_id, client_id, dimension, direction, starts)
);
create index rollup_folds_starts on rollup_folds (partner_id, dimension, starts);

-- What a message is counted under besides its envelope: each item once. Subjects of unwanted mail only, others are nobody's
-- business. The extension is what people know a type by; without one, the type that was found in the content.
create function message_items(attachments jsonb, campaign text, verdict text)
returns table (dimension text, item text) language sql immutable as $$
  select distinct 'attachment_type'::text,
         coalesce(lower(substring(a.one ->> 'name' from '\.([A-Za-z0-9]{1,10})$')), nullif(lower(left(a.one ->> 'type', 100)), ''), 'unknown')
  from jsonb_path_query(attachments, '$[*]') as a (one)
  union all
  select 'subject', campaign where campaign <> '' and verdict not in ('clean', 'bulk')
$$;

-- The register and the rank of a text, from the first 64 bits of its SHA-256: the same on every machine and in every version.
create function hll_hash(item text) returns bit(64) language sql immutable as $$
  select ('x' || encode(substr(sha256(convert_to(item, 'UTF8')), 1, 8), 'hex'))::bit(64)
$$;
create function hll_index(hash bit(64)) returns integer language sql immutable as $$
  select substring(hash from 1 for 12)::integer
$$;
create function hll_rank(hash bit(64)) returns integer language sql immutable as $$
  select 53 - length(ltrim(substring(hash from 13 for 52)::text, '0'))
$$;

-- A stretch of a client's time folded: from the ledger below `below`, or from the rows that are there when it is null. Ties go
-- by the item's bytes, so the order of events does not matter.
create function fold_of(of_partner uuid, of_client uuid, of_dimension text, of_direction text, starts timestamptz,
                        ends timestamptz, below xid8, places integer)
returns table (items text[], deliveries bigint[], unwanted bigint[], messages bigint[], rest_deliveries bigint,
               rest_unwanted bigint, rest_messages bigint, bound bigint, registers bytea)
language sql stable as $$
  with counted as (
    select r.sender as item, r.deliveries, case when r.verdict in ('clean', 'bulk') then 0 else r.deliveries end as unwanted, r.messages
    from rollup_senders r
    where below is null and of_dimension = 'sender' and r.partner_id = of_partner and r.client_id = of_client
      and r.direction = of_direction and r.bucket >= starts and r.bucket < ends
    union all
    select r.item, r.deliveries, r.unwanted, r.messages
    from rollup_items r
    where below is null and of_dimension <> 'sender' and r.partner_id = of_partner and r.client_id = of_client
      and r.dimension = of_dimension and r.direction = of_direction and r.bucket >= starts and r.bucket < ends
    union all
    select e.sender, 1, case when e.verdict in ('clean', 'bulk') then 0 else 1 end, case when e.leads & 2 <> 0 then 1 else 0 end
    from ledger e
    where below is not null and of_dimension = 'sender' and e.partner_id = of_partner and e.client_id = of_client
      and e.direction = of_direction and e.occurred_at >= starts and e.occurred_at < ends and e.xid < below
      and e.kind in ('accepted', 'rejected')
    union all
    select i.item, 1, case when e.verdict in ('clean', 'bulk') then 0 else 1 end, case when e.leads & 2 <> 0 then 1 else 0 end
    from ledger e
    join messages m on m.partner_id = e.partner_id and m.id = e.message_id
    cross join lateral message_items(m.attachments, m.campaign, coalesce(e.verdict, '')) as i
    where below is not null and of_dimension <> 'sender' and i.dimension = of_dimension and e.partner_id = of_partner
      and e.client_id = of_client and e.direction = of_direction and e.occurred_at >= starts and e.occurred_at < ends
      and e.xid < below and e.kind in ('accepted', 'rejected')),
  summed as (
    select c.item, sum(c.deliveries)::bigint as deliveries, sum(c.unwanted)::bigint as unwanted, sum(c.messages)::bigint as messages
    from counted c group by c.item),
  ranked as materialized (
    select s.*, row_number() over (order by s.deliveries desc, s.item collate "C") as place from summed s),
  hashed as (
    select hll_index(h.hash) as at, max(hll_rank(h.hash)) as rank
    from (select hll_hash(r.item) as hash from ranked r where of_dimension = 'sender') as h group by 1),
  placed as (select h.at, h.rank, h.at - coalesce(lag(h.at) over (order by h.at), -1) - 1 as gap from hashed h),
  sketch as (
    select case when count(*) < 1365
                then '\x00'::bytea || string_agg(decode(lpad(to_hex(p.at), 4, '0') || lpad(to_hex(p.rank), 2, '0'), 'hex'), ''::bytea order by p.at)
                else '\x01'::bytea || string_agg(decode(repeat('00', p.gap) || lpad(to_hex(p.rank), 2, '0'), 'hex'), ''::bytea order by p.at)
           end as registers
    from placed p)
  select coalesce(array_agg(r.item order by r.place) filter (where r.place <= places), '{}'),
         coalesce(array_agg(r.deliveries order by r.place) filter (where r.place <= places), '{}'),
         coalesce(array_agg(r.unwanted order by r.place) filter (where r.place <= places), '{}'),
         coalesce(array_agg(r.messages order by r.place) filter (where r.place <= places), '{}'),
         coalesce(sum(r.deliveries) filter (where r.place > places), 0)::bigint,
         coalesce(sum(r.unwanted) filter (where r.place > places), 0)::bigint,
         coalesce(sum(r.messages) filter (where r.place > places), 0)::bigint,
         coalesce(max(r.deliveries) filter (where r.place > places), 0)::bigint,
         (select s.registers from sketch s)
  from ranked r
$$;

do $$
declare
  t text;
begin
  foreach t in array array['rollup_sketches', 'rollup_mailbox_days', 'rollup_items', 'rollup_folds'] loop
    execute format('alter table %I enable row level security', t);
    execute format('alter table %I force row level security', t);
    execute format('create policy tenant on %I to tollgate_app using (partner_id = current_partner()) with check (partner_id = current_partner())', t);
    execute format('create policy system on %I to tollgate_system using (true) with check (true)', t);
    execute format('grant select on %I to tollgate_app', t);
    execute format('grant select, insert, update, delete on %I to tollgate_system', t);
  end loop;
end $$;

-- One mailbox's numbers without a look at all of its client.
create index rollup_mailboxes_mailbox on rollup_mailboxes (partner_id, mailbox_id, bucket);

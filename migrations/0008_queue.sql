-- The queue is taken up client by client (src/gateway/lanes.ts), so a row says whose turn it belongs to and whether its time
-- has come: a flood or 100,000 deferred rows then cost a claim nothing.

alter table queue
  -- Of the delivery; with the client it is the lane that takes turns.
  add column direction text check (direction in ('inbound', 'outbound')),
  -- True: not before `due_at`. The scheduler makes it false when that comes; new rows are due at once.
  add column waiting boolean not null default false,
  -- The destination (destination_backoff) whose return makes the row due before its own time.
  add column destination text;

-- The owner may be held to row-level security too; it is off for this statement only.
alter table queue no force row level security;
alter table deliveries no force row level security;
update queue q set direction = d.direction, waiting = q.due_at > now()
  from deliveries d where d.partner_id = q.partner_id and d.id = q.delivery_id;
alter table queue force row level security;
alter table deliveries force row level security;

-- For writers that don't give the direction.
create function queue_direction() returns trigger language plpgsql as $$
begin
  select d.direction into new.direction from deliveries d where d.partner_id = new.partner_id and d.id = new.delivery_id;
  return new;
end $$;
create trigger queue_direction before insert on queue for each row when (new.direction is null)
  execute function queue_direction();
alter table queue alter column direction set not null;

-- Rows that may go now, that no worker has and no person holds: clients, their destinations, and each one's oldest are found by stepping
-- through this index, whatever else waits.
create index queue_ready on queue (partner_id, client_id, direction, domain, due_at)
  where not waiting and lease_until is null and held_at is null;
-- Rows whose time or whose holder's lease comes to an end.
create index queue_wait on queue (coalesce(lease_until, due_at)) where waiting or lease_until is not null;
create index queue_destination on queue (destination, attempts, queued_at) where destination is not null;
drop index queue_due;

-- Every try rewrites a row: dead ones at the head of an index would be stepped over by each claim.
alter table queue set (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 2000,
  autovacuum_analyze_scale_factor = 0.02, autovacuum_analyze_threshold = 2000);

-- Destinations in trouble, for all nodes: a client's server (`server HOST:PORT`) or a domain of the world (`domain NAME`).
-- Shared by all tenants, so it holds nothing that a server said and nothing of a message.
create table destination_backoff (
  destination text primary key,
  reason text not null check (reason in ('no_answer', 'closing', 'too_many', 'refusing')),
  -- In a row; 0: it answers again.
  failures integer not null,
  -- Null: mail goes there. Else the next probe, one for all rows.
  parked_until timestamptz,
  -- Goes up with every change: what a try found counts only if nothing has changed since it began.
  epoch integer not null,
  -- Connections at once after "too many connections", and since when: it grows back with time.
  slots integer,
  slots_at timestamptz,
  since timestamptz not null
);
create index destination_backoff_parked on destination_backoff (parked_until);
grant select, insert, update, delete on destination_backoff to tollgate_system;
-- Who flushes a client's queue wants its destinations probed now.
grant select (destination, parked_until), update (parked_until) on destination_backoff to tollgate_app;

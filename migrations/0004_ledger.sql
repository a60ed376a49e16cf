-- Heartbeats are kept one by one until the roller has believed them. If each overwrote the one before, a gateway with always
-- some transaction older than its last heartbeat would never be believed and nothing would ever be complete.
create table node_beats (
  node text not null,
  -- Higher than those of the transactions that it vouches for: they had ended before this one began.
  xid xid8 not null default pg_current_xact_id(),
  heartbeat_at timestamptz not null,
  flushed_through timestamptz not null,
  state text not null check (state in ('alive', 'stopped', 'retired')),
  primary key (node, xid)
);
insert into node_beats (node, heartbeat_at, flushed_through, state)
  select id, heartbeat_at, flushed_through, state from nodes;
alter table nodes drop column xid;

-- What the roller believes of a node; a node's own row may be ahead of it.
alter table rollup_watermarks
  add column state text not null default 'alive' check (state in ('alive', 'stopped', 'retired'));
alter table rollup_watermarks alter column state drop default;

-- The horizon's age without the right to see other roles' sessions: `mark` is the transaction of a round at `mark_at`; once
-- it lies below the horizon, all that had begun before it has ended, and `settled_at` moves up to it.
alter table rollup_state
  add column mark xid8 not null default pg_current_xact_id(),
  add column mark_at timestamptz not null default now(),
  add column settled_at timestamptz not null default now();
alter table rollup_state
  alter column mark drop default, alter column mark_at drop default, alter column settled_at drop default;

-- Events before this moment were dropped by retention: rollups before it can't be counted anew, only added to. One row at most.
create table retention_floor (
  only_row boolean primary key default true check (only_row),
  whole_from timestamptz not null
);

grant select, insert, update, delete on node_beats to tollgate_system;
grant select on node_beats, retention_floor to tollgate_app;
grant select on retention_floor to tollgate_system;

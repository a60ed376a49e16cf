-- What gateways keep in memory of the directory, of lists and of policies must be forgotten when it changes. Every writing
-- statement on those tables leaves a row here, visible at its commit and not before: a reader asks which transactions have
-- become visible since its last snapshot, so that none is missed, whatever the order of the commits. NOTIFY only makes it
-- sooner. No row-level security: it holds two ids and says nothing; tenants may add rows and read none.
create table directory_changes (
  xid xid8 not null default pg_current_xact_id(),
  -- Null: the operator's master lists.
  partner uuid,
  -- Null: everything of the partner.
  client uuid
);
create index directory_changes_xid on directory_changes (xid);
grant insert on directory_changes to tollgate_app;
grant select, insert, delete on directory_changes to tollgate_system;

create function note_directory_change() returns trigger language plpgsql as $$
begin
  if tg_op = 'UPDATE' then
    if tg_table_name = 'clients' then
      insert into directory_changes (partner, client) select partner_id, id from before union select partner_id, id from after;
    else
      insert into directory_changes (partner, client)
        select partner_id, client_id from before union select partner_id, client_id from after;
    end if;
  elsif tg_table_name = 'clients' then
    insert into directory_changes (partner, client) select distinct partner_id, id from after;
  else
    insert into directory_changes (partner, client) select distinct partner_id, client_id from after;
  end if;
  perform pg_notify('tollgate_directory', '');
  return null;
end $$;

create function note_master_change() returns trigger language plpgsql as $$
begin
  insert into directory_changes (partner, client) values (null, null);
  perform pg_notify('tollgate_directory', '');
  return null;
end $$;

do $$
declare
  name text;
begin
  foreach name in array array['clients', 'domains', 'mailboxes', 'addresses', 'list_entries'] loop
    execute format('create trigger changed_by_insert after insert on %I referencing new table as after
      for each statement execute function note_directory_change()', name);
    execute format('create trigger changed_by_update after update on %I referencing old table as before new table as after
      for each statement execute function note_directory_change()', name);
    execute format('create trigger changed_by_delete after delete on %I referencing old table as after
      for each statement execute function note_directory_change()', name);
  end loop;
end $$;

-- The operator's own allow and block entries: for all clients of all partners. Of no tenant, and no tenant sees them.
create table master_list_entries (
  id uuid primary key,
  kind text not null check (kind in ('allow', 'block')),
  pattern text not null check (pattern = lower(pattern)),
  created_at timestamptz not null,
  unique (kind, pattern)
);
grant select, insert, update, delete on master_list_entries to tollgate_system;
create trigger changed after insert or update or delete on master_list_entries
  for each statement execute function note_master_change();

-- Transactions answered lately, so that one that is sent again by a client that did not hear its 250 is not delivered twice.
-- The digest is over network, envelope and body.
create table accepted_digests (
  digest bytea primary key check (length(digest) = 32),
  content_id text not null,
  rejected boolean not null,
  accepted_at timestamptz not null
);
create index accepted_digests_age on accepted_digests (accepted_at);
grant select, insert, update, delete on accepted_digests to tollgate_system;

-- Greylisting: keys are SHA-256 of (network, sender, recipient), of a network that passed, or of a sender that passed.
create table greylist (
  partner_id uuid not null references partners (id) on delete cascade,
  key bytea not null check (length(key) = 32),
  first_seen_at timestamptz not null,
  last_seen_at timestamptz not null,
  passed_at timestamptz,
  primary key (partner_id, key)
);
create index greylist_age on greylist (last_seen_at);

-- What came from a network (/24 or /64), halved every day; `window_*`: recipients since `window_at`, for the harvest defence.
-- Of the whole gateway and of no tenant.
create table network_reputation (
  network text primary key,
  ham double precision not null,
  spam double precision not null,
  unknown double precision not null,
  auth_failures double precision not null,
  protocol_errors double precision not null,
  updated_at timestamptz not null,
  window_at timestamptz not null,
  window_known integer not null,
  window_unknown integer not null
);
create index network_reputation_age on network_reputation (updated_at);
grant select, insert, update, delete on network_reputation to tollgate_system;

-- What is left of a count after the time between two moments, when it halves every `half_life` milliseconds.
create function halved(before timestamptz, after timestamptz, half_life double precision) returns double precision
  language sql immutable parallel safe
  as $$ select power(0.5, greatest(0, extract(epoch from after - before)::double precision * 1000) / half_life) $$;

-- Unknown recipients of a client's domain by network and window of ten minutes.
create table harvest_windows (
  partner_id uuid not null,
  client_id uuid not null,
  domain text not null,
  network text not null,
  window_at timestamptz not null,
  unknown integer not null,
  primary key (partner_id, client_id, domain, network, window_at),
  foreign key (partner_id, client_id) references clients (partner_id, id) on delete cascade
);
create index harvest_windows_age on harvest_windows (window_at);

do $$
declare
  name text;
begin
  foreach name in array array['greylist', 'harvest_windows'] loop
    execute format('alter table %I enable row level security', name);
    execute format('alter table %I force row level security', name);
    execute format('create policy tenant on %I to tollgate_app using (partner_id = current_partner()) with check (partner_id = current_partner())', name);
    execute format('create policy system on %I to tollgate_system using (true) with check (true)', name);
    execute format('grant select, insert, update, delete on %I to tollgate_app, tollgate_system', name);
  end loop;
end $$;

-- What of a partner changed, for those who watch it live. A row is visible at the commit of the change and not before: a reader
-- asks which transactions have become visible since its last snapshot, so that none is missed, whatever the order of the commits.
-- NOTIFY only makes it sooner; its payload names no tenant.
create table live_changes (
  partner_id uuid not null references partners (id) on delete cascade,
  xid xid8 not null default pg_current_xact_id(),
  kind text not null check (kind in ('incident', 'report_run', 'release_request')),
  id uuid not null,
  client_id uuid not null,
  changed_at timestamptz not null default now(),
  primary key (partner_id, xid, kind, id)
);
create index live_changes_xid on live_changes (xid);

create function note_live_change() returns trigger language plpgsql as $$
begin
  insert into live_changes (partner_id, kind, id, client_id) values (new.partner_id, tg_argv[0], new.id, new.client_id)
    on conflict do nothing;
  perform pg_notify('tollgate_live', '');
  return null;
end $$;

-- Only what the API shows: leases and retries are nobody's news.
create trigger live_insert after insert on incidents for each row execute function note_live_change('incident');
create trigger live_update after update on incidents for each row
  when ((old.state, old.severity, old.title, old.description, old.resolution, old.occurrences, old.ticket_state,
         old.ticket_number, old.ticket_note)
    is distinct from (new.state, new.severity, new.title, new.description, new.resolution, new.occurrences, new.ticket_state,
         new.ticket_number, new.ticket_note))
  execute function note_live_change('incident');
create trigger live_insert after insert on report_runs for each row execute function note_live_change('report_run');
create trigger live_update after update on report_runs for each row
  when ((old.state, old.complete, old.complete_through, old.bytes, old.document_state, old.error)
    is distinct from (new.state, new.complete, new.complete_through, new.bytes, new.document_state, new.error))
  execute function note_live_change('report_run');
create trigger live_insert after insert on release_requests for each row execute function note_live_change('release_request');
create trigger live_update after update on release_requests for each row
  when (old.state is distinct from new.state) execute function note_live_change('release_request');

-- Numbers moved on, or a key was revoked: who watches looks for himself.
create function note_live_signal() returns trigger language plpgsql as $$
begin
  perform pg_notify('tollgate_live', tg_argv[0]);
  return null;
end $$;
create trigger live_rolled after insert or update on rollup_state for each statement execute function note_live_signal('rolled');
create trigger live_revoked after update or delete on api_keys for each statement execute function note_live_signal('keys');

-- Documents that a partner's programs send by their checksum alone.
create table persisted_documents (
  partner_id uuid not null references partners (id) on delete cascade,
  -- SHA-256 of the text in UTF-8.
  sha256 bytea not null check (length(sha256) = 32),
  document text not null check (length(document) <= 20000),
  created_at timestamptz not null,
  created_by text not null,
  primary key (partner_id, sha256)
);

-- A key that runs registered documents only: what it can ask is what somebody with the right to register has read.
alter table api_keys add column documents_only boolean not null default false;

-- What the PSA charges for a unit of a line, as it was read for the plan; without a currency it is no amount of money.
alter table billing_lines
  add column unit_price numeric,
  add column currency text,
  add check (unit_price is null or currency is not null);

do $$
declare
  t text;
begin
  foreach t in array array['live_changes', 'persisted_documents'] loop
    execute format('alter table %I enable row level security', t);
    execute format('alter table %I force row level security', t);
    execute format('create policy tenant on %I to tollgate_app using (partner_id = current_partner()) with check (partner_id = current_partner())', t);
    execute format('create policy system on %I to tollgate_system using (true) with check (true)', t);
    execute format('grant select, insert, update, delete on %I to tollgate_app, tollgate_system', t);
  end loop;
end $$;

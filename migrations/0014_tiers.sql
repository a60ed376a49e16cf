-- Counts per local day and per local month of each client, derived from rollup_traffic in the transaction that changes it. Few
-- wide rows: a period of years, or a thousand clients for a quarter, are some thousand rows. Counts are integer since
-- sum(integer) is quick. Column names: verdict_X are deliveries by verdict, ended_X those that ended with a disposition.
create table rollup_days (
  partner_id uuid not null,
  day date not null,
  client_id uuid not null,
  direction text not null,
  messages integer not null,
  -- As the partner's: of a message to two clients only the first has it.
  partner_messages integer not null,
  deliveries integer not null,
  refused integer not null,
  bytes bigint not null,
  partner_bytes bigint not null,
  verdict_clean integer not null,
  verdict_bulk integer not null,
  verdict_spam integer not null,
  verdict_spoof integer not null,
  verdict_phish integer not null,
  verdict_policy integer not null,
  verdict_unscannable integer not null,
  verdict_malware integer not null,
  ended_queued integer not null,
  ended_deferred integer not null,
  ended_delivered integer not null,
  ended_tagged integer not null,
  ended_stripped integer not null,
  ended_quarantined integer not null,
  ended_rejected integer not null,
  ended_bounced integer not null,
  ended_expired integer not null,
  ended_discarded integer not null,
  ended_released integer not null,
  primary key (partner_id, day, client_id, direction)
) with (fillfactor = 70);
create index rollup_days_client on rollup_days (partner_id, client_id, day);

-- The same per calendar month; `day` is its first.
create table rollup_months (like rollup_days including all) with (fillfactor = 70);

-- In which zone a client's days are counted. Written by the roller alone: when the client's own zone is another by now, its
-- days are counted anew and this follows, in one transaction. A client without a row has no days yet.
create table rollup_zones (
  partner_id uuid not null,
  client_id uuid not null,
  time_zone text not null,
  primary key (partner_id, client_id)
);

-- Events at and above the cursor that the last round saw, counted no further than some thousands: what a reader would have
-- to count by itself to answer to the moment.
alter table rollup_state add column pending bigint not null default 0;
alter table rollup_state alter column pending drop default;

-- A day's rows are found without a look at all of them.
create index rollup_traffic_bucket on rollup_traffic using brin (bucket) with (pages_per_range = 32, autosummarize = on);
create index rollup_mailboxes_bucket on rollup_mailboxes using brin (bucket) with (pages_per_range = 32, autosummarize = on);
create index rollup_senders_bucket on rollup_senders using brin (bucket) with (pages_per_range = 32, autosummarize = on);
create index rollup_reasons_bucket on rollup_reasons using brin (bucket) with (pages_per_range = 32, autosummarize = on);
-- Room for a bucket's new numbers beside the old ones: updates then leave the indexes alone.
alter table rollup_traffic set (fillfactor = 80);
alter table rollup_mailboxes set (fillfactor = 80);
alter table rollup_senders set (fillfactor = 80);
alter table rollup_reasons set (fillfactor = 80);

do $$
declare
  t text;
begin
  foreach t in array array['rollup_days', 'rollup_months', 'rollup_zones'] loop
    execute format('alter table %I enable row level security', t);
    execute format('alter table %I force row level security', t);
    execute format('create policy tenant on %I to tollgate_app using (partner_id = current_partner()) with check (partner_id = current_partner())', t);
    execute format('create policy system on %I to tollgate_system using (true) with check (true)', t);
    execute format('grant select on %I to tollgate_app', t);
    execute format('grant select, insert, update, delete on %I to tollgate_system', t);
  end loop;
end $$;

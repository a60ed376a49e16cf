-- What unwanted messages share with others: digests of their files, links and subjects, at most 16 a message. They go with the
-- message's detail. `label` is what a person reads: a file's name, a host with its path, a subject.
create table threat_traits (
  partner_id uuid not null,
  message_id uuid not null,
  kind text not null check (kind in ('payload', 'link', 'subject')),
  digest bytea not null check (length(digest) = 32),
  label text not null check (length(label) <= 200),
  occurred_at timestamptz not null,
  primary key (partner_id, message_id, kind, digest),
  foreign key (partner_id, message_id) references messages (partner_id, id) on delete cascade
);
create index threat_traits_time on threat_traits (partner_id, occurred_at);

-- Stretches of time in which a client's server was in one state, as the probes saw it. Between two rows nothing is known.
create table server_states (
  partner_id uuid not null,
  client_id uuid not null,
  host text not null,
  port integer not null,
  from_at timestamptz not null,
  to_at timestamptz not null check (to_at >= from_at),
  state text not null check (state in ('up', 'slow', 'failing', 'down')),
  primary key (partner_id, client_id, host, port, from_at),
  foreign key (partner_id, client_id) references clients (partner_id, id) on delete cascade
);
create index server_states_age on server_states (to_at);

-- What was said of each closed day of a client, once.
create table day_judgements (
  partner_id uuid not null,
  client_id uuid not null,
  metric text not null check (metric in ('deliveries', 'unwanted')),
  day date not null,
  judgement text not null check (judgement in ('usual', 'high', 'low', 'too_few', 'short_history')),
  actual bigint not null,
  -- Null where nothing can be said of what is usual.
  expected double precision,
  score double precision,
  judged_at timestamptz not null,
  primary key (partner_id, client_id, metric, day),
  foreign key (partner_id, client_id) references clients (partner_id, id) on delete cascade
);
create index day_judgements_age on day_judgements (day);

-- What a partner has set; a partner without a row has the defaults.
create table insight_settings (
  partner_id uuid primary key references partners (id) on delete cascade,
  -- Seconds that one message of a verdict costs its reader, by verdict.
  seconds jsonb not null default '{}',
  anomaly_alerts text not null default 'incident' check (anomaly_alerts in ('off', 'incident', 'ticket'))
);

do $$
declare
  t text;
begin
  foreach t in array array['threat_traits', 'server_states', 'day_judgements', 'insight_settings'] loop
    execute format('alter table %I enable row level security', t);
    execute format('alter table %I force row level security', t);
    execute format('create policy tenant on %I to tollgate_app using (partner_id = current_partner()) with check (partner_id = current_partner())', t);
    execute format('create policy system on %I to tollgate_system using (true) with check (true)', t);
    execute format('grant select, insert, update, delete on %I to tollgate_app, tollgate_system', t);
  end loop;
end $$;

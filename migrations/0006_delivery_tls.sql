-- MTA-STS policies of other people's domains (RFC 8461), kept until their max_age ends: what was once known to be enforced
-- stays enforced when DNS or the web server is kept from us. Not tenants' data: the gateway's alone.
create table mta_sts_policies (
  domain text primary key check (length(domain) between 1 and 255),
  -- The id of the TXT record that the policy was fetched for.
  policy_id text not null,
  mode text not null check (mode in ('enforce', 'testing', 'none')),
  mx text[] not null,
  fetched_at timestamptz not null,
  expires_at timestamptz not null
);
grant select, insert, update, delete on mta_sts_policies to tollgate_system;

-- Counters of delivery that no ledger event adds up to, for /metrics. One row per name, written with what it counts.
create table delivery_counters (
  name text primary key,
  value bigint not null default 0
);
insert into delivery_counters (name) values ('second_chance_tried'), ('second_chance_delivered');
grant select, update on delivery_counters to tollgate_system;

-- What the probe found when it last spoke to a client's server, and what the monitor makes of it.
create table server_probes (
  partner_id uuid not null,
  client_id uuid not null,
  host text not null,
  port integer not null check (port between 1 and 65535),
  -- Null until the first probe.
  state text check (state in ('up', 'slow', 'failing', 'down')),
  since timestamptz,
  -- How many probes in a row have said something else than the state: one alone changes nothing.
  strikes integer not null default 0,
  -- Whether it did not answer the last one.
  silent boolean not null default false,
  latency_ms integer,
  banner text,
  certificate_until timestamptz,
  last_error text,
  checked_at timestamptz,
  due_at timestamptz not null,
  primary key (partner_id, client_id, host, port),
  foreign key (partner_id, client_id) references clients (partner_id, id) on delete cascade
);
create index server_probes_due on server_probes (due_at);

alter table server_probes enable row level security;
alter table server_probes force row level security;
create policy tenant on server_probes to tollgate_app
  using (partner_id = current_partner()) with check (partner_id = current_partner());
create policy system on server_probes to tollgate_system using (true) with check (true);
grant select, insert, update, delete on server_probes to tollgate_system;
grant select on server_probes to tollgate_app;

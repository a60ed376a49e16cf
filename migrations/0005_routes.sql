-- Where mail goes, in which regions, what was tried, and what the sender is told of it.

-- `relay`: the host. `mx`: the mail hosts in the DNS of the domain `host`, of the recipient's own domain when `host` is ''.
-- Among routes of one priority the weight is the share of the deliveries.
alter table routes
  add column kind text not null default 'relay' check (kind in ('relay', 'mx')),
  add column weight integer not null default 1 check (weight between 1 and 1000),
  add column region text check (region ~ '^[a-z0-9][a-z0-9-]{0,31}$'),
  add constraint routes_host check ((kind = 'mx' and region is null) or (kind = 'relay' and host <> ''));

-- Through which regions the mail of a client (`domain` null) or of one of its domains goes, in that order, and never through
-- another. `recipient_servers`: what the client sends may be handed to the recipient's own server, which has no region.
create table region_strategies (
  partner_id uuid not null,
  client_id uuid not null,
  id uuid not null,
  domain text,
  regions text[] not null check (cardinality(regions) between 1 and 16),
  recipient_servers boolean not null default false,
  created_at timestamptz not null,
  primary key (partner_id, id),
  foreign key (partner_id, client_id) references clients (partner_id, id) on delete cascade
);
create unique index region_strategies_of on region_strategies (partner_id, client_id, coalesce(domain, ''));

-- Whether a gateway of a region may work on a queue row. A domain's own strategy hides the client's; none allows everything.
create function region_allows(partner uuid, client uuid, delivery uuid, node_region text) returns boolean
  language sql stable
  as $$
    select coalesce(
      (select coalesce(region_allows.node_region = any(s.regions), false)
       from region_strategies s
       where s.partner_id = region_allows.partner and s.client_id = region_allows.client
         and (s.domain is null or s.domain = (select d.domain from deliveries d
                                              where d.partner_id = region_allows.partner and d.id = region_allows.delivery))
       order by s.domain nulls last limit 1),
      true)
  $$;
revoke all on function region_allows(uuid, uuid, uuid, text) from public;
grant execute on function region_allows(uuid, uuid, uuid, text) to tollgate_app, tollgate_system;

-- Gateways that stand in a region, as long as they are at work. Mail whose regions have none waits with a reply that says so.
create table node_regions (
  node text primary key,
  region text not null,
  seen_at timestamptz not null
);
grant select, insert, update, delete on node_regions to tollgate_system;
grant select on node_regions to tollgate_app;

-- Connections that were tried for a delivery, the first and the last of them (src/gateway/attempts.ts).
create table delivery_attempts (
  partner_id uuid not null,
  delivery_id uuid not null,
  id uuid not null,
  at timestamptz not null,
  node text not null,
  node_region text,
  -- The host as configured or as the DNS names it; `address` null: it has none that mail may be sent to.
  host text not null,
  address text,
  port integer not null,
  region text,
  tls_version text,
  tls_cipher text,
  tls_verified boolean,
  -- 0: no reply.
  code integer not null,
  reply text not null,
  duration_ms integer not null,
  path text not null default 'direct' check (path in ('direct', 'second_chance')),
  primary key (partner_id, delivery_id, id),
  foreign key (partner_id, delivery_id) references deliveries (partner_id, id) on delete cascade
);

-- When the sender is told that the mail is late; null: told, or nobody is to be told.
alter table queue add column notice_due_at timestamptz;
create index queue_notice on queue (notice_due_at) where notice_due_at is not null;

-- What the sender asked for by RFC 3461, and RFC 6531's SMTPUTF8.
alter table messages
  add column dsn_ret text check (dsn_ret in ('FULL', 'HDRS')),
  add column dsn_envid text,
  add column smtp_utf8 boolean not null default false;
alter table deliveries
  add column dsn_notify text,
  add column dsn_orcpt text;

do $$
declare
  t text;
begin
  foreach t in array array['region_strategies', 'delivery_attempts'] loop
    execute format('alter table %I enable row level security', t);
    execute format('alter table %I force row level security', t);
    execute format('create policy tenant on %I to tollgate_app using (partner_id = current_partner()) with check (partner_id = current_partner())', t);
    execute format('create policy system on %I to tollgate_system using (true) with check (true)', t);
    execute format('grant select, insert, update, delete on %I to tollgate_app, tollgate_system', t);
  end loop;
end $$;
-- What was tried is evidence: a tenant reads it.
revoke insert, update, delete on delivery_attempts from tollgate_app;

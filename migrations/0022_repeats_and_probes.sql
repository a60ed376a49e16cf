-- A transaction that comes again is the same only if its first client is known to have left without an answer. Before, every equal one
-- within ten minutes was taken for the first: the second mail of a device that says the same twice, with a Message-ID that never
-- changes, was answered 250 and thrown away.
alter table accepted_digests add column unheard boolean not null default false;

-- The regions of each strategy that mail through a route may have, one row a domain that the route is for; null: of a domain without one.
-- A client's routes are not those of a domain that has its own.
create function route_strategies(partner uuid, client uuid, route_domain text) returns table (regions text[])
  language sql stable
  set search_path = pg_catalog, public, pg_temp
  as $$
    select (select s.regions from region_strategies s
            where s.partner_id = route_strategies.partner and s.client_id = route_strategies.client
              and (s.domain is null or s.domain = d.name)
            order by s.domain nulls last limit 1)
    from (with mine as (
            select d.name from domains d
            where d.partner_id = route_strategies.partner and d.client_id = route_strategies.client
              and case when route_strategies.route_domain is null
                then not exists (select from routes r
                                 where r.partner_id = d.partner_id and r.client_id = d.client_id and r.domain = d.name)
                else d.name = route_strategies.route_domain end)
          select m.name from mine m
          union all
          -- Of no domain, as of a client that has none yet: the client's own strategy.
          select null where not exists (select from mine)) as d
  $$;
revoke all on function route_strategies(uuid, uuid, text) from public;
grant execute on function route_strategies(uuid, uuid, text) to tollgate_system;

-- When a client sent its first mail through the gateway: it knows nobody then, and the limits on first-time recipients learn before they hold.
create table outbound_starts (
  partner_id uuid not null,
  client_id uuid not null,
  started_at timestamptz not null,
  primary key (partner_id, client_id),
  foreign key (partner_id, client_id) references clients (partner_id, id) on delete cascade
);
alter table outbound_starts enable row level security;
alter table outbound_starts force row level security;
create policy tenant on outbound_starts to tollgate_app using (partner_id = current_partner()) with check (partner_id = current_partner());
create policy system on outbound_starts to tollgate_system using (true) with check (true);
-- Who sent before this step is no beginner. The owner is under the forced security too.
do $$
begin
  execute format('create policy owner_fills on outbound_starts to %I using (true) with check (true)', current_user);
  execute format('create policy owner_reads on outbound_known to %I using (true)', current_user);
  execute format('create policy owner_reads on clients to %I using (true)', current_user);
  insert into outbound_starts (partner_id, client_id, started_at)
  select c.partner_id, c.id, timestamptz '2000-01-01 00:00Z' from clients c
  where exists (select from outbound_known k where k.partner_id = c.partner_id and k.scope = 'client' and k.scope_id = c.id);
  drop policy owner_fills on outbound_starts;
  drop policy owner_reads on outbound_known;
  drop policy owner_reads on clients;
end $$;
grant select on outbound_starts to tollgate_app;
grant select, insert, update, delete on outbound_starts to tollgate_system;

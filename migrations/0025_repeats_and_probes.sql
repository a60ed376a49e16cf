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

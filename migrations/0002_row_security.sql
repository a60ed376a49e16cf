-- Rule 10: every table of tenants has row-level security, forced on its owner too. The tenant role sees the partner that
-- the transaction names; the system role (gateway, roller, jobs) sees all and still owns nothing.

revoke all on schema public from public;
grant usage on schema public to tollgate_app, tollgate_system;
revoke all on function current_partner() from public;
grant execute on function current_partner() to tollgate_app, tollgate_system;

do $$
declare
  t record;
begin
  for t in
    select c.oid::regclass as name, c.relname as plain,
           case when c.relname = 'partners' then 'id' else 'partner_id' end as tenant
    from pg_class c
    join pg_attribute a on a.attrelid = c.oid and a.attname = case when c.relname = 'partners' then 'id' else 'partner_id' end
    where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p') and not a.attisdropped
  loop
    execute format('alter table %s enable row level security', t.name);
    execute format('alter table %s force row level security', t.name);
    -- Partitions are reached through their parent only: they get no grant and no policy, so they show nothing directly.
    if t.plain not like 'ledger\_%' then
      execute format('create policy tenant on %s to tollgate_app using (%I = current_partner()) with check (%I = current_partner())',
        t.name, t.tenant, t.tenant);
      execute format('create policy system on %s to tollgate_system using (true) with check (true)', t.name);
      execute format('grant select, insert, update, delete on %s to tollgate_app, tollgate_system', t.name);
    end if;
  end loop;
end $$;

-- The ledger is append-only for everybody (rule 3).
revoke update, delete on ledger from tollgate_app, tollgate_system;
-- Numbers are written by the roller alone (rule 12); a partner is made by the operator, not by a tenant.
revoke insert, update, delete on rollup_traffic, rollup_mailboxes, rollup_senders, rollup_reasons, rollup_late from tollgate_app;
revoke insert, delete on partners from tollgate_app;
-- Usage snapshots are evidence: a tenant reads them.
revoke insert, update, delete on usage_snapshots from tollgate_app;

grant select, insert, update, delete on nodes, rollup_state, rollup_watermarks to tollgate_system;
grant select on nodes, rollup_state, rollup_watermarks to tollgate_app;

import type pg from 'pg';

/**
 * The schema as text, from the catalogue, in one fixed order. The packaged PostgreSQL ships no pg_dump; this says the same:
 * columns, constraints, indexes, policies, grants, functions. `migrations/schema.sql` is this text after all steps.
 */
export async function dumpSchema(client: pg.Client): Promise<string> {
  const lines = async (query: string): Promise<string[]> =>
    (await client.query<{ line: string }>(query)).rows.map((row) => row.line);
  const parts = [
    await lines(`
      select
             regexp_replace(pg_get_functiondef(p.oid), '\\s+', ' ', 'g') || ';' as line
      from pg_proc p where p.pronamespace = 'public'::regnamespace order by p.proname`),
    await lines(`
      select format(e'create table %s (\\n%s\\n)%s;', c.relname,
               (select string_agg(format('  %s %s%s%s', a.attname, format_type(a.atttypid, a.atttypmod),
                         case when a.attnotnull then ' not null' else '' end,
                         coalesce(' default ' || pg_get_expr(d.adbin, d.adrelid), '')), e',\\n' order by a.attnum)
                from pg_attribute a left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
                where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped),
               case when c.relkind = 'p' then ' partition by ' || pg_get_partkeydef(c.oid)
                    when c.relispartition then ' -- partition of ' || (select i.inhparent::regclass::text from pg_inherits i where i.inhrelid = c.oid)
                         || ' ' || pg_get_expr(c.relpartbound, c.oid) else '' end) as line
      from pg_class c where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p') order by c.relname`),
    await lines(`
      select format('alter table %s add constraint %s %s;', k.conrelid::regclass, k.conname, pg_get_constraintdef(k.oid)) as line
      from pg_constraint k where k.connamespace = 'public'::regnamespace and k.contype in ('p', 'u', 'f', 'c')
      order by k.conrelid::regclass::text, k.conname`),
    await lines(`
      select i.indexdef || ';' as line from pg_indexes i where i.schemaname = 'public'
        and not exists (select from pg_constraint k where k.conname = i.indexname) order by i.indexname`),
    await lines(`
      select format('create policy %s on %s for %s to %s using (%s) with check (%s);', p.policyname, p.tablename, p.cmd,
                    array_to_string(p.roles, ', '), p.qual, p.with_check) as line
      from pg_policies p where p.schemaname = 'public' order by p.tablename, p.policyname`),
    await lines(`
      select format('alter table %s %s;', c.relname, case when c.relforcerowsecurity then 'force row level security' else 'enable row level security' end) as line
      from pg_class c where c.relnamespace = 'public'::regnamespace and c.relrowsecurity order by c.relname`),
    await lines(`
      select format('grant %s on %s to %s;', string_agg(lower(g.privilege_type), ', ' order by g.privilege_type), g.table_name, g.grantee) as line
      from information_schema.role_table_grants g
      where g.table_schema = 'public' and g.grantee in ('tollgate_app', 'tollgate_system')
      group by g.table_name, g.grantee order by g.table_name, g.grantee`),
  ];
  return `${parts.map((part) => part.join('\n')).join('\n\n')}\n`;
}

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openDatabase } from '../support/db.ts';
import { seedClient, seedPartner } from '../support/seed.ts';

test('rule 10: every table of tenants has forced row security, and no role of the service owns or bypasses', async (t) => {
  const { owner } = await openDatabase(t);
  const tables = await owner.query<{
    relname: string;
    relrowsecurity: boolean;
    relforcerowsecurity: boolean;
    policies: number;
  }>(`
    select c.relname, c.relrowsecurity, c.relforcerowsecurity,
           (select count(*)::int from pg_policies p
            where p.tablename = c.relname and p.policyname in ('tenant', 'system')
               or p.tablename = c.relname and not (p.policyname = 'trace_candidates' and p.roles = array[current_user]
                                                   and p.cmd = 'SELECT')) as policies
    from pg_class c
    where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p')
      and (c.relname = 'partners' or exists (select from pg_attribute a where a.attrelid = c.oid and a.attname = 'partner_id'))`);
  assert.ok(tables.rows.length > 25, 'the query finds the tables');
  for (const table of tables.rows) {
    assert.ok(table.relrowsecurity && table.relforcerowsecurity, `${table.relname} has forced row security`);
    assert.equal(
      table.policies,
      table.relname.startsWith('ledger_') ? 0 : 2,
      `${table.relname} has its two policies, and the owner none but the trace's`,
    );
  }
  const roles = await owner.query(`
    select rolname from pg_roles where rolname in ('tollgate_app', 'tollgate_system')
      and not rolbypassrls and not rolsuper and not rolcreaterole and not rolcreatedb`);
  assert.equal(roles.rows.length, 2);
  const owned = await owner.query(`
    select c.relname from pg_class c join pg_roles r on r.oid = c.relowner
    where r.rolname in ('tollgate_app', 'tollgate_system')`);
  assert.deepEqual(owned.rows, []);
  const definers = await owner.query(
    `select proname from pg_proc where pronamespace = 'public'::regnamespace and prosecdef`,
  );
  // It names the tenant itself and answers with ids alone (migration 0019; test/ledger/search.test.ts).
  assert.deepEqual(definers.rows, [{ proname: 'trace_candidates' }]);
  const views = await owner.query(`
    select relname from pg_class where relnamespace = 'public'::regnamespace and relkind in ('v', 'm')
      and not coalesce(reloptions::text, '') like '%security_invoker=true%'`);
  assert.deepEqual(views.rows, []);
});

test('rule 10: a foreign key between tables of tenants always carries the tenant', async (t) => {
  const { owner } = await openDatabase(t);
  const keys = await owner.query<{ conname: string; columns: string[] }>(`
    select k.conname, array(select a.attname::text from unnest(k.conkey) n join pg_attribute a on a.attrelid = k.conrelid and a.attnum = n) as columns
    from pg_constraint k where k.contype = 'f' and k.connamespace = 'public'::regnamespace`);
  assert.ok(keys.rows.length > 15);
  for (const key of keys.rows) assert.ok(key.columns.includes('partner_id'), key.conname);
});

test('rule 3 and 12: nobody rewrites the ledger, and a tenant writes no rollup', async (t) => {
  const { db, owner } = await openDatabase(t);
  const partner = await seedPartner(db);
  await seedClient(db, partner.id);
  const may = async (role: string, table: string, right: string) => {
    const { rows } = await owner.query<{ yes: boolean }>('select has_table_privilege($1, $2, $3) as yes', [
      role,
      table,
      right,
    ]);
    return rows[0]?.yes;
  };
  for (const role of ['tollgate_app', 'tollgate_system']) {
    assert.equal(await may(role, 'ledger', 'insert'), true);
    for (const right of ['update', 'delete', 'truncate'])
      assert.equal(await may(role, 'ledger', right), false, `${role} ${right}`);
    assert.equal(await may(role, 'ledger_default', 'select'), false, 'partitions are reached through the ledger only');
  }
  for (const table of [
    'rollup_traffic',
    'rollup_senders',
    'rollup_sketches',
    'rollup_items',
    'rollup_folds',
    'usage_snapshots',
  ]) {
    assert.equal(await may('tollgate_app', table, 'insert'), false, table);
    assert.equal(await may('tollgate_app', table, 'update'), false, table);
  }
});

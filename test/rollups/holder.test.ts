import assert from 'node:assert/strict';
import { test } from 'node:test';
import pg from 'pg';
import { describeHolder, type Holder, horizonHolder } from '../../src/rollups/holder.ts';
import { openDatabase } from '../support/db.ts';

test('who holds the rollups is told, from whatever database and role', async (t) => {
  const { db, ownerUrl, before } = await openDatabase(t);
  const forgotten = new pg.Client({ connectionString: ownerUrl, application_name: 'forgotten' });
  await forgotten.connect();
  before(() => forgotten.end());
  await forgotten.query('begin');
  const { rows } = await forgotten.query<{ pid: number }>(
    'select pg_backend_pid() as pid, pg_current_xact_id() as xid',
  );
  const own = rows[0]?.pid ?? 0;
  // Transactions of tests that run beside may be older; they end.
  let holder: Holder | null = null;
  while (holder?.pid !== own) holder = await db.system(horizonHolder, { readOnly: true });
  assert.match(holder === null ? '' : describeHolder(holder), new RegExp(`^process ${own} \\(.*database t_`));
  await forgotten.query('rollback');
  const after = await db.system(horizonHolder, { readOnly: true });
  assert.notEqual(after?.pid, own);
});

test('a holder is described by what is known of it', () => {
  const known = { pid: 7, database: 'postgres', user: 'joe', application: 'psql', seconds: 75.2, prepared: null };
  assert.equal(describeHolder(known), 'process 7 (joe, psql, database postgres) for 75 s');
  const hidden = { ...known, application: null, seconds: null };
  assert.equal(describeHolder(hidden), 'process 7 (joe, database postgres)');
  const prepared = { ...known, pid: null, application: null, prepared: 'tx1' };
  assert.equal(describeHolder(prepared), 'the prepared transaction tx1 (joe, database postgres) for 75 s');
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { sql } from '../../src/db/sql.ts';
import { openDatabase } from '../support/db.ts';

test('statements without a transaction: read as the system role, never write through run, give connections back', async (t) => {
  const { db, clock } = await openDatabase(t);
  const look = { readOnly: true, perStatement: true };
  const seen = await Promise.all(
    Array.from({ length: 30 }, () =>
      db.system(async (tx) => {
        assert.equal(tx.now.getTime(), clock.now().getTime());
        return tx.one<{ role: string }>(sql`select current_user as role`);
      }, look),
    ),
  );
  assert.deepEqual(new Set(seen.map((row) => row.role)), new Set(['tollgate_system']));
  await assert.rejects(
    db.system((tx) => tx.run(sql`delete from partners`), look),
    /does not write/,
  );
  await assert.rejects(db.system((tx) => tx.rows(sql`select 1 / 0`), look));
  assert.deepEqual(await db.system((tx) => tx.rows(sql`select 1 as n`), look), [{ n: 1 }]);
});

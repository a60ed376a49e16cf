import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AppError } from '../../src/core/errors.ts';
import { newId } from '../../src/core/id.ts';
import { partnerId } from '../../src/core/tenant.ts';
import { sql } from '../../src/db/sql.ts';
import { openDatabase } from '../support/db.ts';

test('a tenant transaction sees its own partner only', async (t) => {
  const { db } = await openDatabase(t);
  const [a, b] = [newId(), newId()];
  await db.system(async (tx) => {
    await tx.run(
      sql`insert into partners (id, name, created_at) values (${a}, 'A', ${tx.now}), (${b}, 'B', ${tx.now})`,
    );
  });
  const seen = await db.tenant(partnerId(a), (tx) => tx.rows<{ name: string }>(sql`select name from partners`));
  assert.deepEqual(seen, [{ name: 'A' }]);
  const written = await db.tenant(partnerId(a), (tx) => tx.run(sql`update partners set name = 'X' where id = ${b}`));
  assert.equal(written, 0);
});

test('a failed transaction leaves nothing behind and its connection is usable', async (t) => {
  const { db } = await openDatabase(t);
  await assert.rejects(
    db.system(async (tx) => {
      await tx.run(sql`insert into partners (id, name, created_at) values (${newId()}, 'A', ${tx.now})`);
      throw new AppError('conflict', 'no');
    }),
    /no/,
  );
  assert.deepEqual(await db.system((tx) => tx.rows(sql`select 1 as one from partners`)), []);
});

test('a partner id that is no id is answered like one that does not exist', async (t) => {
  const { db } = await openDatabase(t);
  await assert.rejects(
    db.tenant(partnerId("x'; drop table partners; --"), async () => undefined),
    (error: unknown) => error instanceof AppError && error.code === 'not_found',
  );
});

test('dates stay days and int8 stays exact', async (t) => {
  const { db } = await openDatabase(t);
  const row = await db.system((tx) => tx.one(sql`select date '2026-03-29' as day, 9007199254740991::int8 as big`));
  assert.deepEqual(row, { day: '2026-03-29', big: Number.MAX_SAFE_INTEGER });
  await assert.rejects(
    db.system((tx) => tx.one(sql`select 9007199254740993::int8 as big`)),
    RangeError,
  );
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import pg from 'pg';
import { newId } from '../../src/core/id.ts';
import type { SystemTx } from '../../src/db/db.ts';
import { sql } from '../../src/db/sql.ts';
import { together } from '../../src/db/together.ts';
import { openDatabase } from '../support/db.ts';

const codeOf = (error: unknown) => (error as { code?: unknown }).code;
const code = (wanted: string) => (error: unknown) => {
  assert.equal(codeOf(error), wanted);
  return true;
};
const good = (tx: SystemTx) => tx.rows(sql`select 1 as one`);
const divided = (tx: SystemTx) => tx.rows(sql`select 1 / 0 as one`);

/** Two statements, one after the other. */
async function steps(tx: SystemTx, last: (tx: SystemTx) => Promise<unknown> = good) {
  await good(tx);
  await last(tx);
}

test('the first true error comes out, wherever it stands among those that followed it', async (t) => {
  const { db } = await openDatabase(t);
  // The second statement of `steps` is sent behind the one that failed, and stands before it here.
  await assert.rejects(
    db.system((tx) => together([steps(tx), divided(tx)])),
    code('22012'),
  );
  await assert.rejects(
    db.system((tx) => together([steps(tx), steps(tx, divided), good(tx), steps(tx)])),
    code('22012'),
  );
});

test('of several that would each fail the one that was sent first is told', async (t) => {
  const { db } = await openDatabase(t);
  const cast = (tx: SystemTx) => tx.rows(sql`select 'x'::text::int as one`);
  await assert.rejects(
    db.system((tx) => together([steps(tx, cast), divided(tx)])),
    code('22012'),
  );
  await assert.rejects(
    db.system((tx) => together([cast(tx), divided(tx)])),
    code('22P02'),
  );
});

test('an error that somebody caught is told when the transaction ends by it', async (t) => {
  const { db } = await openDatabase(t);
  const hidden = (tx: SystemTx) => divided(tx).catch(() => []);
  await assert.rejects(
    db.system((tx) => together([hidden(tx), good(tx)])),
    code('22012'),
  );
  await assert.rejects(
    db.system(async (tx) => {
      await hidden(tx);
      await good(tx);
    }),
    code('22012'),
  );
  // Nobody saw anything: COMMIT was answered by ROLLBACK.
  await assert.rejects(
    db.system(async (tx) => {
      await tx.run(sql`insert into partners (id, name, created_at) values (${newId()}, 'A', ${tx.now})`);
      await hidden(tx);
    }),
    code('22012'),
  );
  assert.deepEqual(await db.system((tx) => tx.rows(sql`select from partners`)), []);
});

test('an error of our own is told as it is, though a statement failed too', async (t) => {
  const { db } = await openDatabase(t);
  await assert.rejects(
    db.system(async (tx) => {
      await divided(tx).catch(() => undefined);
      throw new RangeError('ours');
    }),
    /ours/,
  );
});

test('a BEGIN that fails is told, and not what the statements behind it say', async (t) => {
  const { db } = await openDatabase(t);
  const query = pg.Client.prototype.query as (...given: unknown[]) => unknown;
  t.mock.method(pg.Client.prototype, 'query', function (this: pg.Client, ...[text, ...rest]: unknown[]) {
    return query.call(this, text === 'begin read write' ? 'begin nothing' : text, ...rest);
  });
  const write = (tx: SystemTx) =>
    tx.run(sql`insert into partners (id, name, created_at) values (${newId()}, 'A', ${tx.now})`);
  await assert.rejects(
    db.system((tx) => together([write(tx), good(tx)])),
    code('42601'),
  );
});

import assert from 'node:assert/strict';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { test } from 'node:test';
import { AppError } from '../../src/core/errors.ts';
import { newId } from '../../src/core/id.ts';
import { silentLogger } from '../../src/core/log.ts';
import { partnerId } from '../../src/core/tenant.ts';
import { Database, type Tx } from '../../src/db/db.ts';
import { roleUrl } from '../../src/db/migrate.ts';
import { sql } from '../../src/db/sql.ts';
import { TEST_PASSWORDS } from '../support/cluster.ts';
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

test('a server that is silent in the middle of a transaction is gone: unavailable, and the next one goes on', async (t) => {
  const { ownerUrl, before, clock } = await openDatabase(t);
  const target = new URL(ownerUrl);
  const sockets = new Set<Socket>();
  let isSilent = false;
  const proxy = createServer((inner) => {
    const outer = connect(Number(target.port), target.hostname);
    for (const [from, to] of [
      [inner, outer],
      [outer, inner],
    ] as const) {
      sockets.add(from);
      from.on('error', () => undefined);
      from.on('close', () => to.destroy());
      from.on('data', (chunk: Buffer) => {
        if (!isSilent) to.write(chunk);
      });
    }
  });
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
  const url = new URL(ownerUrl);
  url.port = String((proxy.address() as AddressInfo).port);
  const systemUrl = roleUrl(url.toString(), 'tollgate_system', TEST_PASSWORDS.system);
  const db = new Database({
    appUrl: systemUrl,
    systemUrl,
    clock,
    logger: silentLogger,
    maxConnections: 1,
    silenceMs: 3_000,
  });
  before(async () => {
    await db[Symbol.asyncDispose]();
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => proxy.close(resolve));
  });
  const one = (tx: Tx) => tx.one<{ one: number }>(sql`select 1 as one`);
  await db.system(one);
  await assert.rejects(
    db.system(async (tx) => {
      await one(tx);
      isSilent = true;
    }),
    (error: unknown) => error instanceof AppError && error.code === 'unavailable',
  );
  isSilent = false;
  assert.equal((await db.system(one)).one, 1);
});

test("a transaction that has ended takes no statement: its connection is another one's", async (t) => {
  const { db } = await openDatabase(t);
  let late: Tx | undefined;
  await db.system(async (tx) => {
    late = tx;
  });
  await assert.rejects(async () => late?.rows(sql`select 1 as one`), /has ended/);
  await assert.rejects(
    db.system(async (tx) => {
      tx.seal();
      await tx.run(sql`insert into partners (id, name, created_at) values (${newId()}, 'A', ${tx.now})`);
    }),
    /has ended/,
  );
});

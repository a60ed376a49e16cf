import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import type { SystemTx } from '../../src/db/db.ts';
import { sql } from '../../src/db/sql.ts';
import { appendEvents } from '../../src/ledger/append.ts';
import { listNodes, NodeWatermark, retireNode } from '../../src/ledger/watermark.ts';
import { rollOnce } from '../../src/rollups/build.ts';
import { readReach } from '../../src/rollups/reach.ts';
import { completeThrough } from '../../src/rollups/read.ts';
import { horizonAgeSeconds } from '../../src/rollups/state.ts';
import { openDatabase, type openPools } from '../support/db.ts';
import { makeEvent } from '../support/events.ts';
import { rollAll } from '../support/roll.ts';
import { seedClient, seedPartner } from '../support/seed.ts';

const SECOND = 1_000;

async function setup(t: TestContext) {
  const database = await openDatabase(t);
  const through = async () => (await database.db.system((tx) => completeThrough(tx)))?.getTime() ?? null;
  return { ...database, through, now: () => database.clock.now().getTime() };
}

/** A writing transaction that stays open until it is ended. */
async function openTransaction(db: ReturnType<typeof openPools>, work: (tx: SystemTx) => Promise<unknown>) {
  let end: (commit: boolean) => void = () => undefined;
  const ended = new Promise<boolean>((resolve) => {
    end = resolve;
  });
  let begun: () => void = () => undefined;
  const isBegun = new Promise<void>((resolve) => {
    begun = resolve;
  });
  const whole = db
    .system(async (tx) => {
      await work(tx);
      begun();
      if (!(await ended)) throw new Error('rolled back');
    })
    .catch((error: Error) => assert.equal(error.message, 'rolled back'));
  await isBegun;
  return async (commit = true) => {
    end(commit);
    await whole;
  };
}

const anyWrite = (tx: SystemTx) => tx.one(sql`select pg_current_xact_id()::text as xid`);

test('a gateway that always has some older transaction open is believed all the same', async (t) => {
  const { db, clock, through, now } = await setup(t);
  const node = new NodeWatermark(db, clock, 'one', 'gateway');
  await node.beat();
  await rollAll(db);
  const began = now();
  // Each transaction is older than the next heartbeat and younger than the one before: the horizon never reaches the newest.
  let end = await openTransaction(db, anyWrite);
  for (let round = 0; round < 5; round += 1) {
    clock.advance(SECOND);
    await node.beat();
    const next = await openTransaction(db, anyWrite);
    await rollOnce(db);
    await end();
    end = next;
  }
  // Transactions of tests that run beside hold the horizon too, for a moment.
  while ((await through()) !== began + 5 * SECOND) {
    await rollOnce(db);
    await pause(5);
  }
  await end();
});

test('a database that the node observes marks every writing transaction, of tenants too', async (t) => {
  const { db, clock, now } = await setup(t);
  const partner = await seedPartner(db);
  const node = new NodeWatermark(db, clock, 'one', 'gateway');
  db.observe(node);
  const began = now();
  await db.tenant(partner.id, async () => {
    clock.advance(SECOND);
    assert.equal(node.flushedThrough().getTime(), began - 1);
  });
  await db.tenant(partner.id, async () => assert.equal(node.flushedThrough().getTime(), now()), { readOnly: true });
  await assert.rejects(
    db.system(async () => {
      throw new Error('fails');
    }),
  );
  assert.equal(node.flushedThrough().getTime(), now(), 'a failed transaction has ended too');
});

test('a node that is told to stop while something is still open does not vouch for it', async (t) => {
  const { db, clock, through, now } = await setup(t);
  const node = new NodeWatermark(db, clock, 'one', 'gateway');
  await node.beat();
  const mark = node.open(clock.now());
  const held = now() - 1;
  clock.advance(60 * SECOND);
  await node.stop();
  await rollAll(db);
  assert.ok(((await through()) ?? 0) <= held + 1);
  assert.equal((await db.system(listNodes))[0]?.state, 'alive');
  node.close(mark);
  // The node comes back under its name and tells again.
  const again = new NodeWatermark(db, clock, 'one', 'gateway');
  await again.beat();
  await again.stop();
  await rollAll(db);
  assert.equal(await through(), now());
  assert.equal((await db.system(listNodes))[0]?.state, 'stopped');
});

test('nothing is said after the last word, and heartbeats in flight end before it', async (t) => {
  const { db, clock } = await setup(t);
  const node = new NodeWatermark(db, clock, 'one', 'gateway');
  db.observe(node);
  await Promise.all([node.beat(), node.beat(), node.stop(), node.beat(), node.stop()]);
  assert.equal((await db.system(listNodes))[0]?.state, 'stopped');
});

test('what is complete does not go back when nodes stop, start, return and are retired', async (t) => {
  const { db, clock, through, now } = await setup(t);
  const node = (name: string) => new NodeWatermark(db, clock, name, 'gateway');
  let last = Number.NEGATIVE_INFINITY;
  const check = async (expected: number, what: string) => {
    for (const when of ['before the roll', 'after the roll']) {
      const seen = (await through()) ?? Number.NEGATIVE_INFINITY;
      assert.ok(seen >= last, `${what}, ${when}: ${seen - last} ms`);
      last = seen;
      if (when === 'after the roll') {
        assert.equal(seen, expected, what);
        const reach = await db.system((tx) => readReach(tx));
        assert.equal(reach.completeThrough?.getTime(), expected, `${what}, for readers of the tail`);
      } else await rollAll(db);
    }
  };
  const one = node('one');
  await one.beat();
  await check(now(), 'the first');
  clock.advance(SECOND);
  await one.stop();
  await check(now(), 'the only one has stopped');
  clock.advance(3_600 * SECOND);
  const two = node('two');
  await two.beat();
  await check(now(), 'another has begun');
  clock.advance(SECOND);
  await node('one').beat();
  await two.beat();
  await check(now(), 'the first is back, and dies now');
  const dead = now();
  clock.advance(3_600 * SECOND);
  await two.beat();
  await check(dead, 'the dead one holds');
  await db.system((tx) => retireNode(tx, 'one'));
  assert.equal(await through(), now(), 'retired at once');
  assert.equal(await db.system((tx) => retireNode(tx, 'one')), false);
  assert.equal(await db.system((tx) => retireNode(tx, 'nobody')), false);
  await check(now(), 'retired');
  clock.advance(SECOND);
  await node('one').beat();
  await two.beat();
  await check(now(), 'the retired one has returned');
  clock.advance(-7_200 * SECOND);
  await two.beat();
  await check(last, 'a clock was set back');
});

test('a forgotten transaction holds the numbers and shows in the age of the horizon', async (t) => {
  const { db, clock, through, now } = await setup(t);
  const partner = await seedPartner(db);
  const clientId = await seedClient(db, partner.id);
  const node = new NodeWatermark(db, clock, 'one', 'gateway');
  const age = () => db.system((tx) => horizonAgeSeconds(tx));
  assert.equal(await age(), 0, 'before the first round');
  await node.beat();
  await rollAll(db);
  await rollAll(db);
  const began = now();
  // In another database or another role: it is the transaction id that counts, not who may see the session.
  const end = await openTransaction(db, anyWrite);
  for (let minute = 0; minute < 10; minute += 1) {
    clock.advance(60 * SECOND);
    await node.beat();
    await db.system((tx) =>
      appendEvents(tx, [makeEvent({ partnerId: partner.id, clientId, occurredAt: clock.now() })]),
    );
    await rollOnce(db);
  }
  assert.equal(await age(), 600);
  assert.equal(await through(), began);
  await end(false);
  assert.equal(await rollAll(db), 10);
  await rollAll(db);
  assert.equal(await age(), 0);
  assert.equal(await through(), now());
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { appendEvents } from '../../src/ledger/append.ts';
import { openDatabase } from '../support/db.ts';
import { makeEvent } from '../support/events.ts';
import { rollAll } from '../support/roll.ts';
import { seedClient, seedPartner } from '../support/seed.ts';

async function setup(t: Parameters<typeof openDatabase>[0]) {
  const database = await openDatabase(t);
  const partner = await seedPartner(database.db);
  const clientId = await seedClient(database.db, partner.id);
  return { ...database, partner, common: { partnerId: partner.id, clientId, occurredAt: database.clock.now() } };
}

test('text that PostgreSQL can not store does not fail a batch', async (t) => {
  const { db, owner, common } = await setup(t);
  const bad = makeEvent({ ...common, sender: 'a\0b\ud800', reasons: ['x\0', 'y"\\{},'] });
  await db.system((tx) => appendEvents(tx, [bad, bad]));
  const { rows } = await owner.query('select sender, reasons from ledger');
  assert.deepEqual(rows, [{ sender: 'a\ufffdb\ufffd', reasons: ['x\ufffd', 'y"\\{},'] }]);
});

test('an event that no rollup expects, with texts beyond every limit, does not stop the roller', async (t) => {
  const { db, owner, common } = await setup(t);
  // Random text, which does not compress: a long run of one letter would fit into an index.
  const long = Array.from({ length: 20_000 }, () =>
    String.fromCodePoint(0x4e00 + Math.floor(Math.random() * 20_000)),
  ).join('');
  await db.system((tx) =>
    appendEvents(tx, [
      makeEvent({ ...common, sender: long, recipient: long, domain: long, node: long, reasons: Array(500).fill(long) }),
      makeEvent({ ...common, verdict: null, disposition: null, sender: '', mailboxId: common.clientId }),
      makeEvent({ ...common, kind: 'rejected', reasons: ['a', 'a'] }),
    ]),
  );
  await rollAll(db);
  const { rows } = await owner.query('select sum(deliveries)::int as n from rollup_senders');
  assert.deepEqual(rows, [{ n: 3 }]);
  const reasons = await owner.query("select deliveries::int as n from rollup_reasons where reason = 'a'");
  assert.deepEqual(reasons.rows, [{ n: 1 }], 'a reason counts once per delivery');
});

test('a batch is written whole or not at all, and once however often it is repeated', async (t) => {
  const { db, owner, common } = await setup(t);
  const events = Array.from({ length: 2_000 }, () => makeEvent(common));
  await db.system((tx) => appendEvents(tx, events));
  await Promise.all([0, 1, 2].map(() => db.system((tx) => appendEvents(tx, events))));
  await db.system((tx) => appendEvents(tx, []));
  await assert.rejects(db.system((tx) => appendEvents(tx, [makeEvent(common), makeEvent({ ...common, id: 'no id' })])));
  const { rows } = await owner.query('select count(*)::int as n from ledger');
  assert.deepEqual(rows, [{ n: 2_000 }]);
});

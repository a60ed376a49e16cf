import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AppError } from '../../src/core/errors.ts';
import { interval } from '../../src/core/period.ts';
import { appendEvents } from '../../src/ledger/append.ts';
import { ensurePartitions } from '../../src/ledger/partitions.ts';
import { recount } from '../../src/ledger/read.ts';
import { listNodes, NodeWatermark, retireNode } from '../../src/ledger/watermark.ts';
import { rollOnce } from '../../src/rollups/build.ts';
import { fillDays } from '../../src/rollups/days.ts';
import { readStatistics, restatedAt, topMailboxes, topSenders } from '../../src/rollups/read.ts';
import { rebuild } from '../../src/rollups/rebuild.ts';
import { verify } from '../../src/rollups/verify.ts';
import { openDatabase, type TestDatabase } from '../support/db.ts';
import { makeEvent } from '../support/events.ts';
import { asOwner } from '../support/owner.ts';
import { rollAll } from '../support/roll.ts';
import { type SeededPartner, seedClient, seedPartner } from '../support/seed.ts';

const PERIOD = { from: '2026-10-14', to: '2026-10-14', zone: 'Europe/London' };

async function setup(t: Parameters<typeof openDatabase>[0]) {
  const database = await openDatabase(t);
  const partner = await seedPartner(database.db);
  const clientId = await seedClient(database.db, partner.id);
  return { ...database, partner, clientId };
}

function statistics(base: TestDatabase & { partner: SeededPartner }, clientId: string | null, period = PERIOD) {
  return base.db.tenant(base.partner.id, (tx) => readStatistics(tx, { clientId, period, granularity: 'DAY' }));
}

test('rule 3: an event whose transaction commits late is counted, where a sequence would miss it', async (t) => {
  const base = await setup(t);
  const { db, clock, partner, clientId } = base;
  const event = () => makeEvent({ partnerId: partner.id, clientId, occurredAt: clock.now() });
  let commit: () => void = () => undefined;
  const held = new Promise<void>((resolve) => {
    commit = resolve;
  });
  let written: () => void = () => undefined;
  const isWritten = new Promise<void>((resolve) => {
    written = resolve;
  });
  const late = db.system(async (tx) => {
    await appendEvents(tx, [event()]);
    written();
    await held;
  });
  await isWritten;
  await db.system((tx) => appendEvents(tx, [event()]));
  await rollOnce(db);
  const meanwhile = await statistics(base, clientId);
  commit();
  await late;
  assert.equal(meanwhile.totals.deliveries, 1, 'what is committed counts, though nothing above the open one is rolled');
  assert.equal(await rollAll(db), 2);
  assert.equal((await statistics(base, clientId)).totals.deliveries, 2);
  assert.deepEqual((await verify(db)).differences, []);
});

test('rule 4: a number is incomplete until every gateway has told all, and never zero without saying so', async (t) => {
  const base = await setup(t);
  const { db, clock, partner, clientId } = base;
  const nothing = await statistics(base, clientId);
  assert.deepEqual([nothing.complete, nothing.completeThrough], [false, null], 'no node has said anything');

  const one = new NodeWatermark(db, clock, 'one', 'gateway');
  const two = new NodeWatermark(db, clock, 'two', 'gateway');
  await Promise.all([one.beat(), two.beat()]);
  await db.system((tx) => appendEvents(tx, [makeEvent({ partnerId: partner.id, clientId, occurredAt: clock.now() })]));
  await rollAll(db);
  assert.equal((await statistics(base, clientId)).complete, false, 'the day is not over');

  const heldBack = clock.now();
  clock.advance(24 * 3_600_000);
  await one.beat();
  await rollAll(db);
  const withoutTwo = await statistics(base, clientId);
  assert.deepEqual([withoutTwo.complete, withoutTwo.completeThrough], [false, heldBack], 'a silent gateway holds it');
  assert.equal(withoutTwo.totals.deliveries, 1);
  const dayBefore = { ...PERIOD, from: '2026-10-13', to: '2026-10-13' };
  assert.equal(
    (await statistics(base, clientId, dayBefore)).complete,
    true,
    'but not what it had told before it fell silent',
  );
  assert.equal(withoutTwo.buckets[0]?.complete, false);

  await db.system((tx) => retireNode(tx, 'two'));
  assert.equal((await statistics(base, clientId)).complete, true, 'an administrator gave it up');
  const states = async () => (await db.system(listNodes)).map((node) => [node.id, node.state, node.flushedThrough]);
  assert.deepEqual((await states())[1], ['two', 'retired', heldBack], 'how far it had told stays on record');
  clock.advance(24 * 3_600_000);
  await one.beat();
  await rollAll(db);
  const nextDay = { ...PERIOD, from: '2026-10-15', to: '2026-10-15' };
  assert.equal((await statistics(base, clientId, nextDay)).complete, true, 'and holds nothing that comes later');
});

test('a node that stops in order holds nothing back, and an open transaction holds its own time', async (t) => {
  const base = await setup(t);
  const { db, clock } = base;
  const node = new NodeWatermark(db, clock, 'one', 'gateway');
  const at = clock.now();
  const mark = node.open(at);
  clock.advance(60_000);
  assert.equal(node.flushedThrough().getTime(), at.getTime() - 1);
  node.close(mark);
  assert.deepEqual(node.flushedThrough(), clock.now());
  await node.stop();
  const other = new NodeWatermark(db, clock, 'two', 'gateway');
  clock.advance(24 * 3_600_000);
  await other.beat();
  await rollAll(db);
  assert.equal((await statistics(base, base.clientId)).complete, true);
});

test('rule 5: a late event is counted at its own time and the restatement is seen', async (t) => {
  const base = await setup(t);
  const { db, clock, partner, clientId } = base;
  const closedDay = { from: '2026-10-10', to: '2026-10-10', zone: 'Europe/London' };
  const range = interval(closedDay);
  await rollAll(db);
  await db.system((tx) =>
    appendEvents(tx, [makeEvent({ partnerId: partner.id, clientId, occurredAt: new Date('2026-10-10T12:00:00Z') })]),
  );
  await rollAll(db);
  assert.equal((await statistics(base, clientId, closedDay)).totals.deliveries, 1);
  assert.deepEqual(await db.tenant(partner.id, (tx) => restatedAt(tx, clientId, range)), clock.now());
  assert.equal(await db.tenant(partner.id, (tx) => restatedAt(tx, clientId, interval(PERIOD))), null);
});

test('messages count once per scope, deliveries per recipient, and rankings follow', async (t) => {
  const base = await setup(t);
  const { db, clock, partner, clientId } = base;
  const other = await seedClient(db, partner.id, { domain: 'other.example' });
  const mailboxes = await db.system(
    async () =>
      (await base.owner.query<{ id: string; address: string }>('select id, address from mailboxes order by address'))
        .rows,
  );
  const ann = mailboxes.find((box) => box.address === 'ann@acme.example')?.id ?? null;
  const common = { partnerId: partner.id, occurredAt: clock.now(), messageId: '01a20cbe-12e2-7287-ba26-a47f35380f19' };
  await db.system((tx) =>
    appendEvents(tx, [
      makeEvent({ ...common, clientId, leads: 15, mailboxId: ann }),
      makeEvent({ ...common, clientId, leads: 0, verdict: 'spam', disposition: 'quarantined', mailboxId: ann }),
      makeEvent({ ...common, clientId: other, leads: 14 }),
      makeEvent({ ...common, clientId, kind: 'quarantined', verdict: 'spam', disposition: 'quarantined', leads: 0 }),
      makeEvent({
        ...common,
        clientId,
        kind: 'refused',
        verdict: null,
        disposition: null,
        deliveryId: null,
        messageId: null,
        leads: 0,
      }),
    ]),
  );
  await rollAll(db);
  const mine = await statistics(base, clientId);
  assert.deepEqual(
    {
      ...mine.totals,
      byVerdict: Object.fromEntries(mine.totals.byVerdict),
      byDisposition: Object.fromEntries(mine.totals.byDisposition),
    },
    {
      messages: 1,
      deliveries: 2,
      refused: 1,
      bytes: 1000,
      byVerdict: { clean: 1, spam: 1 },
      byDisposition: { quarantined: 1 },
    },
  );
  const all = await statistics(base, null);
  assert.deepEqual([all.totals.messages, all.totals.deliveries, all.totals.bytes], [1, 3, 1000]);
  assert.deepEqual(
    mine.totals,
    await db.tenant(partner.id, (tx) => recount(tx, partner.id, clientId, interval(PERIOD))),
  );
  const range = interval(PERIOD);
  assert.deepEqual(await db.tenant(partner.id, (tx) => topSenders(tx, clientId, range, 5)), [
    { key: 'bob@sender.example', deliveries: 2, unwanted: 1, maxError: 0 },
  ]);
  assert.deepEqual(await db.tenant(partner.id, (tx) => topMailboxes(tx, clientId, range, 5)), [
    { key: ann, deliveries: 2, unwanted: 1 },
  ]);
});

test('a ledger that was restored into another cluster is taken over and counted anew', async (t) => {
  const base = await setup(t);
  const { db, clock, partner, clientId, owner, ownerUrl } = base;
  const write = () =>
    db.system((tx) => appendEvents(tx, [makeEvent({ partnerId: partner.id, clientId, occurredAt: clock.now() })]));
  await write();
  await rollAll(db);
  // As after a restore: ids of the old cluster that are far beyond those of this one, and one event of this one.
  await owner.query("update ledger set xid = '99999999999'");
  await owner.query("update rollup_state set cluster = 1, cursor = '99999999990'");
  await owner.query('update rollup_traffic set deliveries = 77');
  await write();
  const conflict = (error: unknown) => error instanceof AppError && error.code === 'conflict';
  await assert.rejects(rollOnce(db), conflict);
  await assert.rejects(rebuild(db), conflict);
  await ensurePartitions(asOwner(ownerUrl), clock.now(), 1);
  await write();
  await rollAll(db);
  assert.equal((await statistics(base, clientId)).totals.deliveries, 3);
  assert.deepEqual((await verify(db)).differences, []);
  await ensurePartitions(asOwner(ownerUrl), clock.now(), 1);
  assert.equal(await rollAll(db), 0, 'it happens once');
});

test('verify finds a number that was tampered with, and rebuild mends it', async (t) => {
  const base = await setup(t);
  const { db, clock, partner, clientId, owner } = base;
  await db.system((tx) => appendEvents(tx, [makeEvent({ partnerId: partner.id, clientId, occurredAt: clock.now() })]));
  await rollAll(db);
  await owner.query('update rollup_traffic set deliveries = 7');
  await owner.query(
    "insert into rollup_traffic select partner_id, client_id, bucket, 'ghost.example', direction, kind, verdict, disposition, 1, 1, 1, 1, 1, 1 from rollup_traffic",
  );
  const found = await verify(db);
  const deliveries = found.differences.filter((row) => row.measure === 'deliveries');
  assert.deepEqual(deliveries.map((row) => [row.table, row.ledger, row.rollup]).sort(), [
    ['days', 8, 1],
    ['traffic', 0, 1],
    ['traffic', 1, 7],
  ]);
  await rebuild(db);
  assert.deepEqual((await verify(db)).differences, []);
});

test('days and months are filled from quarter hours that were written without the roller', async (t) => {
  const base = await setup(t);
  const { db, clock, partner, clientId, owner } = base;
  await db.system((tx) => appendEvents(tx, [makeEvent({ partnerId: partner.id, clientId, occurredAt: clock.now() })]));
  await rollAll(db);
  const dump = async () => (await owner.query('table rollup_days union all table rollup_months')).rows;
  const rolled = await dump();
  await owner.query('truncate rollup_days, rollup_months');
  await db.system((tx) => fillDays(tx, { from: new Date('2026-10-01'), to: new Date('2026-10-10') }));
  assert.deepEqual(await dump(), [], 'nothing of another time');
  await db.system((tx) => fillDays(tx, { from: clock.now(), to: clock.now() }));
  assert.deepEqual(await dump(), rolled);
  await owner.query("update rollup_days set day = '2026-09-30', deliveries = 5");
  await db.system((tx) => fillDays(tx));
  assert.deepEqual(await dump(), rolled, 'what is wrong goes, whenever it is');
  assert.deepEqual((await verify(db)).differences, []);
});

test('rows of a day and of a month that no quarter hour stands behind are found and mended', async (t) => {
  const { db, owner } = await openDatabase(t);
  const partner = await seedPartner(db);
  const clientId = await seedClient(db, partner.id);
  await db.system((tx) =>
    appendEvents(tx, [makeEvent({ partnerId: partner.id, clientId, occurredAt: new Date('2026-10-13T12:00:00Z') })]),
  );
  await rollAll(db);
  await owner.query(
    `insert into rollup_mailbox_days (partner_id, client_id, day, mailbox_id, received, unwanted, sent)
     values ($1, $2, '2026-08-03', gen_random_uuid(), 5, 0, 0)`,
    [partner.id, clientId],
  );
  await owner.query(
    `insert into rollup_months select (jsonb_populate_record(m, '{"day": "2026-05-01"}')).* from rollup_months m`,
  );
  const { differences } = await verify(db);
  assert.deepEqual([...new Set(differences.map((one) => one.table))].sort(), ['mailbox_days', 'months']);
  await rebuild(db);
  assert.deepEqual((await verify(db)).differences, []);
  assert.equal((await owner.query("select from rollup_months where day = '2026-05-01'")).rowCount, 0);
});

import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { interval } from '../../src/core/period.ts';
import { sql } from '../../src/db/sql.ts';
import { appendEvents } from '../../src/ledger/append.ts';
import { NodeWatermark } from '../../src/ledger/watermark.ts';
import { rollOnce } from '../../src/rollups/build.ts';
import {
  readClientsOverview,
  readStatistics,
  readStatisticsOf,
  topMailboxes,
  topReasons,
  topSenders,
} from '../../src/rollups/read.ts';
import { PENDING_MAX } from '../../src/rollups/state.ts';
import { openDatabase } from '../support/db.ts';
import { makeEvent } from '../support/events.ts';
import { rollAll } from '../support/roll.ts';
import { seedClient, seedPartner } from '../support/seed.ts';

const ZONE = 'Europe/London';
const TODAY = { from: '2026-10-14', to: '2026-10-14', zone: ZONE };
const MAILBOX = '01a20cbe-12e2-7287-ba26-a47f35380f19';

async function setup(t: TestContext) {
  const database = await openDatabase(t);
  const { db, clock } = database;
  const partner = await seedPartner(db);
  const clientId = await seedClient(db, partner.id, { timeZone: ZONE });
  const node = new NodeWatermark(db, clock, 'one', 'gateway');
  db.observe(node);
  await node.beat();
  await rollAll(db);
  const event = () =>
    makeEvent({
      partnerId: partner.id,
      clientId,
      occurredAt: clock.now(),
      reasons: ['link.listed', 'link.listed'],
      mailboxId: MAILBOX,
    });
  const write = () => db.system((tx) => appendEvents(tx, [event()]));
  /** All ways to the same number, in the order client by day, by hour, the partner, the overview. */
  const seen = () =>
    db.tenant(partner.id, async (tx) => {
      const common = { period: TODAY, granularity: 'DAY' as const };
      const one = await readStatisticsOf(tx, { ...common, clientIds: [clientId] });
      const hours = await readStatistics(tx, { ...common, granularity: 'HOUR', clientId });
      const all = await readStatistics(tx, { ...common, clientId: null });
      const overview = await readClientsOverview(tx, TODAY);
      return [one.get(clientId), hours, all, overview].map((answer) => answer?.totals.deliveries);
    });
  const through = () =>
    db.tenant(partner.id, async (tx) => {
      const asked = await readStatistics(tx, { clientId, period: TODAY, granularity: 'DAY' });
      return asked.completeThrough?.getTime() ?? null;
    });
  const tops = () =>
    db.tenant(partner.id, async (tx) => {
      const range = interval(TODAY);
      const read = [topSenders, topMailboxes, topReasons] as const;
      const counts: number[] = [];
      for (const top of read) counts.push((await top(tx, clientId, range, 5))[0]?.deliveries ?? 0);
      return counts;
    });
  return { ...database, partner, clientId, node, event, write, seen, through, tops };
}

/** A transaction that has written something and stays open until it is released. */
function hold(work: (written: () => void, released: Promise<void>) => Promise<void>) {
  let release: () => void = () => undefined;
  const released = new Promise<void>((resolve) => {
    release = resolve;
  });
  let end: Promise<void> = Promise.resolve();
  const begun = new Promise<void>((resolve, reject) => {
    end = work(resolve, released);
    end.catch(reject);
  });
  return { begun, release: () => release(), end: () => end };
}

test('an event that was committed this moment is in every answer, before any round of the roller and after it', async (t) => {
  const { db, write, seen, tops } = await setup(t);
  await write();
  assert.deepEqual(await seen(), [1, 1, 1, 1]);
  assert.deepEqual(await tops(), [1, 1, 1]);
  await rollAll(db);
  assert.deepEqual(await seen(), [1, 1, 1, 1], 'once, not twice');
  assert.deepEqual(await tops(), [1, 1, 1]);
  await write();
  assert.deepEqual(await seen(), [2, 2, 2, 2]);
  assert.deepEqual(await tops(), [2, 2, 2]);
});

test('before the first round there is nothing but the tail', async (t) => {
  const { db, clock } = await openDatabase(t);
  const partner = await seedPartner(db);
  const clientId = await seedClient(db, partner.id);
  await db.system((tx) => appendEvents(tx, [makeEvent({ partnerId: partner.id, clientId, occurredAt: clock.now() })]));
  const read = () => db.tenant(partner.id, (tx) => readStatistics(tx, { clientId, period: TODAY, granularity: 'DAY' }));
  assert.equal((await read()).totals.deliveries, 1);
  await rollAll(db);
  assert.equal((await read()).totals.deliveries, 1);
});

test('with a roller that has stopped numbers still move; when it is long gone they say how old they are', async (t) => {
  const { db, clock, node, write, seen, through } = await setup(t);
  const rolled = await through();
  for (let second = 0; second < 3; second += 1) {
    clock.advance(60_000);
    await write();
    await node.beat();
    assert.deepEqual(await seen(), Array(4).fill(second + 1));
    assert.equal(await through(), clock.now().getTime());
  }
  clock.advance(5 * 60_000);
  await node.beat();
  assert.deepEqual(await seen(), [0, 0, 0, 0], 'how much there is by now nobody knows');
  assert.equal(await through(), rolled, 'and the answer says so');
  await rollAll(db);
  assert.deepEqual(await seen(), [3, 3, 3, 3]);
  assert.equal(await through(), clock.now().getTime());
});

test('a backlog that is too big to count is left to the roller, and the answer says how far it reaches', async (t) => {
  const { db, clock, node, owner, write, seen, through } = await setup(t);
  const rolled = await through();
  clock.advance(1_000);
  await write();
  await node.beat();
  await owner.query('update rollup_state set pending = $1', [PENDING_MAX + 1]);
  assert.deepEqual([await seen(), await through()], [[0, 0, 0, 0], rolled]);
  await rollAll(db);
  assert.deepEqual([await seen(), await through()], [[1, 1, 1, 1], clock.now().getTime()]);
});

test('a transaction that is held open makes no number wrong, and holds what is said of them', async (t) => {
  const { db, clock, node, event, write, seen, through, before } = await setup(t);
  clock.advance(1_000);
  const begun = clock.now().getTime();
  const late = event();
  const open = hold((written, released) =>
    db.system(async (tx) => {
      await appendEvents(tx, [late]);
      written();
      await released;
    }),
  );
  before(async () => open.release());
  await open.begun;
  clock.advance(10_000);
  await write();
  await node.beat();
  await rollOnce(db);
  assert.deepEqual(await seen(), [1, 1, 1, 1], 'what is committed counts, though the roller is held');
  assert.equal(await through(), begun - 1, 'complete only to the transaction that is open');
  open.release();
  await open.end();
  assert.deepEqual(await seen(), [2, 2, 2, 2]);
  assert.equal(await through(), begun - 1, 'until the node has said so');
  await node.beat();
  assert.equal(await through(), clock.now().getTime());
  await rollAll(db);
  assert.deepEqual(await seen(), [2, 2, 2, 2]);
});

test('one snapshot: a round between the statements of a request changes none of its numbers', async (t) => {
  const { db, partner, clientId, write } = await setup(t);
  await write();
  const query = { clientId, period: TODAY, granularity: 'DAY' as const };
  await db.tenant(
    partner.id,
    async (tx) => {
      const before = await readStatistics(tx, query);
      await rollAll(db);
      await write();
      assert.deepEqual(await readStatistics(tx, query), before);
      const whole = await tx.one<{ n: number }>(sql`select count(*) as n from ledger where partner_id = ${partner.id}`);
      assert.equal(before.totals.deliveries, whole.n);
    },
    { readOnly: true, repeatableRead: true },
  );
});

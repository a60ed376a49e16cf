import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { interval } from '../../src/core/period.ts';
import { sql } from '../../src/db/sql.ts';
import { appendEvents } from '../../src/ledger/append.ts';
import { NodeWatermark } from '../../src/ledger/watermark.ts';
import { rollOnce } from '../../src/rollups/build.ts';
import { readStatistics, readStatisticsOf, restatedAt } from '../../src/rollups/read.ts';
import { rebuild } from '../../src/rollups/rebuild.ts';
import { verify } from '../../src/rollups/verify.ts';
import { openDatabase } from '../support/db.ts';
import { makeEvent } from '../support/events.ts';
import { rollAll } from '../support/roll.ts';
import { seedClient, seedPartner } from '../support/seed.ts';

async function setup(t: TestContext, zone: string) {
  const database = await openDatabase(t);
  const { db } = database;
  const partner = await seedPartner(db);
  const clientId = await seedClient(db, partner.id, { timeZone: zone });
  const write = (at: Date | string) =>
    db.system((tx) => appendEvents(tx, [makeEvent({ partnerId: partner.id, clientId, occurredAt: new Date(at) })]));
  const restated = (day: string, of: string | null = clientId) =>
    db.tenant(partner.id, (tx) => restatedAt(tx, of, interval({ from: day, to: day, zone })));
  const day = (date: string) =>
    db.tenant(partner.id, (tx) =>
      readStatistics(tx, { clientId, period: { from: date, to: date, zone }, granularity: 'HOUR' }),
    );
  return { ...database, partner, clientId, write, restated, day };
}

test('rule 5: what changes a local day that is over is a restatement, in the zone of the client', async (t) => {
  const { db, clock, write, restated } = await setup(t, 'Asia/Kathmandu');
  await rollAll(db);
  // 00:20 in Kathmandu, five hours and three quarters ahead of UTC; the UTC day is still the one before.
  clock.set('2026-10-14T18:35:00Z');
  await write('2026-10-14T18:20:00Z'); // 00:05 today
  await rollAll(db);
  assert.equal(await restated('2026-10-15'), null);
  await write('2026-10-14T18:10:00Z'); // 23:55 yesterday
  await rollAll(db);
  assert.deepEqual(await restated('2026-10-14'), clock.now());
  assert.deepEqual(await restated('2026-10-14', null), clock.now(), 'for the partner as a whole too');
  assert.equal(await restated('2026-10-15'), null);
});

test('rule 5: the last hour of a day of 25 hours changes that day, not one that is over', async (t) => {
  const { db, clock, write, restated } = await setup(t, 'Europe/London');
  await rollAll(db);
  clock.set('2026-10-25T23:59:00Z');
  await write('2026-10-24T23:05:00Z'); // more than a day ago, and still today
  await rollAll(db);
  assert.equal(await restated('2026-10-25'), null);
});

test('rule 5: a number that was told to be complete does not change silently, even within the day', async (t) => {
  const { db, clock, write, restated } = await setup(t, 'Europe/London');
  const node = new NodeWatermark(db, clock, 'one', 'gateway');
  await node.beat();
  await rollAll(db);
  await write('2026-10-14T08:00:00Z');
  await rollAll(db);
  assert.deepEqual(await restated('2026-10-14'), clock.now());
});

test('rule 5: a repair of closed numbers is a restatement; a rebuild that changes nothing is none', async (t) => {
  const { db, clock, owner, write, restated } = await setup(t, 'Europe/London');
  await rollAll(db);
  await write('2026-10-14T09:00:00Z');
  await rollAll(db);
  clock.set('2026-10-16T09:00:00Z');
  await rebuild(db);
  assert.equal(await restated('2026-10-14'), null);
  await owner.query('update rollup_senders set bytes = bytes + 1');
  const found = await verify(db);
  assert.deepEqual(
    found.differences.map((row) => [row.table, row.measure, row.rollup - row.ledger]),
    [['senders', 'bytes', 1]],
  );
  await rebuild(db);
  assert.deepEqual(await restated('2026-10-14'), clock.now());
  assert.deepEqual((await verify(db)).differences, []);
});

test('verify widens its range to whole buckets', async (t) => {
  const { db, write } = await setup(t, 'Europe/London');
  await write('2026-10-14T09:01:00Z');
  await write('2026-10-14T09:20:00Z');
  await rollAll(db);
  const range = { from: new Date('2026-10-14T09:05:00Z'), to: new Date('2026-10-14T09:21:00Z') };
  const seen = await verify(db, range);
  assert.deepEqual(seen.differences, []);
  assert.equal(seen.groups, 8, 'two buckets, in traffic by sender and by size, and their day and month');
});

test('rule 4: rollups held back while a report is due say incomplete, never zero', async (t) => {
  const { db, clock, write, day, clientId, partner } = await setup(t, 'Europe/London');
  const node = new NodeWatermark(db, clock, 'one', 'gateway');
  db.observe(node);
  await node.beat();
  await write('2026-10-14T10:00:00Z');
  await rollAll(db);

  // From the afternoon on the rollups are held back; mail flows on, and the night passes.
  let release: () => void = () => undefined;
  const released = new Promise<void>((resolve) => {
    release = resolve;
  });
  const forgotten = db.system(async (tx) => {
    await tx.one(sql`select pg_current_xact_id()::text as xid`);
    await released;
  }, {});
  clock.set('2026-10-14T15:00:00Z');
  await write('2026-10-14T15:00:00Z');
  clock.set('2026-10-15T00:05:00Z');
  await node.beat();
  await rollOnce(db);
  const due = await day('2026-10-14');
  assert.equal(due.complete, false);
  assert.ok(due.completeThrough !== null && due.completeThrough < new Date('2026-10-14T15:00:00Z'));
  const afternoon = due.buckets.filter((bucket) => bucket.start >= new Date('2026-10-14T14:00:00Z'));
  assert.ok(
    afternoon.every((bucket) => !bucket.complete),
    'an hour without numbers is unknown',
  );
  assert.ok(due.buckets[3]?.complete, 'hours before are known, and empty');

  release();
  await forgotten;
  await node.beat();
  await rollAll(db);
  const then = await day('2026-10-14');
  assert.deepEqual([then.complete, then.totals.deliveries], [true, 2]);
  const query = { clientIds: [clientId], period: { from: '2026-10-15', to: '2026-10-15', zone: 'UTC' } };
  const today = await db.tenant(partner.id, (tx) => readStatisticsOf(tx, { ...query, granularity: 'DAY' }));
  assert.equal(today.get(clientId)?.complete, false, 'a day to come is not complete');
});

test('a client in a zone that nobody knows does not stop the roller; its late events are late after a day', async (t) => {
  const { db, owner, write, restated } = await setup(t, 'Europe/London');
  await rollAll(db);
  await owner.query("update clients set time_zone = 'Nowhere/Atlantis'");
  await write('2026-10-14T09:00:00Z');
  await write('2026-10-12T09:00:00Z');
  assert.equal(await rollAll(db), 2);
  assert.equal(await restated('2026-10-14'), null);
  assert.notEqual(await restated('2026-10-12'), null);
});

test('clients in zones that nobody knows, however many, keep no other from its days', async (t) => {
  const { db, owner } = await openDatabase(t);
  const partner = await seedPartner(db);
  await owner.query(
    `insert into clients (partner_id, id, name, time_zone, created_at)
     select $1, ('00000000-0000-4000-8000-' || lpad(n::text, 12, '0'))::uuid, 'c' || n, 'Atlantis/Nowhere', now() from generate_series(1, 60) as n`,
    [partner.id],
  );
  await rollAll(db);
  const clientId = await seedClient(db, partner.id);
  await rollAll(db);
  const { rows } = await owner.query('select client_id from rollup_zones');
  assert.deepEqual(rows, [{ client_id: clientId }]);
});

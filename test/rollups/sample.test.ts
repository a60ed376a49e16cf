import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { appendEvents } from '../../src/ledger/append.ts';
import { ensurePartitions } from '../../src/ledger/partitions.ts';
import { retainDetail } from '../../src/ledger/retention.ts';
import { foldDue } from '../../src/rollups/fold.ts';
import { verifySample } from '../../src/rollups/sample.ts';
import { openDatabase } from '../support/db.ts';
import { makeEvent } from '../support/events.ts';
import { asOwner } from '../support/owner.ts';
import { rollAll } from '../support/roll.ts';
import { seedClient, seedPartner } from '../support/seed.ts';

const DAYS = ['2026-10-10', '2026-10-11', '2026-10-12'];

async function open(t: TestContext, extra: readonly string[] = []) {
  const base = await openDatabase(t);
  const { db, owner, clock } = base;
  const partner = await seedPartner(db);
  const clientId = await seedClient(db, partner.id, { timeZone: 'Europe/London' });
  const append = async (...times: string[]) => {
    const events = times.map((at) => makeEvent({ partnerId: partner.id, clientId, occurredAt: new Date(at) }));
    await db.system((tx) => appendEvents(tx, events));
    await rollAll(db);
  };
  await append(...[...DAYS, ...extra].map((day) => `${day}T12:00:00Z`));
  /** What so many looks find, each with other days of those there are. */
  const look = async (looks = 12) => {
    let seed = 0;
    const random = () => {
      seed += 0.377;
      return (seed * 1.618) % 1;
    };
    const found = new Set<string>();
    let groups = 0;
    for (let count = 0; count < looks; count += 1) {
      const sample = await verifySample(db, random);
      groups += sample.groups;
      for (const { table, bucket } of sample.differences) {
        if (table === 'traffic') found.add(bucket.toISOString().slice(0, 10));
      }
    }
    return { found: [...found].sort(), groups };
  };
  const tamper = (day: string) =>
    owner.query('update rollup_traffic set deliveries = deliveries + 7 where bucket >= $1 and bucket < $2', [
      `${day}T00:00:00Z`,
      `${day}T23:59:59Z`,
    ]);
  return { ...base, owner, clock, append, look, tamper };
}

const NOW = '2026-10-14T09:30:00Z';
const WILD = ['1990-01-01T00:00:00Z', '2026-09-01T00:00:00Z', NOW, '2027-03-01T00:00:00Z', '2099-12-31T23:59:00Z'];

test('whatever the clock of the node that looks says: what is right is found right, and what is not is found', async (t) => {
  const { clock, look, tamper } = await open(t);
  for (const at of WILD) {
    clock.set(at);
    const { found, groups } = await look(3);
    assert.deepEqual(found, [], at);
    assert.ok(groups > 0, `${at}: something was looked at`);
  }
  for (const day of DAYS) await tamper(day);
  for (const at of WILD) {
    clock.set(at);
    assert.deepEqual((await look()).found, DAYS, at);
  }
});

test('days of which only the ledger knows are looked at too', async (t) => {
  const { owner, ownerUrl, clock, look } = await open(t);
  await ensurePartitions(asOwner(ownerUrl), new Date('2026-10-11T00:00:00Z'), 1);
  for (const table of ['rollup_traffic', 'rollup_days']) await owner.query(`delete from ${table}`);
  clock.set('1990-01-01T00:00:00Z');
  assert.deepEqual((await look(30)).found, DAYS);
});

test('events of a node whose clock was wild do not hide the other days, and are no drift', async (t) => {
  const { look, tamper } = await open(t, ['1970-01-02', '2099-12-30']);
  assert.deepEqual((await look()).found, []);
  for (const day of DAYS) await tamper(day);
  assert.deepEqual((await look(20)).found, DAYS);
});

test('days that were folded under a wild clock, and filled up later, are no drift', async (t) => {
  const { db, clock, append, look } = await open(t);
  clock.set('2026-12-01T00:00:00Z');
  await rollAll(db);
  assert.ok((await foldDue(db)) > 0);
  clock.set(NOW);
  await append('2026-10-12T13:00:00Z', '2026-10-13T13:00:00Z', '2026-10-10T00:10:00Z');
  assert.deepEqual((await look()).found, []);
});

test('days whose detail was removed are left out, whatever the clock says', async (t) => {
  const { db, clock, ownerUrl, look, tamper } = await open(t);
  await tamper(DAYS[0] ?? '');
  await tamper(DAYS[2] ?? '');
  await rollAll(db);
  await retainDetail(db, asOwner(ownerUrl), new Date('2026-10-14T00:00:00Z'), 2);
  for (const at of WILD) {
    clock.set(at);
    assert.deepEqual((await look()).found, DAYS.slice(2), at);
  }
});

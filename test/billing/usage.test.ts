import assert from 'node:assert/strict';
import { test } from 'node:test';
import { usageOf } from '../../src/billing/read.ts';
import { takeSnapshot } from '../../src/billing/usage.ts';
import { openDatabase } from '../support/db.ts';
import { seedClient, seedPartner } from '../support/seed.ts';

test("usage is the set of active user mailboxes on the client's own day, taken once", async (t) => {
  const { db, clock, owner } = await openDatabase(t);
  const partner = (await seedPartner(db)).id;
  const zones = { nepal: 'Asia/Kathmandu', york: 'America/New_York', howe: 'Australia/Lord_Howe' } as const;
  const ids = new Map<string, string>();
  for (const [name, timeZone] of Object.entries(zones)) {
    const id = await seedClient(db, partner, {
      name,
      domain: `${name}.example`,
      timeZone,
      mailboxes: ['b', 'a', 'c', 'd'],
    });
    ids.set(name, id);
  }
  await owner.query(`update mailboxes set status = 'blocked' where address like 'c@%'`);
  await owner.query(`update mailboxes set kind = 'shared' where address like 'd@%'`);
  // 03:30 UTC on 1 November: New York is still in October, Lord Howe long in November.
  clock.set('2026-11-01T03:30:00Z');
  assert.equal(await takeSnapshot(db), 3);
  const read = () =>
    db.tenant(partner, (tx) => usageOf(tx, [...ids.values()], { from: '2026-10-30', to: '2026-11-02' }));
  const days = new Map((await read()).map((row) => [row.clientId, row.day]));
  assert.equal(days.get(ids.get('york') ?? ''), '2026-10-31');
  assert.equal(days.get(ids.get('nepal') ?? ''), '2026-11-01');
  assert.equal(days.get(ids.get('howe') ?? ''), '2026-11-01');
  const [first] = await read();
  assert.equal(first?.quantity, 2);
  assert.deepEqual(
    first?.addresses.map((address) => address.slice(0, 1)),
    ['a', 'b'],
  );

  // A mailbox added a second before midnight counts from the next snapshot on, once; the day that was taken stays.
  await owner.query(`update mailboxes set status = 'active'`);
  clock.advance(1_000);
  assert.equal(await takeSnapshot(db), 0);
  assert.ok((await read()).every((row) => row.quantity === 2));
  clock.set('2026-11-01T05:00:00Z');
  assert.equal(await takeSnapshot(db), 1, 'New York has its next day');
  assert.equal((await read()).find((row) => row.clientId === ids.get('york') && row.day === '2026-11-01')?.quantity, 3);
});

test('suspended clients, and days that are over, are not made up', async (t) => {
  const { db, owner } = await openDatabase(t);
  const partner = (await seedPartner(db)).id;
  await seedClient(db, partner);
  assert.equal(await takeSnapshot(db, '2026-10-13'), 0);
  await owner.query(`update clients set status = 'suspended'`);
  assert.equal(await takeSnapshot(db), 0);
});

test('many workers take each day once', async (t) => {
  const { db } = await openDatabase(t);
  const partner = (await seedPartner(db)).id;
  for (let index = 0; index < 5; index += 1) {
    await seedClient(db, partner, { name: `c${index}`, domain: `c${index}.example` });
  }
  const taken = await Promise.all(Array.from({ length: 4 }, () => takeSnapshot(db)));
  assert.equal(
    taken.reduce((sum, one) => sum + one, 0),
    5,
  );
});

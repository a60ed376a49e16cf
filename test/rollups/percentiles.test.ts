import assert from 'node:assert/strict';
import { test } from 'node:test';
import { interval } from '../../src/core/period.ts';
import { RELATIVE_ERROR } from '../../src/core/sketch.ts';
import { appendEvents } from '../../src/ledger/append.ts';
import { readPercentiles } from '../../src/rollups/read-dimensions.ts';
import { readMailboxStatistics } from '../../src/rollups/read-mailboxes.ts';
import { openDatabase } from '../support/db.ts';
import { makeEvent } from '../support/events.ts';
import { rollAll } from '../support/roll.ts';
import { seedClient, seedPartner } from '../support/seed.ts';

const PERIOD = { from: '2026-10-14', to: '2026-10-14', zone: 'Europe/London' };
const near = (found: number | null, truth: number) =>
  assert.ok(found !== null && Math.abs(found - truth) <= truth * RELATIVE_ERROR, `${found} for ${truth}`);

test('latencies are those of what arrived, retries once with all their waiting, releases not; sizes are those of messages', async (t) => {
  const { db, clock } = await openDatabase(t);
  const partner = await seedPartner(db);
  const clientId = await seedClient(db, partner.id);
  const other = await seedClient(db, partner.id, { domain: 'other.example' });
  const of = { partnerId: partner.id, clientId, occurredAt: clock.now() };
  const end = { kind: 'delivered', disposition: 'delivered', leads: 0 } as const;
  await db.system((tx) =>
    appendEvents(tx, [
      // One message to two recipients here and one at another client.
      makeEvent({ ...of, bytes: 4_000, leads: 15 }),
      makeEvent({ ...of, bytes: 4_000, leads: 0 }),
      makeEvent({ ...of, clientId: other, bytes: 4_000, leads: 14 }),
      makeEvent({ ...of, kind: 'deferred', disposition: 'deferred', leads: 0, latencyMs: 50 }),
      makeEvent({ ...of, ...end, latencyMs: 0 }),
      makeEvent({ ...of, ...end, latencyMs: 700 }),
      makeEvent({ ...of, ...end, latencyMs: 900_000 }),
      makeEvent({ ...of, ...end, disposition: 'released', latencyMs: 90_000_000 }),
      makeEvent({ ...of, kind: 'quarantined', disposition: 'quarantined', leads: 0, latencyMs: 0 }),
      makeEvent({ ...of, direction: 'outbound', bytes: 10, leads: 15 }),
    ]),
  );
  const read = (metric: 'delivery_ms' | 'bytes', client: string | null, direction: 'inbound' | null) =>
    db.tenant(partner.id, (tx) => readPercentiles(tx, metric, client, interval(PERIOD), direction));
  for (const round of ['tail', 'rolled']) {
    if (round === 'rolled') await rollAll(db);
    const latency = await read('delivery_ms', clientId, null);
    assert.equal(latency.count, 3, round);
    near(latency.p50, 700);
    near(latency.p99, 700);
    assert.deepEqual(await read('delivery_ms', other, null), {
      ...latency,
      count: 0,
      p50: null,
      p90: null,
      p95: null,
      p99: null,
    });
    const sizes = await read('bytes', clientId, 'inbound');
    assert.equal(sizes.count, 1, round);
    near(sizes.p50, 4_000);
    assert.equal((await read('bytes', other, null)).count, 1);
    assert.equal((await read('bytes', null, null)).count, 2, 'a message to two clients is one of the partner');
  }
});

test('a mailbox: what it got and sent, by day, rolled or not', async (t) => {
  const { db, clock } = await openDatabase(t);
  const partner = await seedPartner(db);
  const clientId = await seedClient(db, partner.id);
  const box = '01a20cbe-12e2-7287-ba26-a47f35380f19';
  const of = { partnerId: partner.id, clientId, occurredAt: clock.now(), mailboxId: box };
  await db.system((tx) =>
    appendEvents(tx, [
      makeEvent({ ...of, verdict: 'spam' }),
      makeEvent(of),
      makeEvent({ ...of, direction: 'outbound', bytes: 5 }),
      makeEvent({ ...of, direction: 'outbound', bytes: 5, leads: 0 }),
      makeEvent({ ...of, mailboxId: null }),
    ]),
  );
  for (const round of ['tail', 'rolled']) {
    if (round === 'rolled') await rollAll(db);
    const found = await db.tenant(partner.id, (tx) => readMailboxStatistics(tx, [box], PERIOD, 'DAY'));
    const own = found.get(box) ?? assert.fail();
    assert.deepEqual(
      { ...own.totals, byVerdict: Object.fromEntries(own.totals.byVerdict) },
      { received: 2, unwanted: 1, sent: 2, messages: 3, bytes: 2_005, byVerdict: { spam: 1, clean: 3 } },
      round,
    );
    assert.deepEqual(own.buckets[0]?.totals, own.totals);
  }
});

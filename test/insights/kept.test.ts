import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { PartnerId } from '../../src/core/tenant.ts';
import { keptOf } from '../../src/insights/quality.ts';
import { readHealth, readValue } from '../../src/insights/wellbeing.ts';
import { discardDelivery } from '../../src/quarantine/decide.ts';
import type { FlowRow } from '../../src/rollups/flow.ts';
import { openDatabase } from '../support/db.ts';
import { countedThrough } from '../support/history.ts';
import { seedQuarantined } from '../support/quarantined.ts';
import { rollAll } from '../support/roll.ts';
import { seedClient, seedPartner } from '../support/seed.ts';

test('time saved: mail that is held and thrown away later was kept from its reader once', async (t) => {
  const { db, clock, owner } = await openDatabase(t);
  const partner = (await seedPartner(db)).id as PartnerId;
  const clientId = await seedClient(db, partner, { timeZone: 'Europe/London' });
  await seedQuarantined(db, partner, clientId);
  const gone = await seedQuarantined(db, partner, clientId);
  clock.advance(3_600_000);
  await db.tenant(partner, (tx) => discardDelivery(tx, gone, 'ann'));
  await rollAll(db);
  await countedThrough(owner, '2026-10-15T00:00:00Z');
  const period = { from: '2026-10-14', to: '2026-10-14', zone: 'Europe/London' };
  const value = await db.tenant(partner, (tx) => readValue(tx, clientId, period));
  assert.deepEqual([value?.deliveries, value?.secondsSaved], [2, 40]);
});

test('kept: what was let out is taken off, what was thrown away at once counts', () => {
  const row = (kind: FlowRow['kind'], disposition: FlowRow['disposition'], deliveries: number): FlowRow => ({
    kind,
    direction: 'inbound',
    verdict: 'spam',
    disposition,
    deliveries,
  });
  const flow = [
    row('accepted', 'queued', 100),
    row('delivered', 'tagged', 100),
    row('accepted', 'quarantined', 50),
    row('quarantined', 'quarantined', 50),
    row('discarded', 'discarded', 20 + 5),
    row('accepted', 'discarded', 5),
    row('rejected', 'rejected', 7),
    row('release_requested', 'queued', 3),
    row('delivered', 'released', 3),
  ];
  assert.deepEqual(keptOf(flow), new Map([['spam', 50 + 5 + 7 - 3]]));
});

test('health: an attack in the first minutes of a day is not taken for thousands a month', async (t) => {
  const { db, clock, owner } = await openDatabase(t);
  const partner = (await seedPartner(db)).id as PartnerId;
  const clientId = await seedClient(db, partner, { timeZone: 'UTC', mailboxes: ['a', 'b', 'c', 'd', 'e', 'f'] });
  clock.set(new Date('2026-10-15T00:04:00Z'));
  await seedQuarantined(db, partner, clientId, { verdict: 'phish' });
  await rollAll(db);
  await countedThrough(owner, '2026-10-15T00:05:00Z');
  const period = { from: '2026-10-15', to: '2026-10-15', zone: 'UTC' };
  const { components } = await db.tenant(partner, (tx) => readHealth(tx, clientId, { days: [], first: 0, period }));
  const threats = components.find((one) => one.part === 'threats')?.points;
  assert.equal(threats, 20 * (1 - 30 / 6 / 10));
});

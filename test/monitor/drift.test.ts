import assert from 'node:assert/strict';
import { test } from 'node:test';
import { appendEvents } from '../../src/ledger/append.ts';
import { clientsWithDrift, watchDrift } from '../../src/monitor/drift.ts';
import { rebuild } from '../../src/rollups/rebuild.ts';
import { verifySample } from '../../src/rollups/sample.ts';
import { verify } from '../../src/rollups/verify.ts';
import { openDatabase } from '../support/db.ts';
import { makeEvent } from '../support/events.ts';
import { rollAll } from '../support/roll.ts';
import { seedClient, seedPartner } from '../support/seed.ts';

test('rule 3: a number that is not what the ledger says is an incident until a recount finds it right', async (t) => {
  const { db, clock, owner } = await openDatabase(t);
  const partner = await seedPartner(db);
  const clientId = await seedClient(db, partner.id, { name: 'Acme', timeZone: 'Europe/London' });
  const other = await seedClient(db, partner.id, { domain: 'b.example' });
  for (const id of [clientId, other]) {
    const occurredAt = new Date('2026-10-12T12:00:00Z');
    await db.system((tx) => appendEvents(tx, [makeEvent({ partnerId: partner.id, clientId: id, occurredAt })]));
  }
  await rollAll(db);
  const incidents = async () =>
    (
      await owner.query(
        'select client_id, subject, state, title, description from incidents order by subject, opened_at',
      )
    ).rows;
  const look = async (whole: readonly string[] | null) => {
    const found = await verify(db);
    return watchDrift(db, { drift: found.differences, whole, exhaustive: found.exhaustive });
  };
  assert.equal(await look(null), 0, 'all is well');
  const clean = await verifySample(db, () => 0);
  assert.deepEqual([clean.clients.length, clean.differences], [2, []]);
  assert.ok(clean.groups > 0);

  await owner.query('update rollup_traffic set deliveries = 7 where client_id = $1', [clientId]);
  const sample = await verifySample(db, () => 0);
  assert.deepEqual(
    sample.differences.map((one) => [one.table, one.measure, one.ledger, one.rollup]),
    [
      ['traffic', 'deliveries', 1, 7],
      ['days', 'deliveries', 7, 1],
      ['days', 'verdict_clean', 7, 1],
    ],
  );
  assert.equal(await watchDrift(db, { drift: sample.differences, whole: [], exhaustive: true }), 2);
  assert.equal(await watchDrift(db, { drift: sample.differences, whole: [], exhaustive: true }), 0, 'told once');
  const [, told] = await incidents();
  assert.equal(told?.title, 'Statistics of Acme are not what the ledger says: traffic');
  assert.match(told?.description, /traffic 2026-10-12T12:00:00.000Z deliveries: 7 is shown, 1 is right/);
  assert.deepEqual(await clientsWithDrift(db), [clientId]);

  assert.equal(
    await watchDrift(db, { drift: [], whole: [], exhaustive: true }),
    0,
    'a sample that saw nothing ends none',
  );
  assert.equal(await watchDrift(db, { drift: [], whole: null, exhaustive: false }), 0, 'nor one that was cut off');
  assert.equal(await watchDrift(db, { drift: [], whole: [other], exhaustive: true }), 0, 'nor one of others');
  clock.advance(60_000);
  await rebuild(db);
  assert.equal(await look([clientId]), 2);
  assert.deepEqual(await clientsWithDrift(db), []);
  assert.ok((await incidents()).every((one) => one.state === 'resolved'));
});

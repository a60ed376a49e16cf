import assert from 'node:assert/strict';
import { test } from 'node:test';
import { silentLogger } from '../../src/core/log.ts';
import { Reputation } from '../../src/gateway/reputation.ts';
import { watchHarvest } from '../../src/monitor/harvest.ts';
import { openDatabase } from '../support/db.ts';
import { seedClient, seedPartner } from '../support/seed.ts';

test('a domain whose addresses are tried is one incident of its client, that ends when it is left alone', async (t) => {
  const { db, clock, owner } = await openDatabase(t);
  const partner = await seedPartner(db);
  const clientId = await seedClient(db, partner.id);
  const quiet = await seedClient(db, partner.id, { domain: 'quiet.example' });
  const reputation = new Reputation(db, clock, silentLogger);
  const attack = async (id: string, domain: string, tries: number, from = '203.0.113.9') => {
    for (let index = 0; index < tries; index += 1) {
      reputation.noteUnknown(from, { partnerId: partner.id, clientId: id, domain }, `try${index}@${domain}`);
    }
    await reputation.flush();
  };
  await attack(clientId, 'acme.example', 30);
  await attack(quiet, 'quiet.example', 19);
  assert.equal(await watchHarvest(db), 1);
  await attack(clientId, 'acme.example', 60, '198.51.100.9');
  assert.equal(await watchHarvest(db), 0, 'told once');
  const incidents = async () =>
    (await owner.query('select client_id, subject, state, description from incidents')).rows;
  const [first] = await incidents();
  assert.deepEqual([first.client_id, first.subject, first.state], [clientId, 'acme.example', 'open']);
  assert.match(first.description, /203\.0\.113\.0\/24 tried 30 addresses of acme\.example/);
  clock.advance(5 * 3_600_000);
  assert.equal(await watchHarvest(db), 0);
  clock.advance(2 * 3_600_000);
  assert.equal(await watchHarvest(db), 1);
  assert.equal((await incidents())[0]?.state, 'resolved');
  assert.equal(await watchHarvest(db), 0);
  await attack(clientId, 'acme.example', 30);
  assert.equal(await watchHarvest(db), 1, 'anew');
});

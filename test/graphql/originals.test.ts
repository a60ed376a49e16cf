import assert from 'node:assert/strict';
import { test } from 'node:test';
import { globalId } from '../../src/graphql/ids.ts';
import { openDatabase } from '../support/db.ts';
import { keyWith, NO_COMMANDS, openServer } from '../support/http.ts';
import { seedQuarantined } from '../support/quarantined.ts';
import { seedClient, seedPartner } from '../support/seed.ts';

test('held originals are listed, let out and thrown away by keys that may', async (t) => {
  const { db, clock, owner } = await openDatabase(t);
  const { id: partner, apiKey } = await seedPartner(db);
  const clientId = await seedClient(db, partner);
  const server = await openServer(t, { db, clock, commands: NO_COMMANDS });
  const reasons = [{ code: 'policy.strip_macro', detail: '' }];
  const macro = await seedQuarantined(db, partner, clientId, { verdict: 'policy', reasons });
  const program = await seedQuarantined(db, partner, clientId, {
    verdict: 'policy',
    reasons: [{ code: 'policy.strip_executable', detail: '' }],
  });
  await owner.query("update deliveries set disposition = 'stripped', original_state = 'held'");
  const keeper = await keyWith(db, partner, ['read', 'quarantine']);
  const reader = await keyWith(db, partner, ['read']);
  const act = async (key: string, field: string, id: string) => {
    const done = field === 'releaseOriginal' ? 'released' : 'discarded';
    const text = `mutation { ${field}(input: { id: "${globalId('Delivery', id)}" }) { ${done} delivery { disposition original } userErrors { code } } }`;
    const { body } = await server.ask(key, text);
    return (body.data as Record<string, unknown> | null)?.[field] ?? body.errors?.[0]?.extensions['code'];
  };
  const listed = async (key: string) => {
    const { body } = await server.ask(key, '{ heldOriginals { nodes { id original disposition } } }');
    assert.equal(body.errors, undefined);
    return (body.data as { heldOriginals: { nodes: { id: string; original: string }[] } }).heldOriginals.nodes;
  };
  assert.deepEqual(
    (await listed(reader)).map((one) => one.original),
    ['HELD', 'HELD'],
  );
  assert.equal(await act(reader, 'releaseOriginal', macro), 'FORBIDDEN');
  const refused = { released: false, delivery: null, userErrors: [{ code: 'FORBIDDEN' }] };
  assert.deepEqual(await act(keeper, 'releaseOriginal', program), refused);
  const state = (original: string) => ({ delivery: { disposition: 'STRIPPED', original }, userErrors: [] });
  assert.deepEqual(await act(keeper, 'releaseOriginal', macro), { released: true, ...state('REQUESTED') });
  assert.deepEqual(await act(keeper, 'releaseOriginal', macro), { released: false, ...state('REQUESTED') });
  assert.deepEqual(await act(apiKey, 'discardOriginal', program), { discarded: true, ...state('DISCARDED') });
  assert.deepEqual(await listed(reader), []);
  const stranger = (await seedPartner(db)).apiKey;
  const unknown = { released: false, delivery: null, userErrors: [{ code: 'NOT_FOUND' }] };
  assert.deepEqual(await act(stranger, 'releaseOriginal', macro), unknown);
});

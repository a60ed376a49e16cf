import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openDatabase } from '../support/db.ts';
import { openServer } from '../support/http.ts';
import { seedClient, seedPartner } from '../support/seed.ts';

test('the first fixed query answers with partner and clients', async (t) => {
  const { db, clock } = await openDatabase(t);
  const partner = await seedPartner(db);
  await seedClient(db, partner.id, { name: 'Acme', domain: 'acme.example' });
  const server = await openServer(t, { db, clock });
  const answer = await server.ask(
    partner.apiKey,
    'query { viewer { partner { id name } } clients(first: 50) { edges { node { id name timeZone } } pageInfo { hasNextPage endCursor } } }',
  );
  assert.equal(answer.status, 200, JSON.stringify(answer.body));
  console.log(JSON.stringify(answer.body));
  for (let i = 0; i < 3; i++) {
  const stats = await server.ask(
    partner.apiKey,
    `query ($id: ID!, $from: Date!, $to: Date!) { client(id: $id) { statistics(from: $from, to: $to, granularity: DAY) {
  complete completeThrough
  totals { messages deliveries bytes byVerdict { verdict deliveries } byDisposition { disposition deliveries } }
  buckets { start end complete messages deliveries byVerdict { verdict deliveries } } } } }`,
    { id: (answer.body.data as any).clients.edges[0].node.id, from: '2026-10-01', to: '2026-10-03' },
  );
  console.log(JSON.stringify(stats.body));
  }
});

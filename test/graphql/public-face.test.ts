import assert from 'node:assert/strict';
import { test } from 'node:test';
import { appendEvents } from '../../src/ledger/append.ts';
import { NodeWatermark } from '../../src/ledger/watermark.ts';
import { openDatabase } from '../support/db.ts';
import { makeEvent } from '../support/events.ts';
import { openServer } from '../support/http.ts';
import { rollAll } from '../support/roll.ts';
import { seedClient, seedPartner } from '../support/seed.ts';

/** The two queries that scripts outside the project rely on, letter for letter. */
const CLIENTS =
  'query { viewer { partner { id name } } clients(first: 50) { edges { node { id name timeZone } } pageInfo { hasNextPage endCursor } } }';
const STATISTICS = `query ($id: ID!, $from: Date!, $to: Date!) { client(id: $id) { statistics(from: $from, to: $to, granularity: DAY) {
  complete completeThrough
  totals { messages deliveries bytes byVerdict { verdict deliveries } byDisposition { disposition deliveries } }
  buckets { start end complete messages deliveries byVerdict { verdict deliveries } } } } }`;

test('the fixed queries answer on real rollups, in the days of the client, complete or not', async (t) => {
  const { db, clock } = await openDatabase(t);
  const partner = await seedPartner(db, 'Northwind IT');
  const clientId = await seedClient(db, partner.id, { name: 'Acme', timeZone: 'Asia/Kathmandu' });
  const server = await openServer(t, { db, clock });
  const node = new NodeWatermark(db, clock, 'n1', 'gateway');
  const of = { partnerId: partner.id, clientId };
  // The 13th begins at 18:15 UTC of the 12th in Kathmandu.
  await db.system((tx) =>
    appendEvents(tx, [
      makeEvent({ ...of, occurredAt: new Date('2026-10-12T18:14:59Z'), verdict: 'clean', bytes: 100 }),
      makeEvent({ ...of, occurredAt: new Date('2026-10-12T18:15:00Z'), verdict: 'spam', bytes: 200 }),
      makeEvent({ ...of, occurredAt: new Date('2026-10-12T18:15:00Z'), verdict: 'spam', bytes: 200, leads: 0 }),
      makeEvent({
        ...of,
        occurredAt: new Date('2026-10-12T18:16:00Z'),
        kind: 'quarantined',
        verdict: 'spam',
        disposition: 'quarantined',
        leads: 0,
      }),
    ]),
  );
  clock.set('2026-10-13T20:00:00Z');
  await node.beat();
  await rollAll(db);

  const first = await server.ask(partner.apiKey, CLIENTS);
  assert.equal(first.status, 200);
  assert.equal(first.body.errors, undefined);
  const data = first.body.data as {
    viewer: { partner: { name: string } };
    clients: { edges: { node: { id: string; name: string; timeZone: string } }[]; pageInfo: { hasNextPage: boolean } };
  };
  assert.equal(data.viewer.partner.name, 'Northwind IT');
  const { node: client } = data.clients.edges[0] ?? assert.fail();
  assert.deepEqual(
    [client.name, client.timeZone, data.clients.pageInfo.hasNextPage],
    ['Acme', 'Asia/Kathmandu', false],
  );

  const clean = [{ verdict: 'CLEAN', deliveries: 1 }];
  const spam = [{ verdict: 'SPAM', deliveries: 2 }];
  for (const id of [client.id, clientId]) {
    for (let time = 0; time < 3; time += 1) {
      const answer = await server.ask(partner.apiKey, STATISTICS, { id, from: '2026-10-12', to: '2026-10-14' });
      assert.deepEqual(answer.body.errors, undefined);
      assert.deepEqual(answer.body.data, {
        client: {
          statistics: {
            complete: false,
            completeThrough: '2026-10-13T20:00:00.000Z',
            totals: {
              messages: 2,
              deliveries: 3,
              bytes: 300,
              byVerdict: [...clean, ...spam],
              byDisposition: [{ disposition: 'QUARANTINED', deliveries: 1 }],
            },
            buckets: [
              {
                start: '2026-10-11T18:15:00.000Z',
                end: '2026-10-12T18:15:00.000Z',
                complete: true,
                messages: 1,
                deliveries: 1,
                byVerdict: clean,
              },
              {
                start: '2026-10-12T18:15:00.000Z',
                end: '2026-10-13T18:15:00.000Z',
                complete: true,
                messages: 1,
                deliveries: 2,
                byVerdict: spam,
              },
              {
                start: '2026-10-13T18:15:00.000Z',
                end: '2026-10-14T18:15:00.000Z',
                complete: false,
                messages: 0,
                deliveries: 0,
                byVerdict: [],
              },
            ],
          },
        },
      });
    }
  }
});

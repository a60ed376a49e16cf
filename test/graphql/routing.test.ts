import assert from 'node:assert/strict';
import { test } from 'node:test';
import { flushClient } from '../../src/gateway/index.ts';
import { globalId } from '../../src/graphql/ids.ts';
import { openRig, openSink, Talker } from '../gateway/support/rig.ts';
import { seedSubmitter } from '../gateway/support/submitter.ts';
import { openDatabase } from '../support/db.ts';
import { keyWith, NO_COMMANDS, openServer } from '../support/http.ts';
import { seedClient, seedPartner } from '../support/seed.ts';

interface Errors {
  readonly userErrors: readonly { readonly code: string; readonly field: string | null }[];
}

const SET = `mutation ($input: SetRoutesInput!) { setRoutes(input: $input) {
  client { routes { domain kind host port priority weight region tls } } userErrors { code field } } }`;
const STRATEGY = `mutation ($input: SetRegionStrategyInput!) { setRegionStrategy(input: $input) {
  client { regionStrategies { domain regions recipientServers } } userErrors { code field } } }`;
const FLUSH = `mutation ($input: FlushQueueInput!) { flushQueue(input: $input) {
  client { name } deliveries userErrors { code field } } }`;

test('routes and strategies are set and read; each replaces its own', async (t) => {
  const { db, clock, owner } = await openDatabase(t);
  const partner = await seedPartner(db);
  const clientId = globalId('Client', await seedClient(db, partner.id));
  const server = await openServer(t, { db, clock });
  const ask = async (query: string, input: object) => {
    const answer = await server.ask(partner.apiKey, query, { input: { clientId, ...input } });
    assert.equal(answer.body.errors, undefined);
    return Object.values(answer.body.data ?? {})[0];
  };
  const relay = { host: 'MX.acme.example', region: 'UK', weight: 5, priority: 1, tls: 'REQUIRED', port: 26 };
  await ask(SET, { routes: [{ host: 'plain.example' }, relay] });
  const answer = await ask(SET, { domain: 'acme.example', routes: [{ kind: 'MX' }] });
  assert.deepEqual(answer, {
    client: {
      routes: [
        { ...relay, domain: null, kind: 'RELAY', host: 'mx.acme.example', region: 'uk' },
        {
          domain: null,
          kind: 'RELAY',
          host: 'plain.example',
          port: 25,
          priority: 10,
          weight: 1,
          region: null,
          tls: 'OPPORTUNISTIC',
        },
        {
          domain: 'acme.example',
          kind: 'MX',
          host: null,
          port: 25,
          priority: 10,
          weight: 1,
          region: null,
          tls: 'OPPORTUNISTIC',
        },
      ],
    },
    userErrors: [],
  });
  assert.deepEqual(await ask(STRATEGY, { regions: ['uk', 'EU'] }), {
    client: { regionStrategies: [{ domain: null, regions: ['uk', 'eu'], recipientServers: false }] },
    userErrors: [],
  });
  for (const [query, input, field] of [
    [SET, { routes: [{ kind: 'RELAY' }] }, 'routes'],
    [SET, { routes: [{ host: 'a b' }] }, 'routes'],
    [SET, { routes: [{ host: 'a.example', weight: 0 }] }, 'routes'],
    [SET, { domain: '@', routes: [] }, 'domain'],
    [STRATEGY, { regions: ['?'] }, 'regions'],
  ] as const) {
    const refused = (await ask(query, input)) as Errors & { client: unknown };
    assert.deepEqual([refused.client, refused.userErrors], [null, [{ code: 'BAD_USER_INPUT', field }]]);
  }
  const { rows } = await owner.query("select action, actor from audit where action like 'r%.set' order by id");
  assert.deepEqual(
    rows.map((row) => `${row.action} ${row.actor}`),
    ['route.set key:first key', 'route.set key:first key', 'region.set key:first key'],
  );
});

test('setting and flushing need WRITE', async (t) => {
  const { db, clock } = await openDatabase(t);
  const partner = await seedPartner(db);
  const clientId = globalId('Client', await seedClient(db, partner.id));
  const server = await openServer(t, { db, clock });
  const key = await keyWith(db, partner.id, ['read', 'quarantine', 'billing']);
  for (const [query, input] of [
    [SET, { routes: [] }],
    [STRATEGY, { regions: [] }],
    [FLUSH, {}],
  ] as const) {
    const answer = await server.ask(key, query, { input: { clientId, ...input } });
    assert.equal(answer.body.errors?.[0]?.extensions['code'], 'FORBIDDEN');
  }
});

test("flush makes a client's waiting mail due, counts it and wakes delivery; the attempts are in the trace", async (t) => {
  const sink = await openSink(t);
  await sink.close();
  const rig = await openRig(t);
  const { partner, clientId } = await seedSubmitter(rig.db, sink.port);
  const client = await Talker.open(rig.smtp);
  await client.send('eve@far.example', ['ann@acme.example', 'bob@acme.example']);
  client.close();
  await rig.delivery.drainOnce();
  const woken = new Promise<void>((resolve) => {
    rig.owner.once('notification', () => resolve());
  });
  await rig.owner.query('listen tollgate_queue');
  const server = await openServer(t, {
    db: rig.db,
    clock: rig.clock,
    commands: {
      ...NO_COMMANDS,
      flushQueue: async (tx, id, actor) => ({ deliveries: await flushClient(tx, id, actor) }),
    },
  });
  const flush = async () => {
    const input = { clientId: globalId('Client', clientId) };
    return (await server.ask(partner.apiKey, FLUSH, { input })).body.data?.['flushQueue'];
  };
  assert.deepEqual(await flush(), { client: { name: 'acme.example' }, deliveries: 2, userErrors: [] });
  await woken;
  assert.deepEqual(await flush(), { client: { name: 'acme.example' }, deliveries: 0, userErrors: [] });
  const other = await seedPartner(rig.db, 'Other IT');
  const theirs = await server.ask(other.apiKey, FLUSH, { input: { clientId: globalId('Client', clientId) } });
  assert.deepEqual(theirs.body.data?.['flushQueue'], {
    client: null,
    deliveries: 0,
    userErrors: [{ code: 'NOT_FOUND', field: null }],
  });
  const { rows } = await rig.owner.query("select details from audit where action = 'queue.flush' order by id");
  assert.deepEqual(rows, [{ details: { deliveries: 2 } }, { details: { deliveries: 0 } }]);

  await openSink(t, () => null, sink.port);
  rig.clock.advance(1000);
  assert.equal(await rig.delivery.drainOnce(), 2);
  const trace = await server.ask(
    partner.apiKey,
    `{ deliveries(first: 10) { nodes { attempts {
      at node nodeRegion host address port region tlsVersion tlsCipher tlsVerified code reply path } } } }`,
  );
  assert.equal(trace.body.errors, undefined);
  const data = trace.body.data as { deliveries: { nodes: { attempts: Record<string, unknown>[] }[] } };
  const { nodes } = data.deliveries;
  assert.equal(nodes.length, 2);
  for (const { attempts } of nodes) {
    assert.deepEqual(
      attempts.map((one) => [
        one['code'],
        one['path'],
        one['host'],
        one['node'],
        one['tlsVersion'],
        one['tlsVerified'],
      ]),
      [
        [null, 'DIRECT', '127.0.0.1', 'test', null, null],
        [250, 'DIRECT', '127.0.0.1', 'test', null, null],
      ],
    );
    assert.match(String(attempts[0]?.['reply']), /ECONNREFUSED/);
  }
});

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { type TestContext, test } from 'node:test';
import { type Client, createClient, type ExecutionResult } from 'graphql-ws';
import { WebSocket } from 'ws';
import { createKey, revokeKey } from '../../src/accounts/keys.ts';
import { globalId } from '../../src/graphql/ids.ts';
import { STREAMS } from '../../src/http/streams.ts';
import { appendEvents } from '../../src/ledger/append.ts';
import { openDatabase, type TestDatabase } from '../support/db.ts';
import { makeEvent } from '../support/events.ts';
import { keyWith, openServer, type TestServer } from '../support/http.ts';
import { openEvents } from '../support/live.ts';
import { rollAll } from '../support/roll.ts';
import { seedWorld, type World } from '../support/world.ts';

const PACE = { lookMs: 60_000, trafficMs: 10, recheckMs: 50 };

interface Stage extends TestDatabase {
  readonly server: TestServer;
  readonly mine: World;
  readonly theirs: World;
}

async function open(t: TestContext, parts: Partial<Parameters<typeof openServer>[1]> = {}): Promise<Stage> {
  const base = await openDatabase(t);
  const at = base.clock.now();
  const mine = await seedWorld(base.db, base.owner, 'mine', at);
  const theirs = await seedWorld(base.db, base.owner, 'theirs', at);
  await rollAll(base.db);
  const server = await openServer(t, { db: base.db, clock: base.clock, pace: PACE, ...parts });
  base.before(() => server.http.close(0));
  return { ...base, server, mine, theirs };
}

/** The protocol's own client. */
function clientOf(
  t: TestContext,
  server: TestServer,
  key: string | null,
  options: { retryAttempts?: number } = {},
): Client {
  const client = createClient({
    url: `${server.url.replace('http', 'ws')}/graphql`,
    webSocketImpl: WebSocket,
    connectionParams: key === null ? {} : { authorization: `Bearer ${key}` },
    retryAttempts: 0,
    // Time is not what is tested here.
    retryWait: async () => undefined,
    ...options,
  });
  t.after(() => client.dispose());
  return client;
}

const INCIDENTS = 'subscription { incidentChanged { id title client { name } } }';

function follow(client: Client, query: string, variables: Record<string, unknown> = {}) {
  const results = client.iterate<Record<string, unknown>>({ query, variables });
  const next = async () => (await results.next()).value as ExecutionResult<Record<string, unknown>> | undefined;
  return { next, stop: () => results.return?.() };
}

test('an incident that changes is told at once, to its partner alone, over both transports', async (t) => {
  const { server, owner, mine, theirs } = await open(t);
  const client = clientOf(t, server, mine.apiKey);
  const socket = follow(client, INCIDENTS);
  const told = socket.next();
  const events = await openEvents(t, server, mine.apiKey, INCIDENTS);
  assert.equal(events.status, 200);
  assert.equal(events.type, 'text/event-stream; charset=utf-8');
  const other = await openEvents(t, server, theirs.apiKey, INCIDENTS);
  await watching(server, 3);
  await owner.query("update incidents set title = 'changed' where partner_id = $1", [mine.partner]);
  const expected = {
    incidentChanged: { id: globalId('Incident', mine.ids.Incident), title: 'changed', client: { name: 'mine client' } },
  };
  assert.deepEqual((await told)?.data, expected);
  assert.deepEqual(await events.next(), { event: 'next', data: { data: expected } });
  await owner.query("update incidents set title = 'theirs too' where partner_id = $1", [theirs.partner]);
  const first = await other.next();
  assert.match(JSON.stringify(first), /"title":"theirs too"/);
});

/** Until so many subscriptions wait for changes. */
async function watching(server: TestServer, count: number): Promise<void> {
  while (server.http.live().watching !== count) await new Promise((resolve) => setImmediate(resolve));
}

test('a change is told though no NOTIFY comes, and whatever the order of commits', async (t) => {
  const { db, owner, mine, clock, before } = await open(t);
  const deaf = {
    system: db.system.bind(db),
    tenant: db.tenant.bind(db),
  };
  const server = await openServer(t, { db: deaf, clock, pace: { ...PACE, lookMs: 20 } });
  before(() => server.http.close(0));
  const events = await openEvents(t, server, mine.apiKey, 'subscription { incidentChanged { rule } }');
  const reports = await openEvents(t, server, mine.apiKey, 'subscription { reportRunChanged { error } }');
  await watching(server, 2);
  // The incident's transaction is older than the report's and commits after it was told.
  await owner.query('begin');
  await owner.query("update incidents set title = 'late' where partner_id = $1", [mine.partner]);
  await db.system((tx) => tx.run({ name: 'r', text: "update report_runs set error = 'early'", values: [] }));
  assert.match(JSON.stringify(await reports.next()), /early/);
  await owner.query('commit');
  assert.deepEqual(await events.next(), {
    event: 'next',
    data: { data: { incidentChanged: { rule: 'server.down' } } },
  });
});

test('traffic: the present numbers at once, then as they move, from the rollups', async (t) => {
  const { server, db, clock, mine } = await open(t);
  const query =
    'subscription ($c: ID) { traffic(clientId: $c) { client { name } at completeThrough quarterHour { start end complete totals { deliveries } } day { start end totals { deliveries byVerdict { verdict deliveries } } } } }';
  const events = await openEvents(t, server, mine.apiKey, query, { c: globalId('Client', mine.ids.Client) });
  const all = await openEvents(t, server, mine.apiKey, query);
  type Update = {
    client: { name: string } | null;
    quarterHour: { start: string; totals: { deliveries: number } };
    day: { start: string; totals: { deliveries: number } };
  };
  const update = async (reader: typeof events) => {
    const told = await reader.next();
    assert.equal(told?.data?.errors, undefined);
    return told?.data?.data?.['traffic'] as Update;
  };
  const first = await update(events);
  assert.equal(first.client?.name, 'mine client');
  assert.equal(first.quarterHour.start, '2026-10-14T09:30:00.000Z');
  assert.equal(first.day.start, '2026-10-13T23:00:00.000Z', 'midnight in London');
  assert.deepEqual([first.quarterHour.totals.deliveries, first.day.totals.deliveries], [1, 1]);
  const whole = await update(all);
  assert.equal(whole.client, null);
  assert.equal(whole.day.start, '2026-10-14T00:00:00.000Z');
  const of = { partnerId: mine.partner, clientId: mine.ids.Client };
  await db.system((tx) =>
    appendEvents(tx, [
      makeEvent({ ...of, occurredAt: clock.now() }),
      makeEvent({ ...of, occurredAt: new Date('2026-10-14T01:00:00Z') }),
    ]),
  );
  await rollAll(db);
  for (const reader of [events, all]) {
    const next = await update(reader);
    assert.deepEqual([next.quarterHour.totals.deliveries, next.day.totals.deliveries], [2, 3]);
  }
});

test("a revoked key's streams end by themselves, on both transports", async (t) => {
  const { server, db, mine } = await open(t);
  const token = await keyWith(db, mine.partner, ['read']);
  const socket = await rawSocket(t, server, token);
  const events = await openEvents(t, server, token, INCIDENTS);
  const others = await openEvents(t, server, mine.apiKey, INCIDENTS);
  await watching(server, 2);
  const { id } = await db.system((tx) =>
    tx.one<{ id: string }>({ name: 'k', text: "select id from api_keys where label = 'read'", values: [] }),
  );
  const closed = socket.closed();
  await db.tenant(mine.partner, (tx) => revokeKey(tx, { partnerId: mine.partner, keyId: id, actor: 'test' }));
  assert.deepEqual(await closed, [4401, 'The key is not live any more']);
  const last = await events.next();
  assert.equal(last?.data?.errors?.[0]?.extensions.code, 'UNAUTHENTICATED');
  assert.deepEqual(await events.next(), { event: 'complete', data: null });
  assert.equal(await events.next(), null);
  assert.equal(server.http.live().watching, 1, 'other keys go on');
  others.close();
});

test('an expired key is found by looking', async (t) => {
  const { server, db, mine, clock } = await open(t);
  const expiresAt = new Date(clock.now().getTime() + 60_000);
  const made = await db.system((tx) =>
    createKey(tx, { partnerId: mine.partner, label: 'short', scopes: ['read'], expiresAt, actor: 'test' }),
  );
  const events = await openEvents(t, server, made.token, INCIDENTS);
  clock.advance(60_001);
  assert.equal((await events.next())?.data?.errors?.[0]?.extensions.code, 'UNAUTHENTICATED');
});

interface RawSocket {
  readonly ws: WebSocket;
  send(message: unknown): void;
  /** The next message. */
  next(): Promise<{ type: string; id?: string; payload?: unknown }>;
  closed(): Promise<[number, string]>;
}

/** A socket by hand. With a token it is acknowledged when this answers. */
async function rawSocket(
  t: TestContext,
  server: TestServer,
  token: string | null,
  headers: Record<string, string> = {},
): Promise<RawSocket> {
  const ws = new WebSocket(`${server.url.replace('http', 'ws')}/graphql`, 'graphql-transport-ws', { headers });
  t.after(() => ws.terminate());
  const waiting: string[] = [];
  let wake: () => void = () => undefined;
  ws.on('message', (data) => {
    waiting.push(String(data));
    wake();
  });
  const closed = once(ws, 'close');
  await once(ws, 'open');
  const raw: RawSocket = {
    ws,
    send: (message) =>
      ws.send(typeof message === 'string' || Buffer.isBuffer(message) ? message : JSON.stringify(message)),
    async next() {
      while (waiting.length === 0) {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
      return JSON.parse(waiting.shift() ?? '');
    },
    async closed() {
      const [code, reason] = await closed;
      return [code as number, String(reason)];
    },
  };
  if (token !== null) {
    raw.send({ type: 'connection_init', payload: { authorization: `Bearer ${token}` } });
    assert.deepEqual(await raw.next(), { type: 'connection_ack' });
  }
  return raw;
}

test('sockets: what breaks the protocol closes with the code that says why', async (t) => {
  const { server, mine, db, clock, before } = await open(t);
  const hurried = await openServer(t, { db, clock, pace: { ...PACE, initMs: 150 } });
  before(() => hurried.http.close(0));
  const key = mine.apiKey;
  const subscribe = (id: string, query = INCIDENTS) => ({ type: 'subscribe', id, payload: { query } });
  const cases: [string, string | null, (socket: RawSocket) => void, number][] = [
    ['no JSON', key, ({ send }) => send('{'), 4400],
    ['no message', key, ({ send }) => send('{"type":"dance"}'), 4400],
    ['bytes', key, ({ send }) => send(Buffer.from('{"type":"ping"}')), 4400],
    ['too large', key, ({ send }) => send({ type: 'ping', payload: { x: 'x'.repeat(101 * 1024) } }), 1009],
    ['subscribed before it said who it is', null, ({ send }) => send(subscribe('1')), 4401],
    ['no key', null, ({ send }) => send({ type: 'connection_init' }), 4403],
    [
      'a wrong key',
      null,
      ({ send }) => send({ type: 'connection_init', payload: { authorization: `Bearer ${key}x` } }),
      4403,
    ],
    ['said twice', key, ({ send }) => send({ type: 'connection_init' }), 4429],
    ['one id twice', key, ({ send }) => [send(subscribe('1')), send(subscribe('1'))], 4409],
    ['a flood', key, ({ send }) => Array.from({ length: 600 }, () => send({ type: 'ping' })), 4429],
  ];
  for (const [name, token, act, code] of cases) {
    const socket = await rawSocket(t, server, token);
    act(socket);
    assert.equal((await socket.closed())[0], code, name);
  }
  const silent = await rawSocket(t, hurried, null);
  assert.equal((await silent.closed())[0], 4408, 'nothing said');
  while (server.http.live().streams + server.http.live().watching > 0)
    await new Promise((resolve) => setImmediate(resolve));
});

test('sockets: foreign pages, paths and protocols are refused before there is a socket', async (t) => {
  const { server, mine } = await open(t, { publicUrl: () => 'https://tollgate.example' });
  const refused = async (path: string, protocols: string[], headers: Record<string, string>) => {
    const ws = new WebSocket(`${server.url.replace('http', 'ws')}${path}`, protocols, { headers });
    const [error] = await once(ws, 'error');
    return /\d{3}/.exec((error as Error).message)?.[0];
  };
  const own = ['graphql-transport-ws'];
  assert.equal(await refused('/graphql', own, { origin: 'https://evil.example' }), '403');
  assert.equal(await refused('/graphql', own, { origin: 'null' }), '403');
  assert.equal(await refused('/other', own, {}), '404');
  assert.equal(await refused('/graphql', ['graphql-ws'], {}), '400');
  assert.equal(await refused('/graphql', [], {}), '400');
  for (const origin of ['https://tollgate.example', server.url]) {
    const socket = await rawSocket(t, server, null, { origin, authorization: `Bearer ${mine.apiKey}` });
    socket.send({ type: 'connection_init' });
    assert.deepEqual(await socket.next(), { type: 'connection_ack' }, 'the key may come in the header');
  }
  // What asks for another protocol than WebSocket is answered and does not hang.
  const plain = connect(Number(new URL(server.url).port), '127.0.0.1');
  plain.write('GET /graphql HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n');
  assert.match(String((await once(plain, 'data'))[0]), /^HTTP\/1.1 400/);
  plain.destroy();
});

test('documents of subscriptions have the limits of queries; queries are answered over both transports', async (t) => {
  const { server, db, mine } = await open(t);
  const socket = await rawSocket(t, server, mine.apiKey);
  const ask = async (query: string, variables?: object) => {
    socket.send({ type: 'subscribe', id: 'x', payload: { query, variables } });
    const answer = await socket.next();
    return { ...answer, code: (answer.payload as { extensions?: { code?: string } }[])[0]?.extensions?.code };
  };
  const aliases = Array.from({ length: 31 }, (_, index) => `a${index}: id`).join(' ');
  for (const [query, code] of [
    [`subscription { incidentChanged { ${aliases} } }`, 'LIMIT_EXCEEDED'],
    [
      'subscription { incidentChanged { client { mailboxes(first: 100) { nodes { client { mailboxes(first: 100) { nodes { id } } } } } } } }',
      'LIMIT_EXCEEDED',
    ],
    ['subscription { incidentChanged { id } reportRunChanged { id } }', 'GRAPHQL_VALIDATION_FAILED'],
    ['subscription { nothing }', 'GRAPHQL_VALIDATION_FAILED'],
    ['subscription {', 'GRAPHQL_PARSE_FAILED'],
    ['{"kind":"Document"}', 'BAD_REQUEST'],
    ['subscription { incidentChanged(clientId: "x") { id } }', 'NOT_FOUND'],
  ] as const) {
    const answer = await ask(query);
    assert.deepEqual([answer.type, answer.code], ['error', code], query);
    assert.doesNotMatch(JSON.stringify(answer), /did you mean/i);
  }
  const { payload } = await ask('{ viewer { partner { name } } }');
  assert.deepEqual((payload as { data: unknown }).data, { viewer: { partner: { name: 'mine IT' } } });
  assert.equal((await socket.next()).type, 'complete');
  const single = await openEvents(t, server, mine.apiKey, '{ viewer { partner { name } } }');
  assert.deepEqual((await single.next())?.data?.data, { viewer: { partner: { name: 'mine IT' } } });
  assert.equal((await single.next())?.event, 'complete');
  for (const headers of [{}, { accept: 'application/graphql-response+json' }]) {
    const plain = await server.ask(mine.apiKey, INCIDENTS, undefined, headers);
    assert.equal(plain.body.errors?.[0]?.extensions['code'], 'BAD_REQUEST');
  }
  const blind = await keyWith(db, mine.partner, ['billing']);
  const refused = await openEvents(t, server, blind, INCIDENTS);
  assert.equal((await refused.next())?.data?.errors?.[0]?.extensions.code, 'FORBIDDEN');
});

test('an id that is used again before it has begun leaves nothing behind when the socket ends', async (t) => {
  const { server, mine } = await open(t);
  const socket = await rawSocket(t, server, mine.apiKey);
  for (let round = 0; round < 10; round += 1) {
    socket.send({ type: 'subscribe', id: 'one', payload: { query: INCIDENTS } });
    socket.send({ type: 'complete', id: 'one' });
  }
  socket.send({ type: 'subscribe', id: 'one', payload: { query: INCIDENTS } });
  await watching(server, 11);
  socket.ws.close();
  await socket.closed();
  await watching(server, 0);
});

test('a socket of a revoked key that does not close does nothing more', async (t) => {
  const { server, db, owner, mine } = await open(t);
  const token = await keyWith(db, mine.partner, ['write']);
  const [deaf, other] = [await rawSocket(t, server, token), await rawSocket(t, server, token)];
  deaf.ws.pause();
  const documents = () => owner.query('select encode(sha256, $1) from persisted_documents order by 1', ['hex']);
  const before = await documents();
  const { id } = await db.system((tx) =>
    tx.one<{ id: string }>({ name: 'k', text: "select id from api_keys where label = 'write'", values: [] }),
  );
  await db.tenant(mine.partner, (tx) => revokeKey(tx, { partnerId: mine.partner, keyId: id, actor: 'test' }));
  assert.deepEqual(await other.closed(), [4401, 'The key is not live any more']);
  const query =
    'mutation { registerDocument(input: {document: "{ viewer { partner { name } } }"}) { userErrors { code } } }';
  deaf.send({ type: 'subscribe', id: 'late', payload: { query } });
  await new Promise((resolve) => deaf.ws.send('{"type":"ping"}', resolve));
  for (let turn = 0; turn < 100; turn += 1) await owner.query('select 1');
  deaf.ws.resume();
  await deaf.closed();
  assert.deepEqual((await documents()).rows, before.rows);
});

test('a key has so many streams, a socket so many operations', async (t) => {
  const { server, mine, theirs } = await open(t);
  const socket = await rawSocket(t, server, mine.apiKey);
  for (let index = 0; index < 21; index += 1) {
    socket.send({ type: 'subscribe', id: String(index), payload: { query: INCIDENTS } });
  }
  const refused = await socket.next();
  assert.equal(refused.type, 'error');
  assert.match(JSON.stringify(refused.payload), /at most 20 operations/);
  const readers = [];
  for (let index = 1; index < STREAMS.perKey; index += 1)
    readers.push(await openEvents(t, server, mine.apiKey, INCIDENTS));
  const over = await openEvents(t, server, mine.apiKey, INCIDENTS);
  assert.equal(over.status, 429);
  await watching(server, 20 + STREAMS.perKey - 1);
  const ws = await rawSocket(t, server, null);
  ws.send({ type: 'connection_init', payload: { Authorization: `Bearer ${mine.apiKey}` } });
  assert.equal((await ws.closed())[0], 4429);
  assert.equal((await openEvents(t, server, theirs.apiKey, INCIDENTS)).status, 200, 'another key has its own');
  readers[0]?.close();
  while (server.http.live().streams > STREAMS.perKey) await new Promise((resolve) => setImmediate(resolve));
  assert.equal((await openEvents(t, server, mine.apiKey, INCIDENTS)).status, 200, 'one that ended makes room');
});

test('strangers at the door are counted by their network, callers with a live key are not', async (t) => {
  const { server, mine } = await open(t);
  for (let index = 0; index < 70; index += 1) {
    const socket = await rawSocket(t, server, mine.apiKey);
    socket.ws.terminate();
    await socket.closed();
  }
  while (server.http.live().streams > 0) await new Promise((resolve) => setImmediate(resolve));
  const knock = async () => {
    const ws = new WebSocket(`${server.url.replace('http', 'ws')}/graphql`, 'graphql-transport-ws');
    t.after(() => ws.terminate());
    return new Promise<string>((resolve) => {
      ws.once('open', () => resolve('open'));
      ws.once('error', (error) => resolve(error.message));
    });
  };
  const answers = [];
  for (let index = 0; index < 61; index += 1) answers.push(await knock());
  assert.deepEqual(answers.slice(0, 60), Array(60).fill('open'));
  assert.match(answers[60] ?? '', /429/);
});

test('a reader that stands still gets the present state, not the way there', async (t) => {
  const { server, owner, mine } = await open(t);
  const body = JSON.stringify({ query: 'subscription { incidentChanged { title description } }' });
  const still = connect(Number(new URL(server.url).port), '127.0.0.1');
  t.after(() => still.destroy());
  still.pause();
  still.write(
    `POST /graphql HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${mine.apiKey}\r\nAccept: text/event-stream\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
  );
  const brisk = await openEvents(t, server, mine.apiKey, 'subscription { incidentChanged { title } }');
  await watching(server, 2);
  const changes = 40;
  for (let index = 1; index <= changes; index += 1) {
    await owner.query('update incidents set title = $2, description = $3 where partner_id = $1', [
      mine.partner,
      `n${index}`,
      'x'.repeat(1_000_000),
    ]);
    // The other reader keeps pace: each change was told.
    await brisk.next();
  }
  let text = '';
  still.on('data', (chunk) => {
    text += String(chunk);
  });
  still.resume();
  while (!text.includes(`"title":"n${changes}"`)) await once(still, 'data');
  const told = text.match(/"title":"n\d+"/g)?.length ?? 0;
  assert.ok(told < changes / 2, `${told} of ${changes} were sent`);
});

test("the protocol's own client begins anew after its connection broke", async (t) => {
  const { server, owner, mine } = await open(t);
  const client = clientOf(t, server, mine.apiKey, { retryAttempts: 5 });
  const sockets: WebSocket[] = [];
  client.on('connected', (socket) => sockets.push(socket as WebSocket));
  const socket = follow(client, INCIDENTS);
  const told = socket.next();
  await watching(server, 1);
  sockets[0]?.terminate();
  await watching(server, 0);
  await watching(server, 1);
  await owner.query("update incidents set title = 'after' where partner_id = $1", [mine.partner]);
  assert.match(JSON.stringify(await told), /"title":"after"/);
  assert.equal(sockets.length, 2);
  await socket.stop();
  await watching(server, 0);
});

test('closing ends every stream with a word, within its time', async (t) => {
  const { server, mine } = await open(t);
  const socket = await rawSocket(t, server, mine.apiKey);
  socket.send({ type: 'subscribe', id: '1', payload: { query: INCIDENTS } });
  const silent = await rawSocket(t, server, null);
  const events = await openEvents(t, server, mine.apiKey, INCIDENTS);
  await watching(server, 2);
  const closed = server.http.close(2_000);
  assert.equal((await socket.closed())[0], 1001);
  assert.equal((await silent.closed())[0], 1001);
  assert.equal((await events.next())?.data?.errors?.[0]?.extensions.code, 'UNAVAILABLE');
  assert.equal((await events.next())?.event, 'complete');
  await closed;
});

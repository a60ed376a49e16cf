import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import { test } from 'node:test';
import { newId } from '../../src/core/id.ts';
import type { Logger } from '../../src/core/log.ts';
import type { HookRequest } from '../../src/http/hooks.ts';
import { createHttp } from '../../src/http/server.ts';
import { openDatabase } from '../support/db.ts';
import { NO_COMMANDS, NO_PAGES, openServer } from '../support/http.ts';
import { seedPartner } from '../support/seed.ts';

test('health: live while it runs, ready when all it needs works', async (t) => {
  const { db, clock } = await openDatabase(t);
  let workers = true;
  const failed: object[] = [];
  const logger: Logger = { debug() {}, info() {}, warn: (details) => failed.push(details), error() {} };
  const checks = [
    { name: 'database', run: async () => true },
    {
      name: 'workers',
      run: async () => {
        if (!workers) throw new Error('secret reason');
        return true;
      },
    },
  ];
  const server = await openServer(t, { db, clock, logger, checks });
  const get = async (path: string) => {
    const response = await fetch(server.url + path);
    return { status: response.status, body: await response.json() };
  };
  assert.deepEqual(await get('/health/live'), { status: 200, body: { status: 'live' } });
  const names = (ok: boolean) => [
    { name: 'database', ok: true },
    { name: 'workers', ok },
  ];
  assert.deepEqual(await get('/health/ready'), { status: 200, body: { status: 'ready', checks: names(true) } });
  workers = false;
  assert.deepEqual(await get('/health/ready'), { status: 503, body: { status: 'not ready', checks: names(false) } });
  assert.equal(failed.length, 1, 'why it is not ready is in the log');
});

test('metrics are Prometheus text; what callers send makes no new series', async (t) => {
  const { db, clock } = await openDatabase(t);
  const metrics = async () => [
    {
      name: 'tollgate_queue_deliveries',
      help: 'Deliveries that wait.',
      type: 'gauge' as const,
      samples: [{ labels: { kind: 'ma"il\\\n' }, value: 3 }, { value: Number.NaN }],
    },
  ];
  const server = await openServer(t, { db, clock, metrics });
  for (const path of ['/nothing/1', '/nothing/2?x=1', '/health/live']) await (await fetch(server.url + path)).text();
  const response = await fetch(`${server.url}/metrics`);
  assert.match(response.headers.get('content-type') ?? '', /^text\/plain; version=0\.0\.4/);
  const text = await response.text();
  assert.match(
    text,
    /# HELP tollgate_queue_deliveries Deliveries that wait\.\n# TYPE tollgate_queue_deliveries gauge\n/,
  );
  assert.ok(text.includes('tollgate_queue_deliveries{kind="ma\\"il\\\\\\n"} 3\n'));
  assert.ok(text.includes('tollgate_queue_deliveries NaN\n'));
  assert.ok(text.includes('tollgate_http_requests_total{route="none",method="GET",status="404"} 2\n'));
  assert.ok(text.includes('tollgate_http_requests_total{route="/health/live",method="GET",status="200"} 1\n'));
});

test('every answer carries security headers and a request id, and tells nothing of the server', async (t) => {
  const { db, clock } = await openDatabase(t);
  const server = await openServer(t, { db, clock });
  for (const [path, method] of [
    ['/health/live', 'GET'],
    ['/nothing', 'GET'],
    ['/graphql', 'POST'],
    ['/graphql', 'DELETE'],
    ['/%', 'GET'],
  ] as const) {
    const response = await fetch(server.url + path, { method });
    const text = await response.text();
    assert.equal(response.headers.get('x-content-type-options'), 'nosniff', path);
    assert.match(response.headers.get('content-security-policy') ?? '', /default-src 'none'/);
    assert.equal(response.headers.get('cache-control'), 'no-store');
    assert.match(response.headers.get('x-request-id') ?? '', /^[\w-]{36}$/);
    assert.equal(response.headers.get('x-powered-by'), null);
    assert.equal(response.headers.get('access-control-allow-origin'), null);
    assert.doesNotMatch(text, /fastify|FST_|node_modules/i);
  }
  const given = await fetch(`${server.url}/health/live`, { headers: { 'x-request-id': 'trace-0001' } });
  assert.equal(given.headers.get('x-request-id'), 'trace-0001');
  const bad = await fetch(`${server.url}/health/live`, { headers: { 'x-request-id': 'a b"c' } });
  assert.notEqual(bad.headers.get('x-request-id'), 'a b"c');
});

test('requests that are not GraphQL over HTTP are refused with the status that says why', async (t) => {
  const { db, clock } = await openDatabase(t);
  const { apiKey } = await seedPartner(db);
  const server = await openServer(t, { db, clock });
  const send = async (body: string | Uint8Array, headers: Record<string, string>, method = 'POST') => {
    const response = await fetch(`${server.url}/graphql`, {
      method,
      headers: { authorization: `Bearer ${apiKey}`, ...headers },
      ...(method === 'GET' ? {} : { body }),
    });
    const parsed = (await response.json()) as { errors: { message: string; extensions: { code: string } }[] };
    return { status: response.status, message: parsed.errors[0]?.message ?? '', headers: response.headers };
  };
  const json = { 'content-type': 'application/json' };
  const query = '{"query":"{ viewer { scopes } }"}';
  assert.equal((await send(query, { 'content-type': 'text/plain' })).status, 415);
  assert.equal((await send(query, { 'content-type': 'application/json; charset=utf-16' })).status, 415);
  assert.equal((await send('query=1', { 'content-type': 'application/x-www-form-urlencoded' })).status, 415);
  assert.equal((await send(query, { ...json, accept: 'text/html' })).status, 406);
  assert.equal((await send(Uint8Array.of(0x7b, 0xff, 0x7d), json)).status, 400);
  assert.equal((await send('[{"query":"{ viewer { scopes } }"}]', json)).status, 400, 'no batches');
  assert.equal((await send(`{"query":"{ viewer { scopes } }","x":"${'x'.repeat(101 * 1024)}"}`, json)).status, 413);
  const put = await send(query, json, 'PUT');
  assert.equal(put.status, 405);
  assert.equal(put.headers.get('allow'), 'GET, POST');
  const twice = await fetch(`${server.url}/graphql?query=%7B__typename%7D&query=%7B__typename%7D`, {
    headers: { authorization: `Bearer ${apiKey}` },
  });
  assert.equal(twice.status, 400);
});

test('callbacks of a PSA: verified, kept, answered at once; the body is the bytes that were signed', async (t) => {
  const { db, clock } = await openDatabase(t);
  const known = newId();
  const accepted: HookRequest[] = [];
  let failing = false;
  const hooks = {
    verify: async (hook: HookRequest) => {
      if (hook.connectionId !== known || hook.kind !== 'connectwise') return 'unknown' as const;
      return hook.headers['x-content-signature'] === 'good' ? ('genuine' as const) : ('refused' as const);
    },
    accept: async (hook: HookRequest) => {
      if (failing) throw new Error('the queue is gone');
      accepted.push(hook);
    },
  };
  const server = await openServer(t, { db, clock, hooks });
  const body = Buffer.from('{"Action":"updated",  "ID": 7, "x":"\u00fc"}');
  const post = async (path: string, signature = 'good', type = 'application/json') =>
    (
      await fetch(`${server.url}/hooks/${path}`, {
        method: 'POST',
        headers: { 'content-type': type, 'x-content-signature': signature },
        body,
      })
    ).status;
  assert.equal(await post(`connectwise/${known}`), 204);
  assert.equal(await post(`connectwise/${known.toUpperCase()}`, 'good', 'text/plain'), 204);
  assert.deepEqual(
    accepted.map((hook) => hook.body),
    [body, body],
  );
  assert.equal(await post(`connectwise/${known}`, 'bad'), 401);
  assert.equal(await post(`autotask/${known}`), 404, 'a connection of the other kind');
  assert.equal(await post(`connectwise/${newId()}`), 404);
  assert.equal(await post('connectwise/not-an-id'), 404);
  assert.equal(await post('other/x'), 404);
  assert.equal(accepted.length, 2);
  failing = true;
  assert.equal(await post(`connectwise/${known}`), 500, 'what was not kept is not answered as kept');
  const get = await fetch(`${server.url}/hooks/connectwise/${known}`);
  assert.equal(get.status, 404, 'rule 9: GET never acts');
});

test('neither keys nor queries reach the log', async (t) => {
  const { db, clock } = await openDatabase(t);
  const { apiKey } = await seedPartner(db);
  const lines: string[] = [];
  const keep = (details: object, message: string) => lines.push(`${message} ${JSON.stringify(details)}`);
  const server = await openServer(t, { db, clock, logger: { debug: keep, info: keep, warn: keep, error: keep } });
  await server.ask(apiKey, '{ viewer { scopes } }');
  await server.ask(`${apiKey}x`, '{ viewer { scopes } }');
  await fetch(`${server.url}/graphql?query=%7B__typename%7D&secret=hunter2`);
  assert.equal(lines.length, 3);
  for (const line of lines) assert.doesNotMatch(line, /tg_live|hunter2|scopes|authorization/i);
});

test('a port that is taken is a clear error', async (t) => {
  const { db, clock } = await openDatabase(t);
  const taken = createServer().listen(0, '127.0.0.1');
  await once(taken, 'listening');
  t.after(() => taken.close());
  const { port } = taken.address() as { port: number };
  const http = await createHttp({
    host: '127.0.0.1',
    port,
    db,
    clock,
    logger: { debug() {}, info() {}, warn() {}, error() {} },
    commands: NO_COMMANDS,
    hooks: { verify: async () => 'unknown', accept: async () => undefined },
    pages: NO_PAGES,
    checks: [],
    metrics: async () => [],
  });
  t.after(() => http.close(0));
  await assert.rejects(http.listen(), {
    code: 'config_invalid',
    message: `HTTP_PORT: HTTP can't listen on 127.0.0.1:${port}: another program uses it; set HTTP_PORT to another one`,
  });
});

test('closing answers what is under way and drops who stays silent', async (t) => {
  const { db, clock } = await openDatabase(t);
  const checks: { name: string; run: () => Promise<boolean> }[] = [];
  let release: () => void = () => undefined;
  const asked = new Promise<void>((resolve) => {
    const check = {
      name: 'slow',
      run: () =>
        new Promise<boolean>((done) => {
          release = () => done(true);
          resolve();
        }),
    };
    checks.push(check);
  });
  const server = await openServer(t, { db, clock, checks });
  const idle = connect(Number(new URL(server.url).port), '127.0.0.1');
  idle.on('error', () => undefined);
  await once(idle, 'connect');
  const slow = fetch(`${server.url}/health/ready`);
  await asked;
  const closed = server.http.close(500);
  release();
  assert.equal((await slow).status, 200);
  await closed;
  if (!idle.destroyed) await once(idle, 'close');
});

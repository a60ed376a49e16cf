import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { type TestContext, test } from 'node:test';
import { replaceRoutes } from '../../src/accounts/routes.ts';
import { silentLogger } from '../../src/core/log.ts';
import { partnerId } from '../../src/core/tenant.ts';
import { signOf, slotsOf } from '../../src/gateway/backoff.ts';
import { createDelivery } from '../../src/gateway/index.ts';
import { zoneResolver } from '../../src/mail/resolver.ts';
import { fillQueue } from '../support/queued.ts';
import { seedClient, seedPartner } from '../support/seed.ts';
import { openRaw, type Says, takesAll } from './support/raw-server.ts';
import { openRig } from './support/rig.ts';

const SECOND = 1_000;
const DAY = 86_400_000;
const refuses: Says = () => null;

/** Clients whose mail goes to `port` of 127.0.0.1, and mail of theirs in the queue. */
async function openParked(t: TestContext, says: Says, options: { clients?: number; outbound?: boolean } = {}) {
  const server = await openRaw(t, says);
  const resolver = zoneResolver({
    'far.example': { MX: [{ exchange: 'mx.far.example', priority: 10 }] },
    'mx.far.example': { A: ['127.0.0.1'] },
  });
  const rig = await openRig(t, { resolver, mxPort: server.port });
  const partner = await seedPartner(rig.db);
  const clientIds: string[] = [];
  for (let n = 0; n < (options.clients ?? 1); n += 1) {
    const relays = [{ host: '127.0.0.1', port: server.port }];
    clientIds.push(await seedClient(rig.db, partner.id, { domain: `c${n}.example`, relays }));
  }
  const { id: contentId } = await rig.spool.write(Readable.from([Buffer.from('Subject: x\r\n\r\nx\r\n')]));
  const direction = options.outbound === true ? ('outbound' as const) : ('inbound' as const);
  const domains = [options.outbound === true ? 'far.example' : 'c0.example'];
  const queue = (rows: number) =>
    fillQueue(rig.owner, {
      partnerId: partner.id,
      clientIds,
      rows,
      now: rig.clock.now(),
      direction,
      domains,
      contentId,
    });
  const count = async (kind: string) =>
    (await rig.owner.query('select count(*)::int as n from ledger where kind = $1', [kind])).rows[0]?.n;
  const attempts = async () =>
    (await rig.owner.query('select coalesce(sum(attempts), 0)::int as n from queue')).rows[0]?.n;
  const backoff = async () =>
    (await rig.owner.query('select destination, reason, failures, slots from destination_backoff')).rows;
  const second = createDelivery({
    db: rig.db,
    clock: rig.clock,
    logger: silentLogger,
    spool: rig.spool,
    resolver,
    mxPort: server.port,
    config: { nodeId: 'second', hostName: 'mx2.tollgate.example', allowPrivateHosts: ['127.0.0.1'] },
  });
  t.after(() => second.stop());
  return { rig, server, queue, count, attempts, backoff, second, clientIds };
}

test("a client's server that is down: one probe for all its mail per pause, each deferral told once, all due at its return", async (t) => {
  const { rig, server, queue, count, attempts, backoff, second } = await openParked(t, refuses, { clients: 2 });
  await queue(24);
  const first = await rig.delivery.drainOnce();
  assert.ok(first <= 5, 'the connections that were open at once, and no more');
  assert.equal(server.seen.connections, first);
  assert.equal(await attempts(), first, 'waiting is no attempt');
  assert.equal(await count('deferred'), 24);
  assert.deepEqual(await backoff(), [
    { destination: `server 127.0.0.1:${server.port}`, reason: 'no_answer', failures: 1, slots: null },
  ]);

  assert.equal(await rig.delivery.drainOnce(), 0);
  assert.equal(await second.drainOnce(), 0, 'the other node knows');
  for (const pause of [15, 30, 60, 120, 240, 300, 300]) {
    rig.clock.advance((pause - 1) * SECOND);
    assert.equal((await rig.delivery.drainOnce()) + (await second.drainOnce()), 0);
    rig.clock.advance(SECOND);
    const tried = await Promise.all([rig.delivery.drainOnce(), second.drainOnce()]);
    assert.deepEqual(tried.toSorted(), [0, 1], `one probe after ${pause} s`);
  }
  assert.equal(server.seen.connections, first + 7);
  assert.equal(await attempts(), first + 7);
  assert.equal(await count('deferred'), 24);
  // Different rows are tried: none stands for the others.
  const { rows } = await rig.owner.query('select max(attempts)::int as most from queue');
  assert.equal(rows[0]?.most, 1);

  await server.close();
  const back = await openRaw(t, takesAll, server.port);
  rig.clock.advance(300 * SECOND);
  assert.equal(await rig.delivery.drainOnce(), 1, 'the probe arrives');
  assert.equal(await rig.delivery.drainOnce(), 23, 'and everything follows');
  assert.equal(back.seen.messages, 24);
  assert.deepEqual([await count('deferred'), await count('delivered')], [24, 24]);
  rig.clock.advance(2 * 3_600_000);
  await rig.delivery.drainOnce();
  assert.deepEqual(await backoff(), [], 'and the destination is forgotten');
});

test('mail that waits for a parked destination ages: 14 days for a client server, 5 for the world, no attempt needed', async (t) => {
  const own = await openParked(t, refuses);
  await own.queue(8);
  await own.rig.delivery.drainOnce();
  own.rig.clock.advance(14 * DAY - SECOND);
  await own.rig.delivery.drainOnce();
  assert.equal(await own.count('expired'), 0);
  own.rig.clock.advance(SECOND);
  await own.rig.delivery.drainOnce();
  assert.equal(await own.count('expired'), 8, 'to the second, though none is due for an hour');
  assert.ok(own.server.seen.connections < 10);

  const world = await openParked(t, refuses, { outbound: true });
  await world.queue(8);
  await world.rig.delivery.drainOnce();
  world.rig.clock.advance(5 * DAY);
  await world.rig.delivery.drainOnce();
  assert.equal(await world.count('expired'), 8);
  assert.deepEqual([await world.count('deferred'), await world.count('bounced')], [8, 0]);
});

test('a domain of the world that comes back: its waiting mail of all clients goes', async (t) => {
  const { rig, server, queue, backoff } = await openParked(t, refuses, { outbound: true, clients: 3 });
  await queue(12);
  await rig.delivery.drainOnce();
  assert.deepEqual(await backoff(), [
    { destination: 'domain far.example', reason: 'no_answer', failures: 1, slots: null },
  ]);
  await server.close();
  const back = await openRaw(t, takesAll, server.port);
  rig.clock.advance(60 * SECOND);
  assert.equal(await rig.delivery.drainOnce(), 1);
  assert.equal(await rig.delivery.drainOnce(), 11);
  assert.equal(back.seen.messages, 12);
});

test('"too many connections" halves the connections at once, and they grow back with time', async (t) => {
  let room = 2;
  const says: Says = (step, text) => {
    if (step !== 'connect') return takesAll(step, text);
    room -= 1;
    return room < 0 ? '421 4.7.0 Too many concurrent SMTP connections' : '220 raw.example';
  };
  const { rig, server, queue, backoff, count } = await openParked(t, says);
  await queue(30);
  await rig.delivery.drainOnce();
  assert.deepEqual(
    (await backoff()).map((row) => [row.reason, row.failures, row.slots]),
    [['too_many', 1, 2]],
  );
  assert.ok(server.seen.connections <= 7, `${server.seen.connections} connections`);
  room = 1_000;
  server.seen.most = 0;
  rig.clock.advance(15 * SECOND);
  while ((await rig.delivery.drainOnce()) > 0);
  assert.equal(await count('delivered'), 30);
  assert.ok(server.seen.most <= 2, `${server.seen.most} at once`);
  const state = {
    destination: 'x',
    reason: 'too_many' as const,
    failures: 0,
    parkedUntil: null,
    epoch: 2,
    slots: 2,
    slotsAt: rig.clock.now(),
  };
  const after = (minutes: number) => slotsOf(state, 5, new Date(rig.clock.now().getTime() + minutes * 60 * SECOND));
  assert.deepEqual([0, 1, 2, 4, 6, 600].map(after), [2, 2, 3, 4, 5, 5]);
});

test('refusals: greylisting of one message parks nothing, five in a row park the destination', async (t) => {
  const says: Says = (step, text) => (step === 'RCPT' ? '451 4.7.1 Greylisted' : takesAll(step, text));
  const { rig, server, queue, backoff, attempts } = await openParked(t, says);
  await queue(4);
  assert.equal(await rig.delivery.drainOnce(), 4);
  assert.deepEqual(await backoff(), []);
  await queue(20);
  const tried = await rig.delivery.drainOnce();
  assert.ok(tried >= 1 && tried <= 10, `${tried} tried`);
  assert.deepEqual(
    (await backoff()).map((row) => row.reason),
    ['refusing'],
  );
  assert.equal(await attempts(), 4 + tried);
  assert.ok(server.seen.connections <= 4 + tried);
});

test('a message that breaks the session of its server does not stop the others', async (t) => {
  let poisoned = 0;
  const says: Says = (step, text) => {
    if (step !== 'RCPT') return takesAll(step, text);
    if (!text.includes('r0@c1.example')) return '250 ok';
    poisoned += 1;
    return null;
  };
  const { rig, server, queue, backoff, clientIds, count } = await openParked(t, says);
  const partner = (await rig.owner.query('select partner_id as id from clients')).rows[0]?.id;
  const { rows } = await rig.owner.query<{ id: string }>('select id from clients');
  assert.deepEqual(
    rows.map((row) => row.id),
    clientIds,
  );
  const { id: contentId } = await rig.spool.write(Readable.from([Buffer.from('Subject: x\r\n\r\nx\r\n')]));
  await fillQueue(rig.owner, {
    partnerId: partner,
    clientIds,
    rows: 1,
    now: rig.clock.now(),
    domains: ['c1.example'],
    contentId,
  });
  await queue(6);
  await rig.delivery.drainOnce();
  assert.deepEqual([await count('delivered'), await count('deferred')], [6, 1]);
  assert.deepEqual(await backoff(), []);
  assert.ok(poisoned >= 1);
  assert.equal(server.seen.messages, 6);
});

test('a second server that answers: mail does not wait for the first one to return', async (t) => {
  const says: Says = (step, text) => (step === 'RCPT' ? '451 4.7.1 Greylisted' : takesAll(step, text));
  const { rig, server, queue, clientIds } = await openParked(t, refuses);
  const second = await openRaw(t, says);
  const partner = partnerId((await rig.owner.query('select partner_id as id from clients')).rows[0]?.id);
  const relays = [server.port, second.port].map((port) => ({ host: '127.0.0.1', port }));
  await rig.db.tenant(partner, (tx) => replaceRoutes(tx, clientIds[0] ?? '', relays));
  await queue(1);
  assert.equal(await rig.delivery.drainOnce(), 1);
  const { rows } = await rig.owner.query('select destination, due_at from queue');
  assert.deepEqual(rows, [{ destination: null, due_at: new Date(rig.clock.now().getTime() + 300 * SECOND) }]);
  assert.deepEqual([server.seen.connections, second.seen.connections], [1, 1]);
  await queue(1);
  assert.equal(await rig.delivery.drainOnce(), 1, 'the parked one is passed over');
  assert.deepEqual([server.seen.connections, second.seen.connections], [1, 2]);
  // A probe that is answered, with a refusal of its message only, finds the server back.
  const { rows: before } = await rig.owner.query(
    'select count(*)::int as n from destination_backoff where failures > 0',
  );
  assert.equal(before[0]?.n, 1);
  await server.close();
  await openRaw(t, says, server.port);
  rig.clock.advance(300 * SECOND);
  await rig.delivery.drainOnce();
  const { rows: after } = await rig.owner.query(
    'select count(*)::int as n from destination_backoff where failures > 0',
  );
  assert.equal(after[0]?.n, 0);
});

test('a slow destination holds its bound; the rest of the mail does not wait for it', async (t) => {
  const held: (() => void)[] = [];
  let isOver = false;
  const { rig, queue, count, clientIds, server } = await openParked(t, takesAll);
  // A server that does not greet: its connections stay open for as long as the test wants.
  const { createServer } = await import('node:net');
  const tarpit = createServer((socket) => {
    socket.on('error', () => undefined);
    if (isOver) socket.destroy();
    held.push(() => socket.destroy());
  });
  await new Promise<void>((resolve) => tarpit.listen(0, '127.0.0.1', () => resolve()));
  t.after(() => new Promise<void>((resolve) => tarpit.close(() => resolve())));
  const bound = tarpit.address();
  const port = typeof bound === 'object' && bound !== null ? bound.port : 0;
  const partner = (await rig.owner.query('select partner_id as id from clients')).rows[0]?.id;
  const slow = await seedClient(rig.db, partner, { domain: 'slow.example', relays: [{ host: '127.0.0.1', port }] });
  const { id: contentId } = await rig.spool.write(Readable.from([Buffer.from('Subject: x\r\n\r\nx\r\n')]));
  await fillQueue(rig.owner, {
    partnerId: partner,
    clientIds: [slow],
    rows: 40,
    now: rig.clock.now(),
    domains: ['slow.example'],
    contentId,
  });
  rig.clock.advance(SECOND);
  await queue(60);
  await rig.delivery.start();
  for (;;) {
    if ((await count('delivered')) === 60 && held.length > 0) break;
    await new Promise<void>((resolve) => setImmediate(resolve));
  }
  assert.equal(server.seen.messages, 60, 'while every connection to the slow server is still open');
  assert.ok(held.length >= 1 && held.length <= 5, `${held.length} connections to the slow server`);
  const stopping = rig.delivery.stop();
  isOver = true;
  for (const close of held) close();
  await stopping;
  const { rows } = await rig.owner.query('select count(*)::int as n from queue where lease_owner is not null');
  assert.equal(rows[0]?.n, 0, 'what had not started was given back');
  assert.equal(clientIds.length, 1);
});

test('what a try says of its destination', () => {
  const replies = (code: number) => new Map([['a@b.example', { code, text: '' }]]);
  const sign = (result: Parameters<typeof signOf>[0]) => signOf(result);
  assert.equal(sign({ replies: replies(250), failure: null }), 'ok');
  assert.equal(sign({ replies: replies(550), failure: null }), 'ok');
  assert.equal(sign({ replies: replies(451), failure: null }), 'soft');
  assert.equal(sign({ replies: replies(0), failure: 'connect ECONNREFUSED', unreached: true }), 'no_answer');
  assert.equal(sign({ replies: replies(0), failure: 'the server closed the connection' }), 'soft');
  assert.equal(sign({ replies: replies(0), failure: '421 4.3.2 Shutting down', unreached: true }), 'closing');
  assert.equal(sign({ replies: replies(421), failure: '421 4.7.0 Too many concurrent connections' }), 'too_many');
  assert.equal(sign({ replies: replies(451), failure: null, ours: true }), 'nothing');
});

import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { type TestContext, test } from 'node:test';
import { setRoutes, setStrategy } from '../../src/accounts/routing.ts';
import { signOf } from '../../src/gateway/backoff.ts';
import { flushClient } from '../../src/gateway/index.ts';
import { ANY, claim, isAnyStranded, seenInRegion, wakeDue } from '../../src/gateway/queue.ts';
import { zoneResolver } from '../../src/mail/resolver.ts';
import { releaseHeld } from '../../src/quarantine/held-outbound.ts';
import { openDatabase } from '../support/db.ts';
import { fillQueue } from '../support/queued.ts';
import { seedClient, seedPartner } from '../support/seed.ts';
import { openPicky } from './support/picky.ts';
import { openRaw, takesAll } from './support/raw-server.ts';
import { openRig, type RigOptions } from './support/rig.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const WANT = { ...ANY, lanes: 10, domains: 4, rows: 5 };

async function openQueue(t: TestContext) {
  const database = await openDatabase(t);
  const partner = await seedPartner(database.db);
  const clientId = await seedClient(database.db, partner.id, { domain: 'acme.example' });
  const fill = (rows: number, domains: string[]) =>
    fillQueue(database.owner, {
      partnerId: partner.id,
      clientIds: [clientId],
      rows,
      domains,
      now: database.clock.now(),
      direction: 'outbound',
    });
  return { ...database, partner, clientId, fill };
}

test('held mail is in no turn: the other mail of its client goes, and a release gives it its turn', async (t) => {
  const { db, owner, clock, partner, clientId, fill } = await openQueue(t);
  const domains = Array.from({ length: 20 }, (_, n) => `a${n}.example`);
  await fill(400, domains);
  await owner.query(`update queue set held_at = now(), held_reason = 'hold.policy'`);
  await fill(3, ['z.example']);
  const take = async () => (await db.system((tx) => claim(tx, 'one', WANT))).jobs;
  assert.deepEqual(
    (await take()).map((job) => job.domain),
    ['z.example', 'z.example', 'z.example'],
  );
  clock.advance(HOUR);
  assert.equal(await db.system((tx) => wakeDue(tx, 1_000)), 3, 'the leases that have ended, and nothing that is held');
  await db.tenant(partner.id, (tx) => flushClient(tx, clientId, 'test'));
  assert.equal((await take()).length, 3, 'a flush does not let it go');
  const { last } = await db.system((tx) => claim(tx, 'one', WANT));
  assert.equal(last, null, 'a client that has held mail only has no lane');
  assert.equal(await db.tenant(partner.id, (tx) => releaseHeld(tx, { clientId }, 'test')), 400);
  assert.equal((await take()).length, 20);
});

test('the turn of a region: lanes that are for others only are left out; what nobody may send is found, and only that', async (t) => {
  const { db, clock, partner, clientId, fill } = await openQueue(t);
  const through = (regions: readonly string[], domain: string | null = null) =>
    db.tenant(partner.id, (tx) =>
      setStrategy(tx, { clientId, domain, regions, recipientServers: true, actor: 'test' }),
    );
  await through(['uk']);
  await fill(6, ['z.example']);
  const turn = (region: string | null, stranded = false) =>
    db.system((tx) => claim(tx, 'one', { ...WANT, rows: 1, region, stranded }));
  assert.deepEqual(await turn('us'), { jobs: [], last: null });
  assert.deepEqual(await turn(null), { jobs: [], last: null });
  assert.equal((await turn('uk')).jobs.length, 1);
  const isStranded = (region: string | null) => db.system((tx) => isAnyStranded(tx, region));
  assert.deepEqual([await isStranded('us'), await isStranded('uk'), await isStranded(null)], [true, false, true]);
  assert.equal((await turn('us', true)).jobs.length, 0, 'not before a minute');
  clock.advance(MINUTE);
  assert.equal((await turn('us', true)).jobs.length, 1);
  await db.system((tx) => seenInRegion(tx, 'uk-1', 'uk'));
  assert.equal(await isStranded('us'), false);
  assert.equal((await turn('us', true)).jobs.length, 0);
  clock.advance(2 * MINUTE);
  assert.equal(await isStranded('us'), true, 'a node that is silent for two minutes is not at work');
  // A domain's own strategy is all that there is: the client's other mail goes anywhere.
  await through([]);
  await through(['uk'], 'acme.example');
  assert.equal((await turn('us')).jobs.length, 1);
  assert.equal((await turn('us', true)).jobs.length, 0);
});

/** A client with mail for it in the queue. */
async function openClient(t: TestContext, port: number, options: RigOptions = {}) {
  const rig = await openRig(t, options);
  const partner = await seedPartner(rig.db);
  const relays = [{ host: '127.0.0.1', port }];
  const clientId = await seedClient(rig.db, partner.id, { domain: 'acme.example', relays });
  const { id: contentId } = await rig.spool.write(Readable.from([Buffer.from('Subject: x\r\n\r\nx\r\n')]));
  const fill = (rows: number) =>
    fillQueue(rig.owner, { partnerId: partner.id, clientIds: [clientId], rows, now: rig.clock.now(), contentId });
  const parked = async () =>
    (await rig.owner.query('select destination, reason from destination_backoff where failures > 0 order by 1')).rows;
  const attempts = async () =>
    (await rig.owner.query('select host, code, path from delivery_attempts order by at, id')).rows;
  return { ...rig, partner, clientId, fill, parked, attempts };
}

test('a flush by a tenant has a parked server probed at once; waiting for it is no attempt', async (t) => {
  const server = await openRaw(t, () => null);
  const rig = await openClient(t, server.port);
  await rig.fill(9);
  const tried = await rig.delivery.drainOnce();
  assert.equal((await rig.attempts()).length, tried);
  assert.deepEqual(
    (await rig.parked()).map((row) => row.reason),
    ['no_answer'],
  );
  await server.close();
  const back = await openRaw(t, takesAll, server.port);
  assert.equal(await rig.delivery.drainOnce(), 0);
  assert.equal(await rig.db.tenant(rig.partner.id, (tx) => flushClient(tx, rig.clientId, 'test')), 9);
  while ((await rig.delivery.drainOnce()) > 0);
  assert.equal(back.seen.messages, 9);
  assert.deepEqual(await rig.parked(), []);
});

test("a client's servers that the DNS names are parked one by one, and passed over while another answers", async (t) => {
  const server = await openRaw(t, takesAll);
  const resolver = zoneResolver({
    'acme.example': {
      MX: [
        { exchange: 'down.example', priority: 1 },
        { exchange: 'up.example', priority: 2 },
      ],
    },
    'up.example': { A: ['127.0.0.1'] },
  });
  const rig = await openClient(t, server.port, { resolver, mxPort: server.port });
  const routes = [{ kind: 'mx' as const, host: '', port: 25 }];
  await rig.db.tenant(rig.partner.id, (tx) =>
    setRoutes(tx, { clientId: rig.clientId, domain: null, routes, actor: 'test' }),
  );
  await rig.fill(1);
  await rig.delivery.drainOnce();
  assert.deepEqual(await rig.parked(), [{ destination: `server down.example:${server.port}`, reason: 'no_answer' }]);
  await rig.fill(1);
  await rig.delivery.drainOnce();
  assert.equal(server.seen.messages, 2);
  assert.deepEqual(
    (await rig.attempts()).map((one) => one.host),
    ['down.example', 'up.example', 'up.example'],
  );
});

test('a server that greets and then hangs up is up: all its old mail goes the second way, and it is not parked', async (t) => {
  const sink = await openPicky(t, { answer: (line) => (line.startsWith('EHLO') ? null : undefined) });
  const rig = await openClient(t, sink.port);
  await rig.fill(4);
  await rig.delivery.drainOnce();
  assert.deepEqual(await rig.parked(), []);
  rig.clock.advance(2 * HOUR);
  await rig.delivery.drainOnce();
  assert.equal(sink.bodies.length, 4);
  const { rows } = await rig.owner.query("select reasons from ledger where kind = 'delivered'");
  assert.deepEqual(
    rows.map((row) => row.reasons),
    Array.from({ length: 4 }, () => ['delivery.second_chance']),
  );
  const counters = await rig.owner.query('select value::int from delivery_counters order by name');
  assert.deepEqual(
    counters.rows.map((row) => row.value),
    [4, 4],
  );
  assert.deepEqual(await rig.parked(), []);
  const replies = new Map([['a@b.example', { code: 0, text: '' }]]);
  assert.equal(signOf({ replies, failure: 'closed', unreached: true, greeted: true }), 'soft');
  assert.equal(signOf({ replies, failure: 'closed', unreached: true, greeted: false }), 'no_answer');
});

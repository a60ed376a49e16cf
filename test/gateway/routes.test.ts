import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import fc from 'fast-check';
import type { Route, RouteInput } from '../../src/accounts/routes.ts';
import { setRoutes } from '../../src/accounts/routing.ts';
import { type Hop, isOurselves, orderRoutes } from '../../src/gateway/routes.ts';
import { zoneResolver } from '../../src/mail/resolver.ts';
import { openRig, openSink, type RigOptions, Talker } from './support/rig.ts';
import { seedSubmitter } from './support/submitter.ts';

const route = (host: string, over: Partial<Route> = {}): Route => ({
  kind: 'relay',
  host,
  port: 25,
  tls: 'opportunistic',
  priority: 10,
  weight: 1,
  region: null,
  ...over,
});
const names = (routes: readonly Route[]) => routes.map((one) => one.host).join(' ');

test('routes are tried by priority; among equals the weight decides, with the given randomness', () => {
  const routes = [
    route('late', { priority: 20 }),
    route('heavy', { weight: 3 }),
    route('light', { weight: 1 }),
    route('last', { priority: 30 }),
  ];
  const order = (...draws: number[]) => names(orderRoutes(routes, null, () => draws.shift() ?? 0));
  assert.equal(order(0, 0, 0, 0), 'heavy light late last');
  assert.equal(order(0.74, 0, 0, 0), 'heavy light late last');
  assert.equal(order(0.75, 0, 0, 0), 'light heavy late last');
  assert.equal(order(0.999_999, 0.999_999, 0.999_999, 0.999_999), 'light heavy late last');
});

test('the share of the first place is the weight', () => {
  const routes = [route('a', { weight: 6 }), route('b', { weight: 3 }), route('c', { weight: 1 })];
  const first = { a: 0, b: 0, c: 0 };
  // Every point of a fine grid once: the distribution itself, no sample of it.
  for (let at = 0; at < 1000; at += 1) {
    const draws = [(at + 0.5) / 1000];
    const [one] = orderRoutes(routes, null, () => draws.shift() ?? 0.5);
    first[one?.host as 'a' | 'b' | 'c'] += 1;
  }
  assert.deepEqual(first, { a: 600, b: 300, c: 100 });
});

test('property: under a strategy the order holds all allowed routes, none other, region by region', () => {
  const someRegion = fc.constantFrom('uk', 'eu', 'us', null);
  const someRoute = fc.record({
    kind: fc.constant('relay' as const),
    host: fc.uuid(),
    port: fc.constant(25),
    tls: fc.constant('none' as const),
    priority: fc.integer({ min: 0, max: 3 }),
    weight: fc.integer({ min: 1, max: 1000 }),
    region: someRegion,
  });
  fc.assert(
    fc.property(
      fc.array(someRoute, { maxLength: 12 }),
      fc.option(fc.uniqueArray(fc.constantFrom('uk', 'eu', 'us'), { minLength: 1 })),
      fc.infiniteStream(fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true })),
      (routes, regions, draws) => {
        const ordered = orderRoutes(routes, regions, () => draws.next().value);
        const allowed = routes.filter(
          (one) => regions === null || regions.some((region: string) => region === one.region),
        );
        assert.deepEqual(ordered.map((one) => one.host).toSorted(), allowed.map((one) => one.host).toSorted());
        const key = (one: Route) =>
          (regions === null ? 0 : (regions as readonly string[]).indexOf(one.region ?? '')) * 100 + one.priority;
        assert.deepEqual(
          ordered.map(key),
          ordered.map(key).toSorted((a, b) => a - b),
        );
      },
    ),
  );
});

test('ourselves: our ports at an address of this machine, and any port there for what the DNS names', () => {
  const addresses = [
    { address: '127.0.0.1', internal: true },
    { address: '192.0.2.7', internal: false },
  ];
  const own = { bindHost: '0.0.0.0', smtpPort: 2525, submissionPort: 2587 };
  const hop = (port: number, isMx = false): Hop => ({ host: 'x.example', port, tls: 'none', region: null, isMx });
  const is = (one: Hop, address: string) => isOurselves(one, address, own, addresses);
  assert.equal(is(hop(2525), '127.0.0.1'), true);
  assert.equal(is(hop(2587), '192.0.2.7'), true);
  assert.equal(is(hop(25), '192.0.2.7'), false, 'a server on the same machine');
  assert.equal(is(hop(25, true), '192.0.2.7'), true, 'port 25 of the world may be forwarded to us');
  assert.equal(is(hop(26, true), '127.0.0.1'), false);
  assert.equal(is(hop(2525), '192.0.2.8'), false);
});

/** A gateway with a client whose routes are set by the test. */
async function openRouted(t: TestContext, options: RigOptions = {}) {
  const rig = await openRig(t, options);
  const { partner, clientId } = await seedSubmitter(rig.db);
  const set = (routes: readonly RouteInput[], domain: string | null = null) =>
    rig.db.tenant(partner.id, (tx) => setRoutes(tx, { clientId, domain, routes, actor: 'test' }));
  const receive = async (...to: string[]) => {
    const client = await Talker.open(rig.smtp);
    assert.match((await client.send('eve@far.example', to)).at(-1) ?? '', /^250/);
    client.close();
  };
  const attempts = async () =>
    (
      await rig.owner.query(
        'select host, address, port, code, reply, node, region, path, duration_ms from delivery_attempts order by at, id',
      )
    ).rows;
  const reply = async () => (await rig.owner.query('select last_reply from queue')).rows[0]?.last_reply;
  return { ...rig, partner, clientId, set, receive, attempts, reply };
}

const here = (sink: { port: number }, over: Partial<RouteInput> = {}): RouteInput => ({
  host: '127.0.0.1',
  port: sink.port,
  ...over,
});

test('the next route takes over when the first does not answer, not when it says no', async (t) => {
  let said: number | null = null;
  const [first, second] = [await openSink(t, () => said), await openSink(t)];
  const rig = await openRouted(t);
  await rig.set([here(second, { priority: 20 }), here(first, { priority: 10 })]);
  await rig.receive('ann@acme.example');
  await rig.delivery.drainOnce();
  assert.deepEqual([first.mail.length, second.mail.length], [1, 0]);
  said = 451;
  await rig.receive('ann@acme.example');
  await rig.delivery.drainOnce();
  assert.deepEqual([first.mail.length, second.mail.length], [1, 0]);
  said = null;
  await first.close();
  rig.clock.advance(3_600_000);
  await rig.delivery.drainOnce();
  assert.deepEqual([first.mail.length, second.mail.length], [1, 1]);
  const tried = await rig.attempts();
  assert.deepEqual(
    tried.map((one) => [one.port === first.port ? 1 : 2, one.code]),
    [
      [1, 250],
      [1, 451],
      [1, 0],
      [2, 250],
    ],
  );
  assert.ok(tried.every((one) => one.address === '127.0.0.1' && one.node === 'test' && one.path === 'direct'));
  assert.ok(tried.every((one) => one.duration_ms >= 0 && one.duration_ms < 120_000));
});

test('mail is shared by weight, drawn anew for each message', async (t) => {
  const [light, heavy] = [await openSink(t), await openSink(t)];
  const draws = [0.1, 0, 0.3, 0, 0.9, 0];
  const rig = await openRouted(t, { random: () => draws.shift() ?? 0 });
  await rig.set([here(light, { priority: 5 }), here(heavy, { priority: 5, weight: 3 })]);
  for (let round = 0; round < 3; round += 1) {
    await rig.receive('ann@acme.example');
    await rig.delivery.drainOnce();
  }
  assert.deepEqual([light.mail.length, heavy.mail.length], [1, 2]);
});

test('an MX route asks the DNS: of the domain itself, or of another, in the order of preference', async (t) => {
  const sink = await openSink(t);
  const resolver = zoneResolver({
    'acme.example': {
      MX: [
        { exchange: 'Second.acme.example.', priority: 20 },
        { exchange: 'dead.acme.example', priority: 10 },
      ],
    },
    'second.acme.example': { A: ['127.0.0.1'] },
    'hosted.example': { MX: [{ exchange: 'mx.hosted.example', priority: 1 }] },
    'mx.hosted.example': { A: ['127.0.0.1'] },
  });
  const rig = await openRouted(t, { resolver, mxPort: sink.port });
  await rig.set([{ kind: 'mx', host: '', port: 25 }]);
  await rig.receive('ann@acme.example');
  await rig.delivery.drainOnce();
  await rig.set([{ kind: 'mx', host: 'hosted.example', port: 25 }], 'acme.example');
  await rig.receive('ann@acme.example');
  await rig.delivery.drainOnce();
  assert.equal(sink.mail.length, 2);
  assert.deepEqual(
    (await rig.attempts()).map((one) => [one.host, one.code]),
    [
      ['dead.acme.example', 0],
      ['second.acme.example', 250],
      ['mx.hosted.example', 250],
    ],
  );
});

test('no loop: an MX route that names us, and what comes after us, is left out; the mail waits and says why', async (t) => {
  const sink = await openSink(t);
  const resolver = zoneResolver({
    'acme.example': {
      MX: [
        { exchange: 'backup.example', priority: 20 },
        { exchange: 'MX.tollgate.example.', priority: 20 },
        { exchange: 'better.example', priority: 10 },
      ],
    },
    'better.example': { A: ['127.0.0.1'] },
    'backup.example': { A: ['127.0.0.1'] },
    'only-us.example': { MX: [{ exchange: 'mx.tollgate.example', priority: 5 }] },
    'broken.example': { FAIL: ['ETIMEOUT'] },
    'none.example': { MX: [{ exchange: '', priority: 0 }] },
  });
  const rig = await openRouted(t, { resolver, mxPort: sink.port });
  await rig.set([{ kind: 'mx', host: '', port: 25 }]);
  await rig.receive('ann@acme.example');
  await rig.delivery.drainOnce();
  assert.deepEqual(
    (await rig.attempts()).map((one) => one.host),
    ['better.example'],
  );
  for (const [host, said] of [
    ['only-us.example', /^450 4\.4\.6 /],
    ['none.example', /^450 4\.4\.6 /],
    ['broken.example', /^451 4\.3\.0 .*ETIMEOUT/],
  ] as const) {
    await rig.set([{ kind: 'mx', host, port: 25 }]);
    await rig.receive('ann@acme.example');
    await rig.delivery.drainOnce();
    assert.match(await rig.reply(), said);
    await rig.owner.query('delete from queue');
  }
  await rig.set([{ host: 'mx.tollgate.example', port: 2525 }]);
  await rig.receive('ann@acme.example');
  await rig.delivery.drainOnce();
  assert.match(await rig.reply(), /^450 4\.4\.6 /);
  assert.equal(sink.mail.length, 1);
});

test('no loop: a relay that is our own port is never connected to', async (t) => {
  const rig = await openRouted(t);
  await rig.set([{ host: '127.0.0.1', port: rig.smtp }]);
  await rig.receive('ann@acme.example');
  const node = rig.openNode('test', null, { bindHost: '127.0.0.1', smtpPort: rig.smtp });
  assert.equal(await node.drainOnce(), 1);
  assert.match(await rig.reply(), /^450 4\.4\.6 /);
  assert.deepEqual(await rig.attempts(), []);
  assert.equal((await rig.owner.query('select from deliveries')).rowCount, 1, 'nothing came in again');
});

test('a look-up that fails keeps nobody from the routes that are left', async (t) => {
  const sink = await openSink(t);
  const resolver = zoneResolver({ 'broken.example': { FAIL: ['ETIMEOUT'] } });
  const rig = await openRouted(t, { resolver });
  await rig.set([{ kind: 'mx', host: 'broken.example', port: 25 }, here(sink)]);
  await rig.receive('ann@acme.example');
  await rig.delivery.drainOnce();
  assert.equal(sink.mail.length, 1);
});

test('attempts are kept: the first five and the last twenty of a delivery', async (t) => {
  let answer = 451;
  const sink = await openSink(t, () => answer);
  const rig = await openRouted(t);
  await rig.set([here(sink)]);
  await rig.receive('ann@acme.example');
  const begun = rig.clock.now().getTime();
  for (let round = 0; round < 29; round += 1) {
    answer = 450 + (round % 3);
    assert.equal(await rig.delivery.drainOnce(), 1);
    rig.clock.advance(4 * 3_600_000);
  }
  const { rows } = await rig.owner.query(
    "select at, code from delivery_attempts where path = 'direct' order by at, id",
  );
  const tries = rows.map((row) => (row.at.getTime() - begun) / (4 * 3_600_000));
  const all = Array.from({ length: 29 }, (_, at) => at);
  assert.deepEqual(tries, [...all.slice(0, 5), ...all.slice(-20)]);
  assert.ok(rows.every((row, at) => row.code === 450 + ((tries[at] ?? 0) % 3)));
});

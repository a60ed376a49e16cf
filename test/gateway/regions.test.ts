import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import fc from 'fast-check';
import type { RouteInput } from '../../src/accounts/routes.ts';
import { setRoutes, setStrategy } from '../../src/accounts/routing.ts';
import { zoneResolver } from '../../src/mail/resolver.ts';
import { openRig, openSink, type RigOptions, Talker } from './support/rig.ts';
import { login, PASSWORD, seedSubmitter } from './support/submitter.ts';

const MINUTE = 60_000;

async function openRegions(t: TestContext, options: RigOptions = {}) {
  const rig = await openRig(t, options);
  const { partner, clientId } = await seedSubmitter(rig.db);
  const set = (routes: readonly RouteInput[], domain: string | null = null) =>
    rig.db.tenant(partner.id, (tx) => setRoutes(tx, { clientId, domain, routes, actor: 'test' }));
  const through = (regions: readonly string[], recipientServers = false, domain: string | null = null) =>
    rig.db.tenant(partner.id, (tx) => setStrategy(tx, { clientId, domain, regions, recipientServers, actor: 'test' }));
  const receive = async () => {
    const client = await Talker.open(rig.smtp);
    assert.match((await client.send('eve@far.example', ['ann@acme.example'])).at(-1) ?? '', /^250/);
    client.close();
  };
  const submit = async (to: string) => {
    const client = await Talker.open(rig.submission);
    await login(client, PASSWORD);
    assert.match((await client.send('ann@acme.example', [to])).at(-1) ?? '', /^250/);
    client.close();
  };
  const attempts = async () =>
    (
      await rig.owner.query(
        'select node, node_region as gateway, region, host, port, code from delivery_attempts order by at, id',
      )
    ).rows;
  const waiting = async () =>
    (
      await rig.owner.query(
        `select d.disposition, d.remote_reply as reply, q.due_at as due
         from queue q join deliveries d on d.id = q.delivery_id`,
      )
    ).rows;
  return { ...rig, set, through, receive, submit, attempts, waiting };
}

const relay = (sink: { port: number }, region: string | null, priority = 10): RouteInput => ({
  host: '127.0.0.1',
  port: sink.port,
  region,
  priority,
});

test('through the UK; through the EU when the UK is down; never outside, even when that is all there is', async (t) => {
  const [uk, eu, us, nowhere] = [await openSink(t), await openSink(t), await openSink(t), await openSink(t)];
  const rig = await openRegions(t, { region: 'uk' });
  await rig.set([relay(us, 'us', 1), relay(nowhere, null, 2), relay(eu, 'eu', 3), relay(uk, 'uk', 40)]);
  await rig.through(['uk', 'eu']);
  const round = async () => {
    await rig.receive();
    await rig.delivery.drainOnce();
    return [uk.mail.length, eu.mail.length, us.mail.length, nowhere.mail.length];
  };
  assert.deepEqual(await round(), [1, 0, 0, 0], 'the region goes before the priority');
  await uk.close();
  assert.deepEqual(await round(), [1, 1, 0, 0]);
  await eu.close();
  assert.deepEqual(await round(), [1, 1, 0, 0]);
  const [row] = await rig.waiting();
  assert.equal(row?.disposition, 'deferred');
  assert.match(
    row?.reply,
    /^451 4\.4\.1 No server in an allowed region \(uk, eu\) answers, the mail waits: .*ECONNREFUSED/,
  );
  // For two weeks and no longer, as for every server that is down.
  rig.clock.advance(13 * 24 * 60 * MINUTE);
  await rig.delivery.drainOnce();
  assert.equal((await rig.waiting()).length, 1);
  assert.deepEqual([us.mail, nowhere.mail], [[], []]);
  assert.ok((await rig.attempts()).every((one) => ['uk', 'eu'].includes(one.region) && one.gateway === 'uk'));
});

test('the next region is for servers that are down: a server that says 4xx keeps its mail', async (t) => {
  let said: number | null = 451;
  const [uk, eu] = [await openSink(t, () => said), await openSink(t)];
  const rig = await openRegions(t, { region: 'eu' });
  await rig.set([relay(uk, 'uk'), relay(eu, 'eu')]);
  await rig.through(['uk', 'eu']);
  await rig.receive();
  await rig.delivery.drainOnce();
  said = null;
  rig.clock.advance(60 * MINUTE);
  await rig.delivery.drainOnce();
  assert.deepEqual([uk.mail.length, eu.mail.length], [1, 0]);
});

test('all relays of a region are tried before the next region', async (t) => {
  const [one, two, eu] = [await openSink(t), await openSink(t), await openSink(t)];
  await one.close();
  const rig = await openRegions(t, { region: 'uk' });
  await rig.set([relay(one, 'uk', 1), relay(eu, 'eu', 2), relay(two, 'uk', 3)]);
  await rig.through(['uk', 'eu']);
  await rig.receive();
  await rig.delivery.drainOnce();
  assert.deepEqual([two.mail.length, eu.mail.length], [1, 0]);
});

test('no server in an allowed region, an MX route included: the mail waits, soon tried again, and says so', async (t) => {
  const sink = await openSink(t);
  const resolver = zoneResolver({ 'acme.example': { A: ['127.0.0.1'] } });
  const rig = await openRegions(t, { region: 'uk', resolver, mxPort: sink.port });
  await rig.set([{ kind: 'mx', host: '', port: 25 }, relay(sink, 'us')]);
  await rig.through(['uk']);
  await rig.receive();
  await rig.delivery.drainOnce();
  const [row] = await rig.waiting();
  assert.equal(row?.reply, '451 4.4.4 No server in an allowed region (uk) is configured, the mail waits');
  assert.ok(row?.due.getTime() - rig.clock.now().getTime() <= 5 * MINUTE);
  assert.deepEqual([sink.mail, await rig.attempts()], [[], []]);
  await rig.through([]);
  rig.clock.advance(5 * MINUTE);
  await rig.delivery.drainOnce();
  assert.equal(sink.mail.length, 1, 'without a strategy it goes');
});

test('a gateway of another region, or of none, leaves the row to one of the region', async (t) => {
  const uk = await openSink(t);
  const rig = await openRegions(t);
  const [ours, us, british] = [rig.delivery, rig.openNode('us-1', 'us'), rig.openNode('uk-1', 'uk')];
  await rig.set([relay(uk, 'uk')]);
  await rig.through(['uk']);
  await british.drainOnce();
  await rig.receive();
  assert.deepEqual([await ours.drainOnce(), await us.drainOnce()], [0, 0]);
  rig.clock.advance(90_000);
  assert.deepEqual([await ours.drainOnce(), await us.drainOnce()], [0, 0], 'while one of the region is at work');
  const { rows } = await rig.owner.query('select attempts, lease_owner, last_reply from queue');
  assert.deepEqual(rows, [{ attempts: 0, lease_owner: null, last_reply: null }]);
  assert.equal(await british.drainOnce(), 1);
  assert.deepEqual(
    (await rig.attempts()).map((one) => [one.node, one.gateway, one.region]),
    [['uk-1', 'uk', 'uk']],
  );
});

test('no gateway of an allowed region is at work: the mail waits, says so, and goes when one comes', async (t) => {
  const uk = await openSink(t);
  const rig = await openRegions(t, { region: 'us' });
  await rig.set([relay(uk, 'uk')]);
  await rig.through(['uk', 'eu']);
  await rig.receive();
  assert.equal(await rig.delivery.drainOnce(), 0);
  rig.clock.advance(2 * MINUTE);
  assert.equal(await rig.delivery.drainOnce(), 1);
  const [row] = await rig.waiting();
  assert.equal(row?.disposition, 'deferred');
  assert.equal(row?.reply, '451 4.4.4 No gateway in an allowed region (uk, eu) is at work, the mail waits');
  assert.deepEqual([uk.mail, await rig.attempts()], [[], []]);
  rig.clock.advance(5 * MINUTE);
  const late = rig.openNode('eu-1', 'eu');
  assert.equal(await late.drainOnce(), 1);
  assert.equal(uk.mail.length, 1);
});

test('of late mail a gateway of an allowed region tells; another one only when none is at work', async (t) => {
  const rig = await openRegions(t, { region: 'uk', resolver: zoneResolver({ 'far.example': { FAIL: ['ETIMEOUT'] } }) });
  await rig.through(['uk'], true);
  const us = rig.openNode('us', 'us');
  const notices = async () => (await rig.owner.query("select from messages where sender = ''")).rowCount;
  await rig.submit('a@far.example');
  await rig.delivery.drainOnce();
  rig.clock.advance(240 * MINUTE - 1000);
  await rig.delivery.drainOnce();
  rig.clock.advance(1000);
  await us.drainOnce();
  assert.equal(await notices(), 0);
  await rig.delivery.drainOnce();
  assert.equal(await notices(), 1);
  await rig.submit('b@far.example');
  rig.clock.advance(240 * MINUTE);
  await us.drainOnce();
  assert.equal(await notices(), 2, 'the sender is not left without a word');
});

test("a domain's own strategy hides the client's, for gateways and for relays", async (t) => {
  const [uk, us] = [await openSink(t), await openSink(t)];
  const rig = await openRegions(t, { region: 'us' });
  await rig.set([relay(uk, 'uk'), relay(us, 'us')]);
  await rig.through(['uk']);
  await rig.through(['us'], false, 'acme.example');
  await rig.receive();
  assert.equal(await rig.delivery.drainOnce(), 1);
  assert.deepEqual([uk.mail.length, us.mail.length], [0, 1]);
});

test("the recipient's own server is in no region: outgoing mail waits, unless the strategy lets it go", async (t) => {
  const far = await openSink(t);
  const resolver = zoneResolver({ 'far.example': { A: ['127.0.0.1'] } });
  const rig = await openRegions(t, { region: 'uk', resolver, mxPort: far.port });
  await rig.through(['uk']);
  await rig.submit('bob@far.example');
  await rig.delivery.drainOnce();
  const [row] = await rig.waiting();
  assert.match(row?.reply, /^451 4\.4\.4 The recipient's server is in no region, and the mail may go through uk only/);
  await rig.through(['uk'], true);
  rig.clock.advance(5 * MINUTE);
  await rig.delivery.drainOnce();
  assert.equal(far.mail.length, 1);
});

test('property: no attempt ever leaves the allowed set, whatever is up, down, configured or asked for', async (t) => {
  const servers = [await openSink(t), await openSink(t), await openSink(t)];
  const dead = await openSink(t);
  await dead.close();
  const REGIONS = ['uk', 'eu', 'us'] as const;
  const resolver = zoneResolver({ 'acme.example': { A: ['127.0.0.1'] } });
  const rig = await openRegions(t, { resolver, mxPort: servers[0]?.port ?? 0 });
  const nodes = [...REGIONS, null].map((region) => ({ region, delivery: rig.openNode(`${region}-1`, region) }));
  const someRegion = fc.constantFrom(...REGIONS, null);
  const someRoute = fc.record({
    at: fc.integer({ min: 0, max: 2 }),
    isUp: fc.boolean(),
    isMx: fc.boolean(),
    region: someRegion,
    priority: fc.integer({ min: 0, max: 2 }),
    weight: fc.integer({ min: 1, max: 5 }),
  });
  let moved = 0;
  await fc.assert(
    fc.asyncProperty(
      fc.array(someRoute, { minLength: 1, maxLength: 5 }),
      fc.uniqueArray(fc.constantFrom(...REGIONS), { minLength: 1, maxLength: 3 }),
      fc.array(fc.integer({ min: 0, max: 3 }), { minLength: 1, maxLength: 4 }),
      async (routes, regions, turns) => {
        await rig.owner.query('delete from queue');
        await rig.owner.query('delete from delivery_attempts');
        await rig.set(
          routes.map(({ at, isUp, isMx, region, priority, weight }) =>
            isMx
              ? { kind: 'mx', host: '', port: 25, priority, weight }
              : { host: '127.0.0.1', port: (isUp ? servers[at] : dead)?.port ?? 0, region, priority, weight },
          ),
        );
        await rig.through(regions);
        await rig.receive();
        for (const turn of turns) {
          await nodes[turn]?.delivery.drainOnce();
          rig.clock.advance(6 * MINUTE);
        }
        const tried = await rig.attempts();
        for (const one of tried) {
          assert.ok(regions.includes(one.region), `${one.region} is not in ${regions}`);
          assert.ok(regions.includes(one.gateway), `the gateway ${one.gateway} is not in ${regions}`);
        }
        // Whoever could deliver it did, and nothing was given up.
        const canGo = routes.some(
          ({ isMx, isUp, region }) => !isMx && isUp && region !== null && regions.includes(region),
        );
        const hadGateway = turns.some((turn) => regions.some((region) => region === nodes[turn]?.region));
        const left = (await rig.waiting()).length;
        assert.equal(left, canGo && hadGateway ? 0 : 1);
        moved += tried.length;
      },
    ),
    { numRuns: 40 },
  );
  assert.ok(moved > 0, 'something was tried');
});

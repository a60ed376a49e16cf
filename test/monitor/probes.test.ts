import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import fc from 'fast-check';
import { setStrategy } from '../../src/accounts/routing.ts';
import type { ProbeResult, ProbeTarget } from '../../src/core/probe.ts';
import { recordHealth } from '../../src/gateway/health.ts';
import { makeDue } from '../../src/gateway/queue.ts';
import { alarmsOf, nextState, observedState, type ServerState, SLOW_MS } from '../../src/monitor/probe-state.ts';
import { probeServers } from '../../src/monitor/probes.ts';
import { serversOf } from '../../src/monitor/read.ts';
import { resolveIncidentById } from '../../src/tickets/incidents.ts';
import { listIncidents } from '../../src/tickets/read.ts';
import { openDatabase } from '../support/db.ts';
import { seedClient, seedPartner } from '../support/seed.ts';

const MINUTE = 60_000;
const DAY = 86_400_000;
const OK: ProbeResult = { answer: 'ok', latencyMs: 20, banner: 'mail', certificateUntil: null, error: null };
const SILENT: ProbeResult = { ...OK, answer: 'silent', latencyMs: null, banner: null, error: 'refused' };
const FAILING: ProbeResult = { ...OK, answer: 'refused', error: '451 no' };
const SLOW: ProbeResult = { ...OK, latencyMs: SLOW_MS };

async function world(t: TestContext) {
  const { db, clock, owner } = await openDatabase(t);
  const partner = (await seedPartner(db)).id;
  const clientId = await seedClient(db, partner, { name: 'Acme', relays: [{ host: 'mail.acme.example', port: 25 }] });
  const seen: ProbeTarget[] = [];
  let answer: ProbeResult = OK;
  const run = (region: string | null = null) =>
    probeServers({
      db,
      region,
      probe: async (target) => {
        seen.push(target);
        return answer;
      },
      recordHealth: async (tx, state) => {
        if (await recordHealth(tx, state)) await makeDue(tx, state.clientId);
      },
    });
  /** Five minutes later the server is looked at once, and answers as given. */
  const look = async (result: ProbeResult) => {
    answer = result;
    clock.advance(5 * MINUTE);
    assert.equal(await run(), 1);
    return (await db.tenant(partner, (tx) => serversOf(tx, [clientId])))[0];
  };
  const incidents = async (state: 'open' | 'resolved' | null = 'open') =>
    db.tenant(partner, (tx) => listIncidents(tx, { clientId: null, state }, { first: 100, after: null }));
  const rules = async () => (await incidents()).map((one) => one.rule);
  const health = async () => (await owner.query<{ state: string }>('select state from route_health')).rows[0]?.state;
  await run();
  return { db, clock, owner, partner, clientId, seen, run, look, incidents, rules, health };
}

test('under a region strategy a server is looked at from its regions alone, and one that it leaves out by nobody', async (t) => {
  const { db, clock, owner, partner, clientId, seen, run } = await world(t);
  const routes = (...given: { host: string; region: string | null; domain?: string }[]) =>
    owner.query(
      `insert into routes (partner_id, client_id, id, domain, host, port, created_at, region)
       select $1, $2, gen_random_uuid(), g.domain, g.host, 25, now(), g.region
       from jsonb_to_recordset($3::jsonb) as g (host text, region text, domain text)`,
      [partner, clientId, JSON.stringify(given)],
    );
  await owner.query('delete from routes');
  await routes(
    { host: 'uk.example', region: 'uk' },
    { host: 'us.example', region: 'us' },
    { host: 'any.example', region: null },
  );
  const through = (regions: readonly string[], domain: string | null = null) =>
    db.tenant(partner, (tx) => setStrategy(tx, { clientId, domain, regions, recipientServers: true, actor: 'test' }));
  /** What a node of a region looks at when everything is due. */
  const looks = async (region: string | null) => {
    clock.advance(10 * MINUTE);
    await run('nowhere');
    clock.advance(10 * MINUTE);
    seen.length = 0;
    await run(region);
    return seen.map((one) => one.host).toSorted();
  };
  assert.deepEqual(await looks(null), ['any.example', 'uk.example', 'us.example'], 'without a strategy');
  await through(['uk']);
  assert.deepEqual([await looks('uk'), await looks('us'), await looks(null)], [['uk.example'], [], []]);
  const { rows } = await owner.query('select host from server_probes');
  assert.deepEqual(rows, [{ host: 'uk.example' }], 'mail goes to no other');
  await through(['uk', 'us']);
  assert.deepEqual(await looks('us'), ['uk.example', 'us.example'], 'the second region, when the first is down');
  await through([]);
  await through(['us'], 'acme.example');
  assert.deepEqual([await looks('us'), await looks('uk')], [['us.example'], []]);
  await owner.query(
    `insert into domains (partner_id, client_id, name, created_at) values ($1, $2, 'b.example', now())`,
    [partner, clientId],
  );
  assert.deepEqual(await looks('uk'), ['any.example', 'uk.example', 'us.example'], 'for the domain without a strategy');
  await through(['uk'], 'b.example');
  await routes({ host: 'b.example', region: 'uk', domain: 'b.example' });
  assert.deepEqual([await looks('uk'), await looks('us')], [['b.example'], ['us.example']]);
});

test('a server is looked at every five minutes, and the servers of many clients are spread over them', async (t) => {
  const { db, clock, partner, seen, run } = await world(t);
  for (let n = 0; n < 30; n += 1) {
    await seedClient(db, partner, {
      name: `C${n}`,
      domain: `c${n}.example`,
      relays: [{ host: `mail${n}.example`, port: 25 }],
    });
  }
  const perTick: number[] = [];
  for (let tick = 0; tick <= 20; tick += 1) {
    perTick.push(await run());
    clock.advance(15_000);
  }
  assert.equal(new Set(seen.map((one) => one.host)).size, 31);
  assert.ok(Math.max(...perTick) <= 12, `at most so many at once: ${perTick.join(' ')}`);
  const before = seen.length;
  for (let tick = 0; tick < 20; tick += 1) {
    await run();
    clock.advance(15_000);
  }
  assert.equal(seen.length - before, 31);
});

test('RCPT is for a mailbox that the server has had a day to learn of', async (t) => {
  const { look, clock, seen } = await world(t);
  await look(OK);
  assert.equal(seen.at(-1)?.mailbox, null);
  clock.advance(DAY);
  await look(OK);
  assert.equal(seen.at(-1)?.mailbox, 'ann@acme.example');
  assert.equal(seen.at(-1)?.tls, 'opportunistic');
});

test('one look alone changes nothing; the second in a row opens an incident, and the way back ends it', async (t) => {
  const { look, rules, incidents } = await world(t);
  assert.equal((await look(OK))?.state, 'up');
  assert.equal((await look(FAILING))?.state, 'up');
  assert.equal((await look(OK))?.state, 'up');
  assert.equal((await look(FAILING))?.state, 'up');
  assert.deepEqual(await rules(), []);
  const failing = await look(FAILING);
  assert.deepEqual([failing?.state, failing?.lastError, failing?.banner], ['failing', '451 no', 'mail']);
  assert.deepEqual(await rules(), ['server.failing']);
  assert.match((await incidents())[0]?.title ?? '', /Acme refuses mail: mail\.acme\.example:25/);
  assert.equal((await look(OK))?.state, 'failing');
  assert.deepEqual(await rules(), ['server.failing']);
  assert.equal((await look(OK))?.state, 'up');
  assert.deepEqual(await rules(), []);
  await look(SLOW);
  assert.equal((await look(SLOW))?.state, 'slow');
  assert.deepEqual(await rules(), ['server.slow']);
});

test('an incident that a person closed is not opened again while it lasts, the next time is', async (t) => {
  const { db, partner, look, rules, incidents } = await world(t);
  await look(FAILING);
  await look(FAILING);
  const [open] = await incidents();
  assert.ok(open);
  await db.tenant(partner, (tx) => resolveIncidentById(tx, open.id, 'known', 'key:a'));
  await look(FAILING);
  assert.deepEqual(await rules(), []);
  await look(OK);
  await look(OK);
  await look(FAILING);
  await look(FAILING);
  assert.deepEqual(await rules(), ['server.failing']);
});

test('that a server is down is told to delivery, which opens server.down; its return too, if the probe saw it go', async (t) => {
  const { look, rules, health, owner, partner, clientId, clock } = await world(t);
  await look(OK);
  assert.equal(await health(), undefined, 'that it is up is no news');
  await look(SILENT);
  assert.equal(await health(), 'down');
  assert.equal((await look(SILENT))?.state, 'down');
  assert.deepEqual(await rules(), []);
  await look(OK);
  assert.equal(await health(), 'up');
  // Delivery fails where no probe goes: the probe does not say otherwise.
  await owner.query(`update route_health set state = 'down', since = $3 where partner_id = $1 and client_id = $2`, [
    partner,
    clientId,
    clock.now(),
  ]);
  await look(OK);
  assert.equal(await health(), 'down');
});

test('a certificate that ends within 14 days is told once, and is over when there is a new one', async (t) => {
  const { look, rules, incidents, clock, db, partner } = await world(t);
  const ends = (days: number) => ({
    ...OK,
    certificateUntil: new Date(clock.now().getTime() + days * DAY + 10 * MINUTE),
  });
  assert.equal((await look(ends(15)))?.certificateDaysLeft, 15);
  assert.deepEqual(await rules(), []);
  const soon = ends(13);
  assert.equal((await look(soon))?.certificateDaysLeft, 13);
  assert.deepEqual(await rules(), ['server.certificate']);
  await look(OK);
  assert.deepEqual(await rules(), ['server.certificate'], 'a look that shows none says nothing');
  const [open] = await incidents();
  assert.ok(open);
  await db.tenant(partner, (tx) => resolveIncidentById(tx, open.id, 'ordered', 'key:a'));
  await look(soon);
  assert.deepEqual(await rules(), []);
  const next = ends(90);
  await look(next);
  clock.advance(91 * DAY);
  const over = await look(next);
  assert.equal(over?.certificateDaysLeft, -1);
  assert.deepEqual(await rules(), ['server.certificate']);
  assert.match((await incidents())[0]?.title ?? '', /has ended/);
  await look(ends(90));
  assert.deepEqual(await rules(), []);
});

test('a server without a route is forgotten, and its incidents end', async (t) => {
  const { look, rules, owner, clock, run, incidents } = await world(t);
  await look(FAILING);
  await look(FAILING);
  await owner.query('delete from routes');
  clock.advance(5 * MINUTE);
  assert.equal(await run(), 0);
  assert.deepEqual(await rules(), []);
  assert.match((await incidents('resolved'))[0]?.resolution ?? '', /no longer sent/);
  assert.equal((await owner.query('select from server_probes')).rowCount, 0);
});

test('rule 10: a tenant sees the looks at its own servers only, and writes none', async (t) => {
  const { db, look, clientId, owner } = await world(t);
  await look(OK);
  const other = (await seedPartner(db, 'Other IT')).id;
  assert.deepEqual(await db.tenant(other, (tx) => serversOf(tx, [clientId])), []);
  await owner.query('set role tollgate_app');
  await assert.rejects(owner.query("update server_probes set state = 'up'"), /permission denied/);
  await owner.query('reset role');
});

test('a state changes at the second look in a row that says otherwise, for every history', () => {
  const results = [OK, SILENT, FAILING, SLOW];
  fc.assert(
    fc.property(fc.array(fc.constantFrom(...results), { maxLength: 40 }), (history) => {
      let at: { state: ServerState | null; since: Date | null; strikes: number } = {
        state: null,
        since: null,
        strikes: 0,
      };
      let before: ServerState | null = null;
      history.forEach((result, index) => {
        const previous = at;
        at = nextState(at, result, new Date(index));
        const observed = observedState(result);
        if (at.state !== previous.state) {
          assert.equal(at.state, observed);
          assert.ok((previous.state === null && observed === 'up') || (before !== null && before !== previous.state));
          assert.equal(at.since?.getTime(), index);
        } else if (before !== null && previous.state !== null) {
          assert.ok(observed === at.state || before === at.state || previous.strikes === 0);
        }
        before = observed;
        const server = {
          partnerId: '',
          clientId: '',
          clientName: 'A',
          host: 'h',
          port: 25,
          certificateUntil: null,
          ...at,
        };
        const told = alarmsOf(server, result, new Date(index)).filter((one) => one.since !== null);
        assert.deepEqual(
          told.map((one) => one.rule),
          at.state === 'failing' || at.state === 'slow' ? [`server.${at.state}`] : [],
        );
      });
    }),
  );
});

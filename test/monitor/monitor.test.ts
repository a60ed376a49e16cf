import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import fc from 'fast-check';
import { decideQueue, watchQueue } from '../../src/monitor/queue.ts';
import { watchReleases } from '../../src/monitor/releases.ts';
import { decideServer, type ServerHealth, watchServers } from '../../src/monitor/servers.ts';
import { releaseDelivery } from '../../src/quarantine/decide.ts';
import { resolveIncidentById } from '../../src/tickets/incidents.ts';
import { listIncidents } from '../../src/tickets/read.ts';
import { openDatabase } from '../support/db.ts';
import { endDelivery, seedQuarantined } from '../support/quarantined.ts';
import { seedClient, seedPartner } from '../support/seed.ts';

const MINUTE = 60_000;

async function world(t: TestContext) {
  const { db, clock, owner } = await openDatabase(t);
  const partner = (await seedPartner(db)).id;
  const clientId = await seedClient(db, partner, { name: 'Acme', relays: [{ host: '127.0.0.1', port: 2626 }] });
  const health = (state: 'up' | 'down', port = 2626) =>
    owner.query(
      `insert into route_health (partner_id, client_id, host, port, state, failures, since, last_error, checked_at)
       values ($1, $2, '127.0.0.1', $3, $4, 1, $5, 'connection refused', $5)
       on conflict (partner_id, client_id, host, port) do update set state = excluded.state,
         since = case when route_health.state = excluded.state then route_health.since else excluded.since end`,
      [partner, clientId, port, state, clock.now()],
    );
  const list = () =>
    db.tenant(partner, (tx) => listIncidents(tx, { clientId: null, state: null }, { first: 100, after: null }));
  const watch = () => watchServers(db, clock, 60);
  const quarantined = () => seedQuarantined(db, partner, clientId);
  const release = (id: string) => db.tenant(partner, (tx) => releaseDelivery(tx, id, 'ann@msp.example'));
  return { db, clock, owner, partner, clientId, health, list, watch, quarantined, release };
}

test('a server that is down for long opens one incident with the mail that waits, and ends it when it is up', async (t) => {
  const { clock, health, list, watch, quarantined, release } = await world(t);
  await release(await quarantined());
  await health('down');
  assert.equal(await watch(), 0, 'a moment is no outage');
  clock.advance(MINUTE);
  assert.equal(await watch(), 1);
  assert.equal(await watch(), 0, 'told once while it lasts');
  const [open] = await list();
  assert.equal(open?.rule, 'server.down');
  assert.equal(open?.subject, '127.0.0.1:2626');
  assert.equal(open?.severity, 'critical');
  assert.match(open?.title ?? '', /Acme/);
  assert.match(open?.description ?? '', /1 message waits here[\s\S]*connection refused/);
  await health('up');
  assert.equal(await watch(), 1);
  assert.equal(await watch(), 0);
  assert.equal((await list())[0]?.state, 'resolved');
  clock.advance(MINUTE);
  await health('down');
  clock.advance(MINUTE);
  assert.equal(await watch(), 1, 'the next outage is a new incident');
  assert.equal((await list()).length, 2);
});

test('an outage that a person has closed is not told again; a server without a route ends', async (t) => {
  const { db, owner, clock, partner, health, list, watch } = await world(t);
  await health('down');
  clock.advance(MINUTE);
  await watch();
  const [first] = await list();
  assert.ok(first);
  await db.tenant(partner, (tx) => resolveIncidentById(tx, first.id, 'I know', 'key:a'));
  clock.advance(60 * MINUTE);
  assert.equal(await watch(), 0);
  await health('up');
  clock.advance(MINUTE);
  await health('down');
  clock.advance(MINUTE);
  assert.equal(await watch(), 1);
  await owner.query('delete from routes');
  assert.equal(await watch(), 1);
  assert.match((await list())[0]?.resolution ?? '', /no longer sent/);
  assert.equal(await watch(), 0);
});

test('a server that an MX route led to of late is told of like a relay, and ends when it is no longer tried', async (t) => {
  const { owner, clock, health, list, watch } = await world(t);
  await owner.query("update routes set kind = 'mx', host = ''");
  await health('down');
  clock.advance(MINUTE);
  assert.equal(await watch(), 1);
  assert.equal((await list())[0]?.subject, '127.0.0.1:2626');
  clock.advance(60 * MINUTE);
  assert.equal(await watch(), 1);
  assert.match((await list())[0]?.resolution ?? '', /no longer sent/);
});

test('what is decided on a server holds for every history', () => {
  const now = new Date('2026-10-14T12:00:00Z');
  const past = fc.integer({ min: 0, max: 86_400 }).map((seconds) => new Date(now.getTime() - seconds * 1_000));
  fc.assert(
    fc.property(
      fc.record({
        state: fc.constantFrom('up' as const, 'down' as const),
        since: past,
        isRoute: fc.boolean(),
        isOpen: fc.boolean(),
        toldAt: fc.option(past),
      }),
      fc.integer({ min: 0, max: 3_600 }),
      (given, downSeconds) => {
        const server: ServerHealth = {
          partnerId: '',
          clientId: '',
          clientName: '',
          host: 'h',
          port: 25,
          lastError: null,
          waiting: 0,
          ...given,
        };
        const decision = decideServer(server, now, downSeconds);
        if (decision !== null && 'open' in decision) {
          assert.equal(server.state, 'down');
          assert.ok(server.isRoute);
          assert.ok(now.getTime() - server.since.getTime() >= downSeconds * 1_000);
          assert.ok(server.toldAt === null || server.toldAt < server.since);
        }
        if (decision !== null && 'resolve' in decision)
          assert.ok(server.isOpen && (server.state === 'up' || !server.isRoute));
        if (server.isOpen && server.state === 'up') assert.ok(decision !== null && 'resolve' in decision);
      },
    ),
    { numRuns: 1_000 },
  );
});

test('a release that does not arrive in time is told, once, and ends when it arrives', async (t) => {
  const { db, clock, list, quarantined, release } = await world(t);
  const id = await quarantined();
  await release(id);
  clock.advance(9 * MINUTE);
  assert.equal(await watchReleases(db), 0);
  clock.advance(MINUTE);
  assert.equal(await watchReleases(db), 1);
  assert.equal(await watchReleases(db), 0);
  const [open] = await list();
  assert.equal(open?.rule, 'release.late');
  assert.match(open?.title ?? '', /has not arrived: ann@acme\.example/);
  assert.match(open?.description ?? '', /by ann@msp\.example/);
  await endDelivery(db, id, 'released', '250 ok');
  assert.equal(await watchReleases(db), 1);
  assert.equal((await list())[0]?.state, 'resolved');
});

test('a release that is refused for good is told at once and stays for a person', async (t) => {
  const { db, clock, list, quarantined, release } = await world(t);
  const id = await quarantined();
  await release(id);
  await endDelivery(db, id, 'bounced', '550 5.1.1 no such user');
  assert.equal(await watchReleases(db), 1);
  clock.advance(60 * MINUTE);
  assert.equal(await watchReleases(db), 0);
  const [open] = await list();
  assert.equal(open?.state, 'open');
  assert.match(open?.description ?? '', /550 5\.1\.1 no such user/);
});

test('while the server is known to be down its releases are no incidents of their own', async (t) => {
  const { db, clock, health, list, watch, quarantined, release } = await world(t);
  await health('down');
  for (let index = 0; index < 3; index += 1) await release(await quarantined());
  clock.advance(11 * MINUTE);
  await watch();
  assert.equal(await watchReleases(db), 0);
  assert.equal((await list()).length, 1);
  await health('up');
  await watch();
  assert.equal(await watchReleases(db), 3, 'it is up, and they have still not come');
});

test('mail that is due and that nobody takes up is told per client', async (t) => {
  const { db, owner, clock, list, quarantined, release } = await world(t);
  await release(await quarantined());
  assert.equal(await watchQueue(db, clock, 300), 0);
  clock.advance(5 * MINUTE);
  assert.equal(await watchQueue(db, clock, 300), 1);
  assert.equal(await watchQueue(db, clock, 300), 0);
  assert.equal((await list())[0]?.rule, 'queue.stuck');
  await owner.query(`update queue set lease_owner = 'w', lease_until = $1`, [new Date(clock.now().getTime() + MINUTE)]);
  assert.equal(await watchQueue(db, clock, 300), 1);
  assert.equal((await list())[0]?.state, 'resolved');
});

test('a queue is told of when it becomes stuck and when it ends to be, and else never', () => {
  const now = new Date('2026-10-14T12:00:00Z');
  const queue = { partnerId: '', clientId: '', due: 1 };
  const at = (seconds: number) => new Date(now.getTime() - seconds * 1_000);
  assert.equal(decideQueue({ ...queue, oldestDueAt: at(300), isOpen: false }, now, 300), 'open');
  assert.equal(decideQueue({ ...queue, oldestDueAt: at(300), isOpen: true }, now, 300), null);
  assert.equal(decideQueue({ ...queue, oldestDueAt: at(299), isOpen: false }, now, 300), null);
  assert.equal(decideQueue({ ...queue, oldestDueAt: at(10), isOpen: true }, now, 300), 'resolve');
  assert.equal(decideQueue({ ...queue, oldestDueAt: null, isOpen: true }, now, 300), 'resolve');
});

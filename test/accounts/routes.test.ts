import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseRoute, type RouteInput, routesFor } from '../../src/accounts/routes.ts';
import { setRoutes, setStrategy, strategyFor } from '../../src/accounts/routing.ts';
import { AppError } from '../../src/core/errors.ts';
import { newId } from '../../src/core/id.ts';
import { openDatabase } from '../support/db.ts';
import { seedClient, seedPartner } from '../support/seed.ts';

const refused = (code: string) => (error: unknown) => error instanceof AppError && error.code === code;

test('a relay of the command line is read with its settings, and nothing else is', () => {
  assert.deepEqual(parseRoute('MX.example.org:26, priority=5,weight=3 ,region=uk,tls=required'), {
    host: 'mx.example.org',
    port: 26,
    priority: 5,
    weight: 3,
    region: 'uk',
    tls: 'required',
  });
  for (const bad of [
    '',
    ',priority=1',
    'a.example,',
    'a.example,prio=1',
    'a.example,weight',
    'a.example,weight=1,weight=2',
  ]) {
    assert.throws(() => parseRoute(bad), refused('invalid_input'), bad);
  }
});

test("routes replace those before; a domain's own hide the client's until they are taken away; all is audited", async (t) => {
  const { db, owner } = await openDatabase(t);
  const partner = await seedPartner(db);
  const clientId = await seedClient(db, partner.id, { domains: ['acme.example', 'other.example'] });
  const set = (routes: readonly RouteInput[], domain: string | null = null) =>
    db.tenant(partner.id, (tx) => setRoutes(tx, { clientId, domain, routes, actor: 'ann' }));
  const where = async (domain: string) =>
    (await db.system((tx) => routesFor(tx, partner.id, clientId, domain))).map(
      (route) => `${route.kind} ${route.host}`,
    );

  await set([
    { host: 'two.example', port: 25, priority: 20 },
    { host: 'one.example', port: 25, priority: 10, weight: 7, region: 'EU', tls: 'required' },
  ]);
  await set([{ kind: 'mx', host: '', port: 25 }], 'OTHER.example');
  assert.deepEqual(await where('acme.example'), ['relay one.example', 'relay two.example']);
  assert.deepEqual(await where('other.example'), ['mx ']);
  await set([], 'other.example');
  assert.deepEqual(await where('other.example'), ['relay one.example', 'relay two.example']);
  const { rows } = await owner.query("select actor, details from audit where action = 'route.set' order by id");
  assert.equal(rows.length, 3);
  assert.equal(rows[1]?.details.domain, 'other.example');
  assert.deepEqual(rows[0]?.details.routes[1], {
    kind: 'relay',
    host: 'one.example',
    port: 25,
    tls: 'required',
    priority: 10,
    weight: 7,
    region: 'eu',
  });
});

test('what is no route is refused, and leaves those that are there', async (t) => {
  const { db } = await openDatabase(t);
  const partner = await seedPartner(db);
  const other = await seedPartner(db, 'Other IT');
  const clientId = await seedClient(db, partner.id);
  await seedClient(db, other.id, { domain: 'theirs.example' });
  const good: RouteInput = { host: 'a.example', port: 25 };
  const set = (routes: readonly RouteInput[], domain: string | null = null, who = partner.id, client = clientId) =>
    db.tenant(who, (tx) => setRoutes(tx, { clientId: client, domain, routes, actor: 'ann' }));
  const bad: readonly RouteInput[] = [
    { ...good, host: '' },
    { ...good, host: 'no host' },
    { ...good, port: 0 },
    { ...good, port: 70_000 },
    { ...good, port: 1.5 },
    { ...good, weight: 0 },
    { ...good, weight: 1001 },
    { ...good, priority: -1 },
    { ...good, priority: Number.NaN },
    { ...good, region: 'the moon' },
    { ...good, tls: 'maybe' as never },
    { kind: 'mx', host: 'not a domain', port: 25 },
    { kind: 'mx', host: '', port: 25, region: 'uk' },
  ];
  for (const route of bad) await assert.rejects(set([route]), refused('invalid_input'), JSON.stringify(route));
  await assert.rejects(set(Array.from({ length: 21 }, () => good)), refused('invalid_input'));
  await assert.rejects(set([good], 'nobody.example'), refused('not_found'));
  await assert.rejects(set([good], 'theirs.example'), refused('not_found'));
  await assert.rejects(set([good], null, other.id), refused('not_found'));
  await assert.rejects(set([good], null, partner.id, newId()), refused('not_found'));
  const left = await db.system((tx) => routesFor(tx, partner.id, clientId, 'acme.example'));
  assert.deepEqual(
    left.map((route) => route.host),
    ['127.0.0.1'],
  );
});

test("a domain's own strategy hides the client's; without regions it is gone; all is audited", async (t) => {
  const { db, owner } = await openDatabase(t);
  const partner = await seedPartner(db);
  const clientId = await seedClient(db, partner.id, { domains: ['acme.example', 'other.example'] });
  const set = (regions: readonly string[], domain: string | null = null, recipientServers = false) =>
    db.tenant(partner.id, (tx) => setStrategy(tx, { clientId, domain, regions, recipientServers, actor: 'ann' }));
  const of = (domain: string) => db.system((tx) => strategyFor(tx, partner.id, clientId, domain));
  assert.equal(await of('acme.example'), null);
  await set(['UK', 'eu', 'uk']);
  await set(['us'], 'other.example', true);
  assert.deepEqual(await of('acme.example'), { regions: ['uk', 'eu'], recipientServers: false });
  assert.deepEqual(await of('other.example'), { regions: ['us'], recipientServers: true });
  await set([], 'other.example');
  assert.deepEqual((await of('other.example'))?.regions, ['uk', 'eu']);
  await set([]);
  assert.equal(await of('acme.example'), null);
  await assert.rejects(set(['']), refused('invalid_input'));
  await assert.rejects(set(['x'.repeat(33)]), refused('invalid_input'));
  await assert.rejects(set(Array.from({ length: 17 }, (_, at) => `r${at}`)), refused('invalid_input'));
  assert.equal((await owner.query("select from audit where action = 'region.set'")).rowCount, 4);
});

import assert from 'node:assert/strict';
import { createServer } from 'node:https';
import { type TestContext, test } from 'node:test';
import { silentLogger } from '../../src/core/log.ts';
import { StsPolicies } from '../../src/gateway/sts.ts';
import { stsFetcher } from '../../src/gateway/sts-fetch.ts';
import { dnsError, type Resolver, zoneResolver } from '../../src/mail/resolver.ts';
import { openDatabase } from '../support/db.ts';
import { CA, OTHER, SERVER } from './support/certificates.ts';

const HOUR = 3_600_000;
const POLICY = 'version: STSv1\nmode: enforce\nmx: mx.far.example\nmax_age: 172800\n';

async function policies(t: TestContext) {
  const { db, clock, owner } = await openDatabase(t);
  const world = { id: '1' as string | null, dnsFails: false, text: POLICY as string | null, fetched: 0 };
  const resolver: Resolver = async (name, type) => {
    if (world.dnsFails) throw dnsError('ETIMEOUT', name, type);
    if (world.id === null) throw dnsError('ENOTFOUND', name, type);
    return [[`v=STSv1; id=${world.id};`]];
  };
  const fetchPolicy = async () => {
    world.fetched += 1;
    if (world.text === null) throw new Error('no web server');
    return world.text;
  };
  const make = () => new StsPolicies({ db, clock, logger: silentLogger, resolver, fetchPolicy });
  return { owner, clock, world, make, sts: make() };
}

test('a policy is fetched once, kept in the database, and fetched anew when the id of its record changes', async (t) => {
  const { world, make, sts } = await policies(t);
  const both = await Promise.all([sts.policyFor('far.example'), sts.policyFor('FAR.example')]);
  assert.deepEqual(both, [
    { mode: 'enforce', mx: ['mx.far.example'], maxAge: 172_800 },
    { mode: 'enforce', mx: ['mx.far.example'], maxAge: 172_800 },
  ]);
  assert.equal((await make().policyFor('far.example'))?.mode, 'enforce');
  assert.equal(world.fetched, 1);
  world.id = '2';
  world.text = POLICY.replace('enforce', 'testing');
  assert.equal((await sts.policyFor('far.example'))?.mode, 'testing');
  assert.equal(world.fetched, 2);
  world.id = '3';
  world.text = 'version: STSv1\nmode: none\nmax_age: 1\n';
  assert.equal(await sts.policyFor('far.example'), null);
});

test('a kept policy holds until max_age while its record, its server or DNS is gone; then there is none', async (t) => {
  const { world, clock, sts } = await policies(t);
  assert.equal((await sts.policyFor('far.example'))?.mode, 'enforce');
  world.text = null;
  world.id = '2';
  clock.advance(HOUR);
  assert.equal((await sts.policyFor('far.example'))?.mode, 'enforce', 'the file is gone');
  world.id = null;
  assert.equal((await sts.policyFor('far.example'))?.mode, 'enforce', 'the record is gone');
  world.dnsFails = true;
  assert.equal((await sts.policyFor('far.example'))?.mode, 'enforce', 'DNS is gone');
  clock.advance(47 * HOUR);
  assert.equal(await sts.policyFor('far.example'), null);
});

test('without a kept policy a failed fetch is none, and is not repeated for five minutes; rubbish is a failed fetch', async (t) => {
  const { world, clock, sts, owner } = await policies(t);
  world.text = '<html>404</html>';
  assert.equal(await sts.policyFor('far.example'), null);
  world.text = POLICY;
  assert.equal(await sts.policyFor('far.example'), null);
  assert.equal(world.fetched, 1);
  assert.equal((await owner.query('select from mta_sts_policies')).rowCount, 0);
  clock.advance(5 * 60_000);
  assert.equal((await sts.policyFor('far.example'))?.mode, 'enforce');
});

test('a policy that is used is renewed every day, so that it does not run out', async (t) => {
  const { world, clock, sts } = await policies(t);
  await sts.policyFor('far.example');
  clock.advance(25 * HOUR);
  await sts.policyFor('far.example');
  assert.equal(world.fetched, 2);
  clock.advance(47 * HOUR);
  world.dnsFails = true;
  assert.equal((await sts.policyFor('far.example'))?.mode, 'enforce');
});

test('tenants have no part in the policies of the world', async (t) => {
  const { owner } = await openDatabase(t);
  await owner.query('set role tollgate_app');
  await assert.rejects(owner.query('select from mta_sts_policies'), /permission denied/);
  await owner.query('reset role');
});

interface Web {
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  readonly hang?: boolean;
  readonly certificate?: { readonly key: string; readonly cert: string };
  readonly allowed?: readonly string[];
  readonly address?: string;
  readonly ca?: string | undefined;
}

async function fetchFrom(t: TestContext, web: Web): Promise<{ text: Promise<string>; paths: string[] }> {
  const paths: string[] = [];
  const server = createServer(web.certificate ?? SERVER, (request, response) => {
    paths.push(`${request.method} ${request.headers.host} ${request.url}`);
    if (web.hang === true) return;
    response.writeHead(web.status ?? 200, { 'content-type': 'text/plain; charset=utf-8', ...web.headers });
    response.end(web.body ?? POLICY);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => {
    server.closeAllConnections();
    return new Promise((resolve) => server.close(resolve));
  });
  const bound = server.address();
  const fetch = stsFetcher({
    resolver: zoneResolver({ 'mta-sts.far.example': { A: [web.address ?? '127.0.0.1'] } }),
    allowPrivateHosts: web.allowed ?? ['127.0.0.1'],
    port: typeof bound === 'object' && bound !== null ? bound.port : 0,
    ca: 'ca' in web ? web.ca : CA,
    deadlineMs: web.hang === true ? 50 : 60_000,
  });
  return { text: fetch('far.example'), paths };
}

test('a policy file comes over HTTPS from the host of the domain', async (t) => {
  const { text, paths } = await fetchFrom(t, {});
  assert.equal(await text, POLICY);
  assert.deepEqual(paths, ['GET mta-sts.far.example /.well-known/mta-sts.txt']);
});

for (const [name, web, fault] of [
  ['a redirect', { status: 302, headers: { location: 'https://elsewhere.example/' } }, /status 302/],
  ['a failure', { status: 500 }, /status 500/],
  ['no plain text', { headers: { 'content-type': 'text/html' } }, /no text\/plain/],
  ['too much', { body: 'x'.repeat(65_537) }, /more than 65536/],
  ['a certificate for another name', { certificate: OTHER }, /altnames|does not match/i],
  ['a certificate that nobody vouches for', { ca: undefined }, /unable to|self-signed/i],
  ['a server that says nothing', { hang: true }, /in time/],
  ['a private address', { allowed: [] }, /no address that mail may be sent to/],
  ['the address of the cloud', { address: '169.254.169.254' }, /no address that mail may be sent to/],
] satisfies readonly [string, Web, RegExp][]) {
  test(`no policy is taken from ${name}`, async (t) => {
    const { text } = await fetchFrom(t, web);
    await assert.rejects(text, fault);
  });
}

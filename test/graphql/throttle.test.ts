import assert from 'node:assert/strict';
import { test } from 'node:test';
import { subscriberOf } from '../../src/core/networks.ts';
import { Throttle } from '../../src/graphql/throttle.ts';
import { openDatabase } from '../support/db.ts';
import { openServer } from '../support/http.ts';
import { seedPartner } from '../support/seed.ts';

const START = Date.parse('2026-10-14T09:30:00Z');
const at = (ms: number) => new Date(START + ms);

test('buckets that are full again are dropped as others are used, those that are not are kept', () => {
  const throttle = new Throttle({ capacity: 10, perSecond: 1 });
  for (let key = 0; key < 20_000; key += 1) throttle.take(`k${key}`, 10, at(0));
  assert.equal(throttle.size, 20_000, 'all are empty');
  assert.throws(() => throttle.take('k0', 10, at(5_000)), { code: 'limit_exceeded', retryAfter: 5 });
  // After ten seconds each is full: those in use stay, four others go with each taken.
  for (let round = 0; round < 6_000; round += 1) throttle.take('busy', 0, at(20_000));
  assert.equal(throttle.size, 1);
});

test('there are never more buckets than the bound, and the one that was quiet longest goes', () => {
  const throttle = new Throttle({ capacity: 10, perSecond: 1 }, 100);
  for (let key = 0; key < 1_000; key += 1) {
    throttle.take('busy', 0, at(key));
    throttle.take(`k${key}`, 10, at(key));
    assert.ok(throttle.size <= 100);
  }
  assert.throws(() => throttle.take('k999', 10, at(1_000)), { code: 'limit_exceeded' });
});

test('an IPv6 subscriber is one whatever address of its network it takes', () => {
  assert.equal(subscriberOf('2001:db8:1:2:aaaa::1'), subscriberOf('2001:db8:1:2:bbbb:cccc:dddd:eeee'));
  assert.notEqual(subscriberOf('2001:db8:1:2::1'), subscriberOf('2001:db8:1:3::1'));
  assert.equal(subscriberOf('2001:db8::1'), '2001:db8:0:0::/64');
  assert.equal(subscriberOf('fe80::1%eth0'), 'fe80:0:0:0::/64');
  assert.equal(subscriberOf('::ffff:192.0.2.1'), '192.0.2.1');
  assert.equal(subscriberOf('192.0.2.1'), '192.0.2.1');
  assert.equal(subscriberOf('nonsense'), 'nonsense');
});

test('cost and what is left are in the headers too', async (t) => {
  const { db, clock } = await openDatabase(t);
  const { apiKey } = await seedPartner(db);
  const server = await openServer(t, { db, clock, rate: { capacity: 100, perSecond: 10 } });
  const { headers } = await server.ask(apiKey, '{ clients(first: 49) { nodes { id } } }');
  const told = ['x-query-cost', 'ratelimit-limit', 'ratelimit-remaining', 'ratelimit-reset'].map((name) =>
    headers.get(name),
  );
  assert.deepEqual(told, ['50', '100', '50', '5']);
});

test('the front door says where to go, and nothing of the server', async (t) => {
  const { db, clock } = await openDatabase(t);
  const server = await openServer(t, { db, clock });
  const page = await fetch(server.url, { headers: { accept: 'text/html,*/*' } });
  assert.equal(page.status, 200);
  const text = await page.text();
  for (const url of ['/graphiql', '/health/ready', '/q/request']) {
    assert.ok(text.includes(`href="${url}"`), url);
    assert.equal((await fetch(server.url + url)).status, 200);
  }
  const body = await (await fetch(server.url)).json();
  assert.deepEqual(body, { name: 'tollgate', api: '/graphql', console: '/graphiql', health: '/health/ready' });
});

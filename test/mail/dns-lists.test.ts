import assert from 'node:assert/strict';
import { test } from 'node:test';
import { silentLogger } from '../../src/core/log.ts';
import { DnsLists, type DnsListZone } from '../../src/mail/dns-lists.ts';
import { dnsError, type Resolver, zoneResolver } from '../../src/mail/resolver.ts';

const zone = (name: string, points = 2, reject = false): DnsListZone => ({ zone: name, points, reject });
const listed = (...names: string[]) => Object.fromEntries(names.map((name) => [name, { A: ['127.0.0.2'] }]));

function open(zones: DnsListZone[], resolver: Resolver, now = () => 0) {
  const loud: string[] = [];
  const logger = { ...silentLogger, error: (_: unknown, text?: string) => void loud.push(text ?? '') };
  return { lists: new DnsLists(zones, resolver, { now, logger, deadlineMs: 100 }), loud };
}

test('IPv4 and IPv6 are asked in reverse, and several zones answer', async () => {
  const resolver = zoneResolver(
    listed(
      '2.0.0.127.a.example',
      '9.2.0.192.a.example',
      '2.0.0.127.w.example',
      '9.2.0.192.w.example',
      `1.0.0.0.${'0.'.repeat(20)}8.b.d.0.1.0.0.2.a.example`,
    ),
  );
  const { lists } = open([zone('a.example', 3), zone('w.example', -1)], resolver);
  assert.deepEqual(await lists.check('192.0.2.9'), [zone('a.example', 3), zone('w.example', -1)]);
  assert.deepEqual(await lists.check('2001:db8::1'), [zone('a.example', 3)]);
  assert.deepEqual(await lists.check('192.0.2.10'), []);
  assert.deepEqual(await lists.check('no address'), []);
});

test('a zone that lists everything, nothing, or answers with an error code is left out, loudly', async () => {
  const all: Resolver = async () => ['127.0.0.2'];
  const wildcard: Resolver = async () => ['203.0.113.7'];
  const over: Resolver = async () => ['127.255.255.254'];
  for (const resolver of [all, wildcard, over, zoneResolver(listed('9.2.0.192.a.example'))]) {
    const { lists, loud } = open([zone('a.example', 5, true)], resolver);
    assert.deepEqual(await lists.check('192.0.2.9'), []);
    assert.deepEqual(await lists.check('192.0.2.9'), []);
    assert.deepEqual(loud, ['a DNS list is not used'], 'said once');
  }
});

test('a zone that begins to answer with error codes is left out for an hour', async () => {
  let now = 0;
  let answer = '127.0.0.4';
  const good = zoneResolver(listed('2.0.0.127.a.example'));
  const resolver: Resolver = (name, type) => (name.startsWith('9.') ? Promise.resolve([answer]) : good(name, type));
  const { lists, loud } = open([zone('a.example')], resolver, () => now);
  assert.equal((await lists.check('192.0.2.9')).length, 1);
  answer = '127.255.255.255';
  assert.equal((await lists.check('192.0.2.9')).length, 0);
  answer = '127.0.0.4';
  assert.equal((await lists.check('192.0.2.9')).length, 0);
  assert.equal(loud.length, 1);
  now = 3_600_001;
  assert.equal((await lists.check('192.0.2.9')).length, 1);
});

test('a resolver that is down or silent says nothing, and is asked again after a minute', async () => {
  let now = 0;
  let down = true;
  const good = zoneResolver(listed('2.0.0.127.a.example', '9.2.0.192.a.example'));
  const resolver: Resolver = (name, type) =>
    down ? Promise.reject(dnsError('ESERVFAIL', name, type)) : good(name, type);
  const { lists } = open([zone('a.example')], resolver, () => now);
  assert.deepEqual(await lists.check('192.0.2.9'), []);
  down = false;
  assert.deepEqual(await lists.check('192.0.2.9'), []);
  now = 60_001;
  assert.equal((await lists.check('192.0.2.9')).length, 1);
  const silent = open([zone('a.example')], () => new Promise(() => undefined));
  assert.deepEqual(await silent.lists.check('192.0.2.9'), []);
});

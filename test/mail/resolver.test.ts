import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import test from 'node:test';
import {
  cachingResolver,
  confirmedName,
  type DnsAnswer,
  dnsError,
  isAbsent,
  type Resolver,
  resolveMx,
  systemResolver,
  zoneResolver,
} from '../../src/mail/resolver.ts';

test('a zone answers as DNS does', async () => {
  const zone = zoneResolver({
    'a.example': { TXT: ['x'.repeat(300)], A: ['192.0.2.1'], MX: [{ exchange: 'm.a.example', priority: 10 }] },
  });
  assert.deepEqual(await zone('A.example.', 'txt'), [['x'.repeat(255), 'x'.repeat(45)]]);
  assert.deepEqual(await zone('a.example', 'A'), ['192.0.2.1']);
  await assert.rejects(zone('a.example', 'AAAA'), { code: 'ENODATA' });
  await assert.rejects(zone('b.example', 'A'), { code: 'ENOTFOUND' });
});

/** A resolver that counts, and a clock to move. */
function counted(answer: (name: string) => Promise<DnsAnswer>) {
  const state = { asked: 0, now: 0 };
  const inner: Resolver = (name) => {
    state.asked += 1;
    return answer(name);
  };
  return { state, inner, now: () => state.now };
}

test('answers are kept for their time, absence for less, failures for a second', async () => {
  const cases: [(name: string) => Promise<DnsAnswer>, number][] = [
    [async () => ['192.0.2.1'], 300_000],
    [async (name) => Promise.reject(dnsError('ENOTFOUND', name, 'A')), 60_000],
    [async (name) => Promise.reject(dnsError('ESERVFAIL', name, 'A')), 1000],
  ];
  for (const [answer, kept] of cases) {
    const { state, inner, now } = counted(answer);
    const resolver = cachingResolver(inner, { now });
    const ask = () => resolver('a.example', 'A').then(String, (error: Error) => (error as NodeJS.ErrnoException).code);
    const first = await ask();
    state.now = kept - 1;
    assert.equal(await ask(), first);
    assert.equal(state.asked, 1);
    state.now = kept + 1;
    assert.equal(await ask(), first);
    assert.equal(state.asked, 2);
  }
});

test('questions under way are joined, the cache is bounded, a silent server ends at the deadline', async () => {
  const { state, inner } = counted(async (name) => [name]);
  const resolver = cachingResolver(inner, { maxEntries: 3 });
  await Promise.all(Array.from({ length: 10 }, () => resolver('a.example', 'A')));
  assert.equal(state.asked, 1);
  for (const name of ['b', 'c', 'd', 'e']) await resolver(name, 'A');
  await resolver('a.example', 'A');
  assert.equal(state.asked, 6);
  const silent = cachingResolver(() => new Promise(() => undefined), { deadlineMs: 20 });
  await assert.rejects(silent('a.example', 'A'), (error) => !isAbsent(error) && error instanceof Error);
});

test('mail hosts: by priority, the domain itself without MX, null MX, failure', async () => {
  const zone = zoneResolver({
    'two.example': {
      MX: [
        { exchange: 'b.example', priority: 20 },
        { exchange: 'a.example', priority: 10 },
      ],
    },
    'plain.example': { A: ['192.0.2.1'] },
    'never.example': { MX: [{ exchange: '', priority: 0 }] },
    'broken.example': { FAIL: ['ESERVFAIL'] },
  });
  assert.deepEqual(await resolveMx(zone, 'two.example'), ['a.example', 'b.example']);
  assert.deepEqual(await resolveMx(zone, 'plain.example'), ['plain.example']);
  assert.equal(await resolveMx(zone, 'never.example'), null);
  await assert.rejects(resolveMx(zone, 'broken.example'), { code: 'ESERVFAIL' });
});

test('a reverse name counts only when it leads back', async () => {
  const zone = zoneResolver({
    '192.0.2.1': { PTR: ['liar.example', 'mail.example.'] },
    'mail.example': { A: ['192.0.2.1'] },
    'liar.example': { A: ['192.0.2.99'] },
    '192.0.2.2': { PTR: ['liar.example'] },
  });
  assert.equal(await confirmedName(zone, '192.0.2.1'), 'mail.example');
  assert.equal(await confirmedName(zone, '192.0.2.2'), null);
  assert.equal(await confirmedName(zone, '192.0.2.3'), null);
});

test('a server of choice is asked over the network', async (t) => {
  const server = createSocket('udp4');
  t.after(() => server.close());
  server.on('message', (query, from) => {
    // Header with one answer, the question as it came, then one TXT record "hi" by a pointer to the question's name.
    const reply = Buffer.concat([
      query.subarray(0, 2),
      Buffer.from('818000010001000000000000'.slice(0, 20), 'hex'),
      query.subarray(12, query.indexOf(0, 12) + 5),
      Buffer.from('c00c00100001000000010003026869', 'hex'),
    ]);
    server.send(reply, from.port, from.address);
  });
  server.bind(0, '127.0.0.1');
  await once(server, 'listening');
  const resolver = systemResolver({ server: `localhost:${server.address().port}`, timeoutMs: 60_000, tries: 1 });
  assert.deepEqual(await resolver('a.example', 'TXT'), [['hi']]);
  await assert.rejects(resolver('a.example', 'WKS'), { code: 'ENOTIMP' });
  assert.throws(() => systemResolver({ server: 'dns.example:53' }), /by its address/);
});

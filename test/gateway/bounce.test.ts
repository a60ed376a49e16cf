import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { zoneResolver } from '../../src/mail/resolver.ts';
import { openRig, openSink, Talker } from './support/rig.ts';
import { login, PASSWORD, seedSubmitter } from './support/submitter.ts';

const DAY_MS = 86_400_000;

/** A client's server, a far server that answers as told, and the gateway between. */
async function openBoth(
  t: TestContext,
  far: (to: string) => number | null,
  own: (to: string) => number | null = () => null,
) {
  const [farSink, ownSink] = [await openSink(t, far), await openSink(t, own)];
  const resolver = zoneResolver({
    'far.example': { MX: [{ exchange: 'mx.far.example', priority: 10 }] },
    'mx.far.example': { A: ['127.0.0.1'] },
    'broken.example': { FAIL: ['ETIMEOUT'] },
    'nomail.example': { MX: [{ exchange: '', priority: 0 }] },
  });
  const rig = await openRig(t, { resolver, mxPort: farSink.port });
  await seedSubmitter(rig.db, ownSink.port);
  const count = async (kind: string) =>
    (await rig.owner.query('select count(*)::int as n from ledger where kind = $1', [kind])).rows[0]?.n;
  const submit = async (to: readonly string[]) => {
    const client = await Talker.open(rig.submission);
    await login(client, PASSWORD);
    assert.match((await client.send('ann@acme.example', to)).at(-1) ?? '', /^250 2\.0\.0 Accepted/);
    client.close();
  };
  const receive = async (from: string, to: readonly string[]) => {
    const client = await Talker.open(rig.smtp);
    assert.match((await client.send(from, to)).at(-1) ?? '', /^250 2\.0\.0 Accepted/);
    client.close();
  };
  return { rig, farSink, ownSink, count, submit, receive };
}

test('a 550 for outgoing mail becomes one notification at the client server, from the null sender', async (t) => {
  const { rig, ownSink, farSink, count, submit } = await openBoth(t, (to) => (to.startsWith('gone') ? 550 : null));
  await submit(['gone@far.example', 'bob@far.example']);
  assert.equal(await rig.delivery.drainOnce(), 2);
  assert.equal(await rig.delivery.drainOnce(), 1);
  assert.equal(await rig.delivery.drainOnce(), 0);
  assert.deepEqual(
    ownSink.mail.map((one) => [one.from, one.to]),
    [['', ['ann@acme.example']]],
  );
  const text = ownSink.mail[0]?.body ?? '';
  assert.match(text, /multipart\/report/);
  assert.match(text, /Final-Recipient: rfc822; gone@far\.example/i);
  assert.match(text, /^Action: failed/m);
  assert.match(text, /^Status: 5\./m);
  assert.doesNotMatch(text, /bob@far\.example/);
  assert.equal(farSink.mail.length, 1);
  assert.deepEqual([await count('accepted'), await count('bounced'), await count('delivered')], [3, 1, 2]);
  assert.equal((await rig.owner.query('select from queue')).rowCount, 0);
});

test('a notification that cannot be delivered makes no further one', async (t) => {
  const { rig, ownSink, count, submit } = await openBoth(
    t,
    () => 550,
    () => 550,
  );
  await submit(['gone@far.example']);
  for (let round = 0; round < 4; round += 1) await rig.delivery.drainOnce();
  assert.deepEqual([await count('accepted'), await count('bounced')], [2, 2]);
  assert.deepEqual(ownSink.mail, []);
  assert.equal((await rig.owner.query('select from queue')).rowCount, 0);
});

test('a domain that says it takes no mail (RFC 7505) bounces with 5.1.10', async (t) => {
  const { rig, ownSink, submit } = await openBoth(t, () => null);
  await submit(['x@nomail.example']);
  await rig.delivery.drainOnce();
  await rig.delivery.drainOnce();
  assert.match(ownSink.mail[0]?.body ?? '', /^Status: 5\.1\.10/m);
});

test('a look-up that fails for now is tried again; a domain that does not exist bounces', async (t) => {
  const { rig, submit } = await openBoth(t, () => null);
  await submit(['x@broken.example', 'x@unknown.example']);
  await rig.delivery.drainOnce();
  const { rows } = await rig.owner.query(
    'select domain, recipient, disposition from deliveries where recipient like $1',
    ['x@%'],
  );
  assert.deepEqual(rows.map((row) => [row.recipient, row.disposition]).toSorted(), [
    ['x@broken.example', 'deferred'],
    ['x@unknown.example', 'bounced'],
  ]);
});

test('no backscatter: inbound mail that the client server refuses ends without a notification', async (t) => {
  const { rig, farSink, ownSink, count, receive } = await openBoth(
    t,
    () => null,
    () => 550,
  );
  await receive('eve@far.example', ['ann@acme.example']);
  await receive('', ['ann@acme.example']);
  assert.equal(await rig.delivery.drainOnce(), 2);
  assert.equal(await rig.delivery.drainOnce(), 0);
  assert.deepEqual([await count('accepted'), await count('bounced')], [2, 2]);
  assert.deepEqual([farSink.mail, ownSink.mail], [[], []]);
});

test('a server that answers 4xx for five days: expired once, then nothing', async (t) => {
  const { rig, ownSink, count, submit } = await openBoth(t, () => 451);
  await submit(['slow@far.example']);
  let tries = 0;
  for (let day = 0; day < 6; day += 0.25) {
    tries += await rig.delivery.drainOnce();
    rig.clock.advance(DAY_MS / 4);
  }
  await rig.delivery.drainOnce();
  assert.deepEqual([await count('deferred'), await count('expired'), await count('bounced')], [1, 1, 0]);
  assert.ok(tries >= 20, `${tries} tries`);
  // The early notice, and the end.
  assert.deepEqual(
    ownSink.mail.map((one) => /^Action: (\w+)/m.exec(one.body)?.[1]),
    ['delayed', 'failed'],
  );
  assert.match(ownSink.mail[1]?.body ?? '', /^Status: 4\.4\.7/m);
  assert.equal((await rig.owner.query('select from queue')).rowCount, 0);
});

test('per recipient: only the 452 is tried again, only the 550 bounces', async (t) => {
  let full = true;
  const seen: string[] = [];
  const { ownSink, rig, count, receive } = await openBoth(
    t,
    () => null,
    (to) => {
      seen.push(to);
      if (to.startsWith('ann')) return full ? 452 : null;
      return to.startsWith('gone') ? 550 : null;
    },
  );
  await receive('eve@far.example', ['ann@acme.example', 'bob@acme.example', 'gone@acme.example']);
  assert.equal(await rig.delivery.drainOnce(), 3);
  rig.clock.advance(3_600_000);
  assert.equal(await rig.delivery.drainOnce(), 1);
  full = false;
  rig.clock.advance(3_600_000);
  assert.equal(await rig.delivery.drainOnce(), 1);
  assert.equal(await rig.delivery.drainOnce(), 0);
  assert.deepEqual(
    ['ann', 'bob', 'gone'].map((who) => seen.filter((to) => to.startsWith(who)).length),
    [3, 1, 1],
  );
  assert.deepEqual(
    ownSink.mail.map((one) => one.to),
    [['bob@acme.example'], ['ann@acme.example']],
  );
  assert.deepEqual(
    [await count('deferred'), await count('bounced'), await count('delivered'), await count('accepted')],
    [1, 1, 2, 3],
  );
});

test('a far server that never answers is given up after five days; a client server that is down is waited for', async (t) => {
  const { rig, farSink, ownSink, count, submit, receive } = await openBoth(t, () => null);
  await farSink.close();
  await ownSink.close();
  await submit(['bob@far.example']);
  await receive('eve@far.example', ['ann@acme.example']);
  for (let day = 0; day < 6; day += 1) {
    await rig.delivery.drainOnce();
    rig.clock.advance(DAY_MS);
  }
  assert.deepEqual([await count('expired'), await count('bounced')], [1, 0]);
  const { rows } = await rig.owner.query('select recipient, kind from queue order by kind');
  // The inbound mail, and the notifications of what was late and then expired.
  assert.deepEqual(
    rows.map((row) => [row.recipient, row.kind]),
    [
      ['ann@acme.example', 'dsn'],
      ['ann@acme.example', 'dsn'],
      ['ann@acme.example', 'mail'],
    ],
  );
});

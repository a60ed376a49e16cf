import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { type TestContext, test } from 'node:test';
import { type Destination, Relay } from '../../src/gateway/relay.ts';
import { zoneResolver } from '../../src/mail/resolver.ts';
import { CA, OTHER, SERVER } from './support/certificates.ts';
import { openPicky, type PickyOptions } from './support/picky.ts';
import { openRig, Talker } from './support/rig.ts';
import { login, PASSWORD, seedSubmitter } from './support/submitter.ts';

const parcel = {
  sender: 'ann@acme.example',
  recipients: ['bob@far.example'],
  bytes: 100,
  open: async () => Readable.from(['Subject: Hello\r\n\r\nHi\r\n']),
};

async function sendOnce(t: TestContext, server: PickyOptions, to: Partial<Destination>) {
  const sink = await openPicky(t, server);
  const relay = new Relay('mx.tollgate.example', 5_000, CA);
  t.after(() => relay.close());
  const result = await relay.send(
    { host: 'mx.far.example', address: '127.0.0.1', port: sink.port, tls: 'opportunistic', ...to },
    parcel,
  );
  return { sink, result, reply: result.replies.get('bob@far.example') };
}

test('TLS is used where it is offered, and what came of it is told', async (t) => {
  const { sink, result, reply } = await sendOnce(t, { tls: SERVER }, {});
  assert.equal(reply?.code, 250);
  assert.equal(sink.secure, 1);
  assert.deepEqual([result.tlsVersion, result.tlsVerified, result.tlsPolicy], ['TLSv1.3', true, 'opportunistic']);
  assert.match(result.tlsCipher ?? '', /^TLS_/);
});

test('opportunistic TLS takes a certificate that it can not verify, and says so', async (t) => {
  const { sink, result, reply } = await sendOnce(t, { tls: OTHER }, {});
  assert.deepEqual([reply?.code, sink.secure, result.tlsVerified], [250, 1, false]);
});

test('opportunistic TLS whose handshake fails is tried once more without; required TLS is not', async (t) => {
  const open = await sendOnce(t, { brokenTls: true }, {});
  assert.deepEqual([open.reply?.code, open.sink.connections, open.sink.secure], [250, 2, 0]);
  assert.deepEqual(
    [open.result.tlsVersion, open.result.tlsCipher, open.result.tlsPolicy],
    [null, null, 'opportunistic'],
  );
  const strict = await sendOnce(t, { brokenTls: true }, { tls: 'required' });
  assert.deepEqual([strict.reply?.code, strict.sink.connections, strict.sink.bodies.length], [0, 1, 0]);
  assert.deepEqual([strict.result.tlsVersion, strict.result.tlsPolicy], [null, 'required']);
});

test('TLS below 1.2 is none: opportunistic goes on without, required does not', async (t) => {
  const old = { ...SERVER, maxVersion: 'TLSv1.1' as const };
  const open = await sendOnce(t, { tls: old }, {});
  assert.deepEqual([open.reply?.code, open.sink.secure, open.result.tlsVersion], [250, 0, null]);
  const strict = await sendOnce(t, { tls: old }, { tls: 'required' });
  assert.equal(strict.reply?.code, 0);
});

test('required TLS verifies the certificate for the name of the host', async (t) => {
  const good = await sendOnce(t, { tls: SERVER }, { tls: 'required' });
  assert.deepEqual([good.reply?.code, good.result.tlsVerified, good.result.tlsPolicy], [250, true, 'required']);
  const wrong = await sendOnce(t, { tls: OTHER }, { tls: 'required' });
  assert.deepEqual([wrong.reply?.code, wrong.sink.bodies.length], [0, 0]);
  assert.ok(wrong.result.failure !== null);
  const none = await sendOnce(t, {}, { tls: 'required' });
  assert.deepEqual([none.reply?.code, none.sink.bodies.length], [0, 0]);
});

test('without TLS nothing of it is told', async (t) => {
  const { result } = await sendOnce(t, { tls: SERVER }, { tls: 'none' });
  assert.deepEqual([result.tlsVersion, result.tlsVerified, result.tlsPolicy], [null, false, 'none']);
});

/** Outbound mail to far.example, whose only mail host is `server` under the policy. */
async function outbound(t: TestContext, server: PickyOptions, policy: string | null, host = 'mx.far.example') {
  const sink = await openPicky(t, server);
  const resolver = zoneResolver({
    'far.example': { MX: [{ exchange: host, priority: 10 }] },
    '_mta-sts.far.example': { TXT: ['v=STSv1; id=1;'] },
    [host]: { A: ['127.0.0.1'] },
  });
  const fetchPolicy = async () => {
    if (policy === null) throw new Error('no web server');
    return policy;
  };
  const rig = await openRig(t, { resolver, mxPort: sink.port, delivery: { fetchPolicy, ca: CA } });
  await seedSubmitter(rig.db);
  const client = await Talker.open(rig.submission);
  await login(client, PASSWORD);
  assert.match((await client.send('ann@acme.example', ['bob@far.example'])).at(-1) ?? '', /^250 2\.0\.0/);
  client.close();
  await rig.delivery.drainOnce();
  const { rows } = await rig.owner.query<{ disposition: string; reply: string }>(
    'select disposition, remote_reply as reply from deliveries',
  );
  return { sink, rig, disposition: rows[0]?.disposition, reply: rows[0]?.reply ?? '' };
}

const enforce = 'version: STSv1\nmode: enforce\nmx: mx.far.example\nmax_age: 86400\n';
const testing = enforce.replace('enforce', 'testing');

test('MTA-STS enforce: a host of the policy with a certificate for its name gets the mail, over TLS', async (t) => {
  const { sink, rig, disposition } = await outbound(t, { tls: SERVER }, enforce);
  assert.deepEqual([disposition, sink.secure], ['delivered', 1]);
  const { rows } = await rig.owner.query('select tls_version, tls_verified, path from delivery_attempts');
  assert.deepEqual(rows, [{ tls_version: 'TLSv1.3', tls_verified: true, path: 'direct' }]);
});

for (const [name, server, host] of [
  ['that is not in the policy', { tls: SERVER }, 'mx2.far.example'],
  ['with a certificate for another name', { tls: OTHER }, 'mx.far.example'],
  ['without TLS', {}, 'mx.far.example'],
  ['with TLS 1.1 only', { tls: { ...SERVER, maxVersion: 'TLSv1.1' } }, 'mx.far.example'],
  ['whose TLS is broken', { brokenTls: true }, 'mx.far.example'],
] satisfies readonly [string, PickyOptions, string][]) {
  test(`MTA-STS enforce: a host ${name} gets nothing; the mail waits and is not bounced`, async (t) => {
    const { sink, rig, disposition, reply } = await outbound(t, server, enforce, host);
    assert.deepEqual([disposition, sink.bodies.length], ['deferred', 0]);
    assert.match(reply, /4\.7\.5 MTA-STS/);
    assert.equal((await rig.owner.query('select from queue')).rowCount, 1);
  });

  test(`MTA-STS testing: a host ${name} gets the mail`, async (t) => {
    const { sink, rig, disposition } = await outbound(t, server, testing, host);
    assert.deepEqual([disposition, sink.bodies.length], ['delivered', 1]);
    const { rows } = await rig.owner.query('select from delivery_attempts where not coalesce(tls_verified, false)');
    assert.equal(rows.length, 1, 'that enforcing would have kept it is recorded');
  });
}

test('MTA-STS: a policy that can not be had is none', async (t) => {
  const { disposition } = await outbound(t, {}, null);
  assert.equal(disposition, 'delivered');
});

test('MTA-STS testing: what enforcing would have done is told', async (t) => {
  const to = { policy: 'mta-sts testing' } as const;
  const good = await sendOnce(t, { tls: SERVER }, to);
  assert.deepEqual([good.result.tlsPolicy, good.result.tlsVerified], ['mta-sts testing', true]);
  const unlisted = await sendOnce(t, { tls: SERVER }, { ...to, isListed: false });
  assert.deepEqual([unlisted.reply?.code, unlisted.result.tlsVerified], [250, false]);
});

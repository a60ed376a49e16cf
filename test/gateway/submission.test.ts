import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type TestContext, test } from 'node:test';
import { revokeCredential } from '../../src/accounts/credentials.ts';
import { zoneResolver } from '../../src/mail/resolver.ts';
import { openRig, openSink, Talker } from './support/rig.ts';
import { login, PASSWORD, seedSubmitter } from './support/submitter.ts';

const base64 = (text: string) => Buffer.from(text, 'latin1').toString('base64');

async function openOutbound(t: TestContext) {
  const sink = await openSink(t);
  const resolver = zoneResolver({
    'far.example': { MX: [{ exchange: 'mx.far.example', priority: 10 }] },
    'mx.far.example': { A: ['127.0.0.1'] },
  });
  const rig = await openRig(t, { resolver, mxPort: sink.port });
  return { sink, rig, ...(await seedSubmitter(rig.db)) };
}

test('AUTH: PLAIN and LOGIN take the right password only', async (t) => {
  const { rig } = await openOutbound(t);
  for (const method of ['PLAIN', 'LOGIN'] as const) {
    const client = await Talker.open(rig.submission);
    assert.match(await login(client, 'not the password', method), /^535 5\.7\.8/);
    assert.match(await login(client, PASSWORD, method), /^235 /);
    client.close();
  }
  const stranger = await Talker.open(rig.submission);
  assert.match(await stranger.say(`AUTH PLAIN ${base64(`\0nobody\0${PASSWORD}`)}`), /^535 5\.7\.8/);
  stranger.close();
});

test('AUTH: the third failure closes the connection', async (t) => {
  const { rig } = await openOutbound(t);
  const client = await Talker.open(rig.submission);
  const closed = once(client.socket, 'close');
  assert.match(await login(client, 'wrong'), /^535/);
  assert.match(await login(client, 'wrong'), /^535/);
  assert.match(await login(client, 'wrong'), /^421 4\.7\.0/);
  await closed;
});

test('AUTH: an address with 20 failures must wait, even with the right password', async (t) => {
  const { rig } = await openOutbound(t);
  for (let round = 0; round < 10; round += 1) {
    const client = await Talker.open(rig.submission);
    await login(client, 'wrong');
    await login(client, 'wrong');
    client.close();
  }
  const late = await Talker.open(rig.submission);
  assert.match(await login(late, PASSWORD), /^421 4\.7\.0/);
  late.close();
  rig.clock.advance(600_001);
  const again = await Talker.open(rig.submission);
  assert.match(await login(again, PASSWORD), /^235/);
  again.close();
});

test('AUTH: failures of one address at once are all counted', async (t) => {
  const { rig } = await openOutbound(t);
  await Promise.all(
    Array.from({ length: 10 }, async () => {
      const client = await Talker.open(rig.submission);
      await login(client, 'wrong');
      await login(client, 'wrong');
      client.close();
    }),
  );
  const late = await Talker.open(rig.submission);
  assert.match(await login(late, PASSWORD), /^421 4\.7\.0/);
  late.close();
});

test('a revoked login and a suspended client end in sessions that are open too', async (t) => {
  const { rig, partner } = await openOutbound(t);
  const client = await Talker.open(rig.submission);
  const mail = 'MAIL FROM:<ann@acme.example>';
  await login(client, PASSWORD);
  assert.match(await client.say(mail), /^250/);
  await client.say('RSET');
  await rig.owner.query("update clients set status = 'suspended'");
  assert.match(await client.say(mail), /^530 5\.7\.0/);
  await rig.owner.query("update clients set status = 'active'");
  assert.match(await client.say(mail), /^250/);
  await client.say('RSET');
  const { rows } = await rig.owner.query<{ id: string }>('select id from submission_credentials');
  await rig.db.tenant(partner.id, (tx) => revokeCredential(tx, rows[0]?.id ?? '', 'test'));
  assert.match(await client.say(mail), /^530 5\.7\.0/);
  client.close();
});

test('without AUTH 530; a sender of somebody else 553', async (t) => {
  const { rig } = await openOutbound(t);
  const client = await Talker.open(rig.submission);
  assert.match(await client.say('MAIL FROM:<ann@acme.example>'), /^530 5\.7\.0/);
  await login(client, PASSWORD);
  for (const sender of ['ann@other.example', 'ann@sub.acme.example', '']) {
    assert.match(await client.say(`MAIL FROM:<${sender}>`), /^553 5\.7\.1/, sender);
  }
  assert.match(await client.say('MAIL FROM:<Ann@ACME.example>'), /^250/);
  client.close();
});

test('outbound mail goes to the MX and counts as outbound', async (t) => {
  const { rig, sink } = await openOutbound(t);
  const client = await Talker.open(rig.submission);
  await login(client, PASSWORD);
  const replies = await client.send('ann@acme.example', ['bob@far.example', 'cat@far.example']);
  assert.match(replies.at(-1) ?? '', /^250 2\.0\.0 Accepted/);
  client.close();
  assert.equal(await rig.delivery.drainOnce(), 2);
  assert.deepEqual(
    sink.mail.map((one) => [one.from, one.to]),
    [['ann@acme.example', ['bob@far.example', 'cat@far.example']]],
  );
  const { rows } = await rig.owner.query(
    'select kind, direction, domain, sum(leads)::int as leads from ledger group by 1, 2, 3 order by 1',
  );
  assert.deepEqual(
    rows.map((row) => [row.kind, row.direction, row.domain]),
    [
      ['accepted', 'outbound', 'acme.example'],
      ['delivered', 'outbound', 'acme.example'],
    ],
  );
});

test('a restart takes back at once what the killed process of the node held', async (t) => {
  const { rig, sink } = await openOutbound(t);
  const client = await Talker.open(rig.submission);
  await login(client, PASSWORD);
  await client.send('ann@acme.example', ['bob@far.example']);
  await client.send('ann@acme.example', ['cat@far.example']);
  client.close();
  // As after kill -9: leased by this node, and by one that may be alive.
  const until = new Date(rig.clock.now().getTime() + 900_000);
  await rig.owner.query(
    `update queue set lease_until = $1, lease_owner = case when recipient like 'bob%' then 'test' else 'other' end`,
    [until],
  );
  assert.equal(await rig.delivery.drainOnce(), 0);
  await rig.delivery.start();
  await rig.delivery.stop();
  assert.deepEqual(
    sink.mail.map((one) => one.to),
    [['bob@far.example']],
  );
  rig.clock.advance(900_001);
  assert.equal(await rig.delivery.drainOnce(), 1);
  assert.equal(sink.mail.length, 2);
});

import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { setForward } from '../../src/accounts/forwarding.ts';
import { setLimits } from '../../src/accounts/outbound-limits.ts';
import { AppError } from '../../src/core/errors.ts';
import { zoneResolver } from '../../src/mail/resolver.ts';
import { srsSender } from '../../src/mail/srs.ts';
import { byLocalPart, openRig, openSink, SRS, Talker } from './support/rig.ts';
import { seedSubmitter } from './support/submitter.ts';

const PASSED = 'mx.tollgate.example; spf=pass smtp.mailfrom=bob@sender.example; dkim=none; dmarc=none';

async function openForwarding(t: TestContext, options: { refuse?: (to: string) => number | null } = {}) {
  const world = await openSink(t, options.refuse);
  const own = await openSink(t);
  const mx = { MX: [{ exchange: 'mx.far.example', priority: 10 }] };
  const rig = await openRig(t, {
    resolver: zoneResolver({ 'far.example': mx, 'sender.example': mx, 'mx.far.example': { A: ['127.0.0.1'] } }),
    mxPort: world.port,
    pipeline: {
      ...byLocalPart,
      run: async (...args) => ({ ...(await byLocalPart.run(...args)), authenticationResults: PASSED }),
    },
  });
  const seeded = await seedSubmitter(rig.db, own.port);
  const { rows } = await rig.owner.query<{ id: string }>(`select id from mailboxes where address = 'ann@acme.example'`);
  const ann = rows[0]?.id ?? '';
  const forward = (to: string | null, keep = true) =>
    rig.db.tenant(seeded.partner.id, (tx) => setForward(tx, { mailboxId: ann, to, keep, actor: 'test' }));
  const send = async (from: string, to: string, body?: string) => {
    const client = await Talker.open(rig.smtp);
    const replies = await client.send(from, [to], body);
    client.close();
    return replies;
  };
  const drain = async () => {
    let total = 0;
    for (let round = 0; round < 3; round += 1) total += await rig.delivery.drainOnce();
    return total;
  };
  return { rig, world, own, ann, forward, send, drain, ...seeded };
}

test('a forwarded copy leaves with a rewritten sender, the mailbox keeps its own, and both are counted', async (t) => {
  const { rig, world, own, forward, send, drain, clientId } = await openForwarding(t);
  await forward('ann@far.example');
  await send('bob@sender.example', 'ann@acme.example');
  assert.equal(await drain(), 2);
  assert.deepEqual(
    own.mail.map((one) => [one.from, one.to]),
    [['bob@sender.example', ['ann@acme.example']]],
  );
  const copy = world.mail[0] ?? assert.fail();
  assert.equal(copy.from, srsSender('bob@sender.example', clientId, SRS, rig.clock.now()));
  assert.deepEqual(copy.to, ['ann@far.example']);
  assert.match(copy.body, /^Delivered-To: ann@acme\.example\r\nReceived: .*with ESMTP\s+id/s);
  const { rows } = await rig.owner.query(
    `select d.direction, d.disposition, d.recipient, d.domain, m.sender like 'srs0=%' as rewritten from deliveries d join messages m on m.id = d.message_id order by 1`,
  );
  assert.deepEqual(
    rows.map((row) => Object.values(row)),
    [
      ['inbound', 'delivered', 'ann@acme.example', 'acme.example', false],
      ['outbound', 'delivered', 'ann@far.example', 'acme.example', true],
    ],
  );
  const counts = await rig.owner.query(`select sum(recipients)::int as n from outbound_counts where scope = 'mailbox'`);
  assert.equal(counts.rows[0]?.n, 1);
});

test('without a copy the mailbox gets nothing and the original ends once', async (t) => {
  const { rig, world, own, forward, send, drain } = await openForwarding(t);
  await forward('ann@far.example', false);
  await send('bob@sender.example', 'ann@acme.example');
  assert.equal(await drain(), 1);
  assert.deepEqual([own.mail.length, world.mail.length], [0, 1]);
  const { rows } = await rig.owner.query('select direction, kind from ledger order by 1, 2');
  assert.deepEqual(
    rows.map((row) => `${row.direction} ${row.kind}`),
    ['inbound accepted', 'inbound delivered', 'outbound accepted', 'outbound delivered'],
  );
});

test('the null sender and the client own senders are not rewritten; what is quarantined is not forwarded', async (t) => {
  const { world, forward, send, drain, rig, partner } = await openForwarding(t);
  await forward('ann@far.example', false);
  await send('', 'ann@acme.example');
  await send('bob@acme.example', 'ann@acme.example');
  await rig.owner.query(`update mailboxes set forward_to = 'q@far.example' where address = 'quarantine@acme.example'`);
  await send('bob@sender.example', 'quarantine@acme.example');
  await drain();
  assert.deepEqual(world.mail.map((one) => one.from).sort(), ['', 'bob@acme.example']);
  assert.ok(partner);
});

test('a message in a loop is left to the mailbox', async (t) => {
  const { rig, world, own, forward, send, drain } = await openForwarding(t);
  await forward('ann@far.example', false);
  await send('bob@sender.example', 'ann@acme.example', 'Delivered-To: Ann@acme.example\r\nSubject: x\r\n\r\nHi\r\n');
  await send(
    'bob@sender.example',
    'ann@acme.example',
    `${'Received: from a by b\r\n'.repeat(25)}Subject: x\r\n\r\nHi\r\n`,
  );
  await drain();
  assert.deepEqual([own.mail.length, world.mail.length], [2, 0]);
  const { rows } = await rig.owner.query(`select count(*)::int as n from ledger where 'forward.loop' = any(reasons)`);
  assert.equal(rows[0]?.n, 2);
});

test('a forwarded copy is held by the limits like all outbound mail', async (t) => {
  const { rig, world, own, forward, send, drain, partner, clientId } = await openForwarding(t);
  await forward('ann@far.example');
  await rig.db.tenant(partner.id, (tx) =>
    setLimits(tx, { clientId, mailboxId: null, recipientsPerHour: 1, actor: 'test' }),
  );
  await send('bob@sender.example', 'ann@acme.example');
  await send('bob@sender.example', 'ann@acme.example');
  await drain();
  assert.deepEqual([own.mail.length, world.mail.length], [2, 1], 'the mailbox has its mail all the same');
});

test('a notification for a forwarded copy comes back through us to the first sender; forged and old ones are refused', async (t) => {
  const { rig, world, forward, send, drain, clientId } = await openForwarding(t);
  await forward('ann@far.example');
  const rewritten = srsSender('bob@sender.example', clientId, SRS, rig.clock.now());
  const long = srsSender(`${'very-long-name-'.repeat(4)}x@sender.example`, clientId, SRS, rig.clock.now());
  for (const address of [rewritten, long]) {
    const replies = await send('', address.toUpperCase(), 'Subject: Undelivered\r\n\r\nSorry\r\n');
    assert.match(replies.at(-1) ?? '', /^250/, replies.join());
  }
  await drain();
  assert.deepEqual(world.mail.map((one) => [one.from, one.to[0]?.replace(/very.*x@/, 'long@')]).sort(), [
    ['', 'bob@sender.example'],
    ['', 'long@sender.example'],
  ]);
  const { rows } = await rig.owner.query('select distinct direction, domain, mailbox_id from ledger');
  assert.deepEqual(rows, [{ direction: 'outbound', domain: 'acme.example', mailbox_id: null }]);
  const free = await rig.owner.query('select count(*)::int as n from outbound_counts');
  assert.equal(free.rows[0]?.n, 0, 'notifications are not counted');

  assert.match((await send('', rewritten.replace('bob', 'eve')))[1] ?? '', /^550 5\.7\.1/);
  assert.match((await send('', `srs0=x=y=a.example=b@${SRS.domain}`))[1] ?? '', /^550 5\.7\.1/);
  assert.match((await send('bob@sender.example', rewritten))[1] ?? '', /^550 5\.7\.1/, 'no way to relay');
  assert.match((await send('', `postmaster@${SRS.domain}`))[1] ?? '', /^550 5\.7\.1/);
  const both = await Talker.open(rig.smtp);
  await both.say('MAIL FROM:<>');
  assert.match(await both.say(`RCPT TO:<${rewritten}>`), /^250/);
  assert.match(await both.say('RCPT TO:<ann@acme.example>'), /^452/);
  both.close();
  rig.clock.advance(22 * 86_400_000);
  assert.match((await send('', rewritten))[1] ?? '', /^550 5\.7\.1/);
});

test('a copy that is refused for good is told to the first sender, whom SPF has proved', async (t) => {
  const { rig, world, forward, send, drain } = await openForwarding(t, {
    refuse: (to) => (to === 'ann@far.example' ? 550 : null),
  });
  await forward('ann@far.example', false);
  await send('bob@sender.example', 'ann@acme.example');
  await drain();
  assert.deepEqual(
    world.mail.map((one) => [one.from, one.to]),
    [['', ['bob@sender.example']]],
  );
  assert.match(world.mail[0]?.body ?? '', /Final-Recipient: rfc822; ?ann@far\.example/i);
  await rig.owner.query(`update messages set authentication_results = null`);
  await send('eve@sender.example', 'ann@acme.example');
  await rig.owner.query(`update messages set authentication_results = 'x; spf=fail smtp.mailfrom=eve@sender.example'`);
  await drain();
  assert.equal(world.mail.length, 1, 'a forged sender gets nothing');
});

test('setting a forwarding: an address outside only, of our own mailboxes only, with its audit entry', async (t) => {
  const { rig, forward, ann, partner } = await openForwarding(t);
  const refused = (code: string) => (error: unknown) => error instanceof AppError && error.code === code;
  await assert.rejects(forward('bob@acme.example'), refused('invalid_input'));
  await assert.rejects(forward('nobody'), refused('invalid_input'));
  await assert.rejects(
    rig.db.tenant(partner.id, (tx) =>
      setForward(tx, { mailboxId: '00000000-0000-7000-8000-000000000000', to: null, keep: true, actor: 'test' }),
    ),
    refused('not_found'),
  );
  assert.equal((await forward('Ann@Far.example', false)).forwardTo, 'ann@far.example');
  assert.deepEqual([(await forward(null, false)).forwardTo, (await forward(null)).forwardKeep], [null, true]);
  const { rows } = await rig.owner.query(`select details from audit where action = 'mailbox.forward' order by at, id`);
  assert.deepEqual(rows[0]?.details, { mailboxId: ann, to: 'ann@far.example', keep: false });
});

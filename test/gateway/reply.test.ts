import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { listMailboxes } from '../../src/accounts/mailboxes.ts';
import { AppError } from '../../src/core/errors.ts';
import { silentLogger } from '../../src/core/log.ts';
import type { Pipeline } from '../../src/core/message.ts';
import type { Verdict } from '../../src/core/verdict.ts';
import { buildAnswer } from '../../src/gateway/answer.ts';
import { replyToDelivery } from '../../src/gateway/index.ts';
import { deliveryBalance } from '../../src/ledger/read.ts';
import { zoneResolver } from '../../src/mail/resolver.ts';
import { createPreviewer } from '../../src/quarantine/preview.ts';
import type { QuarantineActor } from '../../src/quarantine/rights.ts';
import { byLocalPart, CONFIG, openRig, openSink, Talker } from './support/rig.ts';
import { seedSubmitter } from './support/submitter.ts';

const isCode = (code: string) => (error: unknown) => error instanceof AppError && error.code === code;

const TECHNICIAN: QuarantineActor = { role: 'technician', name: 'tech@msp.example', mailboxIds: null, clientId: null };

const ORIGINAL = [
  'From: Bob <bob@sender.example>',
  'Reply-To: Sales <sales@sender.example>',
  'Subject: Offer',
  'Message-ID: <2@sender.example>',
  'References: <0@sender.example> <1@sender.example>',
  '',
  'Dear Ann,',
  'buy this.',
  '',
].join('\r\n');

/** The mail that Ann got held, and a world that takes answers. */
async function open(t: TestContext, pipeline: Pipeline = byLocalPart, original = ORIGINAL) {
  const world = await openSink(t);
  const own = await openSink(t);
  const zone = {
    'sender.example': { MX: [{ exchange: 'mx.sender.example', priority: 1 }] },
    'mx.sender.example': { A: ['127.0.0.1'] },
  };
  // What comes in is facts of the rig's pipeline, but for the Message-ID, which threading is about.
  const withId: Pipeline = {
    ...pipeline,
    async run(input, signal) {
      const result = await pipeline.run(input, signal);
      return { ...result, facts: { ...result.facts, messageId: '<2@sender.example>' } };
    },
  };
  const rig = await openRig(t, { resolver: zoneResolver(zone), mxPort: world.port, pipeline: withId });
  const { partner, clientId } = await seedSubmitter(rig.db, own.port);
  const client = await Talker.open(rig.smtp);
  await client.send('bob@sender.example', ['quarantine@acme.example'], original);
  client.close();
  const { rows } = await rig.owner.query<{ id: string; content: string }>(
    'select d.id, m.content_id as content from deliveries d join messages m on m.id = d.message_id',
  );
  const held = rows[0] ?? assert.fail('the message is not there');
  const previewer = createPreviewer({ store: rig.spool, logger: silentLogger });
  t.after(() => previewer.close());
  const boxes = await rig.db.tenant(partner.id, (tx) => listMailboxes(tx, clientId, { first: 10, after: null }));
  const box = boxes.find((one) => one.address === 'quarantine@acme.example') ?? assert.fail();
  const user: QuarantineActor = { role: 'user', name: box.address, mailboxIds: [box.id], clientId };
  const deps = { ...rig, pipeline, previewer, config: CONFIG };
  const reply = (text: string, subject: string | null = null, actor = user) =>
    replyToDelivery(deps, partner.id, actor, { deliveryId: held.id, text, subject });
  const verdict = (one: Verdict) => rig.owner.query('update deliveries set verdict = $1 where id = $2', [one, held.id]);
  return { rig, world, partner, clientId, held, reply, user, verdict };
}

test('an answer goes out as the mailbox, quoted, threaded, and counted as an outbound message', async (t) => {
  const { rig, world, partner, clientId, reply } = await open(t);
  const answer = await reply('No, thank you.\nAnn');
  assert.equal(answer.sent, true);
  rig.clock.advance(1_000);
  await rig.delivery.drainOnce();
  assert.equal(world.mail.length, 1);
  const [mail] = world.mail;
  assert.deepEqual([mail?.from, mail?.to], ['quarantine@acme.example', ['sales@sender.example']]);
  const body = mail?.body ?? '';
  assert.match(body, /^From: quarantine <quarantine@acme\.example>\r$/m);
  assert.match(body, /^To: sales@sender\.example\r$/m);
  assert.match(body, /^Subject: Re: Hello\r$/m);
  assert.match(body, /^In-Reply-To: <2@sender\.example>\r$/m);
  assert.match(body, /^References: <0@sender\.example> <1@sender\.example>\s+<2@sender\.example>\r$/m);
  assert.match(
    body,
    /No, thank you\.\r\nAnn\r\n\r\nOn 2026-10-14 09:30 UTC, bob@sender\.example wrote:\r\n> Dear Ann,\r\n> buy this\./,
  );
  const { rows } = await rig.owner.query(
    `select d.direction, d.disposition, d.mailbox_id is not null as own, m.sender from deliveries d
     join messages m on m.id = d.message_id where d.id = $1`,
    [answer.deliveryId],
  );
  assert.deepEqual(rows, [
    { direction: 'outbound', disposition: 'delivered', own: true, sender: 'quarantine@acme.example' },
  ]);
  const events = await rig.owner.query("select kind from ledger where direction = 'outbound' order by occurred_at, id");
  assert.deepEqual(
    events.rows.map((row) => row.kind),
    ['accepted', 'delivered'],
  );
  const balance = await rig.db.tenant(partner.id, (tx) => deliveryBalance(tx, partner.id, clientId));
  assert.deepEqual([balance.accepted, balance.queued], [2, 0]);
  assert.equal((await rig.owner.query("select from audit where action = 'message.reply'")).rowCount, 1);
});

test('the same answer goes out once, at once and afterwards; another one goes too', async (t) => {
  const { rig, world, reply } = await open(t);
  const results = await Promise.allSettled(Array.from({ length: 6 }, () => reply('Once')));
  const done = results.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
  assert.equal(done.filter((one) => one.sent).length, 1);
  assert.ok(results.every((one) => one.status === 'fulfilled' || isCode('conflict')(one.reason)));
  const again = await reply('Once');
  assert.deepEqual(again, { deliveryId: done.find((one) => one.sent)?.deliveryId, sent: false });
  assert.equal((await reply('Twice', 'Other')).sent, true);
  await rig.delivery.drainOnce();
  assert.equal(world.mail.length, 2);
});

test('the sender of phish and malware is answered by technicians only', async (t) => {
  const { reply, verdict, rig } = await open(t);
  for (const one of ['phish', 'malware'] as const) {
    await verdict(one);
    await assert.rejects(reply('Hi'), isCode('forbidden'));
  }
  assert.equal((await rig.owner.query('select from messages')).rowCount, 1);
  assert.equal((await reply('Hi', null, TECHNICIAN)).sent, true);
});

test('without the body, the mailbox or the client there is no answer, and nothing is sent', async (t) => {
  const { rig, held, reply, partner, user, verdict } = await open(t);
  await assert.rejects(reply(' '), isCode('invalid_input'));
  await assert.rejects(reply('x'.repeat(100_001)), isCode('invalid_input'));
  await assert.rejects(reply('Hi', 'x'.repeat(501)), isCode('invalid_input'));
  await assert.rejects(reply('Hi', null, { ...user, mailboxIds: [] }), isCode('not_found'));
  await rig.owner.query("update clients set status = 'suspended'");
  await assert.rejects(reply('Hi'), /suspended/);
  await rig.owner.query("update clients set status = 'active'; update mailboxes set status = 'blocked'");
  await assert.rejects(reply('Hi'), /not in use/);
  await rig.owner.query("update mailboxes set status = 'active'");
  await rig.spool.remove(held.content);
  await assert.rejects(
    reply('Hi'),
    (error: unknown) => isCode('conflict')(error) && /no longer stored/.test(String(error)),
  );
  assert.equal((await rig.owner.query('select from messages')).rowCount, 1);
  assert.equal((await rig.owner.query('select from message_replies')).rowCount, 0);
  assert.ok(partner && verdict);
});

test('what the filter refuses is said and may be tried again; a filter that fails sends nothing', async (t) => {
  let mode: 'reject' | 'broken' | 'pass' = 'reject';
  const { reply, rig } = await open(t, {
    ...byLocalPart,
    async run(input, signal) {
      if (input.envelope.direction === 'inbound' || mode === 'pass') return byLocalPart.run(input, signal);
      if (mode === 'broken') throw new AppError('unavailable', 'the filter is down');
      const result = await byLocalPart.run(input, signal);
      const reasons = [{ code: 'content.spam', detail: '' }];
      return {
        ...result,
        decisions: result.decisions.map((one) => ({ ...one, verdict: 'spam', action: 'reject', reasons })),
      };
    },
  });
  await assert.rejects(reply('Buy now'), /the filter refuses the answer: .*content\.spam/);
  mode = 'broken';
  await assert.rejects(reply('Buy now'), isCode('unavailable'));
  mode = 'pass';
  assert.equal((await reply('Buy now')).sent, true);
  assert.equal((await rig.owner.query('select from message_replies')).rowCount, 1);
});

test('nothing that a stranger wrote begins another field or another recipient', async () => {
  const message = await buildAnswer({
    id: 'x',
    at: new Date('2026-10-14T09:30:00Z'),
    from: { address: 'ann@acme.example', name: 'Ann\r\nBcc: eve@bad.example' },
    to: 'bob@sender.example',
    subject: 'Re: Hi\r\nBcc: eve@bad.example',
    text: 'Hi\r\n.\r\nQUIT',
    original: {
      messageId: '<1@x>\r\nX-Evil: 1 <2@x>',
      references: `${'<a@x> '.repeat(100)}<\r\nX-Evil: 1>`,
      author: 'Bob\r\nX-Evil: 1',
      date: new Date('2026-10-14T09:00:00Z'),
      text: `line\r\n`.repeat(2_000),
    },
  });
  const text = message.toString();
  const header = text.slice(0, text.indexOf('\r\n\r\n'));
  assert.doesNotMatch(header, /^(?:Bcc|X-Evil):/im);
  assert.match(header, /^In-Reply-To: <1@x>\r$/m);
  assert.ok((header.match(/<a@x>/g)?.length ?? 0) < 20);
  assert.equal(text.match(/^> line/gm)?.length, 500);
  assert.match(text, /^> \[/m);
  assert.doesNotMatch(text, /[^\r]\n/);
});

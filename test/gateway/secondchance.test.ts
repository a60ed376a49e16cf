import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { type TestContext, test } from 'node:test';
import type { Job } from '../../src/gateway/queue.ts';
import type { RelayReply, RelayResult } from '../../src/gateway/relay.ts';
import { deservesSecondChance, sendSecondChance } from '../../src/gateway/secondchance.ts';
import { CA, OTHER, SERVER } from './support/certificates.ts';
import { openPicky, type PickyOptions } from './support/picky.ts';
import { openRig, Talker } from './support/rig.ts';
import { seedSubmitter } from './support/submitter.ts';

const HOUR = 3_600_000;
const LONG = `Subject: Hello\r\nX-Tollgate-Second-Chance: forged\r\n\r\n${'long '.repeat(400)}\r\n.dot\r\n`;

/** A client whose server is as given, with one message for it, tried once. */
async function world(t: TestContext, server: PickyOptions, body = LONG) {
  const sink = await openPicky(t, server);
  const rig = await openRig(t);
  await seedSubmitter(rig.db, sink.port);
  const client = await Talker.open(rig.smtp);
  const sent = body.replace(/^\./gm, '..');
  assert.match((await client.send('bob@sender.example', ['ann@acme.example'], sent)).at(-1) ?? '', /^250 2\.0\.0/);
  client.close();
  const state = async () => {
    const delivery = await rig.owner.query<{ disposition: string; reply: string; body: string }>(
      'select disposition, remote_reply as reply, content_id as body from deliveries d join messages m on m.id = d.message_id',
    );
    const event = await rig.owner.query<{ reasons: string[] }>(
      "select reasons from ledger where kind in ('delivered', 'bounced')",
    );
    const attempts = await rig.owner.query<{ code: number; tls_version: string | null }>(
      "select code, tls_version from delivery_attempts where path = 'second_chance' order by at",
    );
    const counters = await rig.owner.query<{ value: string }>('select value from delivery_counters order by name');
    return {
      ...delivery.rows[0],
      reasons: event.rows[0]?.reasons,
      attempts: attempts.rows.map((one) => one.code),
      counters: counters.rows.map((one) => Number(one.value)),
    };
  };
  return { sink, rig, state };
}

const noLongLines = (body: string) =>
  body.split('\r\n').some((line) => line.length > 998) ? '554 5.6.0 Line too long' : '250 taken';

test('a server that refuses overlong lines gets the message written anew, at once; it counts apart', async (t) => {
  const { sink, rig, state } = await world(t, { content: noLongLines });
  await rig.delivery.drainOnce();
  const { disposition, reasons, attempts, counters, body } = await state();
  assert.deepEqual([disposition, reasons, attempts], ['delivered', ['delivery.second_chance'], [250]]);
  assert.deepEqual(counters, [1, 1]);
  assert.equal(sink.bodies.length, 1);
  const taken = sink.bodies[0] ?? '';
  assert.match(taken, /^X-Tollgate-Second-Chance: re-encoded\r\n/);
  assert.equal(taken.match(/X-Tollgate-Second-Chance/g)?.length, 1, 'a forged note is gone');
  assert.match(taken, /^Received: /m);
  assert.match(taken, /Content-Transfer-Encoding: quoted-printable/);
  assert.match(taken, /^=2Edot/m);
  const kept: Buffer[] = [];
  for await (const chunk of await rig.spool.open(String(body))) kept.push(chunk as Buffer);
  assert.match(Buffer.concat(kept).toString(), /(long ){400}\r\n\.dot\r\n/, 'the original is as it was');
  assert.equal((await rig.owner.query('select from queue')).rowCount, 0);
});

test('a server that chokes on EHLO parameters is spoken to without them', async (t) => {
  const { sink, rig, state } = await world(t, {
    extensions: ['SIZE 1000000', '8BITMIME', 'PIPELINING'],
    answer: (line) => (/^MAIL .*>\s+\S/.test(line) ? '555 5.5.4 Unsupported parameters' : undefined),
  });
  await rig.delivery.drainOnce();
  assert.deepEqual([(await state()).disposition, sink.bodies.length], ['delivered', 1]);
  assert.ok(sink.lines.includes('MAIL FROM:<bob@sender.example>'));
});

test('a server that hangs up on EHLO is spoken to with HELO, once the mail is an hour old', async (t) => {
  const { sink, rig, state } = await world(t, { answer: (line) => (line.startsWith('EHLO') ? null : undefined) });
  await rig.delivery.drainOnce();
  assert.deepEqual([(await state()).disposition, (await state()).attempts], ['deferred', []]);
  rig.clock.advance(HOUR + 1000);
  await rig.delivery.drainOnce();
  assert.deepEqual([(await state()).disposition, (await state()).attempts], ['delivered', [250]]);
  assert.ok(sink.lines.some((line) => line.startsWith('HELO ')));
});

test('a server that keeps deferring is tried the other way after an hour, and at most once an hour', async (t) => {
  const { sink, rig, state } = await world(t, { content: () => '451 4.3.0 Something is wrong' });
  await rig.delivery.drainOnce();
  assert.equal(sink.lines.filter((line) => line === 'DATA').length, 1);
  rig.clock.advance(HOUR + 1000);
  await rig.delivery.drainOnce();
  assert.equal(sink.lines.filter((line) => line === 'DATA').length, 3);
  const { disposition, reply, attempts, counters } = await state();
  assert.deepEqual([disposition, attempts, counters], ['deferred', [451], [0, 1]]);
  assert.match(reply ?? '', /Something is wrong/);
  rig.clock.advance(HOUR / 2);
  await rig.delivery.drainOnce();
  assert.equal(sink.lines.filter((line) => line === 'DATA').length, 4, 'within the hour the usual way only');
});

test('a server that greylists is never tried the other way', async (t) => {
  const { sink, rig, state } = await world(t, {
    answer: (line) => (line.startsWith('RCPT') ? '450 4.7.1 Greylisted, please come back later' : undefined),
  });
  for (let round = 0; round < 6; round += 1) {
    await rig.delivery.drainOnce();
    rig.clock.advance(4 * HOUR);
  }
  assert.deepEqual([(await state()).disposition, (await state()).attempts], ['deferred', []]);
  assert.equal(sink.connections, 6);
});

test('a content refusal that both ways meet with bounces once, with what the server said first', async (t) => {
  let said = 0;
  const { rig, state } = await world(t, {
    content: () => {
      said += 1;
      return `554 5.6.0 Malformed, said the ${said}. time`;
    },
  });
  await rig.delivery.drainOnce();
  const { disposition, reply, attempts, reasons, counters } = await state();
  assert.deepEqual([disposition, attempts, reasons, counters, said], ['bounced', [554], [], [0, 1], 2]);
  assert.match(reply ?? '', /said the 1\. time/);
});

test('a message that can not be written anew is not sent halfway', async (t) => {
  const twice = 'Content-Type: text/plain\r\nContent-Type: text/html\r\n\r\nHi\r\n';
  const { sink, rig, state } = await world(t, { content: () => '554 5.6.0 bad MIME' }, twice);
  await rig.delivery.drainOnce();
  assert.deepEqual([(await state()).disposition, (await state()).attempts], ['bounced', [0]]);
  assert.equal(sink.bodies.length, 0);
});

const NOW = new Date('2026-10-14T12:00:00Z');
const job = (changes: Partial<Job> = {}): Job => ({
  partnerId: '',
  deliveryId: '',
  clientId: '',
  messageId: '',
  mailboxId: null,
  contentId: '',
  sender: 'bob@sender.example',
  recipient: 'ann@acme.example',
  domain: 'acme.example',
  ownDomain: 'acme.example',
  kind: 'mail',
  direction: 'inbound',
  transform: 'none',
  strip: [],
  verdict: 'clean',
  disposition: 'queued',
  attempts: 5,
  queuedAt: new Date(NOW.getTime() - HOUR - 1),
  expiresAt: new Date(NOW.getTime() + 14 * 24 * HOUR),
  acceptedAt: NOW,
  bytes: 1000,
  helo: '',
  remoteAddress: '',
  tls: false,
  receivedAt: NOW,
  authenticationResults: null,
  dsnRet: null,
  dsnEnvid: null,
  dsnNotify: null,
  dsnOrcpt: null,
  smtpUtf8: false,
  forwardedFor: null,
  ...changes,
});

function deserves(reply: RelayReply, changes: Partial<Job> = {}, result: Partial<RelayResult> = {}): boolean {
  const one = job(changes);
  return deservesSecondChance(one, { replies: new Map([[one.recipient, reply]]), failure: null, ...result }, NOW);
}

const young = { queuedAt: new Date(NOW.getTime() - HOUR) };

test('who gets a second chance', () => {
  const content = { code: 554, text: '554 5.0.0 Transaction failed', afterData: true };
  assert.ok(deserves(content));
  assert.ok(!deserves(content, young));
  assert.ok(!deserves({ ...content, afterData: false }));
  for (const text of [
    '554 5.6.0 refused',
    '550 Maximum line length exceeded',
    '550 5.6.1 8BITMIME is not supported',
    '554 bare LF received',
    '503 5.5.1 Pipelining is not allowed',
    '555 5.5.4 Unsupported option: SIZE',
    '550-5.7.1 Our system has detected that this message is malformed',
  ]) {
    const code = Number(text.slice(0, 3));
    assert.ok(deserves({ code, text }, young), text);
    assert.ok(!deserves({ code, text }, { ...young, bytes: 100_000_000 }), 'too large');
    assert.ok(!deserves({ code, text }, { ...young, kind: 'dsn' }));
    assert.ok(!deserves({ code, text }, { ...young, recipient: 'änn@acme.example' }));
  }
  assert.ok(deserves({ code: 451, text: '451 4.3.0 Temporary failure' }));
  assert.ok(!deserves({ code: 451, text: '451 4.3.0 Temporary failure' }, { attempts: 1 }), 'not deferred before');
  assert.ok(!deserves({ code: 451, text: '451 4.3.0 Temporary failure' }, young));
  const down = { code: 0, text: 'connection refused' };
  assert.ok(!deserves(down), 'down');
  assert.ok(deserves(down, {}, { failure: 'closed', greeted: true }));
  for (const text of [
    '421 4.3.2 Closing',
    '450 4.7.1 try again later',
    '451 4.7.0 Temporary failure',
    '450 Greylisted for 300 seconds',
    '451 Graylisting in action, please come back in 00:05:00',
    '452 4.2.2 Mailbox full',
    '450 4.1.1 unknown',
    '550 5.1.1 No such user',
    '552 5.2.2 Mailbox full',
    '554 5.7.1 Message refused',
    '554 5.6.0 Rejected as spam',
    '451 virus scanner says no',
    '250 ok',
  ])
    assert.ok(!deserves({ code: Number(text.slice(0, 3)), text, afterData: true }), text);
  const tls = { failure: 'x', greeted: true, tlsPolicy: 'mta-sts enforce', tlsVersion: null } as const;
  assert.ok(!deserves({ code: 451, text: '451 4.7.5 MTA-STS' }, {}, tls));
  assert.ok(!deserves(down, {}, { ...tls, tlsPolicy: 'required' }));
});

async function direct(
  t: TestContext,
  server: PickyOptions,
  tls: 'opportunistic' | 'required',
  source: string | null = null,
) {
  const sink = await openPicky(t, server);
  const to = { host: 'mx.far.example', address: '127.0.0.1', port: sink.port, tls };
  const result = await sendSecondChance({ hostName: 'mx.tollgate.example', source, ca: CA }, to, {
    sender: 'ann@acme.example',
    recipients: ['bob@far.example', 'eve@far.example'],
    bytes: 100,
    open: async () => Readable.from(['Subject: Hello\r\n\r\nHi\r\n']),
  });
  return { sink, result, codes: [...result.replies.values()].map((one) => one.code) };
}

test('the second way keeps to the policy of TLS, and tells what came of it', async (t) => {
  const good = await direct(t, { tls: SERVER }, 'required');
  assert.deepEqual([good.codes, good.sink.secure, good.result.tlsVerified], [[250, 250], 1, true]);
  for (const server of [{ tls: OTHER }, {}, { brokenTls: true }]) {
    const bad = await direct(t, server, 'required');
    assert.deepEqual([bad.codes, bad.sink.bodies.length], [[0, 0], 0]);
  }
  const open = await direct(t, { brokenTls: true }, 'opportunistic');
  assert.deepEqual([open.codes, open.sink.connections, open.result.tlsVersion], [[250, 250], 2, null]);
});

test('each recipient has its own answer; without one that is taken no message is sent', async (t) => {
  const some = await direct(
    t,
    { answer: (line) => (line.includes('eve@') ? '550 5.1.1 no' : undefined) },
    'opportunistic',
  );
  assert.deepEqual([some.codes, some.sink.bodies.length], [[250, 550], 1]);
  const none = await direct(
    t,
    { answer: (line) => (line.startsWith('RCPT') ? '451 4.3.0 no' : undefined) },
    'opportunistic',
  );
  assert.deepEqual([none.codes, none.sink.lines.includes('DATA')], [[451, 451], false]);
  const silent = await direct(t, { banner: '554 no service' }, 'opportunistic');
  assert.deepEqual(silent.codes, [554, 554]);
  const rubbish = await direct(t, { banner: 'SSH-2.0-OpenSSH' }, 'opportunistic');
  assert.deepEqual(rubbish.codes, [0, 0]);
  assert.match(rubbish.result.failure ?? '', /does not speak SMTP/);
});

test('the second way leaves from the address that is set, where it is of the same family', async (t) => {
  const other = await direct(t, {}, 'opportunistic', '127.0.0.9');
  assert.deepEqual([other.codes, other.sink.peers], [[250, 250], ['127.0.0.9']]);
  const six = await direct(t, {}, 'opportunistic', '2001:db8::1');
  assert.deepEqual([six.codes, six.sink.peers], [[250, 250], ['127.0.0.1']]);
});

test('the deadline is for all connections of the second way together', async (t) => {
  const sink = await openPicky(t, { answer: (line) => (line.startsWith('EHLO') ? '250-' : undefined) });
  const result = await sendSecondChance(
    { hostName: 'mx.tollgate.example', source: null, timeoutMs: 5_000, deadlineMs: 300 },
    { host: 'mx.far.example', address: '127.0.0.1', port: sink.port, tls: 'opportunistic' },
    {
      sender: 'ann@acme.example',
      recipients: ['bob@far.example'],
      bytes: 100,
      open: async () => Readable.from(['Subject: Hello\r\n\r\nHi\r\n']),
    },
  );
  assert.notEqual(result.failure, null);
  // The server may hear of a connection later than we give it up.
  while (sink.connections === 0) await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual([sink.connections, sink.bodies.length], [1, 0]);
});

test('a server that goes silent after the final dot may have taken the message: no second way at once', async (t) => {
  const { sink, rig, state } = await world(t, { content: () => null });
  await rig.delivery.drainOnce();
  rig.clock.advance(HOUR + 1000);
  await rig.delivery.drainOnce();
  assert.deepEqual([(await state()).disposition, (await state()).attempts], ['deferred', []]);
  assert.equal(sink.lines.filter((line) => line === 'DATA').length, 2);
});

test('a server that hangs up on a command it does not know is spoken to without it, once the mail is an hour old', async (t) => {
  const { sink, rig, state } = await world(t, {
    extensions: ['SIZE 1000000', '8BITMIME'],
    answer: (line) => (/^MAIL .*>\s+\S/.test(line) ? null : undefined),
  });
  await rig.delivery.drainOnce();
  assert.deepEqual([(await state()).disposition, (await state()).attempts], ['deferred', []]);
  rig.clock.advance(HOUR + 1000);
  await rig.delivery.drainOnce();
  assert.deepEqual([(await state()).disposition, (await state()).attempts], ['delivered', [250]]);
  assert.equal(sink.bodies.length, 1);
});

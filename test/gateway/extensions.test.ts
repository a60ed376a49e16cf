import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { SMTPServerOptions } from 'smtp-server';
import { zoneResolver } from '../../src/mail/resolver.ts';
import { openRig, openSink, Talker } from './support/rig.ts';
import { login, PASSWORD, seedSubmitter } from './support/submitter.ts';

const HOUR = 3_600_000;
const latin = (text: string) => Buffer.from(text).toString('latin1');

interface Sides {
  readonly far?: SMTPServerOptions;
  readonly farAnswer?: (to: string) => number | null;
  readonly own?: SMTPServerOptions;
}

async function openBoth(t: TestContext, { far = {}, farAnswer = () => null, own = {} }: Sides = {}) {
  const farSink = await openSink(t, farAnswer, 0, { hideDSN: false, ...far });
  const ownSink = await openSink(t, () => null, 0, { hideDSN: false, ...own });
  const resolver = zoneResolver({ 'far.example': { A: ['127.0.0.1'] } });
  const rig = await openRig(t, { resolver, mxPort: farSink.port });
  await seedSubmitter(rig.db, ownSink.port);
  /** Sends with parameters; answers the replies. */
  const say = async (port: number, mail: string, rcpt: readonly string[], body = 'Subject: Hello\r\n\r\nHi\r\n') => {
    const client = await Talker.open(port);
    if (port === rig.submission) await login(client, PASSWORD);
    const replies = [await client.say(`MAIL FROM:${mail}`)];
    for (const one of rcpt) replies.push(await client.say(`RCPT TO:${one}`));
    if (replies.every((one) => one.startsWith('250'))) {
      await client.say('DATA');
      replies.push(await client.say(`${body}.`));
    }
    client.close();
    return replies.at(-1) ?? '';
  };
  const drain = async () => {
    while ((await rig.delivery.drainOnce()) > 0);
  };
  const notices = () => ownSink.mail.filter((one) => one.from === '').map((one) => one.body);
  return { ...rig, farSink, ownSink, say, drain, notices };
}

test('EHLO names what is kept, and nothing that is not', async (t) => {
  const rig = await openBoth(t);
  const names = async (port: number) => {
    const client = new Talker(port);
    await client.reply();
    const lines = (await client.say('EHLO client.example')).split('\r\n').map((line) => line.slice(4));
    client.close();
    return lines.slice(1).toSorted();
  };
  const common = ['8BITMIME', 'DSN', 'ENHANCEDSTATUSCODES', 'PIPELINING', 'SIZE 1000000', 'SMTPUTF8'];
  const inbound = await names(rig.smtp);
  assert.deepEqual(
    inbound.filter((name) => name !== 'ETRN'),
    common,
  );
  assert.deepEqual(await names(rig.submission), [...common, 'AUTH PLAIN LOGIN'].toSorted());
});

test('parameters: what is known is taken, what is malformed is 501, what is unknown is 555', async (t) => {
  const rig = await openBoth(t);
  const client = await Talker.open(rig.smtp);
  const mail = async (parameters: string) => {
    const reply = await client.say(`MAIL FROM:<eve@far.example> ${parameters}`);
    await client.say('RSET');
    return reply.slice(0, 3);
  };
  const rcpt = async (parameters: string) => {
    await client.say('MAIL FROM:<eve@far.example>');
    const reply = await client.say(`RCPT TO:<ann@acme.example> ${parameters}`);
    await client.say('RSET');
    return reply.slice(0, 3);
  };
  for (const good of ['SIZE=1000', 'BODY=8BITMIME', 'BODY=7BIT', 'SMTPUTF8', 'RET=HDRS', 'ret=full ENVID=QQ314159'])
    assert.equal(await mail(good), '250', good);
  for (const bad of ['RET=ALL', 'RET', 'ENVID=', 'BODY=WHAT', `ENVID=${'x'.repeat(101)}`, 'RET=FULL RET=HDRS'])
    assert.equal(await mail(bad), '501', bad);
  assert.equal(await mail('SIZE=1000001'), '552');
  assert.equal(await mail('REQUIRETLS'), '530', 'not without TLS, RFC 8689');
  for (const unknown of ['MT-PRIORITY=3', 'BY=120;R']) assert.equal(await mail(unknown), '555', unknown);
  for (const good of ['NOTIFY=NEVER', 'NOTIFY=success,failure,delay', 'ORCPT=rfc822;ann@acme.example'])
    assert.equal(await rcpt(good), '250', good);
  for (const bad of ['NOTIFY=', 'NOTIFY=NEVER,SUCCESS', 'NOTIFY=MAYBE', 'ORCPT=ann', `ORCPT=rfc822;${'x'.repeat(501)}`])
    assert.equal(await rcpt(bad), '501', bad);
  assert.equal(await rcpt('WHO=me'), '555');
  client.close();
});

test('every reply of the session but the greeting and EHLO has its enhanced status', async (t) => {
  const rig = await openBoth(t);
  const client = await Talker.open(rig.smtp);
  const replies = [];
  for (const line of [
    'NOOP',
    'MAIL FROM:<x',
    'RCPT TO:<a@acme.example>',
    'DATA',
    'WHAT',
    'MAIL FROM:<eve@far.example>',
    'RCPT TO:<nobody@acme.example>',
    'RCPT TO:<ann@acme.example>',
    'RSET',
    'QUIT',
  ])
    replies.push(await client.say(line));
  client.close();
  for (const reply of replies) {
    const [, kind, first] = /^([245])\d\d ([245])\.\d{1,3}\.\d{1,3} \S/.exec(reply) ?? [];
    assert.equal(first, kind, reply);
    assert.ok(first !== undefined, reply);
  }
});

test('what the sender asked for is handed on to a server that knows DSN, and then is its affair', async (t) => {
  const rig = await openBoth(t);
  await rig.say(rig.submission, '<ann@acme.example> RET=HDRS ENVID=QQ+2B1', [
    '<bob@far.example> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;Robert+2Bx@far.example',
    '<eve@far.example> NOTIFY=NEVER',
    '<joe@far.example>',
  ]);
  await rig.drain();
  const got = rig.farSink.mail.map((one) => [
    one.to.join(),
    one.mailArgs['RET'],
    one.mailArgs['ENVID'],
    one.rcptArgs[0],
  ]);
  assert.deepEqual(
    got.toSorted((a, b) => String(a[0]).localeCompare(String(b[0]))),
    [
      ['bob@far.example', 'HDRS', 'QQ+1', { NOTIFY: 'SUCCESS,DELAY', ORCPT: 'rfc822;Robert+x@far.example' }],
      ['eve@far.example', 'HDRS', 'QQ+1', { NOTIFY: 'NEVER' }],
      ['joe@far.example', 'HDRS', 'QQ+1', {}],
    ],
  );
  assert.deepEqual(rig.notices(), []);
});

test('NOTIFY=SUCCESS to a server without DSN: relayed, with the envelope id and the original recipient', async (t) => {
  const rig = await openBoth(t, { far: { hideDSN: true } });
  await rig.say(rig.submission, '<ann@acme.example> ENVID=QQ314159', [
    '<bob@far.example> NOTIFY=SUCCESS ORCPT=rfc822;Robert@far.example',
    '<joe@far.example> NOTIFY=FAILURE',
  ]);
  await rig.drain();
  const [notice = '', ...more] = rig.notices();
  assert.deepEqual(more, []);
  assert.match(notice, /^Subject: Mail was handed on\r$/m);
  assert.match(notice, /^Original-Envelope-Id: QQ314159\r$/m);
  assert.match(notice, /^Original-Recipient: rfc822; Robert@far\.example\r$/m);
  assert.match(notice, /^Final-Recipient: rfc822; bob@far\.example\r$/m);
  assert.match(notice, /^Action: relayed\r$/m);
  assert.match(notice, /^Status: 2\.\d+\.\d+\r$/m);
  const own = rig.ownSink.mail.find((one) => one.from === '');
  assert.equal(own?.rcptArgs[0]?.['NOTIFY'], 'NEVER', 'RFC 3461 section 6.1');
});

test('NOTIFY=SUCCESS is for senders with a login: inbound mail gets no answer, its wishes go on to the server', async (t) => {
  const rig = await openBoth(t);
  await rig.say(rig.smtp, '<eve@far.example> ENVID=abc', ['<ann@acme.example> NOTIFY=SUCCESS,FAILURE']);
  await rig.drain();
  assert.deepEqual(rig.ownSink.mail[0]?.rcptArgs, [{ NOTIFY: 'SUCCESS,FAILURE' }]);
  assert.equal(rig.ownSink.mail.length, 1);
  assert.deepEqual(rig.farSink.mail, []);
  const { rows } = await rig.owner.query("select from messages where direction = 'outbound'");
  assert.deepEqual(rows, []);
});

test('inbound NOTIFY=SUCCESS to a server without DSN: no answer either', async (t) => {
  const rig = await openBoth(t, { own: { hideDSN: true } });
  await rig.say(rig.smtp, '<eve@far.example>', ['<ann@acme.example> NOTIFY=SUCCESS,FAILURE,DELAY']);
  await rig.drain();
  assert.equal(rig.ownSink.mail.length, 1);
  assert.deepEqual(rig.farSink.mail, []);
});

test('NOTIFY says of what: NEVER of nothing, DELAY without FAILURE of the delay only, and the other way round', async (t) => {
  let answer = 451;
  const rig = await openBoth(t, { farAnswer: () => answer });
  await rig.say(rig.submission, '<ann@acme.example>', [
    '<never@far.example> NOTIFY=NEVER',
    '<delay@far.example> NOTIFY=DELAY',
    '<failure@far.example> NOTIFY=FAILURE',
    '<success@far.example> NOTIFY=SUCCESS',
    '<plain@far.example>',
  ]);
  await rig.drain();
  rig.clock.advance(4 * HOUR);
  await rig.drain();
  answer = 550;
  rig.clock.advance(4 * HOUR);
  await rig.drain();
  const told = rig
    .notices()
    .map((body) => `${/^Action: (\w+)/m.exec(body)?.[1]} ${/^Final-Recipient: rfc822; (\w+)/m.exec(body)?.[1]}`);
  assert.deepEqual(told.toSorted(), ['delayed delay', 'delayed plain', 'failed failure', 'failed plain']);
});

test('RET=FULL brings the whole message back, HDRS and nothing bring the header', async (t) => {
  const rig = await openBoth(t, { farAnswer: () => 550 });
  const body = 'Subject: Secret plan\r\n\r\nThe plan is this.\r\n';
  for (const ret of ['RET=FULL', 'RET=HDRS', '']) {
    await rig.say(rig.submission, `<ann@acme.example> ${ret}`.trim(), ['<bob@far.example>'], body);
    await rig.drain();
  }
  const [full = '', header = '', none = ''] = rig.notices();
  assert.match(
    full,
    /Content-Type: message\/rfc822\r\n\r\n[\s\S]*Subject: Secret plan\r\n[\s\S]*The plan is this\.\r\n/,
  );
  for (const one of [header, none]) {
    assert.match(one, /Content-Type: text\/rfc822-headers\r\n\r\n[\s\S]*Subject: Secret plan/);
    assert.doesNotMatch(one, /The plan is this/);
  }
});

test('SMTPUTF8: an address that needs it is taken with it only, and bounces with 5.6.7 at a server without it', async (t) => {
  const rig = await openBoth(t, { far: { hideSMTPUTF8: true } });
  const jorg = latin('<jörg@far.example>');
  assert.match(await rig.say(rig.submission, '<ann@acme.example>', [jorg]), /^553 5\.6\.7 /);
  assert.match(await rig.say(rig.submission, '<ann@acme.example> SMTPUTF8', [jorg, '<bob@far.example>']), /^250/);
  await rig.drain();
  assert.deepEqual(
    rig.farSink.mail.map((one) => one.to),
    [['bob@far.example']],
  );
  const [notice = ''] = rig.notices();
  assert.match(notice, /^Status: 5\.6\.7\r$/m);
  assert.match(notice, /^Final-Recipient: utf-8; j\\x\{F6\}rg@far\.example\r$/m);
});

test('SMTPUTF8: the address goes to a server that knows it', async (t) => {
  const rig = await openBoth(t);
  await rig.say(rig.submission, '<ann@acme.example> SMTPUTF8', [latin('<jörg@far.example>')]);
  await rig.drain();
  assert.equal(rig.farSink.mail[0]?.mailArgs['SMTPUTF8'], true);
  assert.deepEqual(rig.farSink.mail[0]?.to, ['jörg@far.example']);
});

test('SMTPUTF8: a header that was declared for it bounces too; one that was not goes as it is', async (t) => {
  const rig = await openBoth(t, { far: { hideSMTPUTF8: true } });
  const body = latin('Subject: Grüße\r\n\r\nHi\r\n');
  await rig.say(rig.submission, '<ann@acme.example> SMTPUTF8', ['<bob@far.example>'], body);
  await rig.drain();
  assert.match(rig.notices()[0] ?? '', /^Status: 5\.6\.7\r$/m);
  assert.deepEqual(rig.farSink.mail, []);
  await rig.say(rig.submission, '<ann@acme.example>', ['<bob@far.example>'], body);
  await rig.drain();
  assert.equal(rig.farSink.mail.length, 1);
});

test('8BITMIME: 8-bit mail goes out declared; at a server without it the sender gets 5.6.3 and 7-bit mail goes', async (t) => {
  const body = latin('Subject: Hello\r\n\r\nGrüße\r\n');
  const rig = await openBoth(t, { far: { hide8BITMIME: true } });
  await rig.say(rig.submission, '<ann@acme.example> BODY=8BITMIME', ['<bob@far.example>'], body);
  await rig.drain();
  assert.deepEqual(rig.farSink.mail, []);
  assert.match(rig.notices()[0] ?? '', /^Status: 5\.6\.3\r$/m);
  await rig.say(rig.submission, '<ann@acme.example>', ['<bob@far.example>']);
  await rig.drain();
  assert.equal(rig.farSink.mail.length, 1);

  const other = await openBoth(t);
  await other.say(other.submission, '<ann@acme.example> BODY=8BITMIME', ['<bob@far.example>'], body);
  await other.drain();
  assert.equal(other.farSink.mail[0]?.mailArgs['BODY'], '8BITMIME');
  assert.ok(other.farSink.mail[0]?.body.includes(latin('Grüße')));
});

test('8BITMIME: what came for a client goes to its server as it is, since nobody could be told of a refusal', async (t) => {
  const rig = await openBoth(t, { own: { hide8BITMIME: true } });
  await rig.say(rig.smtp, '<eve@far.example>', ['<ann@acme.example>'], latin('Subject: Hello\r\n\r\nGrüße\r\n'));
  await rig.drain();
  assert.ok(rig.ownSink.mail[0]?.body.includes(latin('Grüße')));
});

test('SIZE: a message that is larger than the next server says it takes bounces at once with 5.3.4', async (t) => {
  const rig = await openBoth(t, { far: { size: 5000 } });
  await rig.say(rig.submission, '<ann@acme.example>', ['<bob@far.example>'], `Subject: x\r\n\r\n${'y'.repeat(70)}\r\n`);
  const large = `Subject: large\r\n\r\n${`${'y'.repeat(70)}\r\n`.repeat(100)}`;
  await rig.say(rig.submission, '<ann@acme.example>', ['<joe@far.example>'], large);
  await rig.drain();
  assert.deepEqual(
    rig.farSink.mail.map((one) => one.to),
    [['bob@far.example']],
  );
  assert.match(rig.notices()[0] ?? '', /^Status: 5\.3\.4\r$/m);
  assert.equal((await rig.owner.query('select from queue')).rowCount, 0);
});

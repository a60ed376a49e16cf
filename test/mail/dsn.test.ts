import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { buildDsn, type DsnInput, delayStatus, enhancedStatus } from '../../src/mail/dsn.ts';
import { headerEnd, splitFields } from '../../src/mail/fields.ts';
import { normalizeMessage } from '../../src/mail/lines.ts';
import { walkStructure } from '../../src/mail/mime.ts';
import { parseMail } from '../../src/mail/parse.ts';
import { crlf } from './support/samples.ts';

const ORIGINAL = crlf(
  'From: ann@client.example',
  'Subject: =?utf-8?B?w6Q=?=',
  'Message-ID: <orig.1@client.example>',
  '',
  'secret body',
);
const INPUT: DsnInput = {
  to: 'ann@client.example',
  reportingMta: 'mx.us.example',
  id: '0199aa',
  at: new Date('2026-10-14T10:00:00Z'),
  arrivalDate: new Date('2026-10-14T09:30:00Z'),
  original: ORIGINAL,
  recipients: [
    {
      recipient: 'bob@far.example',
      originalRecipient: 'robert@far.example',
      action: 'failed',
      status: '5.1.1',
      remoteMta: 'mail.far.example',
      diagnostic: '550 5.1.1 No such user',
      lastAttempt: new Date('2026-10-14T09:59:00Z'),
    },
  ],
};

test('what no server said is not put in a server’s mouth', () => {
  const text = buildDsn({
    ...INPUT,
    recipients: [
      {
        recipient: 'bob@nowhere.example',
        action: 'failed',
        status: '5.1.2',
        remoteMta: '',
        diagnostic: '550 5.1.2 The domain has no mail host',
      },
    ],
  }).toString();
  assert.match(text, /attempt will be made\.\r\n {4}reason: 550 5\.1\.2 The domain has no mail host/);
  assert.doesNotMatch(text, /said:|Remote-MTA| host \r/);
});

test('golden: a failure report', async () => {
  const dsn = buildDsn(INPUT);
  const boundary = /boundary="([^"]+)"/.exec(dsn.toString())?.[1] ?? '';
  assert.equal(
    dsn.toString().replaceAll(boundary, 'BOUNDARY'),
    crlf(
      'From: Mail Delivery System <MAILER-DAEMON@mx.us.example>',
      'To: <ann@client.example>',
      'Subject: Undelivered mail returned to sender',
      'Date: Wed, 14 Oct 2026 10:00:00 +0000',
      'Message-ID: <0199aa@mx.us.example>',
      'In-Reply-To: <orig.1@client.example>',
      'References: <orig.1@client.example>',
      'Auto-Submitted: auto-replied',
      'MIME-Version: 1.0',
      'Content-Type: multipart/report; report-type=delivery-status;',
      ' boundary="BOUNDARY"',
      '',
      '--BOUNDARY',
      'Content-Type: text/plain; charset=utf-8',
      'Content-Transfer-Encoding: 8bit',
      '',
      'This is the mail system at mx.us.example.',
      '',
      '<bob@far.example>: could not be delivered. No further attempt will be made.',
      '    host mail.far.example',
      '    said: 550 5.1.1 No such user',
      '',
      '--BOUNDARY',
      'Content-Type: message/delivery-status',
      '',
      'Reporting-MTA: dns; mx.us.example',
      'Arrival-Date: Wed, 14 Oct 2026 09:30:00 +0000',
      '',
      'Original-Recipient: rfc822; robert@far.example',
      'Final-Recipient: rfc822; bob@far.example',
      'Action: failed',
      'Status: 5.1.1',
      'Remote-MTA: dns; mail.far.example',
      'Diagnostic-Code: smtp; 550 5.1.1 No such user',
      'Last-Attempt-Date: Wed, 14 Oct 2026 09:59:00 +0000',
      '',
      '--BOUNDARY',
      'Content-Type: text/rfc822-headers',
      '',
      'From: ann@client.example',
      'Subject: =?utf-8?B?w6Q=?=',
      'Message-ID: <orig.1@client.example>',
      '',
      '--BOUNDARY--',
    ).toString(),
  );
  const parsed = await parseMail(dsn);
  assert.deepEqual(parsed.anomalies, []);
  assert.deepEqual(
    walkStructure(dsn).parts.map((part) => part.contentType),
    ['text/plain', 'message/delivery-status', 'text/rfc822-headers'],
  );
});

test('a delay report says until when, and of two groups each stands alone', () => {
  const [first] = INPUT.recipients;
  assert.ok(first !== undefined);
  const dsn = buildDsn({
    ...INPUT,
    recipients: [
      {
        ...first,
        action: 'delayed',
        status: '4.4.1',
        remoteMta: null,
        diagnostic: null,
        willRetryUntil: new Date('2026-10-19T09:30:00Z'),
      },
      { recipient: 'jürgen@far.example', action: 'delayed', status: 'nonsense', remoteMta: null, diagnostic: null },
    ],
  }).toString();
  assert.match(dsn, /^Subject: Delayed mail/m);
  assert.match(dsn, /\r\nWill-Retry-Until: Mon, 19 Oct 2026 09:30:00 \+0000\r\n/);
  assert.match(
    dsn,
    /\r\n\r\nFinal-Recipient: utf-8; j\\x\{FC\}rgen@far\.example\r\nAction: delayed\r\nStatus: 5\.0\.0\r\n/,
  );
  assert.doesNotMatch(dsn, /Remote-MTA|secret body/);
});

test('the null sender is never answered', () => {
  assert.throws(() => buildDsn({ ...INPUT, to: '' }), /null sender/);
});

test('property: hostile replies and originals stay in their place', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 300 }), fc.uint8Array({ maxLength: 300 }), (reply, original) => {
      const [first] = INPUT.recipients;
      assert.ok(first !== undefined);
      const dsn = buildDsn({
        ...INPUT,
        original: Buffer.concat([
          Buffer.from('X: '),
          Buffer.from(original).filter((byte) => byte !== 0),
          Buffer.from('\r\n--b\r\n'),
        ]),
        recipients: [{ ...first, diagnostic: reply, remoteMta: reply, recipient: reply }],
      });
      normalizeMessage(dsn);
      assert.doesNotMatch(dsn.toString('latin1'), /\r(?!\n)|(?<!\r)\n/);
      assert.equal(
        splitFields(dsn.subarray(0, headerEnd(dsn).header)).filter((field) => field.name === 'from').length,
        1,
      );
      assert.equal(walkStructure(dsn).parts.length, 3);
    }),
    { numRuns: 500 },
  );
});

test('the enhanced status is the true one', () => {
  const cases: [string, string][] = [
    ['550 5.1.1 No such user', '5.1.1'],
    ['550-5.7.26 Unauthenticated', '5.7.26'],
    ['452 4.2.2 Full', '4.2.2'],
    ['550 No such user', '5.0.0'],
    ['421 Later', '4.0.0'],
    ['550 4.1.1 Contradiction', '5.0.0'],
    ['connection refused', '4.0.0'],
    ['250 2.0.0 Ok', '2.0.0'],
  ];
  for (const [reply, status] of cases) assert.equal(enhancedStatus(reply), status, reply);
});

test('the status of a delay: of the reply when it is one of 4yz, else of what the network said', () => {
  for (const [reply, status] of [
    ['451 4.7.1 Greylisted', '4.7.1'],
    ['450-4.2.1 busy\r\n450 4.2.1 later', '4.2.1'],
    ['451 later', '4.0.0'],
    ['451 5.7.1 contradicts itself', '4.0.0'],
    ['550 5.1.1 no delay at all', '4.0.0'],
    ['451 4.4.4 No gateway in an allowed region (uk) is at work, the mail waits', '4.4.4'],
    ['connect ECONNREFUSED 192.0.2.1:25', '4.4.1'],
    ['Greeting never received', '4.4.1'],
    ['the server closed the connection', '4.4.2'],
    ['read ECONNRESET', '4.4.2'],
    ['mx.example has no address in the DNS', '4.4.4'],
    ['mx.example has no address that mail may be sent to', '4.4.4'],
    [null, '4.0.0'],
  ] as const) {
    assert.equal(delayStatus(reply), status, String(reply));
  }
});

test('what the network said is no SMTP diagnostic, and an original recipient keeps its type', () => {
  const [recipient] = INPUT.recipients;
  assert.ok(recipient);
  const of = (over: Partial<typeof recipient>) =>
    buildDsn({ ...INPUT, recipients: [{ ...recipient, ...over }] }).toString();
  assert.match(of({ diagnostic: 'connect ECONNREFUSED' }), /^Diagnostic-Code: x-tollgate; connect ECONNREFUSED\r$/m);
  assert.match(of({ diagnostic: '550 no' }), /^Diagnostic-Code: smtp; 550 no\r$/m);
  for (const [given, shown] of [
    ['bob@x.example', 'rfc822; bob@x.example'],
    ['rfc822;bob@x.example', 'rfc822; bob@x.example'],
    ['RFC822;j\u00f6rg@x.example', 'utf-8; j\\x{F6}rg@x.example'],
    ['x400;/C=us/S=bob', 'x400; /C=us/S=bob'],
    ['x400;a\r\nStatus: 2.0.0', null],
  ] as const) {
    const text = of({ originalRecipient: given });
    if (shown === null) assert.equal([...text.matchAll(/^Status: /gm)].length, 1);
    else assert.ok(text.includes(`Original-Recipient: ${shown}\r\n`), text);
  }
});

test('the whole message comes back where it was asked for, and the envelope id always', async () => {
  const dsn = buildDsn({ ...INPUT, full: true, envelopeId: 'QQ314159\r\nX: y' });
  assert.match(dsn.toString(), /^Original-Envelope-Id: QQ314159[^\r\n]*\r$/m);
  assert.doesNotMatch(dsn.toString(), /^X: y/m);
  assert.ok(dsn.includes(Buffer.concat([Buffer.from('Content-Type: message/rfc822\r\n\r\n'), ORIGINAL])));
  assert.deepEqual((await parseMail(dsn)).anomalies, []);
  assert.doesNotMatch(buildDsn(INPUT).toString(), /secret body|Original-Envelope-Id/);
});

import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import test from 'node:test';
import fc from 'fast-check';
import { headerEnd, splitFields } from '../../src/mail/fields.ts';
import { formatField } from '../../src/mail/format.ts';
import {
  authenticationResultsField,
  EditHeaders,
  editMessage,
  type HeaderEdits,
  returnPathField,
} from '../../src/mail/headers.ts';
import { decodeWords } from '../../src/mail/mime.ts';
import { receivedField } from '../../src/mail/received.ts';

const text = (value: string) => Buffer.from(value, 'latin1');
const edited = (message: string, edits: HeaderEdits) => editMessage(text(message), edits).toString('latin1');

async function streamed(chunks: readonly Buffer[], edits: HeaderEdits): Promise<Buffer> {
  const pieces: Buffer[] = [];
  for await (const piece of Readable.from(chunks).pipe(new EditHeaders(edits))) pieces.push(piece as Buffer);
  return Buffer.concat(pieces);
}

test('fields are put on top in order, the body stays', () => {
  const result = edited('Subject: a\r\n\r\nbody\r\n', {
    prepend: [returnPathField('ann@sender.example'), authenticationResultsField('mx.us.example; spf=pass')],
  });
  assert.equal(
    result,
    'Return-Path: <ann@sender.example>\r\nAuthentication-Results: mx.us.example; spf=pass\r\nSubject: a\r\n\r\nbody\r\n',
  );
});

test('a Received field has the clauses of RFC 5321 and names one recipient or none', () => {
  const facts = {
    helo: 'mail.sender.example',
    remoteAddress: '2001:db8::1',
    remoteName: 'mail.sender.example',
    by: 'mx.us.example',
    protocol: 'ESMTPS' as const,
    id: '0199',
    recipient: 'bob@client.example',
    at: new Date('2026-10-14T09:30:00Z'),
  };
  assert.equal(
    receivedField(facts).replace(/\r\n /g, ' '),
    'Received: from mail.sender.example (mail.sender.example [IPv6:2001:db8::1]) by mx.us.example with ESMTPS id 0199 for <bob@client.example>; Wed, 14 Oct 2026 09:30:00 +0000\r\n',
  );
  const hostile = receivedField({
    ...facts,
    helo: 'x\r\nBcc: all@world.example\r\n\r\n',
    remoteName: null,
    recipient: 'a>b\n@c',
  });
  assert.equal(splitFields(Buffer.from(hostile)).length, 1);
  assert.match(hostile, /for <a\?b\?@c>/);
});

test('Authentication-Results that claim to be ours go, those of others stay', () => {
  const foreign = 'Authentication-Results: other.example; spf=pass\r\n';
  const claims = [
    'Authentication-Results: mx.us.example; dkim=pass\r\n',
    'authentication-results : MX.US.EXAMPLE 1; dkim=pass\r\n',
    'Authentication-Results:\r\n (comment (nested)) "mx.us.example"; dkim=pass\r\n',
    'Authentication-Results: ; dkim=pass\r\n',
    'Authentication-Results: mx.us.example.; none\r\n',
  ];
  for (const claim of claims) {
    const result = edited(`${claim}${foreign}Subject: a\r\n\r\nb`, { authservId: 'mx.us.example' });
    assert.equal(result, `${foreign}Subject: a\r\n\r\nb`, claim);
  }
});

test('our own X- fields cannot be brought in from outside', () => {
  assert.equal(
    edited('X-Tollgate-Release: 1\r\n folded\r\nx-tollgate-verdict : clean\r\nX-Other: 1\r\nSubject: a\r\n\r\n', {}),
    'X-Other: 1\r\nSubject: a\r\n\r\n',
  );
});

test('the subject tag goes in once and leaves encoded words whole', () => {
  const tag = { subjectTag: '[SPAM]' };
  const cases: [string, string][] = [
    ['Subject: Hello', 'Subject: [SPAM] Hello'],
    ['subject:Hello', 'subject: [SPAM] Hello'],
    ['Subject: [SPAM] Hello', 'Subject: [SPAM] Hello'],
    ['Subject: =?utf-8?B?w6Q=?=', 'Subject: [SPAM] =?utf-8?B?w6Q=?='],
    ['Subject:\r\n =?utf-8?B?w6Q=?=', 'Subject: [SPAM]\r\n =?utf-8?B?w6Q=?='],
    ['X: 1', 'X: 1\r\nSubject: [SPAM]'],
    ['Subject: a\r\nSubject: b', 'Subject: [SPAM] a\r\nSubject: [SPAM] b'],
  ];
  for (const [before, after] of cases) {
    assert.equal(edited(`${before}\r\n\r\nbody`, tag), `${after}\r\n\r\nbody`);
    assert.equal(edited(`${after}\r\n\r\nbody`, tag), `${after}\r\n\r\nbody`);
  }
  const foreign = edited('Subject: =?utf-8?B?w6Q=?=\r\n\r\n', { subjectTag: '[Müll]' });
  assert.match(foreign, /^Subject: (=\?utf-8\?B\?[A-Za-z0-9+/=]+\?= )=\?utf-8\?B\?w6Q=\?=\r\n\r\n$/);
  assert.equal(decodeWords(foreign).trim(), 'Subject: [Müll] ä');
});

test('a field that would begin another one cannot be written', () => {
  for (const bad of ['X: a\r\nY: b\r\n', 'X: a', 'X: a\r\n\r\n', 'no field\r\n', 'X: a\nY: b\r\n', 'X: a\r\n \r\n']) {
    assert.throws(
      () => editMessage(text('A: b\r\n\r\n'), { prepend: [bad] }),
      /is no header field/,
      JSON.stringify(bad),
    );
  }
  assert.throws(() => formatField('X:Y', 'z'), /is no header name/);
});

test('property: whatever the value, one field comes out, its lines are short, and the text survives', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme', maxLength: 2500 }), (value) => {
      const field = formatField('X-Test', value);
      assert.equal(splitFields(Buffer.from(field)).length, 1);
      assert.ok(field.split('\r\n').every((line) => line.length <= 998));
      assert.match(field, /^[\x20-\x7e\r\n]*$/);
      // biome-ignore lint/suspicious/noControlCharactersInRegex: what the field cannot hold
      const squeeze = (input: string) => input.replace(/[\u0000-\u001f\u007f-\u009f\s]+/g, '');
      const back = decodeWords(field.replace(/^X-Test:/, '').replace(/\r\n /g, ' '));
      assert.equal(squeeze(back), squeeze(value));
    }),
    { numRuns: 500 },
  );
});

const lines = fc.array(
  fc.constantFrom(
    'Subject: a\r\n',
    'X-Tollgate-A: b\r\n',
    ' folded\r\n',
    'no colon\r\n',
    '\r\n',
    'Authentication-Results: us; x\r\n',
    'text\n',
    '\n',
    'Received: x',
  ),
  { maxLength: 12 },
);
const EDITS: HeaderEdits = { prepend: ['X-New: 1\r\n'], authservId: 'us', subjectTag: '[SPAM]' };

test('property: editing never changes a byte of the body, and editing twice by tag changes nothing more', () => {
  fc.assert(
    fc.property(lines, fc.uint8Array({ maxLength: 200 }), (header, tail) => {
      const message = Buffer.concat([text(header.join('')), Buffer.from(tail)]);
      const result = editMessage(message, EDITS);
      const before = message.subarray(headerEnd(message).body);
      const after = result.subarray(headerEnd(result).body);
      assert.deepEqual(after, before);
      const again = editMessage(result, { authservId: 'us', subjectTag: '[SPAM]' });
      assert.deepEqual(again, result);
    }),
    { numRuns: 2000 },
  );
});

test('property: the stream gives what the message in memory gives, cut anywhere', async () => {
  await fc.assert(
    fc.asyncProperty(lines, fc.string({ maxLength: 80 }), fc.nat(200), fc.nat(200), async (header, body, a, b) => {
      const message = text(header.join('') + body);
      const [one = 0, two = 0] = [a % (message.length + 1), b % (message.length + 1)].toSorted((x, y) => x - y);
      const chunks = [message.subarray(0, one), message.subarray(one, two), message.subarray(two)];
      assert.deepEqual(await streamed(chunks, EDITS), editMessage(message, EDITS));
    }),
    { numRuns: 500 },
  );
});

test('a header without an end is not held without bound', async () => {
  const endless = Array.from({ length: 20 }, () => text('X: y\r\n'.repeat(10_000)));
  await assert.rejects(streamed(endless, {}), { fault: 'header_too_large' });
});

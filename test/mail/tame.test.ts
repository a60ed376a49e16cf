import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import test from 'node:test';
import fc from 'fast-check';
import { headerEnd, splitFields } from '../../src/mail/fields.ts';
import { tameMessage, tameStream } from '../../src/mail/tame.ts';
import { corpusSample, crlf } from './support/samples.ts';

test('honest mail is passed on as it is', () => {
  for (const { name, message } of corpusSample(200)) assert.equal(tameMessage(message), message, name);
});

test('what is slow to read is cut short', () => {
  const spaces = tameMessage(crlf(`From: a${' '.repeat(250_000)}b`, 'Subject: x', '', 'body'));
  assert.equal(spaces.toString(), crlf('From: a b', 'Subject: x', '', 'body').toString());
  const folds = tameMessage(crlf(`Subject: a${'\r\n '.repeat(80_000)}b`, 'From: c', '', 'body'));
  assert.equal(folds.toString(), crlf('Subject: a b', 'From: c', '', 'body').toString());
  const long = tameMessage(
    crlf(`To: ${'a\r\n '.repeat(50_000)}`, `From: ${'b@c.example, '.repeat(20_000)}`, '', 'body'),
  );
  assert.ok(long.length < 80_000);
  assert.ok(long.toString().endsWith('\r\n\r\nbody\r\n'));
  const signatures = tameMessage(crlf(...Array<string>(300).fill('DKIM-Signature: v=1; l=5'), 'From: a', '', 'body'));
  assert.equal(splitFields(signatures).filter((field) => field.name === 'dkim-signature').length, 10);
});

const piece = fc.constantFrom(
  'From: a@b.example\r\n',
  ' '.repeat(250),
  '\r\n '.repeat(90),
  `X: ${'y\r\n '.repeat(20_000)}z\r\n`,
  'no field\r\n',
  ' \r\n',
  '\t',
  `From: ${' a'.repeat(5000)}`,
  '\r\n',
  'Subject: x\r\n',
);

test('property: no field is lost to taming, none is made, and the body is the same', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(piece, { maxLength: 8 }), fc.nat(300), async (pieces, cut) => {
      const message = Buffer.from(`${pieces.join('')}\r\n\r\nbody\r\n\r\nmore`);
      const tamed = tameMessage(message);
      const [before, after] = [headerEnd(message), headerEnd(tamed)];
      assert.deepEqual(tamed.subarray(after.body), message.subarray(before.body));
      const names = (bytes: Buffer) =>
        splitFields(bytes)
          .map((field) => field.name)
          .filter((name) => name !== '');
      assert.deepEqual(names(tamed.subarray(0, after.header)), names(message.subarray(0, before.header)));
      const place = Math.min(cut, message.length);
      const streamed: Buffer[] = [];
      const source = Readable.from([message.subarray(0, place), message.subarray(place)]);
      for await (const chunk of tameStream(source)) streamed.push(chunk as Buffer);
      const whole = Buffer.concat(streamed);
      assert.deepEqual(whole.subarray(headerEnd(whole).body), message.subarray(before.body));
      assert.deepEqual(names(whole.subarray(0, headerEnd(whole).header)), names(tamed.subarray(0, after.header)));
    }),
    { numRuns: 300 },
  );
});

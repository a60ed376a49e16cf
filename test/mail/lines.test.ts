import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import test from 'node:test';
import fc from 'fast-check';
import { LineNormalizer, type LineOptions, MailFormatError, normalizeMessage } from '../../src/mail/lines.ts';

const text = (value: string) => Buffer.from(value, 'latin1');

/** The whole outcome as one comparable value. */
async function streamed(chunks: readonly Buffer[], options: LineOptions = {}): Promise<unknown> {
  const lines = new LineNormalizer(options);
  try {
    const out = chunks.map((chunk) => lines.write(chunk));
    const { tail, report } = lines.end();
    return { message: Buffer.concat([...out, tail]).toString('latin1'), report };
  } catch (error) {
    if (!(error instanceof MailFormatError)) throw error;
    return error.fault;
  }
}

function whole(message: Buffer): unknown {
  try {
    const { message: result, report } = normalizeMessage(message);
    return { message: result.toString('latin1'), report };
  } catch (error) {
    if (!(error instanceof MailFormatError)) throw error;
    return error.fault;
  }
}

function cutAt(message: Buffer, cuts: readonly number[]): Buffer[] {
  const places = [0, ...cuts.map((cut) => cut % (message.length + 1)).toSorted((a, b) => a - b), message.length];
  return places.slice(1).map((place, index) => message.subarray(places[index], place));
}

test('bare LF becomes CRLF; size, hash and header are those of the result', async () => {
  const { message, report } = normalizeMessage(text('Subject: a\nX: b\r\n\nbody\nend'));
  assert.equal(message.toString(), 'Subject: a\r\nX: b\r\n\r\nbody\r\nend\r\n');
  assert.equal(report.bytes, message.length);
  assert.equal(report.sha256, createHash('sha256').update(message).digest('hex'));
  assert.equal(report.header.toString(), 'Subject: a\r\nX: b\r\n\r\n');
  assert.equal(report.bareLf, 3);
  assert.equal(report.eightBit, false);
});

test('what would end the data for another reader is refused', async () => {
  const cases: [string, string][] = [
    ['a\n.\nMAIL FROM:<x@y.example>\r\n', 'dot_bare_lf'],
    ['a\n.\r\nMAIL', 'dot_bare_lf'],
    ['a\r\n.\nMAIL', 'dot_bare_lf'],
    ['.\nMAIL', 'dot_bare_lf'],
    ['a\n.', 'dot_bare_lf'],
    ['a\r.\r\n', 'bare_cr'],
    ['a\r\r\n', 'bare_cr'],
    ['a\r', 'bare_cr'],
    ['a\u0000b', 'nul'],
  ];
  for (const [message, fault] of cases) {
    assert.equal(whole(text(message)), fault, JSON.stringify(message));
    assert.equal(await streamed([...text(message)].map((byte) => Buffer.of(byte))), fault, JSON.stringify(message));
  }
  const refused = new MailFormatError('dot_bare_lf');
  assert.deepEqual([refused.smtp.code, refused.smtp.enhanced], [550, '5.6.0']);
});

test('a lone dot between full line ends is text, and so is a sentence before a bare LF', () => {
  assert.equal((whole(text('a\r\n.\r\nb\r\n')) as { message: string }).message, 'a\r\n.\r\nb\r\n');
  assert.equal(
    (whole(text('Hello.\nWorld.\n.signature\n')) as { message: string }).message,
    'Hello.\r\nWorld.\r\n.signature\r\n',
  );
});

test('splitting the message at every offset changes nothing', async () => {
  const messages = [
    'Subject: a\r\nReceived: x\r\n\r\nb\nc\r\n.\r\nend',
    '\r\nbody',
    '\n',
    'A: b\n\nx\r\n\r\n',
    'a\n.\n',
    'x\ry',
    '',
  ];
  for (const message of messages) {
    const bytes = text(message);
    const expected = whole(bytes);
    for (let at = 0; at <= bytes.length; at += 1) {
      assert.deepEqual(
        await streamed([bytes.subarray(0, at), bytes.subarray(at)]),
        expected,
        `${JSON.stringify(message)} at ${at}`,
      );
    }
    assert.deepEqual(await streamed([...bytes].map((byte) => Buffer.of(byte))), expected);
  }
});

const alphabet = fc.constantFrom(
  ...'\r\n.a: \u0000\u00e9'.split(''),
  '\r\n',
  '\r\n\r\n',
  'Received: by me.example',
  '\n.\n',
);
const anyMessage = fc.array(alphabet, { maxLength: 60 }).map((parts) => text(parts.join('')));

test('property: normalising is idempotent, and no result holds a bare CR or LF', () => {
  fc.assert(
    fc.property(anyMessage, (message) => {
      const once = whole(message);
      if (typeof once === 'string') return;
      const { message: result, report } = once as { message: string; report: { header: Buffer } };
      assert.ok(!/\r(?!\n)|(?<!\r)\n/.test(result));
      const twice = whole(text(result)) as { message: string };
      assert.equal(twice.message, result);
      assert.ok(result.startsWith(report.header.toString('latin1')));
    }),
    { numRuns: 2000 },
  );
});

test('property: any way of cutting gives the same outcome', async () => {
  await fc.assert(
    fc.asyncProperty(anyMessage, fc.array(fc.nat(80), { maxLength: 5 }), async (message, cuts) => {
      assert.deepEqual(await streamed(cutAt(message, cuts)), whole(message));
    }),
    { numRuns: 500 },
  );
});

test('lines and headers are bounded', () => {
  assert.throws(() => normalizeMessage(text('a'.repeat(101)), { maxLineBytes: 100 }), { fault: 'line_too_long' });
  const header = text(`${'X: y\r\n'.repeat(30)}\r\nbody`);
  assert.throws(() => normalizeMessage(header, { maxHeaderBytes: 100 }), { fault: 'header_too_large' });
  assert.equal(normalizeMessage(header, { maxHeaderBytes: 200 }).report.header.length, 182);
});

test('a loop is seen by its hops and by our own name', () => {
  const hop = (by: string) => `Received: from a.example (b [192.0.2.1]) by ${by} with ESMTP id 1; now\r\n`;
  const message = (hops: readonly string[]) =>
    text(`${hops.map(hop).join('')}Subject: x\r\n\r\nReceived: by us.example\r\n`);
  const options = { hostName: 'us.example' };
  assert.equal(normalizeMessage(message(Array(49).fill('x.example')), options).report.hops, 49);
  assert.throws(() => normalizeMessage(message(Array(50).fill('x.example')), options), { fault: 'loop' });
  const own = normalizeMessage(message(['US.example', 'x.example', 'us.example', 'us.example']), options).report;
  assert.deepEqual([own.hops, own.ownHops], [4, 3]);
  assert.throws(() => normalizeMessage(message(Array(4).fill('us.example')), options), { fault: 'loop' });
  assert.equal(new MailFormatError('loop').smtp.enhanced, '5.4.6');
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { SMTPStream } from 'smtp-server/lib/smtp-stream.js';
import { patchSmtpServer } from '../../src/gateway/patch.ts';

const original = SMTPStream.prototype._feedDataStream;
patchSmtpServer();
const patched = SMTPStream.prototype._feedDataStream;

interface Seen {
  readonly messages: readonly string[];
  readonly commands: readonly string[];
}

/** What a parser makes of a stream: the commands, and the message after each DATA as far as it came. */
async function parse(feed: typeof original, chunks: readonly Buffer[], highWaterMark?: number): Promise<Seen> {
  const messages: string[] = [];
  const commands: string[] = [];
  const parser = new SMTPStream(highWaterMark === undefined ? {} : { highWaterMark });
  parser._feedDataStream = feed;
  const startData = (next: () => void) => {
    const at = messages.push('') - 1;
    const data = parser.startDataMode(1000);
    data.on('data', (piece: Buffer) => {
      messages[at] += piece.toString('latin1');
    });
    data.once('end', () => {
      messages[at] += ` <end after ${data.byteLength}, exceeded ${data.sizeExceeded}>`;
      parser.continue();
    });
    next();
  };
  parser.oncommand = (command: Buffer, next?: () => void) => {
    const text = command.toString('latin1');
    commands.push(text);
    if (next === undefined) return;
    // Later, as the handlers of a server answer: `continue` of the parser may not be entered twice.
    setImmediate(() => (text === 'DATA' ? startData(next) : next()));
  };
  for (const chunk of [Buffer.from('DATA\r\n'), ...chunks]) {
    await new Promise<void>((resolve, reject) => parser.write(chunk, (error) => (error ? reject(error) : resolve())));
  }
  await new Promise((resolve) => setImmediate(resolve));
  return { messages, commands };
}

function cut(bytes: Buffer, cuts: readonly number[]): Buffer[] {
  const at = [...new Set(cuts.map((one) => one % (bytes.length + 1)))].sort((a, b) => a - b);
  return [0, ...at]
    .map((from, index) => bytes.subarray(from, at[index] ?? bytes.length))
    .filter((one) => one.length > 0);
}

const piece = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom('\r', '\n', '.', '\r\n', '..', '\r\n.', '\r\n..', '\r\n.\r\n', '\n..', 'a') },
  { weight: 1, arbitrary: fc.constantFrom('\r\nDATA\r\n', '\0', 'MAIL FROM:<x@y.example>\r\n', 'x'.repeat(1001)) },
);
const stream = fc.array(piece, { maxLength: 60 }).map((parts) => Buffer.from(parts.join(''), 'latin1'));

test('the patched parser gives the same messages, commands and ends as the original, however the stream is cut', async () => {
  await fc.assert(
    fc.asyncProperty(stream, fc.array(fc.nat(400), { maxLength: 30 }), async (bytes, cuts) => {
      const chunks = cut(bytes, cuts);
      assert.deepEqual(await parse(patched, chunks), await parse(original, chunks));
    }),
    { numRuns: 3000 },
  );
});

test('where the stream is cut makes no difference', async () => {
  await fc.assert(
    fc.asyncProperty(stream, fc.array(fc.nat(400), { maxLength: 30 }), async (bytes, cuts) => {
      const whole = Buffer.concat([Buffer.from('a'), bytes, Buffer.from('\r\n.\r\nQUIT\r\n')]);
      assert.deepEqual((await parse(patched, cut(whole, cuts))).messages, (await parse(patched, [whole])).messages);
    }),
    { numRuns: 2000 },
  );
});

test('every stream of up to seven of CR LF . a, cut at every place: as the original', async () => {
  const letters = ['\r', '\n', '.', 'a'];
  const total = 4 ** 7;
  // Every 13th of the 16384 streams, each with all its cuts in two.
  for (let number = 0; number < total; number += 13) {
    const text = Array.from({ length: 7 }, (_, index) => letters[Math.floor(number / 4 ** index) % 4]).join('');
    const bytes = Buffer.from(`x\r\n${text}\r\n.\r\nNOOP\r\n`, 'latin1');
    for (let at = 3; at <= 12; at += 1) {
      const chunks = [bytes.subarray(0, at), bytes.subarray(at)];
      assert.deepEqual(await parse(patched, chunks), await parse(original, chunks), JSON.stringify([text, at]));
    }
  }
});

test('10 MB of escaped dots take no longer than a second or two', async () => {
  const chunk = Buffer.from('..\r\n'.repeat(16_384));
  const before = process.cpuUsage();
  const { messages } = await parse(patched, [...Array.from({ length: 160 }, () => chunk), Buffer.from('.\r\n')]);
  const { user, system } = process.cpuUsage(before);
  const ms = (user + system) / 1_000;
  assert.equal(messages[0]?.split(' <end')[0]?.length, 160 * 16_384 * 3);
  assert.ok(ms < 8_000, `${ms} ms`);
});

import assert from 'node:assert/strict';
import test from 'node:test';
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { inspectContent } from '../../src/mail/archives.ts';
import { authenticate } from '../../src/mail/authentication.ts';
import { ARCHIVE_LIMITS, Budget } from '../../src/mail/budget.ts';
import { buildDsn } from '../../src/mail/dsn.ts';
import { editMessage } from '../../src/mail/headers.ts';
import { MailFormatError, normalizeMessage } from '../../src/mail/lines.ts';
import { parseMail, UnparsableError } from '../../src/mail/parse.ts';
import { zoneResolver } from '../../src/mail/resolver.ts';
import { stripAttachments } from '../../src/mail/strip.ts';
import { corpusSample, PROGRAM, withPart } from './support/samples.ts';
import { makeTar, makeZip } from './support/zip.ts';

interface Change {
  readonly kind: 'flip' | 'cut' | 'repeat' | 'insert';
  readonly at: number;
  readonly length: number;
  readonly bytes: Uint8Array;
}

const tokens = [
  '\r\n',
  '\r\n\r\n',
  '--',
  '=?utf-8?B?',
  'Content-Type: multipart/mixed; boundary=x\r\n',
  '"',
  '(',
  '\u00ff',
  'PK\u0003\u0004',
  'PK\u0005\u0006',
];
const change: fc.Arbitrary<Change> = fc.record({
  kind: fc.constantFrom('flip', 'cut', 'repeat', 'insert'),
  at: fc.nat(1_000_000),
  length: fc.integer({ min: 1, max: 200 }),
  bytes: fc.oneof(
    fc.uint8Array({ maxLength: 8 }),
    fc.constantFrom(...tokens).map((token) => Buffer.from(token, 'latin1')),
  ),
});
const changes = fc.array(change, { minLength: 1, maxLength: 8 });

function mutate(original: Buffer, list: readonly Change[]): Buffer {
  let result = Buffer.from(original);
  for (const { kind, at, length, bytes } of list) {
    const place = result.length === 0 ? 0 : at % result.length;
    const [before, after] = [result.subarray(0, place), result.subarray(place)];
    if (kind === 'flip') result = Buffer.concat([before, Buffer.from(bytes), after.subarray(bytes.length)]);
    else if (kind === 'cut') result = Buffer.concat([before, after.subarray(length)]);
    else if (kind === 'repeat') result = Buffer.concat([before, after.subarray(0, length), after]);
    else result = Buffer.concat([before, Buffer.from(bytes), after]);
  }
  return result;
}

const seeds = [
  ...corpusSample(40).map(({ message }) => message),
  withPart(
    ['Content-Type: application/zip; name="a.zip"', 'Content-Transfer-Encoding: base64'],
    makeZip([{ name: 'x.exe', content: PROGRAM }]),
  ),
  withPart(['Content-Type: message/rfc822'], Buffer.from('x')),
];

test('property: damaged mail is read, or refused by name', async () => {
  const zone = zoneResolver({});
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...seeds), changes, async (seed, list) => {
      const message = mutate(seed, list);
      try {
        const mail = await parseMail(message);
        structuredClone(mail);
        assert.ok(mail.text.length <= 262_144 && mail.attachments.length <= 200);
      } catch (error) {
        assert.ok(error instanceof UnparsableError, String(error));
      }
      try {
        normalizeMessage(message);
      } catch (error) {
        assert.ok(error instanceof MailFormatError, String(error));
      }
      editMessage(message, { authservId: 'us.example', subjectTag: '[SPAM]', prepend: ['X-A: b\r\n'] });
      await stripAttachments(message, () => true);
      await authenticate(
        message,
        { ip: '192.0.2.1', helo: 'a.example', sender: 'a@b.example', mta: 'us.example' },
        zone,
      );
      buildDsn({
        to: 'a@b.example',
        reportingMta: 'us.example',
        id: '1',
        at: new Date(0),
        arrivalDate: new Date(0),
        original: message,
        recipients: [
          { recipient: 'c@d.example', action: 'failed', status: '5.0.0', remoteMta: null, diagnostic: null },
        ],
      });
    }),
    { numRuns: 300 },
  );
});

const archives = [
  makeZip([
    { name: 'a.txt', content: Buffer.from('text '.repeat(50)) },
    { name: 'in.zip', content: makeZip([{ name: 'b.exe', content: PROGRAM }]) },
  ]),
  makeTar([
    { name: 'a.txt', content: Buffer.from('x'.repeat(600)) },
    { name: 'b.exe', content: PROGRAM },
  ]),
  gzipSync(makeTar([{ name: 'b.exe', content: PROGRAM }])),
];

test('property: a damaged archive is inspected within the budget and never throws', async () => {
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...archives), changes, async (archive, list) => {
      const budget = new Budget();
      await inspectContent(['a.bin'], 'application/octet-stream', mutate(archive, list), budget);
      assert.ok(budget.entriesUsed <= ARCHIVE_LIMITS.entries && budget.inflatedUsed <= ARCHIVE_LIMITS.inflated);
    }),
    { numRuns: 2000 },
  );
});

test('property: a program in a zip whose structure was changed is found, or the zip is suspected', async () => {
  const zip = makeZip([
    { name: 'b.bin', content: PROGRAM },
    { name: 'a.txt', content: Buffer.from('text '.repeat(50)) },
  ]);
  await fc.assert(
    fc.asyncProperty(fc.nat(zip.length - 1), fc.integer({ min: 1, max: 255 }), async (at, change) => {
      const changed = Buffer.from(zip);
      changed[at] = (changed[at] ?? 0) ^ change;
      const { inspection } = await inspectContent(['a.zip'], '', changed);
      assert.ok(inspection.executable || inspection.encrypted || inspection.suspicious.length > 0, `octet ${at}`);
    }),
    { numRuns: 2000 },
  );
});

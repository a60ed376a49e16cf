import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import test from 'node:test';
import { gunzipSync } from 'node:zlib';
import fc from 'fast-check';
import { packageRoot } from '../../src/config/root.ts';
import { inspectContent } from '../../src/mail/archives.ts';
import { ARCHIVE_LIMITS, Budget } from '../../src/mail/budget.ts';
import { findInline } from '../../src/mail/inline.ts';
import { hasHtmlSmuggling } from '../../src/mail/threats.ts';
import { makeCfb, olePackage } from './support/cfb.ts';
import { PROGRAM } from './support/samples.ts';
import { makeZip } from './support/zip.ts';

const folder = path.join(packageRoot(), 'test/fixtures/archives');
const archives = readdirSync(folder)
  .filter((name) => name.endsWith('.gz'))
  .map((name) => gunzipSync(readFileSync(path.join(folder, name))))
  // The images of several megabytes say nothing that the small ones do not.
  .filter((content) => content.length < 200_000);

interface Change {
  readonly at: number;
  readonly kind: 'flip' | 'cut' | 'repeat';
  readonly length: number;
  readonly bytes: Uint8Array;
}

const changes: fc.Arbitrary<Change[]> = fc.array(
  fc.record({
    // Headers are where it hurts: half of the changes fall there.
    at: fc.oneof(fc.nat(300), fc.nat(200_000)),
    kind: fc.constantFrom('flip', 'cut', 'repeat'),
    length: fc.integer({ min: 1, max: 100 }),
    bytes: fc.uint8Array({ minLength: 1, maxLength: 8 }),
  }),
  { minLength: 1, maxLength: 6 },
);

function mutate(original: Buffer, list: readonly Change[]): Buffer {
  let result = Buffer.from(original);
  for (const { kind, at, length, bytes } of list) {
    const place = result.length === 0 ? 0 : at % result.length;
    const [before, after] = [result.subarray(0, place), result.subarray(place)];
    if (kind === 'flip') result = Buffer.concat([before, Buffer.from(bytes), after.subarray(bytes.length)]);
    else if (kind === 'cut') result = Buffer.concat([before, after.subarray(length)]);
    else result = Buffer.concat([before, after.subarray(0, length), after]);
  }
  return result;
}

async function holds(content: Buffer, name = 'a.bin'): Promise<void> {
  const budget = new Budget();
  const { inspection } = await inspectContent([name], 'application/octet-stream', content, budget);
  structuredClone(inspection);
  assert.ok(budget.entriesUsed <= ARCHIVE_LIMITS.entries);
  assert.ok(budget.inflatedUsed <= ARCHIVE_LIMITS.inflated);
  assert.ok(inspection.entries.length <= 2 * ARCHIVE_LIMITS.entries);
}

test('property: damaged containers of every kind are inspected within the budget and never throw', async () => {
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...archives), changes, async (archive, list) => holds(mutate(archive, list))),
    { numRuns: 120 },
  );
});

const documents = [
  makeCfb([
    { name: 'WordDocument', content: Buffer.alloc(6000, 1) },
    { name: '\u0001Ole10Native', content: olePackage('a.exe', PROGRAM) },
    { name: 'Workbook', content: Buffer.alloc(5000, 0x85) },
  ]),
  Buffer.from(
    '%PDF-1.7\n1 0 obj <</Type /ObjStm /Filter /FlateDecode>>\nstream\nxx\nendstream\n2 0 obj <</S /Launch>> (a#41)',
  ),
  Buffer.from(
    '(This file must be converted with BinHex 4.0)\n:$f*TEQKPH#jdH3k!N!3"!!!:\nbegin 644 a.exe\n#0V%T\n`\nend\n=ybegin line=1 name=a\nxx\n=yend',
  ),
  makeZip([
    { name: '[Content_Types].xml', content: Buffer.from('<Types/>') },
    {
      name: 'word/_rels/a.rels',
      content: Buffer.from('<R Type="x/attachedTemplate" Target="http://a" TargetMode="External"/>'),
    },
    { name: 'word/document.xml', content: Buffer.from('<w:instrText>DDE a</w:instrText>') },
  ]),
];

test('property: damaged documents are inspected within the budget and never throw', async () => {
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...documents), changes, async (document, list) => holds(mutate(document, list))),
    { numRuns: 2000 },
  );
});

test('property: text of any kind holds no endless work', () => {
  const word = fc.constantFrom(
    'begin 644 a',
    '=ybegin name=a',
    '=yend',
    'must be converted with BinHex',
    ':',
    '<a href=data:x',
    '<script',
    '>',
    '\n',
    'atob(',
    'x'.repeat(70),
  );
  fc.assert(
    fc.property(fc.array(word, { maxLength: 200 }), (words) => {
      const text = words.join('\n');
      assert.ok(findInline(Buffer.from(text), 100).length <= 100);
      hasHtmlSmuggling(text);
    }),
    { numRuns: 300 },
  );
});

test('a deflate bomb of 512 MiB, lying or not, is stopped at the bound', async () => {
  const layer = makeZip([{ name: 'zeros.txt', content: Buffer.alloc(60 * 1024 * 1024) }]);
  const many = makeZip(
    Array.from({ length: 9 }, (_, at) => ({ name: `${at}.zip`, content: layer, method: 0 as const })),
  );
  const budget = new Budget();
  const { inspection } = await inspectContent(['bomb.zip'], '', many, budget);
  assert.ok(inspection.suspicious.some((code) => /^archive\.(?:ratio|size)$/.test(code)));
  assert.ok(budget.inflatedUsed <= ARCHIVE_LIMITS.inflated);
  const lying = makeZip([{ name: 'a.txt', content: Buffer.alloc(60 * 1024 * 1024), lie: { size: 10 } }]);
  await holds(lying);
});

test('65,000 entries and thousands of overlapping ones are cut at the bound', async () => {
  const entries = Array.from({ length: 65_000 }, (_, at) => ({
    name: `${at}`,
    content: Buffer.alloc(0),
    method: 0 as const,
  }));
  const budget = new Budget();
  const found = await inspectContent(['a.zip'], '', makeZip(entries), budget);
  assert.ok(found.inspection.suspicious.includes('archive.entries'));
  assert.ok(budget.entriesUsed <= ARCHIVE_LIMITS.entries);
  const overlapping = makeZip(
    Array.from({ length: 5000 }, (_, at) => ({ name: `${at}`, content: Buffer.from('x'), lie: { offset: 0 } })),
  );
  const { inspection } = await inspectContent(['a.zip'], '', overlapping);
  assert.ok(inspection.suspicious.includes('archive.overlap'));
});

test('documents in documents end at a depth', async () => {
  let content: Buffer = PROGRAM;
  for (let level = 0; level < 12; level += 1) {
    content = makeCfb([{ name: '\u0001Ole10Native', content: olePackage('a.doc', content) }]);
  }
  const { inspection } = await inspectContent(['a.doc'], '', content);
  assert.ok(inspection.suspicious.includes('archive.depth'));
});

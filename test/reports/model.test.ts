import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { cell, toCsv } from '../../reports/csv.ts';
import { buildModel, change, size } from '../../reports/model.ts';
import { packageRoot } from '../../src/config/root.ts';
import { sampleFacts, totals } from './facts.ts';

const GOLDEN = path.join(packageRoot(), 'test/reports/golden');

async function golden(name: string, seen: unknown): Promise<void> {
  const file = path.join(GOLDEN, name);
  const text = `${JSON.stringify(seen, null, 2)}\n`;
  if (process.env['UPDATE_GOLDEN'] === '1') await writeFile(file, text);
  assert.equal(text, await readFile(file, 'utf8'), 'run with UPDATE_GOLDEN=1 and review the difference');
}

const short = (facts = sampleFacts()) => {
  const model = buildModel(facts);
  return { ...model, days: model.days.slice(0, 2), senders: model.senders.slice(0, 2) };
};

test('the view model of a complete month is the golden one', () => golden('complete.json', short()));

test('rule 4: an incomplete month says so, and what is not known is no zero', async () => {
  const through = new Date('2026-10-20T10:15:00Z');
  const facts = sampleFacts({ current: { complete: false, completeThrough: through, totals: totals({}) } });
  await golden('incomplete.json', short(facts));
  const nothing = buildModel(sampleFacts({ current: { complete: false, completeThrough: null, totals: totals({}) } }));
  assert.ok(nothing.keyFigures.every((figure) => figure.value === '—'));
  assert.match(nothing.banner ?? '', /Nothing here is a zero/);
});

test('a change is said as a person would, and not at all while it is not known', () => {
  assert.equal(change(110, 100, true), '+10.0 % against the period before');
  assert.equal(change(90, 100, true), '−10.0 % against the period before');
  assert.equal(change(5, 0, true), 'new: none in the period before');
  assert.equal(change(0, 0, true), 'none before either');
  assert.equal(change(5, 100, false), 'change not known yet');
  assert.equal(size(999), '999 B');
  assert.equal(size(4_200_000_000), '4.2 GB');
});

test('property: no cell of a CSV is run as a formula or breaks its row', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      const shown = cell(text);
      assert.ok(!/^["]?[=+\-@\t\r]/.test(shown), JSON.stringify(shown));
      if (/[\r\n,"]/.test(shown)) assert.ok(shown.startsWith('"') && shown.endsWith('"'));
    }),
  );
});

test('a CSV has one row per day and says which days are not complete', () => {
  const facts = sampleFacts({ clientName: '=cmd|x' });
  const lines = toCsv({ ...facts, days: facts.days.map((day, index) => ({ ...day, complete: index < 30 })) })
    .toString()
    .split('\r\n');
  assert.equal(lines.length, 33);
  assert.equal(lines[1], "'=cmd|x,2026-10-01,Europe/London,yes,0,100,40,0,0");
  assert.match(lines[31] ?? '', /,no,/);
});

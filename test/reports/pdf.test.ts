import assert from 'node:assert/strict';
import { test } from 'node:test';
import { stackedBars } from '../../reports/chart/bars.ts';
import { shareBars } from '../../reports/chart/share.ts';
import { toSvg } from '../../reports/chart/svg.ts';
import { renderExecutive } from '../../reports/executive.ts';
import { buildModel } from '../../reports/model.ts';
import { readable, textOn } from '../../reports/pdf/theme.ts';
import { VERDICTS } from '../../src/core/verdict.ts';
import { sampleFacts } from './facts.ts';

const BRAND = { partnerName: 'Northwind', primaryColor: '#1d3557', accentColor: '#2a9d8f', logo: null };
const AT = new Date('2026-11-01T06:00:00Z');
const render = (facts = sampleFacts(), compress = false) => renderExecutive(buildModel(facts), BRAND, AT, compress);
const count = (text: string, pattern: RegExp) => [...text.matchAll(pattern)].length;

test('the summary is tagged, titled, in a language, with embedded fonts and described pictures', async () => {
  const pdf = (await render()).toString('latin1');
  assert.match(pdf, /\/StructTreeRoot/);
  assert.match(pdf, /\/Lang \(en-GB\)/);
  assert.match(pdf, /\/DisplayDocTitle true/);
  assert.match(pdf, /\/MarkInfo/);
  assert.equal(count(pdf, /\/S \/Figure\b/g), 2);
  assert.equal(count(pdf, /\/Alt \(/g), 2);
  assert.equal(count(pdf, /\/BBox \[/g) >= 2, true);
  assert.equal(count(pdf, /\/S \/H1\b/g), 1);
  assert.ok(count(pdf, /\/S \/H2\b/g) >= 7);
  assert.equal(count(pdf, /\/FontFile2/g), 2);
  assert.ok(!/\/BaseFont \/(Helvetica|Times|Courier)/.test(pdf), 'no font that can not be embedded');
  const pages = count(pdf, /\/Type \/Page\b/g);
  assert.equal(count(pdf, /\/Tabs \/S/g), pages);
});

test('a table that breaks repeats its header on the next page', async () => {
  const one = (await render(sampleFacts({ senders: [] }))).toString('latin1');
  const many = (await render()).toString('latin1');
  // 60 senders are three pages' worth of rows: their header has three cells each time.
  const heads = (pdf: string) => count(pdf, /\/S \/TH\b/g);
  assert.ok(heads(many) - heads(one) >= 6, `${heads(many)} against ${heads(one)}`);
});

test('a month with all verdicts, full tables and a banner takes two pages', async () => {
  const { current, senders } = sampleFacts();
  const verdicts = [...VERDICTS].map((verdict, index) => [verdict, 1_000 - index] as const);
  const facts = sampleFacts({
    current: { complete: false, completeThrough: AT, totals: { ...current.totals, byVerdict: new Map(verdicts) } },
    senders: senders.slice(0, 8),
    mailboxes: senders.slice(0, 8),
  });
  assert.equal(count((await render(facts)).toString('latin1'), /\/Type \/Page\b/g), 2);
});

test('the same facts make the same bytes', async () => {
  assert.deepEqual(await render(sampleFacts(), true), await render(sampleFacts(), true));
});

test('hostile and foreign text does no harm', async () => {
  const hostile = sampleFacts({
    clientName: 'A\u202eB\u0000\u0007 <script>() \\( 株式会社 مرحبا '.repeat(6),
    senders: [
      { name: `${'x'.repeat(400)}@ex.example`, deliveries: 1, unwanted: 1 },
      { name: '', deliveries: 2, unwanted: 0 },
    ],
    incidents: [{ title: ') Tj ET (\r\n', openedAt: AT, resolvedAt: null, ticketNumber: null }],
    days: [],
    usage: [],
    mailboxes: [],
  });
  const pdf = await render(hostile);
  assert.equal(pdf.subarray(0, 8).toString(), '%PDF-1.7');
  assert.ok(pdf.toString('latin1').trimEnd().endsWith('%%EOF'));
});

test('charts: shapes stay inside, the description says the numbers, SVG escapes', () => {
  const bars = stackedBars({
    width: 400,
    height: 100,
    unit: 'deliveries',
    series: [{ name: 'a', color: '#112233' }],
    bars: Array.from({ length: 31 }, (_, index) => ({
      label: String(index),
      values: [index * 1000],
      incomplete: index > 28,
      unknown: index === 30,
    })),
  });
  assert.match(bars.alt, /465,000 deliveries over 31 days/);
  for (const shape of bars.shapes) {
    if (shape.kind === 'rect')
      assert.ok(shape.x >= 0 && shape.x + shape.width <= 400 && shape.y >= 0 && shape.y + shape.height <= 100.01);
  }
  assert.match(toSvg({ ...bars, alt: '"<&>' }), /aria-label="&#34;&#60;&#38;&#62;"/);
  assert.match(shareBars(300, [{ name: 'Spam', value: 0, color: '#000000' }], 'Deliveries').alt, /Spam 0/);
  assert.match(stackedBars({ width: 400, height: 100, unit: 'deliveries', series: [], bars: [] }).alt, /0 deliveries/);
});

test("a partner's colour never makes text unreadable", () => {
  assert.equal(textOn('#ffffff'), '#1f2933');
  assert.equal(textOn('#1d3557'), '#ffffff');
  assert.equal(readable('#fff8a0'), '#1f2933');
  assert.equal(readable('#1d3557'), '#1d3557');
});

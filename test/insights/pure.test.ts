import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { addDays } from '../../src/core/period.ts';
import { causesOf, judgeDay, judgeDays } from '../../src/insights/anomalies.ts';
import { availabilityOf } from '../../src/insights/availability.ts';
import { bandOf, type DayCount, fitBaseline, median, scaled, unscaled } from '../../src/insights/baseline.ts';
import { PEERS_MIN, sizeClassOf, standing } from '../../src/insights/benchmark.ts';
import { clusterTraits, type TraitRow } from '../../src/insights/campaigns.ts';
import { compare, samePeriodLastYear } from '../../src/insights/comparison.ts';
import { backTest, forecast } from '../../src/insights/forecast.ts';
import { HEALTH_PARTS, type HealthFacts, healthOf } from '../../src/insights/health.ts';
import { protectionValue, requireSeconds, secondsOf } from '../../src/insights/value.ts';

const FROM = '2026-08-03';
const series = (counts: readonly (number | null)[]): DayCount[] =>
  counts.map((count, index) => ({ date: addDays(FROM, index), count }));
const counts = fc.array(fc.option(fc.nat(5_000), { nil: null, freq: 8 }), { minLength: 1, maxLength: 80 });

test('comparison: unknown is not zero, and nothing is divided by zero', () => {
  const measured = fc.record({ value: fc.nat(1e6), complete: fc.boolean(), counted: fc.boolean() });
  fc.assert(
    fc.property(measured, measured, (current, reference) => {
      const change = compare(current, reference);
      const known = current.complete && current.counted && reference.complete && reference.counted;
      assert.equal(change.difference !== null, known);
      assert.equal(change.ratio !== null, known && reference.value > 0);
      assert.equal(change.reason === null, change.ratio !== null);
      if (!reference.complete || !reference.counted) assert.equal(change.reference, null);
      if (change.ratio !== null) {
        assert.ok(Math.abs(reference.value * (1 + change.ratio) - current.value) < 1e-6 * (1 + current.value));
      }
    }),
  );
});

test('comparison: the same period of the year before is the same month, or the same weekdays', () => {
  const of = (from: string, to: string) => {
    const period = samePeriodLastYear({ from, to, zone: 'UTC' });
    return `${period.from} ${period.to}`;
  };
  assert.equal(of('2026-10-01', '2026-10-31'), '2025-10-01 2025-10-31');
  assert.equal(of('2028-02-01', '2028-02-29'), '2027-02-01 2027-02-28');
  assert.equal(of('2026-10-05', '2026-10-11'), '2025-10-06 2025-10-12');
});

test('baseline: the scale goes there and back, and the band holds its expectation', () => {
  fc.assert(fc.property(fc.nat(1e6), (count) => assert.ok(Math.abs(unscaled(scaled(count)) - count) < 1e-6)));
  fc.assert(
    fc.property(counts, (given) => {
      const baseline = fitBaseline(series(given));
      const band = bandOf(baseline, '2026-11-02');
      assert.ok(band.low >= 0 && band.low <= band.expected && band.expected <= band.high);
      assert.ok(baseline.spread >= 0.5 && Number.isFinite(band.high));
    }),
  );
});

test('baseline: short histories and few mails a day are not judged; unknown and early days are left out', () => {
  assert.equal(fitBaseline([]).state, 'short_history');
  assert.equal(fitBaseline(series(Array(20).fill(100))).state, 'short_history');
  assert.equal(fitBaseline(series(Array(21).fill(100))).state, 'judged');
  assert.equal(fitBaseline(series(Array(56).fill(9))).state, 'too_few');
  assert.equal(fitBaseline(series([...Array(40).fill(0), ...Array(16).fill(100)])).days, 16);
  assert.equal(fitBaseline(series([...Array(30).fill(100), ...Array(26).fill(null)])).days, 30);
  assert.equal(
    judgeDay(fitBaseline(series(Array(56).fill(9))), { date: '2026-10-05', count: 900 }).judgement,
    'too_few',
  );
});

test('baseline: a week of holidays and an old spike leave the level where it was', () => {
  const plain = series(Array.from({ length: 56 }, (_, index) => (index % 7 < 5 ? 200 : 40)));
  const spoiled = plain.map((day, index) =>
    index >= 14 && index < 21 ? { ...day, count: 5 } : index === 40 ? { ...day, count: 2_000 } : day,
  );
  for (const date of ['2026-09-28', '2026-10-03']) {
    assert.equal(bandOf(fitBaseline(spoiled), date).expected, bandOf(fitBaseline(plain), date).expected);
  }
});

test('anomalies: no day is judged by what came later, and a direction is what it says', () => {
  fc.assert(
    fc.property(counts, fc.nat(5_000), (given, last) => {
      const days = series([...given, last]);
      const before = judgeDays(days.slice(0, -1), 0);
      assert.deepEqual(judgeDays(days, 0).slice(0, -1), before);
      for (const day of judgeDays(days, 0)) {
        if (day.judgement === 'high') assert.ok((day.actual ?? 0) > (day.band?.high ?? Number.NaN));
        if (day.judgement === 'low') assert.ok((day.actual ?? 0) < (day.band?.low ?? Number.NaN));
        if (day.actual === null) assert.ok(!['usual', 'high', 'low'].includes(day.judgement));
      }
    }),
  );
});

test('anomalies: the cause is what made up most of the excess', () => {
  const days = series([...Array(56).fill(100), 400]);
  const [judged] = judgeDays(days, 56);
  assert.equal(judged?.judgement, 'high');
  const causes = causesOf(judged ?? assert.fail(), [
    {
      kind: 'verdict',
      day: new Map([
        ['clean', 90],
        ['phish', 310],
      ]),
      before: new Map([['clean', 2_800]]),
      daysBefore: 28,
    },
    {
      kind: 'sender',
      day: new Map([
        ['a@b.example', 305],
        ['c@d.example', 95],
      ]),
      before: new Map([['c@d.example', 2_660]]),
      daysBefore: 28,
    },
  ]);
  assert.deepEqual(
    causes.map(({ kind, key }) => `${kind} ${key}`),
    ['verdict phish', 'sender a@b.example'],
  );
  assert.ok((causes[0]?.share ?? 0) > 0.9);
});

test('forecast: ranges hold each other, and nothing is foretold of too little', () => {
  fc.assert(
    fc.property(counts, fc.integer({ min: 1, max: 60 }), (given, ahead) => {
      const made = forecast(series(given), ahead);
      assert.equal(made.days.length, made.state === 'judged' ? ahead : 0);
      for (const day of made.total === null ? [] : [...made.days, made.total]) {
        assert.ok(day.low95 >= 0 && day.low95 <= day.low80 && day.low80 <= day.expected);
        assert.ok(day.expected <= day.high80 && day.high80 <= day.high95 && Number.isFinite(day.high95));
      }
    }),
  );
  assert.equal(backTest(series(Array(40).fill(100)), 14), null);
  const steady = backTest(series(Array(120).fill(100)), 14);
  assert.ok(steady !== null && steady.meanAbsoluteError < 1 && steady.coverage95 === 1);
});

test('benchmark: hidden under five clients, and never more than quartiles', () => {
  assert.equal(sizeClassOf(0), null);
  assert.deepEqual(
    [1, 9, 10, 24, 999, 1_000, 50_000].map((size) => sizeClassOf(size)?.[0]),
    [1, 1, 10, 10, 250, 1_000, 1_000],
  );
  fc.assert(
    fc.property(fc.nat(100), fc.array(fc.nat(100), { maxLength: 30 }), (own, peers) => {
      const seen = standing(own, peers);
      assert.equal(seen === null, peers.length + 1 < PEERS_MIN);
      if (seen === null) return;
      assert.ok(seen.lowerQuartile <= seen.median && seen.median <= seen.upperQuartile);
      assert.ok(seen.position >= 0 && seen.position <= 1);
      if (own > Math.max(...peers)) assert.equal(seen.position, 1);
      assert.equal(seen.median, median([...peers, own]));
    }),
  );
});

const share = fc.option(fc.double({ min: 0, max: 1, noNaN: true }));
const facts: fc.Arbitrary<HealthFacts> = fc.record({
  failedShare: share,
  availability: share,
  threatsPerMailbox: fc.option(fc.double({ min: 0, max: 100, noNaN: true })),
  unusualDays: fc.option(
    fc.nat(31).chain((judged) => fc.record({ judged: fc.constant(judged), unusual: fc.nat(judged) })),
  ),
  openIncidents: fc.option(fc.record({ high: fc.nat(5), critical: fc.nat(5) })),
});

test('health: 0 to 100, unknown parts left out, and worse facts never give more', () => {
  fc.assert(
    fc.property(facts, (given) => {
      const { score, components } = healthOf(given);
      const known = components.reduce((sum, one) => sum + (one.points === null ? 0 : one.max), 0);
      assert.equal(score === null, known < 50);
      if (score !== null) assert.ok(score >= 0 && score <= 100);
      for (const one of components) if (one.points !== null) assert.ok(one.points >= 0 && one.points <= one.max);
      if (given.failedShare === null) return;
      assert.ok((healthOf({ ...given, failedShare: 1 }).score ?? 0) <= (score ?? 0));
    }),
  );
  assert.equal(
    Object.values(HEALTH_PARTS).reduce((sum, one) => sum + one, 0),
    100,
  );
  const best = {
    failedShare: 0,
    availability: 1,
    threatsPerMailbox: 0,
    unusualDays: { unusual: 0, judged: 30 },
    openIncidents: { high: 0, critical: 0 },
  };
  assert.equal(healthOf(best).score, 100);
  assert.equal(healthOf({ ...best, availability: null, failedShare: 0.05 }).score, 67);
  const unknown = { failedShare: null, availability: 1, threatsPerMailbox: null, unusualDays: null };
  assert.equal(healthOf({ ...unknown, openIncidents: { high: 0, critical: 0 } }).score, null, 'a client without mail');
});

test('value: deliveries times seconds, 20 unless said otherwise', () => {
  const kept = new Map([
    ['spam', 170],
    ['phish', 10],
    ['clean', 5_000],
  ] as const);
  assert.equal(protectionValue(kept, secondsOf(null)).secondsSaved, 3_600);
  assert.equal(protectionValue(kept, secondsOf({ phish: 300, spam: -1 })).secondsSaved, 3_400 + 3_000);
  assert.throws(() => requireSeconds(3_601, 'spam'), { code: 'invalid_input' });
});

test('availability: time without a look is neither up nor down', () => {
  const at = (hours: number) => new Date(Date.UTC(2026, 9, 1, hours));
  const period = { start: at(0), end: at(24) };
  assert.deepEqual(availabilityOf([], period), { available: null, upSeconds: 0, knownSeconds: 0, knownShare: 0 });
  const seen = availabilityOf(
    [
      { from: at(-2), to: at(6), takesMail: true },
      { from: at(6), to: at(8), takesMail: false },
      { from: at(23), to: at(40), takesMail: true },
    ],
    period,
  );
  assert.deepEqual([seen.available, seen.knownSeconds, seen.knownShare], [7 / 9, 9 * 3_600, 9 / 24]);
});

const rows = fc.array(
  fc.record({
    messageId: fc.integer({ min: 1, max: 12 }).map((id) => `m${String(id).padStart(2, '0')}`),
    kind: fc.constantFrom('payload', 'link', 'subject') as fc.Arbitrary<TraitRow['kind']>,
    digest: fc.integer({ min: 1, max: 12 }).map((id) => `d${id}`),
  }),
  { maxLength: 40 },
);

test('campaigns: clusters are the parts of the graph of shared traits, whatever the order of the rows', () => {
  fc.assert(
    fc.property(
      rows.map((all) => [...new Map(all.map((row) => [JSON.stringify(row), row])).values()]),
      fc.infiniteStream(fc.double({ min: 0, max: 1, noNaN: true })),
      (given, order) => {
        const clusters = clusterTraits(given);
        const home = new Map(clusters.flatMap(({ messageIds }, index) => messageIds.map((id) => [id, index] as const)));
        assert.equal(home.size, new Set(given.map((row) => row.messageId)).size);
        for (const a of given) {
          for (const b of given) {
            if (a.kind === b.kind && a.digest === b.digest) assert.equal(home.get(a.messageId), home.get(b.messageId));
          }
        }
        for (const { messageIds, shared } of clusters) assert.equal(messageIds.length > 1, shared.length > 0);
        const shuffled = given.map((row) => ({ row, key: order.next().value })).sort((a, b) => a.key - b.key);
        assert.deepEqual(clusterTraits(shuffled.map(({ row }) => row)), clusters);
      },
    ),
  );
});

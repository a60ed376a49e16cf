import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  BUCKET_MS,
  buckets,
  GRANULARITIES,
  interval,
  isTimeZone,
  localDate,
  monthPeriod,
  previousPeriod,
} from '../../src/core/period.ts';

const ZONES = [
  'America/New_York',
  'Europe/London',
  'Asia/Kathmandu',
  'Australia/Lord_Howe',
  'Pacific/Apia',
  'America/St_Johns',
  'UTC',
];
const hoursOf = (from: string, zone: string) => {
  const day = interval({ from, to: from, zone });
  return (day.end.getTime() - day.start.getTime()) / 3_600_000;
};

test('days have the hours of their zone', () => {
  assert.equal(hoursOf('2026-03-29', 'Europe/London'), 23);
  assert.equal(hoursOf('2026-10-25', 'Europe/London'), 25);
  assert.equal(hoursOf('2026-10-04', 'Australia/Lord_Howe'), 23.5);
  assert.equal(hoursOf('2026-04-05', 'Australia/Lord_Howe'), 24.5);
  assert.equal(hoursOf('2026-10-25', 'Asia/Kathmandu'), 24);
  assert.equal(
    interval({ from: '2026-10-25', to: '2026-10-25', zone: 'Asia/Kathmandu' }).start.toISOString(),
    '2026-10-24T18:15:00.000Z',
  );
});

test('property: cut any way, a period is covered once, without a gap, on bucket borders', () => {
  fc.assert(
    fc.property(
      fc.constantFrom(...ZONES),
      fc.constantFrom(...GRANULARITIES),
      fc.date({ min: new Date('2011-01-01'), max: new Date('2030-12-31'), noInvalidDate: true }),
      fc.integer({ min: 0, max: 70 }),
      (zone, granularity, start, days) => {
        const from = start.toISOString().slice(0, 10);
        const to = new Date(start.getTime() + days * 86_400_000).toISOString().slice(0, 10);
        const period = { from, to, zone };
        const whole = interval(period);
        const pieces = buckets(period, granularity);
        assert.equal(pieces[0]?.start.getTime(), whole.start.getTime());
        assert.equal(pieces.at(-1)?.end.getTime(), whole.end.getTime());
        for (const [index, piece] of pieces.entries()) {
          assert.ok(piece.start < piece.end);
          assert.equal(piece.start.getTime() % BUCKET_MS, 0, `${zone} ${piece.start.toISOString()}`);
          if (index > 0) assert.equal(piece.start.getTime(), pieces[index - 1]?.end.getTime());
        }
        if (granularity === 'DAY')
          assert.ok(pieces.every((piece) => localDate(piece.start, zone) !== localDate(piece.end, zone)));
      },
    ),
    { numRuns: 300 },
  );
});

test('a day that a zone leaves out is empty and harms nothing', () => {
  // Samoa went over the date line: there was no 2011-12-30.
  const pieces = buckets({ from: '2011-12-29', to: '2011-12-31', zone: 'Pacific/Apia' }, 'DAY');
  const span = (pieces.at(-1)?.end.getTime() ?? 0) - (pieces[0]?.start.getTime() ?? 0);
  assert.equal(span, 48 * 3_600_000);
});

test('the period before a month is the month before, before days as many days', () => {
  assert.deepEqual(previousPeriod(monthPeriod('2026-03', 'UTC')), {
    from: '2026-02-01',
    to: '2026-02-28',
    zone: 'UTC',
  });
  assert.deepEqual(previousPeriod({ from: '2026-03-05', to: '2026-03-11', zone: 'UTC' }), {
    from: '2026-02-26',
    to: '2026-03-04',
    zone: 'UTC',
  });
  assert.throws(() => monthPeriod('2026-13', 'UTC'), /YYYY-MM/);
});

test('a zone is a name with rules, not an offset', () => {
  assert.ok(isTimeZone('Asia/Kathmandu') && isTimeZone('UTC'));
  for (const zone of ['+02:00', 'Mars/Olympus', '', '05:45']) assert.ok(!isTimeZone(zone), zone);
});

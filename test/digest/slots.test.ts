import assert from 'node:assert/strict';
import { test } from 'node:test';
import { localMoment } from '../../src/core/period.ts';
import { DEFAULT_PLAN, resolvePlan } from '../../src/digest/settings.ts';
import { latestSlot } from '../../src/digest/slots.ts';

const EVERY_DAY = { mode: 'daily', hours: ['08:00'], days: [1, 2, 3, 4, 5, 6, 7] } as const;
const iso = (at: Date | null) => at?.toISOString() ?? null;
const slot = (plan: Parameters<typeof latestSlot>[0], zone: string, now: string) =>
  iso(latestSlot(plan, zone, new Date(now)));

test('a slot is the last local hour that has come, in zones from -12 to +14 and off the hour', () => {
  const cases: [zone: string, now: string, wanted: string][] = [
    ['Europe/London', '2026-10-14T06:59:59Z', '2026-10-13T07:00:00.000Z'],
    ['Europe/London', '2026-10-14T07:00:00Z', '2026-10-14T07:00:00.000Z'],
    ['Asia/Kathmandu', '2026-10-14T02:15:00Z', '2026-10-14T02:15:00.000Z'],
    ['Pacific/Kiritimati', '2026-10-13T18:00:00Z', '2026-10-13T18:00:00.000Z'],
    ['Etc/GMT+12', '2026-10-14T20:00:00Z', '2026-10-14T20:00:00.000Z'],
    ['America/St_Johns', '2026-10-14T10:29:00Z', '2026-10-13T10:30:00.000Z'],
  ];
  for (const [zone, now, wanted] of cases) assert.equal(slot(EVERY_DAY, zone, now), wanted, `${zone} ${now}`);
});

test('weekends are left out by default, and a daily plan has one time', () => {
  // 17 October 2026 is a Saturday.
  assert.equal(slot(DEFAULT_PLAN, 'Europe/London', '2026-10-18T20:00:00Z'), '2026-10-16T07:00:00.000Z');
  assert.equal(slot({ ...EVERY_DAY, mode: 'off' }, 'Europe/London', '2026-10-18T20:00:00Z'), null);
  const hours = ['08:00', '12:00', '16:00'];
  assert.equal(slot({ ...EVERY_DAY, hours }, 'Etc/UTC', '2026-10-14T20:00:00Z'), '2026-10-14T08:00:00.000Z');
  assert.equal(
    slot({ ...EVERY_DAY, hours, mode: 'intraday' }, 'Etc/UTC', '2026-10-14T13:00:00Z'),
    '2026-10-14T12:00:00.000Z',
  );
});

test('rule 6: a time that the clocks jump over is the first moment after it; one that they show twice comes once', () => {
  assert.equal(iso(localMoment('2026-03-29', '02:30', 'Europe/Berlin')), '2026-03-29T01:00:00.000Z');
  assert.equal(iso(localMoment('2026-10-25', '02:30', 'Europe/Berlin')), '2026-10-25T00:30:00.000Z');
  assert.equal(iso(localMoment('2026-10-04', '02:15', 'Australia/Lord_Howe')), '2026-10-03T15:30:00.000Z');
  assert.equal(iso(localMoment('2011-12-30', '08:00', 'Pacific/Apia')), '2011-12-30T10:00:00.000Z');
});

test('rule 6: over a year with its 23 h and 25 h days each day has exactly one slot per hour of the plan', () => {
  for (const zone of ['Europe/Berlin', 'Australia/Lord_Howe']) {
    const plan = { mode: 'intraday', hours: ['00:00', '02:30', '22:30'], days: [1, 2, 3, 4, 5, 6, 7] } as const;
    const seen = new Set<number>();
    const start = Date.UTC(2026, 0, 10);
    for (let at = start; at < start + 365 * 86_400_000; at += 3_600_000) {
      const found = latestSlot(plan, zone, new Date(at));
      if (found !== null && found.getTime() >= start) seen.add(found.getTime());
    }
    assert.ok(Math.abs(seen.size - 3 * 365) <= 1, `${zone}: ${seen.size} slots`);
  }
});

test('settings refine each other, and stored ones that no longer parse are ignored', () => {
  const plan = resolvePlan({ hours: ['07:15'] }, { mode: 'intraday' });
  assert.deepEqual(plan, { ...DEFAULT_PLAN, hours: ['07:15'], mode: 'intraday' });
  assert.deepEqual(resolvePlan({ mode: 'sometimes' }, { days: [0] }, null), DEFAULT_PLAN);
});

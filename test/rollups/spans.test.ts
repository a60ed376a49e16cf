import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { addDays } from '../../src/core/period.ts';
import { type Days, fewestPieces } from '../../src/rollups/spans.ts';

const daysOf = ({ from, to }: Days): string[] => {
  const days: string[] = [];
  for (let day = from; day < to; day = addDays(day, 1)) days.push(day);
  return days;
};

test('months and days, with what is taken off again, are each day of the stretch once, and few', () => {
  const start = fc.integer({ min: 0, max: 1_200 }).map((n) => addDays('2024-01-01', n));
  fc.assert(
    fc.property(start, fc.integer({ min: 1, max: 420 }), (from, length) => {
      const stretch = { from, to: addDays(from, length) };
      const { months, plus, minus } = fewestPieces(stretch);
      const counts = new Map<string, number>();
      const add = (part: Days, by: number) => {
        for (const day of daysOf(part)) counts.set(day, (counts.get(day) ?? 0) + by);
      };
      add(months, 1);
      for (const part of plus) add(part, 1);
      for (const part of minus) add(part, -1);
      const kept = [...counts].filter(([, count]) => count !== 0);
      assert.deepEqual(kept.map(([day]) => day).toSorted(), daysOf(stretch));
      assert.ok(kept.every(([, count]) => count === 1));
      const read = [...plus, ...minus].reduce((sum, part) => sum + daysOf(part).length, 0);
      assert.ok(read <= 31, `${read} days`);
      if (months.from < months.to) assert.ok(months.from.endsWith('-01') && months.to.endsWith('-01'));
    }),
    { numRuns: 500 },
  );
});

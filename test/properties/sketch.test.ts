import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { DISTINCT_ERROR, estimate, merge, REGISTERS, raise, registerOf, stored } from '../../src/core/hll.ts';
import { BIN_STARTS, type Bin, binOf, quantile, RELATIVE_ERROR, ZERO_BIN } from '../../src/core/sketch.ts';
import { sql } from '../../src/db/sql.ts';
import { openDatabase } from '../support/db.ts';

const value = fc.oneof(
  fc.integer({ min: 0, max: 50 }),
  fc.integer({ min: 0, max: 100_000 }),
  fc.integer({ min: 0, max: 2 ** 31 - 1 }),
  fc.constantFrom(...BIN_STARTS),
);

const binsOf = (values: readonly number[]): Bin[] => values.map((one) => ({ bin: binOf(one), count: 1 }));

test('any quantile of merged bins is within the stated error of the true one, in any split and order', () => {
  fc.assert(
    fc.property(
      fc.array(value, { minLength: 1, maxLength: 200 }),
      fc.double({ min: 0, max: 1, noNaN: true }),
      fc.nat(),
      (values, q, seed) => {
        const sorted = [...values].sort((a, b) => a - b);
        const truth = sorted[Math.floor(q * (sorted.length - 1))] ?? Number.NaN;
        const found = quantile(binsOf(values), q);
        assert.ok(found !== null);
        assert.ok(Math.abs(found - truth) <= RELATIVE_ERROR * truth * (1 + 1e-9), `${found} for ${truth}`);
        // Split into parts, each summed on its own, and put together the other way round.
        const parts = [0, 1, 2].map((part) => values.filter((_, index) => (index + seed) % 3 === part));
        const merged = parts.reverse().flatMap((part) => {
          const counts = new Map<number, number>();
          for (const { bin, count } of binsOf(part)) counts.set(bin, (counts.get(bin) ?? 0) + count);
          return [...counts].map(([bin, count]) => ({ bin, count })).reverse();
        });
        assert.equal(quantile(merged, q), found);
      },
    ),
    { numRuns: 1000 },
  );
  assert.equal(quantile([], 0.5), null);
  assert.equal(binOf(0), ZERO_BIN);
  assert.equal(quantile(binsOf([0, 0, 5]), 0.5), 0);
});

test('PostgreSQL places every value in the bin that the program places it in, and hashes as it does', async (t) => {
  const { db } = await openDatabase(t);
  const values = [...new Set(BIN_STARTS.flatMap((start) => [start - 1, start, start + 1]))];
  const placed = await db.system((tx) =>
    tx.rows<{ value: number; bin: number }>(sql`
      select v.value, width_bucket(v.value, ${BIN_STARTS}::bigint[]) - 1 as bin from unnest(${values}::bigint[]) as v (value)`),
  );
  assert.equal(placed.length, values.length);
  for (const row of placed) assert.equal(row.bin, binOf(row.value), String(row.value));

  const texts = [
    '',
    'bob@sender.example',
    'jürgen@größe.example',
    ...Array.from({ length: 500 }, (_, n) => `s${n}@x.example`),
  ];
  const hashed = await db.system((tx) =>
    tx.rows<{ text: string; at: number; rank: number }>(sql`
      select u.text, hll_index(hll_hash(u.text)) as at, hll_rank(hll_hash(u.text)) as rank from unnest(${texts}::text[]) as u (text)`),
  );
  for (const { text, at, rank } of hashed) assert.deepEqual({ at, rank }, registerOf(text), text);
});

test('distinct numbers are within the stated error over random sets of every size, merged in any parts', (t) => {
  let worst = 0;
  let outside = 0;
  let sets = 0;
  for (const size of [0, 1, 10, 100, 1_000, 3_000, 10_000, 30_000]) {
    for (let seed = 0; seed < 12; seed += 1) {
      const parts = [new Uint8Array(REGISTERS), new Uint8Array(REGISTERS)];
      for (let n = 0; n < size; n += 1) {
        const { at, rank } = registerOf(`${seed}-${n}@random.example`);
        // Some in both: a union counts them once.
        for (const part of n % 3 === 0 ? [0, 1] : [n % 2]) raise(parts[part] ?? assert.fail(), at, rank);
      }
      const merged = new Uint8Array(REGISTERS);
      for (const part of parts) merge(merged, stored(part));
      // Two of a few texts may share a register: one less is then as near as it gets.
      const error = Math.max(0, Math.abs(estimate(merged) - size) - (size < 100 ? 1 : 0)) / Math.max(1, size);
      worst = Math.max(worst, error);
      sets += 1;
      if (error > DISTINCT_ERROR) outside += 1;
    }
  }
  t.diagnostic(`worst of ${sets}: ${(worst * 100).toFixed(2)} %`);
  // At three standard errors 3 of 1,000 may lie outside.
  assert.ok(outside <= 1, `${outside} of ${sets} outside, worst ${worst}`);
});

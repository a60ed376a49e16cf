/**
 * Percentiles from counts in logarithmic bins, after DDSketch (Masson, Rim and Lee, "DDSketch: a fast and fully-mergeable
 * quantile sketch with relative-error guarantees", PVLDB 12, 2019), for whole numbers. Bin i holds the values x with
 * gamma^(i-1) < x <= gamma^i; `ZERO_BIN` holds what is below 1. Bins are rows in the database, so merging is adding.
 */

/** How far a percentile may be from the true one, as a part of the true one. */
export const RELATIVE_ERROR = 0.01;
/** The bin of zero and of what is negative. */
export const ZERO_BIN = -1;

const GAMMA = (1 + RELATIVE_ERROR) / (1 - RELATIVE_ERROR);
/** Larger values share the last bin: 35 years in milliseconds, a terabyte in bytes. */
const LARGEST = 2 ** 40;

/**
 * The least whole number of each bin from bin 0 on: floor(gamma^(i-1)) + 1. PostgreSQL gets this very table, so both place
 * every value in the same bin; two implementations of the logarithm would not, at the edges. Several of the first bins hold
 * no whole number: a value goes to the last bin that begins at or below it.
 */
export const BIN_STARTS: readonly number[] = binStarts();

function binStarts(): number[] {
  const starts = [1];
  for (let power = 1; power < LARGEST; power *= GAMMA) starts.push(Math.floor(power) + 1);
  return starts;
}

/** The bin of a whole number. */
export function binOf(value: number): number {
  let low = 0;
  let high = BIN_STARTS.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((BIN_STARTS[middle] ?? 0) <= value) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

/** How many values lie in a bin. */
export interface Bin {
  readonly bin: number;
  readonly count: number;
}

/**
 * The `q` quantile (0 to 1) of what the bins hold: of n values in order the one at place floor(q (n - 1)), at most
 * `RELATIVE_ERROR` of itself away from it. Null: they hold nothing. In whatever order the bins come and however often one
 * comes, the answer is the same.
 */
export function quantile(bins: readonly Bin[], q: number): number | null {
  const counts = new Map<number, number>();
  for (const { bin, count } of bins) counts.set(bin, (counts.get(bin) ?? 0) + count);
  const sorted = [...counts].sort(([a], [b]) => a - b);
  const total = sorted.reduce((sum, [, count]) => sum + count, 0);
  let left = Math.floor(q * (total - 1));
  for (const [bin, count] of sorted) {
    left -= count;
    if (left < 0) return bin === ZERO_BIN ? 0 : (2 * GAMMA ** bin) / (GAMMA + 1);
  }
  return null;
}

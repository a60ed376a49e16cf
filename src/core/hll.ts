import { createHash } from 'node:crypto';

/**
 * How many different texts there are, from 4,096 registers (HyperLogLog, precision 12, 64-bit hash). Standard error
 * 1.04 / sqrt(4096) = 1.6 %. Estimated after Ertl, "New cardinality estimation algorithms for HyperLogLog sketches" (2017),
 * algorithm 6, which has no bias to be corrected by tables. The database makes registers by the same hash (`hll_hash`).
 */

export const REGISTERS = 4_096;
/** Three standard errors: 997 of 1,000 estimates are nearer than this part of the truth. */
export const DISTINCT_ERROR = 0.05;

const INDEX_BITS = 12n;
const RANK_BITS = 52;
const SPARSE = 0;
const DENSE = 1;
/** From so many filled registers on, one byte for each is shorter. */
const SPARSE_MAX = 1_365;

/** The register of a text and its rank: one more than the zeros that the rest of the hash begins with. */
export function registerOf(text: string): { readonly at: number; readonly rank: number } {
  const hash = createHash('sha256').update(text, 'utf8').digest().readBigUInt64BE();
  const rest = hash & ((1n << 52n) - 1n);
  return { at: Number(hash >> (64n - INDEX_BITS)), rank: RANK_BITS + 1 - (rest === 0n ? 0 : rest.toString(2).length) };
}

/** Raises a register to a rank. */
export function raise(registers: Uint8Array, at: number, rank: number): void {
  registers[at] = Math.max(registers[at] ?? 0, rank);
}

/** Raises registers to those of a stored set: the union of both. A byte says the form: 3 bytes for each filled one, or all. */
export function merge(registers: Uint8Array, stored: Uint8Array): void {
  if (stored[0] === DENSE) {
    for (let at = 0; at + 1 < stored.length; at += 1) raise(registers, at, stored[at + 1] ?? 0);
    return;
  }
  for (let at = 1; at + 2 < stored.length; at += 3) {
    raise(registers, (stored[at] ?? 0) * 256 + (stored[at + 1] ?? 0), stored[at + 2] ?? 0);
  }
}

/** Registers as they are stored; the same bytes as `fold_of` makes. */
export function stored(registers: Uint8Array): Buffer {
  const filled = [...registers.keys()].filter((at) => registers[at] !== 0);
  if (filled.length < SPARSE_MAX) {
    return Buffer.from([SPARSE, ...filled.flatMap((at) => [at >> 8, at & 255, registers[at] ?? 0])]);
  }
  return Buffer.from([DENSE, ...registers.slice(0, (filled.at(-1) ?? 0) + 1)]);
}

/** How many different texts the registers have seen. */
export function estimate(registers: Uint8Array): number {
  const ranks = new Array<number>(RANK_BITS + 2).fill(0);
  for (let at = 0; at < REGISTERS; at += 1) {
    const rank = registers[at] ?? 0;
    ranks[rank] = (ranks[rank] ?? 0) + 1;
  }
  let z = REGISTERS * tau(1 - (ranks[RANK_BITS + 1] ?? 0) / REGISTERS);
  for (let rank = RANK_BITS; rank >= 1; rank -= 1) z = 0.5 * (z + (ranks[rank] ?? 0));
  z += REGISTERS * sigma((ranks[0] ?? 0) / REGISTERS);
  return Math.round(((0.5 / Math.LN2) * REGISTERS * REGISTERS) / z);
}

function sigma(given: number): number {
  if (given === 1) return Number.POSITIVE_INFINITY;
  let [x, y, z, before] = [given, 1, given, Number.NaN];
  while (z !== before) {
    x *= x;
    before = z;
    z += x * y;
    y += y;
  }
  return z;
}

function tau(given: number): number {
  if (given === 0 || given === 1) return 0;
  let [x, y, z, before] = [given, 1, 1 - given, Number.NaN];
  while (z !== before) {
    x = Math.sqrt(x);
    before = z;
    y *= 0.5;
    z -= (1 - x) ** 2 * y;
  }
  return z / 3;
}

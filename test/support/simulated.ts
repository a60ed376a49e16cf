import { addDays, weekday } from '../../src/core/period.ts';
import type { DayCount } from '../../src/insights/baseline.ts';

/** Mulberry32: a small generator with a seed, so that every run draws the same. */
export function randomOf(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

function normal(random: () => number): number {
  return Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
}

/** Marsaglia and Tsang 2000; shapes of at least 1. */
function gamma(random: () => number, shape: number): number {
  const d = shape - 1 / 3;
  const c = 1 / Math.sqrt(9 * d);
  for (;;) {
    const x = normal(random);
    const v = (1 + c * x) ** 3;
    if (v > 0 && Math.log(1 - random()) < 0.5 * x * x + d - d * v + d * Math.log(v)) return d * v;
  }
}

function poisson(random: () => number, mean: number): number {
  if (mean > 60) return Math.max(0, Math.round(mean + Math.sqrt(mean) * normal(random)));
  const limit = Math.exp(-mean);
  let [count, product] = [0, random()];
  while (product > limit) {
    count += 1;
    product *= random();
  }
  return count;
}

/** Monday first: what mail of companies looks like. */
const WEEK = [1.25, 1.3, 1.3, 1.25, 1.1, 0.45, 0.35];
/** Gamma shape: days vary by 1 / sqrt(shape) of their mean beside what chance does. */
const SHAPE = 30;

/** Days of a client with a mean of `level` a day, a week's pattern and counts that vary more than chance (negative binomial). */
export function simulateDays(random: () => number, level: number, days: number, from = '2026-01-05'): DayCount[] {
  return Array.from({ length: days }, (_, index) => {
    const date = addDays(from, index);
    return { date, count: poisson(random, meanOf(level, date) * (gamma(random, SHAPE) / SHAPE)) };
  });
}

export function meanOf(level: number, date: string): number {
  return level * (WEEK[weekday(date) - 1] ?? 1);
}

/** A day of such a client that has `times` as much as usual. */
export function simulateSpike(random: () => number, level: number, date: string, times: number): DayCount {
  return { date, count: poisson(random, times * meanOf(level, date) * (gamma(random, SHAPE) / SHAPE)) };
}

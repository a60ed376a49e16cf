import { addDays } from '../core/period.ts';
import {
  type Baseline,
  type DayCount,
  fitBaseline,
  HISTORY_DAYS,
  levelOf,
  median,
  scaled,
  unscaled,
} from './baseline.ts';

/** An expectation with the ranges in which the truth lies in 80 and in 95 of 100 cases. */
export interface Expectation {
  readonly expected: number;
  readonly low80: number;
  readonly high80: number;
  readonly low95: number;
  readonly high95: number;
}

export interface ForecastDay extends Expectation {
  readonly date: string;
}

/** The days to come. `state` other than `judged`: nothing is foretold, and `days` is empty. */
export interface Forecast {
  readonly state: Baseline['state'];
  readonly days: readonly ForecastDay[];
  /** Of all the days together; null: nothing is foretold. */
  readonly total: Expectation | null;
}

// Of the normal distribution 1.28 and 1.96; widened until the back-test of steady clients held them (docs/insights.md), since one
// spread for all weekdays is too narrow for the busy ones.
const Z80 = 1.36;
const Z95 = 2.2;
/** Variance of the median of eight days, in variances of one (pi / 2 / 8). */
const LEVEL_VARIANCE = Math.PI / 2 / 8;
/** A slope under so many of its own errors is taken for chance. Low: a chance trend costs little, a missed one much. */
const SLOPE_ERRORS = 1;
/** A trend goes on for so many days and then no further. */
const TREND_DAYS = 28;

interface Trend {
  /** Change a day, on the square-root scale; 0: none that can be told from chance. */
  readonly slope: number;
  readonly error: number;
  /** The place in the history, in days before its end, that the levels belong to. */
  readonly center: number;
}

/** The middle of the slopes between all pairs of weekly medians (Theil 1950, Sen 1968): one odd week does not tilt it. */
function trendOf(history: readonly DayCount[], baseline: Baseline): Trend {
  const weeks: { readonly at: number; readonly value: number }[] = [];
  for (let end = history.length; end >= 7; end -= 7) {
    const own = history.slice(end - 7, end).flatMap(({ date, count }) => {
      return count === null ? [] : [scaled(count) - levelOf(baseline, date)];
    });
    if (own.length >= 4) weeks.push({ at: end - 4 - history.length, value: median(own) });
  }
  const slopes = weeks.flatMap((a, index) => weeks.slice(index + 1).map((b) => (a.value - b.value) / (a.at - b.at)));
  const center = weeks.length === 0 ? 0 : weeks.reduce((sum, week) => sum + week.at, 0) / weeks.length;
  const squares = weeks.reduce((sum, week) => sum + (week.at - center) ** 2, 0);
  if (slopes.length < 6) return { slope: 0, error: 0, center };
  const error = (baseline.spread * Math.sqrt(Math.PI / 2 / 7)) / Math.sqrt(squares);
  const slope = median(slopes);
  return Math.abs(slope) < SLOPE_ERRORS * error ? { slope: 0, error: 0, center } : { slope, error, center };
}

/**
 * Foretells the `ahead` days after the last of `history`: each weekday's median, moved along a trend where there is one that
 * chance would hardly make. The ranges hold what one day varies by, what the levels are uncertain by, and the trend's error.
 */
export function forecast(history: readonly DayCount[], ahead: number): Forecast {
  const recent = history.slice(-HISTORY_DAYS);
  const baseline = fitBaseline(recent);
  const last = recent.at(-1);
  if (baseline.state !== 'judged' || last === undefined) return { state: baseline.state, days: [], total: null };
  const trend = trendOf(recent, baseline);
  let expected = 0;
  let ownVariance = 0;
  let sharedDeviation = 0;
  const days = Array.from({ length: ahead }, (_, index): ForecastDay => {
    const date = addDays(last.date, index + 1);
    const distance = Math.min(index + 1, TREND_DAYS) - trend.center;
    const level = levelOf(baseline, date) + trend.slope * distance;
    const shared = baseline.spread ** 2 * LEVEL_VARIANCE + (trend.error * distance) ** 2;
    const deviation = Math.sqrt(baseline.spread ** 2 + shared);
    // The mean of a square is the square of the mean and the variance: sums are of means, days are shown as medians.
    expected += unscaled(level) + baseline.spread ** 2;
    ownVariance += (2 * Math.max(level, 0) * baseline.spread) ** 2;
    // What the levels are wrong by is the same on all equal weekdays.
    sharedDeviation += 2 * Math.max(level, 0) * Math.sqrt(shared);
    return { date, ...rangesOf((z) => unscaled(level + z * deviation)) };
  });
  const deviation = Math.sqrt(ownVariance + sharedDeviation ** 2 / 7);
  return { state: 'judged', days, total: rangesOf((z) => Math.max(0, expected + z * deviation)) };
}

function rangesOf(at: (z: number) => number): Expectation {
  return { expected: at(0), low80: at(-Z80), high80: at(Z80), low95: at(-Z95), high95: at(Z95) };
}

/** How forecasts of the past came out. */
export interface BackTest {
  /** Days that were foretold and are known. */
  readonly days: number;
  /** Mean absolute error of a day, in deliveries. */
  readonly meanAbsoluteError: number;
  /** The same as a part of the mean count. */
  readonly relativeError: number;
  /** Parts of the days that lay within their ranges; 0.8 and 0.95 are what they should be. */
  readonly coverage80: number;
  readonly coverage95: number;
}

/** Foretells `ahead` days again and again from what was known before, each time a week further. Null: too short a history. */
export function backTest(days: readonly DayCount[], ahead: number): BackTest | null {
  let [seen, error, sum, within80, within95] = [0, 0, 0, 0, 0];
  for (let at = HISTORY_DAYS; at + ahead <= days.length; at += 7) {
    const made = forecast(days.slice(at - HISTORY_DAYS, at), ahead);
    made.days.forEach((day, index) => {
      const count = days[at + index]?.count ?? null;
      if (count === null) return;
      seen += 1;
      sum += count;
      error += Math.abs(count - day.expected);
      if (count >= Math.floor(day.low80) && count <= Math.ceil(day.high80)) within80 += 1;
      if (count >= Math.floor(day.low95) && count <= Math.ceil(day.high95)) within95 += 1;
    });
  }
  if (seen === 0) return null;
  return {
    days: seen,
    meanAbsoluteError: error / seen,
    relativeError: sum === 0 ? 0 : error / sum,
    coverage80: within80 / seen,
    coverage95: within95 / seen,
  };
}

import {
  BAND_SPREADS,
  type Band,
  type Baseline,
  bandOf,
  type DayCount,
  fitBaseline,
  HISTORY_DAYS,
  scoreOf,
} from './baseline.ts';

/** What was said of a day. `unknown`: its count is not complete. */
export type Judgement = 'usual' | 'high' | 'low' | 'too_few' | 'short_history' | 'unknown';

/** A day against what was usual before it. */
export interface JudgedDay {
  readonly date: string;
  readonly judgement: Judgement;
  readonly actual: number | null;
  /** Null while nothing can be said of what is usual. */
  readonly band: Band | null;
  /** Spreads from the usual; null where there is no judgement. */
  readonly score: number | null;
}

/** What made up most of the difference. */
export interface Cause {
  readonly kind: 'verdict' | 'sender' | 'mailbox' | 'reason';
  /** Verdict, sender address (empty: the null sender), mailbox id or reason code. */
  readonly key: string;
  readonly actual: number;
  /** A day's mean before. */
  readonly expected: number;
  /** Part of the whole difference, 0 to 1. */
  readonly share: number;
}

/** One day's judgement by the baseline of the days before it. */
export function judgeDay(baseline: Baseline, day: DayCount): JudgedDay {
  const { date, count } = day;
  if (baseline.state !== 'judged') return { date, judgement: baseline.state, actual: count, band: null, score: null };
  const band = bandOf(baseline, date);
  if (count === null) return { date, judgement: 'unknown', actual: null, band, score: null };
  const score = scoreOf(baseline, date, count);
  const judgement = score > BAND_SPREADS ? 'high' : score < -BAND_SPREADS ? 'low' : 'usual';
  return { date, judgement, actual: count, band, score };
}

/** The days from index `first` on, each judged by at most 56 days before it: no day is judged by what came later. */
export function judgeDays(days: readonly DayCount[], first: number): JudgedDay[] {
  return days
    .slice(first)
    .map((day, index) =>
      judgeDay(fitBaseline(days.slice(Math.max(0, first + index - HISTORY_DAYS), first + index)), day),
    );
}

/** Counts by key of the judged day, and those of the days before, with how many days that were. */
export interface Contribution {
  readonly kind: Cause['kind'];
  readonly day: ReadonlyMap<string, number>;
  readonly before: ReadonlyMap<string, number>;
  readonly daysBefore: number;
}

/** Under this part of the difference a key is no cause. */
const SHARE_MIN = 0.2;

/**
 * What contributed most of the difference between a day and the days before: of each kind the keys with at least a fifth of
 * it, the largest first. Verdicts are parts of the whole; a sender, a mailbox and a reason are views of the same deliveries,
 * so that shares of different kinds do not add up.
 */
export function causesOf(judged: JudgedDay, contributions: readonly Contribution[], perKind = 2): Cause[] {
  if (judged.actual === null || judged.band === null) return [];
  const whole = judged.actual - judged.band.expected;
  if (whole === 0) return [];
  return contributions.flatMap(({ kind, day, before, daysBefore }) => {
    const keys = new Set([...day.keys(), ...(whole < 0 ? before.keys() : [])]);
    return [...keys]
      .map((key): Cause => {
        const actual = day.get(key) ?? 0;
        const expected = daysBefore === 0 ? 0 : (before.get(key) ?? 0) / daysBefore;
        return { kind, key, actual, expected, share: Math.min(1, Math.max(0, (actual - expected) / whole)) };
      })
      .filter((cause) => cause.share >= SHARE_MIN)
      .sort((a, b) => b.share - a.share || (a.key < b.key ? -1 : 1))
      .slice(0, perKind);
  });
}

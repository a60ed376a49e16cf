import type { Completeness, Totals } from '../core/counts.ts';
import { addDays, type Interval, interval, type LocalPeriod, localDate, previousPeriod } from '../core/period.ts';
import type { TenantTx } from '../db/db.ts';
import { readStatistics, type Statistics, topMailboxes, topReasons, topSenders } from '../rollups/read.ts';
import { type Cause, type Contribution, causesOf, type JudgedDay } from './anomalies.ts';
import { type DayCount, HISTORY_DAYS } from './baseline.ts';
import { type Change, compare, type Measured, samePeriodLastYear } from './comparison.ts';

/** Whose numbers, and in which zone's days. */
export interface Scope {
  /** Null: all clients of the partner. */
  readonly clientId: string | null;
  readonly zone: string;
  /** When the first of them was made: before that nobody counted. */
  readonly since: Date;
}

/** Counts that are watched day by day. */
export const METRICS = ['deliveries', 'unwanted'] as const;
export type Metric = (typeof METRICS)[number];

/** Counts that are compared between periods. */
export const COMPARED = ['messages', 'deliveries', 'unwanted', 'threats', 'refused', 'bytes'] as const;
export type Compared = (typeof COMPARED)[number];

const WANTED: ReadonlySet<string> = new Set(['clean', 'bulk']);

export function countOf(totals: Totals, what: Compared): number {
  if (what === 'unwanted') {
    return [...totals.byVerdict].reduce((sum, [verdict, count]) => sum + (WANTED.has(verdict) ? 0 : count), 0);
  }
  if (what === 'threats') return (totals.byVerdict.get('phish') ?? 0) + (totals.byVerdict.get('malware') ?? 0);
  return totals[what];
}

/** A period's days and the eight weeks before it, by day. */
export interface History extends Completeness {
  readonly period: LocalPeriod;
  /** Index of the period's first day in `days`. */
  readonly first: number;
  readonly days: readonly { readonly date: string; readonly complete: boolean; readonly totals: Totals }[];
}

export async function readHistory(tx: TenantTx, scope: Scope, period: LocalPeriod): Promise<History> {
  const reach = { from: addDays(period.from, -HISTORY_DAYS), to: period.to, zone: period.zone };
  const found = await readStatistics(tx, { clientId: scope.clientId, period: reach, granularity: 'DAY' });
  const sinceDay = localDate(scope.since, period.zone);
  const days = found.buckets.map(({ start, complete, totals }) => {
    const date = localDate(start, period.zone);
    // Nobody counted before the client was there, unless its numbers were brought along.
    return { date, complete: complete && (date >= sinceDay || totals.deliveries + totals.refused > 0), totals };
  });
  return {
    complete: found.complete,
    completeThrough: found.completeThrough,
    period,
    first: days.findIndex((day) => day.date >= period.from),
    days,
  };
}

/** One count of each day; null where the day is not complete. */
export function seriesOf(history: Pick<History, 'days'>, metric: Metric): DayCount[] {
  return history.days.map(({ date, complete, totals }) => ({ date, count: complete ? countOf(totals, metric) : null }));
}

export interface MetricChange {
  readonly metric: Compared;
  /** Null: nothing of the period is counted. */
  readonly value: number | null;
  readonly previous: Change & LocalPeriod;
  readonly lastYear: Change & LocalPeriod;
}

/** Each count of a period against the period before and the same period of the year before. */
export async function readChanges(tx: TenantTx, scope: Scope, period: LocalPeriod): Promise<MetricChange[]> {
  const read = (one: LocalPeriod) =>
    readStatistics(tx, { clientId: scope.clientId, period: one, granularity: 'MONTH' });
  const [before, lastYear] = [previousPeriod(period), samePeriodLastYear(period)];
  const current = await read(period);
  const previous = await read(before);
  const year = await read(lastYear);
  return changesOf(
    { statistics: current, period },
    { statistics: previous, period: before },
    { statistics: year, period: lastYear },
    scope.since,
  );
}

interface Read {
  readonly statistics: Completeness & { readonly totals: Totals };
  readonly period: LocalPeriod;
}

/** Pure part of `readChanges`. */
export function changesOf(current: Read, previous: Read, lastYear: Read, since: Date): MetricChange[] {
  return COMPARED.map((metric) => {
    const now = measured(current, metric, since);
    const nothing = !current.statistics.complete && beganAfter(current);
    return {
      metric,
      value: nothing && now.value === 0 ? null : now.value,
      previous: { ...compare(now, measured(previous, metric, since)), ...previous.period },
      lastYear: { ...compare(now, measured(lastYear, metric, since)), ...lastYear.period },
    };
  });
}

const beganAfter = ({ statistics, period }: Read) =>
  statistics.completeThrough === null || statistics.completeThrough <= interval(period).start;

/** A period that began before its client was made was counted only if something of it was (imported data). */
function measured({ statistics, period }: Read, metric: Compared, since: Date): Measured {
  const { totals, complete } = statistics;
  const began = localDate(since, period.zone) <= period.from;
  return { value: countOf(totals, metric), complete, counted: began || totals.deliveries + totals.refused > 0 };
}

const CAUSE_DAYS = 28;
const DAY_TOP = 20;
const BEFORE_TOP = 1_000;

/** What made a day unusual: its verdicts, senders, mailboxes and reasons against those of the four weeks before. */
export async function readCauses(tx: TenantTx, scope: Scope, judged: JudgedDay, metric: Metric): Promise<Cause[]> {
  const { date } = judged;
  const dayOf = { from: date, to: date, zone: scope.zone };
  const beforeOf = { from: addDays(date, -CAUSE_DAYS), to: addDays(date, -1), zone: scope.zone };
  const [day, before] = [interval(dayOf), interval(beforeOf)];
  const { clientId } = scope;
  const sum = (period: LocalPeriod) => readStatistics(tx, { clientId, period, granularity: 'MONTH' });
  const verdicts = contribution(
    'verdict',
    verdictsOf(await sum(dayOf), metric),
    verdictsOf(await sum(beforeOf), metric),
  );
  const pick = (row: { readonly deliveries: number; readonly unwanted: number }) => row[metric];
  const ranked = async (
    kind: 'sender' | 'mailbox',
    read: (range: Interval, limit: number) => ReturnType<typeof topMailboxes>,
  ) => {
    const rows = (list: Awaited<ReturnType<typeof topMailboxes>>) => new Map(list.map((row) => [row.key, pick(row)]));
    return contribution(kind, rows(await read(day, DAY_TOP)), rows(await read(before, BEFORE_TOP)));
  };
  const contributions = [
    verdicts,
    await ranked('sender', (range, limit) => topSenders(tx, clientId, range, limit)),
    await ranked('mailbox', (range, limit) => topMailboxes(tx, clientId, range, limit)),
  ];
  if (metric === 'unwanted') {
    const rows = async (range: Interval, limit: number) =>
      new Map((await topReasons(tx, clientId, range, limit)).map((row) => [row.key, row.deliveries]));
    contributions.push(contribution('reason', await rows(day, DAY_TOP), await rows(before, BEFORE_TOP)));
  }
  return causesOf(judged, contributions);
}

function contribution(
  kind: Contribution['kind'],
  day: ReadonlyMap<string, number>,
  before: ReadonlyMap<string, number>,
): Contribution {
  return { kind, day, before, daysBefore: CAUSE_DAYS };
}

function verdictsOf({ totals }: Statistics, metric: Metric): Map<string, number> {
  return new Map([...totals.byVerdict].filter(([verdict]) => metric === 'deliveries' || !WANTED.has(verdict)));
}

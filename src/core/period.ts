import { Temporal } from 'temporal-polyfill';
import { AppError } from './errors.ts';

/** Rollup buckets are 15 minutes in UTC: every IANA zone's days are exact sums of them (rule 6). */
export const BUCKET_MS = 15 * 60 * 1000;

export const GRANULARITIES = ['HOUR', 'DAY', 'WEEK', 'MONTH'] as const;
export type Granularity = (typeof GRANULARITIES)[number];

/** A half-open stretch of time, `[start, end)`. */
export interface Interval {
  readonly start: Date;
  readonly end: Date;
}

/** A period as people name it, in the client's own zone. `to` is the last day, included. */
export interface LocalPeriod {
  /** `YYYY-MM-DD` */
  readonly from: string;
  /** `YYYY-MM-DD`, included */
  readonly to: string;
  readonly zone: string;
}

export function bucketStart(at: Date): Date {
  return new Date(Math.floor(at.getTime() / BUCKET_MS) * BUCKET_MS);
}

export function isTimeZone(zone: string): boolean {
  // An offset such as "+02:00" is a zone to Temporal but has no rules for summer time: a client needs an IANA name.
  if (!/^[A-Za-z]/.test(zone)) return false;
  try {
    Temporal.Now.instant().toZonedDateTimeISO(zone);
    return true;
  } catch {
    return false;
  }
}

export function requireTimeZone(zone: string, field: string): string {
  if (!isTimeZone(zone)) {
    throw new AppError('invalid_input', `"${zone.slice(0, 60)}" is not an IANA time zone such as Europe/London`, {
      field,
    });
  }
  return zone;
}

export function parseDate(text: string, field: string): Temporal.PlainDate {
  if (!/^\d{4}-\d{2}-\d{2}$/.test(text)) throw new AppError('invalid_input', 'a date is YYYY-MM-DD', { field });
  try {
    return Temporal.PlainDate.from(text, { overflow: 'reject' });
  } catch (cause) {
    throw new AppError('invalid_input', `${text} is not a day of the calendar`, { field, cause });
  }
}

// RFC 3339 with an offset: a moment without one would mean another thing in every zone.
const MOMENT = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?(Z|[+-]\d{2}:\d{2})$/i;

/** A moment such as `2026-10-14T09:30:00Z`. Throws `invalid_input`. */
export function parseMoment(text: string, field: string): Date {
  const at = new Date(text);
  if (!MOMENT.test(text) || Number.isNaN(at.getTime())) {
    throw new AppError('invalid_input', 'a DateTime is a moment with an offset, such as 2026-10-14T09:30:00Z', {
      field,
    });
  }
  return at;
}

/** The first moment of a local day. Days without a midnight (some zones change then) start at their first moment. */
export function startOfDay(date: string, zone: string): Date {
  return new Date(Temporal.PlainDate.from(date).toZonedDateTime(zone).startOfDay().epochMilliseconds);
}

/** The local day in which a moment lies, `YYYY-MM-DD`. */
export function localDate(at: Date, zone: string): string {
  return Temporal.Instant.fromEpochMilliseconds(at.getTime()).toZonedDateTimeISO(zone).toPlainDate().toString();
}

export function addDays(date: string, days: number): string {
  return Temporal.PlainDate.from(date).add({ days }).toString();
}

export function interval(period: LocalPeriod): Interval {
  return { start: startOfDay(period.from, period.zone), end: startOfDay(addDays(period.to, 1), period.zone) };
}

/**
 * The moment at which a zone's clocks show `time` (`HH:MM`) on a day. A time that the clocks jump over is the first moment
 * after the jump; one that they show twice is the first of the two: each day has the moment exactly once.
 */
export function localMoment(date: string, time: string, zone: string): Date {
  const local = Temporal.PlainDate.from(date).toPlainDateTime(Temporal.PlainTime.from(time));
  const first = local.toZonedDateTime(zone, { disambiguation: 'earlier' });
  if (first.toPlainDateTime().equals(local)) return new Date(first.epochMilliseconds);
  // In a gap, `earlier` is as much before the jump as the time lies in it.
  const jump = first.getTimeZoneTransition('next') ?? first;
  return new Date(jump.epochMilliseconds);
}

/** ISO 8601: 1 is Monday, 7 is Sunday. */
export function weekday(date: string): number {
  return Temporal.PlainDate.from(date).dayOfWeek;
}

/** The period of a calendar month named `YYYY-MM`. */
export function monthPeriod(month: string, zone: string): LocalPeriod {
  if (!/^\d{4}-(0[1-9]|1[0-2])$/.test(month)) {
    throw new AppError('invalid_input', 'a month is YYYY-MM', { field: 'period' });
  }
  const yearMonth = Temporal.PlainYearMonth.from(month);
  return {
    from: yearMonth.toPlainDate({ day: 1 }).toString(),
    to: yearMonth.toPlainDate({ day: yearMonth.daysInMonth }).toString(),
    zone,
  };
}

/** The period before, of the same kind: the previous month for a whole month, else as many days. */
export function previousPeriod(period: LocalPeriod): LocalPeriod {
  const from = Temporal.PlainDate.from(period.from);
  const to = Temporal.PlainDate.from(period.to);
  const isMonth = from.day === 1 && to.equals(from.with({ day: from.daysInMonth }));
  if (isMonth) return monthPeriod(from.toPlainYearMonth().subtract({ months: 1 }).toString(), period.zone);
  const days = from.until(to, { largestUnit: 'days' }).days + 1;
  return { from: from.subtract({ days }).toString(), to: from.subtract({ days: 1 }).toString(), zone: period.zone };
}

const STEP: Readonly<Record<Exclude<Granularity, 'HOUR'>, Temporal.DurationLike>> = {
  DAY: { days: 1 },
  WEEK: { weeks: 1 },
  MONTH: { months: 1 },
};

/**
 * Cuts a period into local hours, days, weeks (Monday first, ISO 8601) or months. Their union is the period exactly:
 * the first and last are cut where a week or month reaches over its edges.
 */
export function buckets(period: LocalPeriod, granularity: Granularity): Interval[] {
  const whole = interval(period);
  if (granularity === 'HOUR') return hours(whole, period.zone);
  const result: Interval[] = [];
  let date = firstStep(Temporal.PlainDate.from(period.from), granularity);
  for (;;) {
    const next = date.add(STEP[granularity]);
    const start = Math.max(startOfDay(date.toString(), period.zone).getTime(), whole.start.getTime());
    const end = Math.min(startOfDay(next.toString(), period.zone).getTime(), whole.end.getTime());
    if (start >= whole.end.getTime()) return result;
    result.push({ start: new Date(start), end: new Date(end) });
    date = next;
  }
}

function firstStep(from: Temporal.PlainDate, granularity: Exclude<Granularity, 'HOUR'>): Temporal.PlainDate {
  if (granularity === 'WEEK') return from.subtract({ days: from.dayOfWeek - 1 });
  return granularity === 'MONTH' ? from.with({ day: 1 }) : from;
}

/** Hours start where the zone's clock shows a full hour; the hour that a half-hour change splits stays one piece. */
function hours(whole: Interval, zone: string): Interval[] {
  const result: Interval[] = [];
  let at = Temporal.Instant.fromEpochMilliseconds(whole.start.getTime()).toZonedDateTimeISO(zone);
  while (at.epochMilliseconds < whole.end.getTime()) {
    const floor = at.subtract({ minutes: at.minute, seconds: at.second, milliseconds: at.millisecond });
    let next = floor.add({ hours: 1 });
    if (next.minute !== 0) next = next.add({ minutes: 60 - next.minute });
    const end = Math.min(next.epochMilliseconds, whole.end.getTime());
    result.push({ start: new Date(at.epochMilliseconds), end: new Date(end) });
    at = next;
  }
  return result;
}

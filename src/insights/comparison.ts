import { Temporal } from 'temporal-polyfill';
import { type LocalPeriod, monthPeriod } from '../core/period.ts';

/** A number of one period. */
export interface Measured {
  readonly value: number;
  /** Whether all of the period is counted. */
  readonly complete: boolean;
  /** Whether the counting reached back to the period's beginning: before its client was there, nobody counted. */
  readonly counted: boolean;
}

/** Why a change is not known. */
export type UnknownChange = 'incomplete' | 'reference_incomplete' | 'not_counted' | 'reference_zero';

/** A number against that of another period. Unknown is not zero: where either is not known there is no change, but a reason. */
export interface Change {
  /** Null: not known. */
  readonly reference: number | null;
  readonly difference: number | null;
  /** 0.25: a quarter more. Null beside a reference of zero too, since nothing is so many times nothing. */
  readonly ratio: number | null;
  /** Null: `ratio` is known. */
  readonly reason: UnknownChange | null;
}

export function compare(current: Measured, reference: Measured): Change {
  const none = (reason: UnknownChange, known: number | null): Change => ({
    reference: known,
    difference: null,
    ratio: null,
    reason,
  });
  if (!reference.counted) return none('not_counted', null);
  if (!reference.complete) return none('reference_incomplete', null);
  if (!current.complete || !current.counted) return none('incomplete', reference.value);
  const difference = current.value - reference.value;
  if (reference.value === 0) return { reference: 0, difference, ratio: null, reason: 'reference_zero' };
  return { reference: reference.value, difference, ratio: difference / reference.value, reason: null };
}

/**
 * The same period of the year before: of a whole month the same month; of any other period the days 364 days before, which
 * are the same weekdays (a 1st of October that was a Sunday says nothing of one that is a Monday).
 */
export function samePeriodLastYear(period: LocalPeriod): LocalPeriod {
  const from = Temporal.PlainDate.from(period.from);
  const to = Temporal.PlainDate.from(period.to);
  if (from.day === 1 && to.equals(from.with({ day: from.daysInMonth }))) {
    return monthPeriod(from.toPlainYearMonth().subtract({ years: 1 }).toString(), period.zone);
  }
  const before = (date: Temporal.PlainDate) => date.subtract({ days: 364 }).toString();
  return { from: before(from), to: before(to), zone: period.zone };
}

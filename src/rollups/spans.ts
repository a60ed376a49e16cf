import { addDays, parseDate } from '../core/period.ts';

/** A stretch of local days, `[from, to)`; empty when both are the same. */
export interface Days {
  readonly from: string;
  readonly to: string;
}

/** The whole calendar months within; empty, at the end of the days, when there is none. */
export function wholeMonths({ from, to }: Days): Days {
  const [year, month, day] = from.split('-').map(Number) as [number, number, number];
  const first = day === 1 ? from : monthStart(year, month + 1);
  const last = `${to.slice(0, 7)}-01`;
  return first < last ? { from: first, to: last } : { from: to, to };
}

/** Months count on over the end of the year. */
function monthStart(year: number, month: number): string {
  const years = year + Math.floor((month - 1) / 12);
  return `${String(years).padStart(4, '0')}-${String(((month - 1) % 12) + 1).padStart(2, '0')}-01`;
}

/** Of what a stretch of days is made: months and days that are added, and days that are taken off again. */
export interface Pieces {
  readonly months: Days;
  readonly plus: readonly [Days, Days];
  readonly minus: readonly [Days, Days];
}

/**
 * The fewest days for a stretch: at each end the days themselves, or the whole month without the days that are not wanted. Sums of
 * months and days are exact, so both say the same.
 */
export function fewestPieces({ from, to }: Days): Pieces {
  const none: Days = { from: to, to };
  const [firstMonth, afterFirst] = monthOf(from);
  const [lastMonth, afterLast] = monthOf(addDays(to, -1));
  const before = { from: firstMonth, to: from };
  const behind = { from: to, to: afterLast };
  if (firstMonth === lastMonth) {
    return daysIn(before) + daysIn(behind) < daysIn({ from, to })
      ? { months: { from: firstMonth, to: afterFirst }, plus: [none, none], minus: [before, behind] }
      : { months: none, plus: [{ from, to }, none], minus: [none, none] };
  }
  const head = { from, to: afterFirst };
  const tail = { from: lastMonth, to };
  const isHeadWhole = daysIn(before) < daysIn(head);
  const isTailWhole = daysIn(behind) < daysIn(tail);
  return {
    months: { from: isHeadWhole ? firstMonth : afterFirst, to: isTailWhole ? afterLast : lastMonth },
    plus: [isHeadWhole ? none : head, isTailWhole ? none : tail],
    minus: [isHeadWhole ? before : none, isTailWhole ? behind : none],
  };
}

/** The first day of a day's month, and that of the next. */
function monthOf(day: string): [string, string] {
  const [year, month] = day.split('-').map(Number) as [number, number];
  return [`${day.slice(0, 7)}-01`, monthStart(year, month + 1)];
}

function daysIn({ from, to }: Days): number {
  return parseDate(from, 'from').until(parseDate(to, 'to'), { largestUnit: 'days' }).days;
}

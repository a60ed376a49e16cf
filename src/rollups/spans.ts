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

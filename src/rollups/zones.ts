import { addDays, startOfDay } from '../core/period.ts';

/**
 * Local days as PostgreSQL can look them up: `days[width_bucket(moment, starts)]` is the day in which a moment lies, per zone.
 * Where days begin is worked out here, by the same rules of zones that readers use; PostgreSQL has a table of its own, which may
 * be older or younger than that of Node and lack names.
 */
export interface ZoneTable {
  readonly zones: readonly string[];
  /** Per zone an array of moments as PostgreSQL writes it. */
  readonly starts: readonly string[];
  /** Per zone as many days; NULL where none of the asked ones begins. */
  readonly days: readonly string[];
  /** The first and the last moment of any of the days in any of the zones. */
  readonly from: Date;
  readonly to: Date;
}

const FIRST_DAY = new Date('1900-01-01T00:00:00Z');
const LAST_DAY = new Date('2999-12-31T00:00:00Z');
const KEPT_MAX = 50_000;
const kept = new Map<string, number>();

/** `startOfDay`, remembered: asking for the rules of a zone is slow, and the same days come again and again. */
function dayStart(date: string, zone: string): number {
  const key = `${zone} ${date}`;
  const known = kept.get(key);
  if (known !== undefined) return known;
  if (kept.size >= KEPT_MAX) kept.clear();
  const made = startOfDay(date, zone).getTime();
  kept.set(key, made);
  return made;
}

/** The table of these days, `YYYY-MM-DD` in order, in these zones. */
export function zoneTable(zones: readonly string[], dates: readonly string[]): ZoneTable {
  const bounds = { from: Number.POSITIVE_INFINITY, to: Number.NEGATIVE_INFINITY };
  const rows = zones.map((zone) => {
    const starts: string[] = [];
    const days: string[] = [];
    dates.forEach((date, index) => {
      const start = dayStart(date, zone);
      starts.push(`"${new Date(start).toISOString()}"`);
      days.push(date);
      bounds.from = Math.min(bounds.from, start);
      const next = addDays(date, 1);
      if (dates[index + 1] === next) return;
      const end = dayStart(next, zone);
      starts.push(`"${new Date(end).toISOString()}"`);
      days.push('NULL');
      bounds.to = Math.max(bounds.to, end);
    });
    return { starts: `{${starts.join(',')}}`, days: `{${days.join(',')}}` };
  });
  const isEmpty = bounds.from > bounds.to;
  return {
    zones,
    starts: rows.map((row) => row.starts),
    days: rows.map((row) => row.days),
    from: new Date(isEmpty ? 0 : bounds.from),
    to: new Date(isEmpty ? 0 : bounds.to),
  };
}

/** The local days, in order, that reach into these UTC days anywhere on earth: the day before, the day, the day after. */
export function datesAround(utcDays: readonly Date[]): string[] {
  // What a wild clock puts beyond the calendar has quarter hours and no day.
  const within = utcDays.filter((day) => day >= FIRST_DAY && day < LAST_DAY);
  const dates = within.flatMap((day) => {
    const date = day.toISOString().slice(0, 10);
    return [addDays(date, -1), date, addDays(date, 1)];
  });
  return [...new Set(dates)].sort();
}

import { addDays, localDate, localMoment, weekday } from '../core/period.ts';
import type { DigestPlan } from './settings.ts';

/** A digest that is missed for longer than this is not made up for; its mail is in the next one. */
const LOOK_BACK_DAYS = 8;

/**
 * The last moment, not after `now`, at which the plan wants a digest; null for none. Missed ones before it are not: their
 * mail is in this one.
 */
export function latestSlot(plan: Pick<DigestPlan, 'mode' | 'hours' | 'days'>, zone: string, now: Date): Date | null {
  if (plan.mode === 'off') return null;
  const hours = plan.mode === 'daily' ? plan.hours.slice(0, 1) : plan.hours;
  const today = localDate(now, zone);
  for (let back = 0; back <= LOOK_BACK_DAYS; back += 1) {
    const date = addDays(today, -back);
    if (!plan.days.includes(weekday(date))) continue;
    const past = hours.map((hour) => localMoment(date, hour, zone)).filter((at) => at.getTime() <= now.getTime());
    const last = past.sort((a, b) => b.getTime() - a.getTime())[0];
    if (last !== undefined) return last;
  }
  return null;
}

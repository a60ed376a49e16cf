import { type Interval, interval, type LocalPeriod, previousPeriod } from '../core/period.ts';
import type { TenantTx } from '../db/db.ts';
import { completeness, readStatistics, topMailboxes } from '../rollups/read.ts';
import { countOf, type Scope } from './history.ts';

/** One of the people that most unwanted mail is sent to. */
export interface TargetedPerson {
  readonly mailboxId: string;
  readonly deliveries: number;
  readonly unwanted: number;
  /** Part of all unwanted deliveries of the period, 0 to 1. */
  readonly share: number;
  /** Unwanted deliveries of the period before; null: not known. */
  readonly previousUnwanted: number | null;
}

const PREVIOUS_TOP = 1_000;

/** Mailboxes by unwanted deliveries, the most targeted first; those with none are left out. */
export async function targetedPeople(
  tx: TenantTx,
  scope: Scope,
  period: LocalPeriod,
  limit: number,
): Promise<TargetedPerson[]> {
  const { clientId } = scope;
  const before: Interval = interval(previousPeriod(period));
  const { totals } = await readStatistics(tx, { clientId, period, granularity: 'MONTH' });
  const rows = await topMailboxes(tx, clientId, interval(period), limit);
  const old = await topMailboxes(tx, clientId, before, PREVIOUS_TOP);
  const { complete } = await completeness(tx, before.end);
  const known = new Map(old.map((row) => [row.key, row.unwanted]));
  // Whoever is not in a whole list had none; in a list that was cut nobody knows.
  const absent = complete && old.length < PREVIOUS_TOP && scope.since <= before.start ? 0 : null;
  const all = countOf(totals, 'unwanted');
  return rows
    .filter((row) => row.unwanted > 0)
    .map((row) => ({
      mailboxId: row.key,
      deliveries: row.deliveries,
      unwanted: row.unwanted,
      share: all === 0 ? 0 : Math.min(1, row.unwanted / all),
      previousUnwanted: complete ? (known.get(row.key) ?? absent) : null,
    }));
}

import type { Totals } from '../core/counts.ts';
import type { Granularity, Interval, LocalPeriod } from '../core/period.ts';
import type { TenantTx } from '../db/db.ts';
import { buckets } from '../core/period.ts';
import { NO_TOTALS } from '../core/counts.ts';
export interface Bucket { readonly start: Date; readonly end: Date; readonly complete: boolean; readonly totals: Totals }
export interface Statistics { readonly complete: boolean; readonly completeThrough: Date | null; readonly totals: Totals; readonly buckets: readonly Bucket[] }
export async function readStatistics(_tx: TenantTx, q: { clientId: string | null; period: LocalPeriod; granularity: Granularity }): Promise<Statistics> {
  return { complete: false, completeThrough: null, totals: NO_TOTALS, buckets: buckets(q.period, q.granularity).map((b) => ({ ...b, complete: false, totals: NO_TOTALS })) };
}
export async function topSenders(_tx: TenantTx, _clientId: string | null, _interval: Interval, _limit: number): Promise<{ sender: string; deliveries: number }[]> { return []; }
export async function topMailboxes(_tx: TenantTx, _clientId: string | null, _interval: Interval, _limit: number): Promise<{ mailboxId: string; deliveries: number; threats: number }[]> { return []; }
export async function topReasons(_tx: TenantTx, _clientId: string | null, _interval: Interval, _limit: number): Promise<{ reason: string; deliveries: number }[]> { return []; }

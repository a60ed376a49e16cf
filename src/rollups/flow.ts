import type { EventKind } from '../core/event.ts';
import type { Interval } from '../core/period.ts';
import type { Direction, Disposition, Verdict } from '../core/verdict.ts';
import type { TenantTx } from '../db/db.ts';
import { sql } from '../db/sql.ts';

/** How many deliveries something happened to in a stretch of time. */
export interface FlowRow {
  readonly kind: EventKind;
  readonly direction: Direction;
  /** Empty: it has none, as a refused recipient. */
  readonly verdict: Verdict | '';
  readonly disposition: Disposition | '';
  readonly deliveries: number;
}

/** What happened to deliveries, by direction and verdict: what the totals of `readStatistics` do not tell apart. `clientId` null: all. */
export function readFlow(tx: TenantTx, clientId: string | null, range: Interval): Promise<FlowRow[]> {
  return tx.rows<FlowRow>(sql`
    select r.kind, r.direction, r.verdict, r.disposition, sum(r.deliveries)::bigint as deliveries
    from rollup_traffic r
    where r.partner_id = ${tx.partnerId} and (${clientId}::uuid is null or r.client_id = ${clientId}::uuid)
      and r.bucket >= ${range.start} and r.bucket < ${range.end}
    group by 1, 2, 3, 4`);
}

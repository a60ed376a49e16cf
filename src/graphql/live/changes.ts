import type { SystemDb, SystemTx } from '../../db/db.ts';
import { sql } from '../../db/sql.ts';

export const LIVE_KINDS = ['incident', 'report_run', 'release_request'] as const;
export type LiveKind = (typeof LIVE_KINDS)[number];

/** Something of a client that changed. What it is now is read by its id, as the tenant. */
export interface LiveChange {
  readonly partnerId: string;
  readonly clientId: string;
  readonly kind: LiveKind;
  readonly id: string;
}

/** Changes that one look answers with; with more, whoever watches is told to start anew. */
export const CHANGES_MAX = 10_000;

/** How long rows are kept: far longer than the time between two looks. */
const KEPT = '1 hour';

/**
 * Changes whose transactions have become visible since `snapshot` (a pg_snapshot; null: none yet), and the snapshot of now. A
 * transaction that was open at the look before is asked for again, so that none is missed whatever the order of commits.
 */
export async function readChanges(
  tx: SystemTx,
  snapshot: string | null,
): Promise<{ readonly snapshot: string; readonly changes: readonly LiveChange[] }> {
  const since = snapshot ?? '1:1:';
  return tx.one(sql`
    select pg_current_snapshot()::text as snapshot,
           coalesce((select jsonb_agg(jsonb_build_object('partnerId', n.partner_id, 'clientId', n.client_id, 'kind', n.kind,
                                                         'id', n.id) order by n.xid) from (
             select c.partner_id, c.client_id, c.kind, c.id, c.xid from live_changes c
             where ${snapshot !== null} and c.xid >= pg_snapshot_xmin(${since}::pg_snapshot)
               and not pg_visible_in_snapshot(c.xid, ${since}::pg_snapshot)
             limit ${CHANGES_MAX + 1}) n), '[]') as changes`);
}

/** Removes rows that every reader has seen long ago; answers how many. For a job. */
export async function pruneLiveChanges(db: SystemDb): Promise<number> {
  return db.system((tx) => tx.run(sql`delete from live_changes where changed_at < now() - ${KEPT}::interval`));
}

import type { Tx } from '../db/db.ts';
import { sql } from '../db/sql.ts';
import { PENDING_MAX, UNCOUNTED } from './state.ts';

/** How far an answer reaches. */
export interface Reach {
  /** Everything that happened before this moment is in the numbers of a reader that goes by this. Null: nothing is known. */
  readonly completeThrough: Date | null;
  /** The same of the rollups alone. */
  readonly rolledThrough: Date | null;
  /** Whether events that the roller has not taken yet are counted with the rollups. */
  readonly tail: boolean;
}

/** Without a round for so long the tail may have any size. */
export const ROLLED_MAX_MS = 5 * 60_000;
/** So many transactions, of the whole cluster, are looked for one by one. */
export const TRANSACTIONS_MAX = 50_000;

/**
 * What a reader may count: the rollups and, while it is small, the tail of events that are committed and not yet rolled.
 *
 * With the tail, every heartbeat that is visible counts: it was written after the events that it vouches for had been committed,
 * so whoever sees it sees them. Without it, only what the roller has taken in counts. To be asked before the numbers are read, of
 * the same transaction: they are then never older than what is said of them.
 */
export async function readReach(tx: Tx): Promise<Reach> {
  const row = await tx.one<{
    cursor: string | null;
    pending: number | null;
    transactions: number;
    rolled: Date | null;
    holding: Date | null;
    latest: Date | null;
    holdingNow: Date | null;
    latestNow: Date | null;
  }>(sql`
    select s.cursor::text as cursor, s.pending, s.rolled_at as rolled, w.*, n.*,
           pg_snapshot_xmax(pg_current_snapshot())::text::bigint - coalesce(s.cursor::text::bigint, 3) as transactions
    from (select min(w.complete_through) filter (where w.state = 'alive' and n.state is distinct from 'retired') as holding,
                 max(w.complete_through) as latest
          from rollup_watermarks w left join nodes n on n.id = w.node) as w
    cross join (select min(n.flushed_through) filter (where n.state = 'alive') as "holdingNow",
                       max(n.flushed_through) as "latestNow" from nodes n) as n
    left join rollup_state s on true`);
  // Before the first round there are no rollups, and the ledger is all tail. After a take-over nothing tells them apart.
  const isRolled =
    row.cursor === null ||
    (row.cursor !== UNCOUNTED && tx.now.getTime() - (row.rolled?.getTime() ?? 0) <= ROLLED_MAX_MS);
  const isSmall = isRolled && (row.pending ?? 0) <= PENDING_MAX && row.transactions <= TRANSACTIONS_MAX;
  return {
    completeThrough: isSmall ? (row.holdingNow ?? row.latestNow) : (row.holding ?? row.latest),
    rolledThrough: row.holding ?? row.latest,
    tail: isSmall,
  };
}

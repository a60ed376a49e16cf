import { AppError } from '../core/errors.ts';
import type { SystemTx, Tx } from '../db/db.ts';
import { sql } from '../db/sql.ts';

/** The oldest transaction that still runs, and the cluster whose transaction ids these are. */
export interface Horizon {
  readonly xid: string;
  readonly cluster: string;
}

/** Before the first transaction id there is: a cursor that stands here wants everything counted anew. */
export const UNCOUNTED = '0';

const ROLLER_LOCK = 7_461_003;

/** One roller at a time on the whole database; false: another is at work. Held until the transaction ends. */
export async function lockRoller(tx: SystemTx): Promise<boolean> {
  return (await tx.one<{ locked: boolean }>(sql`select pg_try_advisory_xact_lock(${ROLLER_LOCK}) as locked`)).locked;
}

/** Waits for the roller instead: for a rebuild, which must happen. */
export async function waitForRoller(tx: SystemTx): Promise<void> {
  await tx.run(sql`select pg_advisory_xact_lock(${ROLLER_LOCK})`);
}

export async function readHorizon(tx: SystemTx): Promise<Horizon> {
  return tx.one<Horizon>(sql`
    select pg_snapshot_xmin(pg_current_snapshot())::text as xid,
           (select system_identifier::text from pg_control_system()) as cluster`);
}

export async function readCursor(tx: Tx): Promise<Horizon | null> {
  return tx.maybe<Horizon>(sql`select cursor::text as xid, cluster::text as cluster from rollup_state`);
}

/**
 * Transaction ids of another cluster say nothing here, neither the cursor's nor those in the ledger. Throws `conflict` until
 * `ensurePartitions` has taken a restored ledger over, which every start of the service does.
 */
export function requireOwnCluster(cursor: Horizon, horizon: Horizon): void {
  if (cursor.cluster === horizon.cluster) return;
  throw new AppError('conflict', 'the ledger came from another cluster and is not taken over yet: start the service');
}

/** As many events above the cursor are counted, no more: a reader would not count that many by itself. */
export const PENDING_MAX = 50_000;

/** Moves the cursor; when the mark of an earlier round has come to lie below it, the horizon is as young as that round. */
export async function writeCursor(tx: SystemTx, horizon: Horizon): Promise<void> {
  await tx.run(sql`
    insert into rollup_state as s (cluster, cursor, rolled_at, mark, mark_at, settled_at, pending)
    values (${horizon.cluster}::bigint, ${horizon.xid}::xid8, ${tx.now}, pg_current_xact_id(), ${tx.now}, ${tx.now},
            (select count(*) from (select from ledger e where e.xid >= ${horizon.xid}::xid8 limit ${PENDING_MAX + 1}) as p))
    on conflict (only_row) do update
    set cluster = excluded.cluster, cursor = excluded.cursor, rolled_at = excluded.rolled_at, pending = excluded.pending,
        settled_at = case when s.mark < excluded.cursor then s.mark_at else s.settled_at end,
        mark = case when s.mark < excluded.cursor then excluded.mark else s.mark end,
        mark_at = case when s.mark < excluded.cursor then excluded.mark_at else s.mark_at end`);
}

/**
 * Seconds since a moment before which every writing transaction of the cluster has ended: a second or two while all is well.
 * It grows while a transaction is forgotten in any database of the cluster, since the rollups stand still before it, and
 * while no roller works. For the metric and its alarm. Zero before the first round.
 */
export async function horizonAgeSeconds(tx: Tx): Promise<number> {
  const row = await tx.maybe<{ settled: Date }>(sql`select settled_at as settled from rollup_state`);
  return row === null ? 0 : Math.max(0, (tx.now.getTime() - row.settled.getTime()) / 1000);
}

/** The moment from which on the ledger is whole: before it, retention has dropped events. Null: nothing was ever dropped. */
export async function readFloor(tx: Tx): Promise<Date | null> {
  return (await tx.maybe<{ at: Date }>(sql`select whole_from as at from retention_floor`))?.at ?? null;
}

/**
 * What the nodes have said becomes what the rollups hold: a heartbeat counts once its own transaction is below the horizon,
 * since the events it vouches for have lower transaction ids. The newest of those decides on the node's state.
 */
export async function takeWatermarks(tx: SystemTx, horizon: Horizon): Promise<void> {
  await tx.run(sql`
    with believed as (
      delete from node_beats b where b.xid < ${horizon.xid}::xid8 returning b.node, b.xid, b.flushed_through, b.state)
    insert into rollup_watermarks as w (node, complete_through, state)
    select distinct on (b.node) b.node, max(b.flushed_through) over (partition by b.node), b.state
    from believed b order by b.node, b.xid desc
    on conflict (node) do update
    set complete_through = greatest(w.complete_through, excluded.complete_through), state = excluded.state`);
}

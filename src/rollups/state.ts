import type { SystemTx, Tx } from '../db/db.ts';
import { sql } from '../db/sql.ts';

/** The oldest transaction that still runs, and the cluster whose transaction ids these are. */
export interface Horizon {
  readonly xid: string;
  readonly cluster: string;
}

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

export async function writeCursor(tx: SystemTx, horizon: Horizon): Promise<void> {
  await tx.run(sql`
    insert into rollup_state as s (cluster, cursor, rolled_at) values (${horizon.cluster}::bigint, ${horizon.xid}::xid8, ${tx.now})
    on conflict (only_row) do update set cluster = excluded.cluster, cursor = excluded.cursor, rolled_at = excluded.rolled_at`);
}

/**
 * Seconds since the oldest writing transaction of the cluster began: as long as it runs, the rollups stand still before it.
 * A forgotten transaction in any database of the cluster shows here. For the metric and its alarm.
 */
export async function horizonAgeSeconds(tx: SystemTx): Promise<number> {
  const row = await tx.one<{ age: number }>(sql`
    select coalesce(max(extract(epoch from clock_timestamp() - a.xact_start)), 0)::float8 as age
    from pg_stat_activity a where a.backend_xid is not null and a.pid <> pg_backend_pid()`);
  return row.age;
}

/**
 * What the nodes have said becomes what the rollups hold: a heartbeat counts once its own transaction is below the horizon,
 * since the events it vouches for have lower transaction ids.
 */
export async function takeWatermarks(tx: SystemTx, horizon: Horizon): Promise<void> {
  await tx.run(sql`
    insert into rollup_watermarks as w (node, complete_through)
    select n.id, n.flushed_through from nodes n where n.xid < ${horizon.xid}::xid8 and n.state <> 'retired'
    on conflict (node) do update set complete_through = greatest(w.complete_through, excluded.complete_through)`);
}

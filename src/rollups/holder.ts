import type { SystemTx } from '../db/db.ts';
import { sql } from '../db/sql.ts';

/** Above so many seconds a transaction that holds the horizon is told of. */
export const HELD_SECONDS = 60;

/** The oldest writing transaction of the cluster: whatever began before it is not rolled while it runs. */
export interface Holder {
  /** Null: it is prepared (two-phase commit) and belongs to no session. */
  readonly pid: number | null;
  readonly database: string | null;
  readonly user: string | null;
  /** Null, as `seconds`, for sessions that this role may not look into. */
  readonly application: string | null;
  readonly seconds: number | null;
  /** Name of a prepared transaction. */
  readonly prepared: string | null;
}

/**
 * Who holds the roller's horizon, in whichever database. Every writing transaction holds a lock on its own id, which all roles may
 * see; of the sessions of other roles pg_stat_activity tells the name only. Null: nobody but the asking transaction.
 */
export async function horizonHolder(tx: SystemTx): Promise<Holder | null> {
  return tx.maybe<Holder>(sql`
    select l.pid, coalesce(a.datname, p.database) as database, coalesce(a.usename, p.owner) as "user",
           nullif(a.application_name, '') as application,
           extract(epoch from clock_timestamp() - coalesce(a.xact_start, p.prepared))::float8 as seconds, p.gid as prepared
    from pg_locks l
    left join pg_stat_activity a on a.pid = l.pid
    left join pg_prepared_xacts p on p.transaction = l.transactionid
    where l.locktype = 'transactionid' and l.mode = 'ExclusiveLock' and l.granted and l.pid is distinct from pg_backend_pid()
    order by age(l.transactionid) desc limit 1`);
}

/** For people: `process 4711 (tollgate_system, psql, database postgres) for 75 s`. */
export function describeHolder(holder: Holder): string {
  const who = holder.prepared === null ? `process ${holder.pid}` : `the prepared transaction ${holder.prepared}`;
  const about = [holder.user, holder.application, holder.database === null ? null : `database ${holder.database}`];
  const age = holder.seconds === null ? '' : ` for ${Math.round(holder.seconds)} s`;
  return `${who} (${about.filter((part) => part !== null).join(', ')})${age}`;
}

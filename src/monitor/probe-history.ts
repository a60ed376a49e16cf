import type { SystemDb, SystemTx } from '../db/db.ts';
import { sql } from '../db/sql.ts';
import type { ProbedServer, ServerState } from './probe-state.ts';

/** Between two looks that lie further apart nothing is known: three times the pause between looks. */
export const GAP_MS = 900_000;
const KEPT_DAYS = 800;

/**
 * Notes the state that a server is in now: the stretch of that state goes on, or a new one begins. After a pause longer than
 * GAP_MS there is a gap, in which the server counts as neither up nor down. `state` null: nothing is known for sure.
 */
export async function noteState(
  tx: SystemTx,
  { partnerId, clientId, host, port }: Pick<ProbedServer, 'partnerId' | 'clientId' | 'host' | 'port'>,
  state: ServerState | null,
): Promise<void> {
  if (state === null) return;
  const since = new Date(tx.now.getTime() - GAP_MS);
  await tx.run(sql`
    with last as (
      select s.from_at, s.to_at, s.state from server_states s
      where s.partner_id = ${partnerId} and s.client_id = ${clientId} and s.host = ${host} and s.port = ${port}
      order by s.from_at desc limit 1),
    kept as (
      update server_states s set to_at = greatest(s.to_at, ${tx.now}::timestamptz) from last
      where s.partner_id = ${partnerId} and s.client_id = ${clientId} and s.host = ${host} and s.port = ${port}
        and s.from_at = last.from_at and last.to_at >= ${since}
      returning s.state)
    insert into server_states (partner_id, client_id, host, port, from_at, to_at, state)
    select ${partnerId}::uuid, ${clientId}::uuid, ${host}::text, ${port}::int, ${tx.now}::timestamptz, ${tx.now}::timestamptz, ${state}::text
    where not exists (select from kept k where k.state = ${state})
    on conflict (partner_id, client_id, host, port, from_at) do nothing`);
}

/** Removes what no report asks for any more. Answers how many rows went. */
export function pruneStates(db: SystemDb): Promise<number> {
  return db.system((tx) =>
    tx.run(sql`delete from server_states where to_at < ${new Date(tx.now.getTime() - KEPT_DAYS * 86_400_000)}`),
  );
}

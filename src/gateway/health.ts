import type { SystemTx } from '../db/db.ts';
import { sql } from '../db/sql.ts';

export interface RouteState {
  readonly partnerId: string;
  readonly clientId: string;
  readonly host: string;
  readonly port: number;
  /** Null: it answered. */
  readonly error: string | null;
}

/** Records whether a client's server answered. Answers true when it was down and is up now: its mail may flow. */
export async function recordHealth(tx: SystemTx, state: RouteState): Promise<boolean> {
  const { partnerId, clientId, host, port, error } = state;
  const before = await tx.maybe<{ state: string }>(sql`
    select state from route_health
    where partner_id = ${partnerId} and client_id = ${clientId} and host = ${host} and port = ${port} for update`);
  const now = error === null ? 'up' : 'down';
  await tx.run(sql`
    insert into route_health as r (partner_id, client_id, host, port, state, failures, since, last_error, checked_at)
    values (${partnerId}, ${clientId}, ${host}, ${port}, ${now}, ${error === null ? 0 : 1}, ${tx.now}, ${error}, ${tx.now})
    on conflict (partner_id, client_id, host, port) do update set
      failures = case when excluded.state = 'up' then 0 else r.failures + 1 end,
      since = case when r.state = excluded.state then r.since else excluded.since end,
      state = excluded.state, last_error = coalesce(excluded.last_error, r.last_error), checked_at = excluded.checked_at`);
  return before?.state === 'down' && error === null;
}

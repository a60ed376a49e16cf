import type { SystemTx } from '../db/db.ts';
import { sql } from '../db/sql.ts';
import { together } from '../db/together.ts';

export interface RouteState {
  readonly partnerId: string;
  readonly clientId: string;
  readonly host: string;
  readonly port: number;
  /** Null: it answered. */
  readonly error: string | null;
}

/** How long the word that a server is up is not written again, milliseconds: every delivery says it. */
const FRESH_MS = 5_000;

/** Records whether a client's server answered. Answers true when it was down and is up now: its mail may flow. */
export async function recordHealth(tx: SystemTx, state: RouteState): Promise<boolean> {
  const { partnerId, clientId, host, port, error } = state;
  const now = error === null ? 'up' : 'down';
  const fresh = new Date(tx.now.getTime() - FRESH_MS);
  const before = tx.maybe<{ state: string }>(sql`
    select r.state from route_health r
    where r.partner_id = ${partnerId} and r.client_id = ${clientId} and r.host = ${host} and r.port = ${port}
      and not (${now}::text = 'up' and r.state = 'up' and r.failures = 0 and r.checked_at > ${fresh}) for update`);
  const written = tx.run(sql`
    insert into route_health as r (partner_id, client_id, host, port, state, failures, since, last_error, checked_at)
    values (${partnerId}, ${clientId}, ${host}, ${port}, ${now}, ${error === null ? 0 : 1}, ${tx.now}, ${error}, ${tx.now})
    on conflict (partner_id, client_id, host, port) do update set
      failures = case when excluded.state = 'up' then 0 else r.failures + 1 end,
      since = case when r.state = excluded.state then r.since else excluded.since end,
      state = excluded.state, last_error = coalesce(excluded.last_error, r.last_error), checked_at = excluded.checked_at
    where not (excluded.state = 'up' and r.state = 'up' and r.failures = 0 and r.checked_at > ${fresh})`);
  const [known] = await together([before, written] as const);
  return known?.state === 'down' && error === null;
}

import type { TenantTx } from '../db/db.ts';
import { sql } from '../db/sql.ts';
import type { ServerState } from './probe-state.ts';

/** A client's mail server as the probe found it last. */
export interface ServerRow {
  readonly clientId: string;
  readonly host: string;
  readonly port: number;
  /** Null: not looked at yet, or one look alone found it not up. */
  readonly state: ServerState | null;
  readonly since: Date | null;
  readonly latencyMs: number | null;
  readonly banner: string | null;
  /** Whole days; negative when it has ended. */
  readonly certificateDaysLeft: number | null;
  readonly lastError: string | null;
  readonly checkedAt: Date | null;
}

export function serversOf(tx: TenantTx, clientIds: readonly string[]): Promise<ServerRow[]> {
  return tx.rows<ServerRow>(sql`
    select client_id as "clientId", host, port, state, since, latency_ms as "latencyMs", banner,
           floor(date_part('epoch', certificate_until - ${tx.now}::timestamptz) / 86400)::int as "certificateDaysLeft",
           last_error as "lastError", checked_at as "checkedAt"
    from server_probes where partner_id = ${tx.partnerId} and client_id = any(${clientIds}::uuid[])
    order by client_id, host, port`);
}

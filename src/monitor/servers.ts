import type { Clock } from '../core/clock.ts';
import type { SystemDb, SystemTx } from '../db/db.ts';
import { sql } from '../db/sql.ts';
import { openIncident, resolveIncident } from '../tickets/incidents.ts';

const RULE = 'server.down';
const MX_RECENT_MS = 3_600_000;

/** A client's server as delivery saw it last, and what is told of it already. */
export interface ServerHealth {
  readonly partnerId: string;
  readonly clientId: string;
  readonly clientName: string;
  readonly host: string;
  readonly port: number;
  readonly state: 'up' | 'down';
  readonly since: Date;
  readonly lastError: string | null;
  /** Whether mail is still sent there. */
  readonly isRoute: boolean;
  /** Messages that wait for the client's servers. */
  readonly waiting: number;
  /** Whether an incident of this server is open. */
  readonly isOpen: boolean;
  /** When an incident of this server was last seen; null: never. */
  readonly toldAt: Date | null;
}

export type ServerDecision = { readonly open: true } | { readonly resolve: string } | null;

/**
 * An outage is told once: not again while it lasts, even when a person has closed its incident meanwhile. A server that comes
 * back, or that mail no longer goes to, ends its incident.
 */
export function decideServer(server: ServerHealth, now: Date, downSeconds: number): ServerDecision {
  if (server.state === 'up')
    return server.isOpen ? { resolve: 'The server answers again; what waited is on its way.' } : null;
  if (!server.isRoute) return server.isOpen ? { resolve: 'Mail is no longer sent to this server.' } : null;
  const downFor = now.getTime() - server.since.getTime();
  const isTold = server.toldAt !== null && server.toldAt >= server.since;
  return downFor >= downSeconds * 1_000 && !isTold ? { open: true } : null;
}

/**
 * Opens an incident `server.down` for each client's server that has not answered for `downSeconds`, and ends it when the
 * server is back. Answers with the number of incidents that were opened or ended.
 */
export async function watchServers(db: SystemDb, clock: Clock, downSeconds: number): Promise<number> {
  return db.system(async (tx) => {
    let changes = 0;
    for (const server of await readServers(tx)) {
      const decision = decideServer(server, clock.now(), downSeconds);
      if (decision === null) continue;
      const key = {
        partnerId: server.partnerId,
        clientId: server.clientId,
        rule: RULE,
        subject: serverName(server),
      };
      if ('open' in decision) {
        await openIncident(tx, {
          ...key,
          severity: 'critical',
          title: `Mail server of ${server.clientName} does not answer: ${serverName(server)}`,
          description: describe(server),
        });
      } else {
        await resolveIncident(tx, { ...key, resolution: decision.resolve });
      }
      changes += 1;
    }
    return changes;
  });
}

const serverName = ({ host, port }: ServerHealth) => (host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`);

function describe(server: ServerHealth): string {
  const waiting = server.waiting === 1 ? '1 message waits' : `${server.waiting} messages wait`;
  return [
    `${serverName(server)} has not answered since ${server.since.toISOString()}.`,
    `${waiting} here and will be delivered by itself when the server is back. Nothing is lost and nothing is bounced meanwhile.`,
    ...(server.lastError === null ? [] : [`Last error: ${server.lastError}`]),
  ].join('\n');
}

/** Servers that are down, and those with an open incident. */
async function readServers(tx: SystemTx): Promise<ServerHealth[]> {
  const recent = new Date(tx.now.getTime() - MX_RECENT_MS);
  return tx.rows<ServerHealth>(sql`
    select h.partner_id as "partnerId", h.client_id as "clientId", c.name as "clientName", h.host, h.port, h.state, h.since,
           h.last_error as "lastError",
           exists (select from routes r where r.partner_id = h.partner_id and r.client_id = h.client_id
                     and ((r.kind = 'relay' and lower(r.host) = lower(h.host) and r.port = h.port)
                          -- Which servers an MX route has, the DNS says: those that were tried of late.
                          or (r.kind = 'mx' and h.checked_at > ${recent}))) as "isRoute",
           (select count(*) from queue q where q.partner_id = h.partner_id and q.client_id = h.client_id) as waiting,
           coalesce(i.is_open, false) as "isOpen", i.told_at as "toldAt"
    from route_health h
    join clients c on c.partner_id = h.partner_id and c.id = h.client_id
    left join lateral (
      select bool_or(n.state = 'open') as is_open, max(n.last_seen_at) as told_at from incidents n
      where n.partner_id = h.partner_id and n.client_id = h.client_id and n.rule = ${RULE}
        and n.subject = case when h.host like '%:%' then '[' || h.host || ']' else h.host end || ':' || h.port) as i on true
    where h.state = 'down' or i.is_open
    order by h.partner_id, h.client_id, h.host, h.port`);
}

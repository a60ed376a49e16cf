import type { SystemDb, SystemTx } from '../db/db.ts';
import { sql } from '../db/sql.ts';
import { openIncident, resolveIncident } from '../tickets/incidents.ts';

const RULE = 'server.down';

interface DownRow {
  partnerId: string;
  clientId: string;
  clientName: string;
  host: string;
  port: number;
  since: Date;
  failures: number;
  error: string | null;
  waiting: number;
}

/**
 * Opens an incident for each client's mail server that has not answered for `downSeconds`, and ends those whose server
 * answers again. What delivery sees is what counts: it is delivery that a down server stops. Answers with what changed.
 */
export async function watchServers(db: SystemDb, downSeconds: number): Promise<{ opened: number; resolved: number }> {
  return db.system(async (tx) => {
    const down = await serversDown(tx, new Date(tx.now.getTime() - downSeconds * 1000));
    for (const row of down) {
      await openIncident(tx, {
        partnerId: row.partnerId,
        clientId: row.clientId,
        rule: RULE,
        subject: `${row.host}:${row.port}`,
        severity: 'high',
        title: `Mail server ${row.host}:${row.port} of ${row.clientName} does not answer`,
        description: [
          `${row.host}:${row.port} has not answered since ${row.since.toISOString()} (${row.failures} tries).`,
          `Last error: ${row.error ?? 'none'}.`,
          `${row.waiting} deliveries wait. They are kept for up to 14 days and flow by themselves when the server answers.`,
        ].join('\n'),
      });
    }
    const up = await serversBack(tx);
    for (const row of up) {
      await resolveIncident(
        tx,
        { ...row, rule: RULE },
        `The server answers again since ${row.since.toISOString()}; waiting mail flows.`,
      );
    }
    return { opened: down.length, resolved: up.length };
  });
}

/** Servers that are down for long enough and have no open incident yet. */
function serversDown(tx: SystemTx, before: Date): Promise<DownRow[]> {
  return tx.rows<DownRow>(sql`
    select h.partner_id as "partnerId", h.client_id as "clientId", c.name as "clientName", h.host, h.port, h.since, h.failures,
           h.last_error as error,
           (select count(*) from queue q where q.partner_id = h.partner_id and q.client_id = h.client_id) as waiting
    from route_health h join clients c on c.partner_id = h.partner_id and c.id = h.client_id
    where h.state = 'down' and h.since <= ${before}
      and not exists (select from incidents i where i.partner_id = h.partner_id and i.client_id = h.client_id
                      and i.rule = ${RULE} and i.subject = h.host || ':' || h.port and i.state = 'open')`);
}

/** Open incidents whose server answers. A server that is no longer in use has no row that is down: its incident ends too. */
function serversBack(tx: SystemTx): Promise<{ partnerId: string; clientId: string; subject: string; since: Date }[]> {
  return tx.rows(sql`
    select i.partner_id as "partnerId", i.client_id as "clientId", i.subject, coalesce(h.since, ${tx.now}) as since
    from incidents i
    left join route_health h on h.partner_id = i.partner_id and h.client_id = i.client_id and h.host || ':' || h.port = i.subject
    where i.rule = ${RULE} and i.state = 'open' and (h.state = 'up' or h.state is null)`);
}

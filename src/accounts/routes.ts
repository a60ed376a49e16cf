import { normalizeDomain, printable } from '../core/address.ts';
import { AppError } from '../core/errors.ts';
import { newId } from '../core/id.ts';
import type { SystemTx, TenantTx } from '../db/db.ts';
import { sql } from '../db/sql.ts';

export interface Route {
  readonly host: string;
  readonly port: number;
  readonly tls: 'none' | 'opportunistic' | 'required';
  readonly priority: number;
}

export interface RouteInput {
  readonly host: string;
  readonly port: number;
}

/** Reads `HOST:PORT`, `[v6]:PORT` or `HOST` (port 25). Throws `invalid_input`. */
export function parseRelay(text: string): RouteInput {
  const match = /^(?:\[([0-9a-f:]+)\]|([^:[\]]+))(?::(\d{1,5}))?$/i.exec(text.trim());
  const host = match?.[1] ?? match?.[2];
  const port = Number(match?.[3] ?? 25);
  const isAddress = host !== undefined && /^[\d.]+$|:/.test(host);
  if (
    host === undefined ||
    port < 1 ||
    port > 65_535 ||
    (!isAddress && host !== 'localhost' && normalizeDomain(host) === null)
  ) {
    throw new AppError('invalid_input', `"${printable(text)}" is not HOST:PORT`, { field: 'relay' });
  }
  return { host: host.toLowerCase(), port };
}

/** Sets a client's relays for all its domains, in order of preference. */
export async function replaceRoutes(tx: TenantTx, clientId: string, relays: readonly RouteInput[]): Promise<void> {
  await tx.run(
    sql`delete from routes where partner_id = ${tx.partnerId} and client_id = ${clientId} and domain is null`,
  );
  for (const [index, relay] of relays.entries()) {
    await tx.run(sql`
      insert into routes (partner_id, client_id, id, host, port, priority, created_at)
      values (${tx.partnerId}, ${clientId}, ${newId()}, ${relay.host}, ${relay.port}, ${(index + 1) * 10}, ${tx.now})`);
  }
}

/** Where mail for a domain of a client goes, best first. A domain's own routes hide the client's. */
export async function routesFor(tx: SystemTx, partnerId: string, clientId: string, domain: string): Promise<Route[]> {
  const rows = await tx.rows<Route & { domain: string | null }>(sql`
    select host, port, tls, priority, domain from routes
    where partner_id = ${partnerId} and client_id = ${clientId} and (domain is null or domain = ${domain})
    order by priority, id`);
  const own = rows.filter((row) => row.domain !== null);
  return (own.length > 0 ? own : rows).map(({ host, port, tls, priority }) => ({ host, port, tls, priority }));
}

import { isIP } from 'node:net';
import { normalizeDomain, printable } from '../core/address.ts';
import { AppError } from '../core/errors.ts';
import { newId } from '../core/id.ts';
import type { TenantTx, Tx } from '../db/db.ts';
import { sql } from '../db/sql.ts';
import { requireRegion } from './names.ts';

export const ROUTE_TLS = ['none', 'opportunistic', 'required'] as const;
export type RouteTls = (typeof ROUTE_TLS)[number];
export const ROUTE_KINDS = ['relay', 'mx'] as const;
export type RouteKind = (typeof ROUTE_KINDS)[number];

/** Where mail for a client goes. */
export interface Route {
  /** `relay`: to `host`. `mx`: to the mail hosts in the DNS of the domain `host`, of the recipient's own when it is ''. */
  readonly kind: RouteKind;
  readonly host: string;
  readonly port: number;
  readonly tls: RouteTls;
  /** Lower first. */
  readonly priority: number;
  /** Share of the deliveries among the routes of one priority, 1 to 1000. */
  readonly weight: number;
  readonly region: string | null;
}

/** A route of a list: what is absent is 25, `opportunistic`, weight 1, no region, and a priority by the place in the list. */
export interface RouteInput {
  readonly kind?: RouteKind | undefined;
  readonly host: string;
  readonly port: number;
  readonly tls?: RouteTls | undefined;
  readonly priority?: number | undefined;
  readonly weight?: number | undefined;
  readonly region?: string | null | undefined;
}

/** A client's route with the domain that it is for; null: every domain of the client that has none of its own. */
export interface ClientRoute extends Route {
  readonly clientId: string;
  readonly domain: string | null;
}

const ROUTES_MAX = 20;
const PRIORITY_MAX = 65_535;
const WEIGHT_MAX = 1000;

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

/** Reads `HOST:PORT[,priority=N][,weight=N][,region=NAME][,tls=none|opportunistic|required]`. Throws `invalid_input`. */
export function parseRoute(text: string): RouteInput {
  const [where = '', ...settings] = text.split(',');
  const known = new Map<string, string>();
  for (const setting of settings) {
    const [name = '', value = ''] = setting.split('=', 2).map((part) => part.trim());
    if (!['priority', 'weight', 'region', 'tls'].includes(name) || value === '' || known.has(name)) {
      throw new AppError('invalid_input', `"${printable(setting)}" is not a setting of a relay`, { field: 'relay' });
    }
    known.set(name, value);
  }
  const number = (name: string) => (known.has(name) ? Number(known.get(name)) : undefined);
  return {
    ...parseRelay(where),
    priority: number('priority'),
    weight: number('weight'),
    region: known.get('region'),
    tls: known.get('tls') as RouteTls | undefined,
  };
}

/** A whole route of what was given. `place` counts from 0. Throws `invalid_input`. */
function checkedRoute(input: RouteInput, place: number): Route {
  const fail = (why: string): never => {
    throw new AppError('invalid_input', why, { field: 'routes' });
  };
  const whole = (value: number, low: number, high: number, what: string) =>
    Number.isInteger(value) && value >= low && value <= high ? value : fail(`${what} is ${low} to ${high}`);
  const kind = input.kind ?? 'relay';
  const name = input.host.trim().toLowerCase();
  const domain = normalizeDomain(name);
  if (kind === 'relay' && isIP(name) === 0 && name !== 'localhost' && domain === null) {
    fail(`"${printable(input.host)}" is not a host name or an address`);
  }
  if (kind === 'mx' && name !== '' && domain === null) fail(`"${printable(input.host)}" is not a domain`);
  const tls = input.tls ?? 'opportunistic';
  if (!ROUTE_TLS.includes(tls)) fail(`tls is ${ROUTE_TLS.join(', ')}`);
  // Whoever runs the DNS says where it leads: it is in no region that can be relied on.
  if (kind === 'mx' && input.region != null) fail('an MX route has no region');
  return {
    kind,
    host: isIP(name) > 0 ? name : (domain ?? name),
    port: whole(input.port, 1, 65_535, 'a port'),
    tls,
    priority: whole(input.priority ?? (place + 1) * 10, 0, PRIORITY_MAX, 'a priority'),
    weight: whole(input.weight ?? 1, 1, WEIGHT_MAX, 'a weight'),
    region: input.region == null ? null : requireRegion(input.region, 'routes'),
  };
}

/** Puts routes in the place of those that a client (`domain` null) or one of its domains has. */
export async function replaceRoutes(
  tx: TenantTx,
  clientId: string,
  inputs: readonly RouteInput[],
  domain: string | null = null,
): Promise<Route[]> {
  if (inputs.length > ROUTES_MAX) {
    throw new AppError('invalid_input', `at most ${ROUTES_MAX} routes`, { field: 'routes' });
  }
  const routes = inputs.map(checkedRoute);
  await tx.run(sql`
    delete from routes where partner_id = ${tx.partnerId} and client_id = ${clientId} and domain is not distinct from ${domain}`);
  for (const route of routes) {
    await tx.run(sql`
      insert into routes (partner_id, client_id, id, domain, kind, host, port, tls, priority, weight, region, created_at)
      values (${tx.partnerId}, ${clientId}, ${newId()}, ${domain}, ${route.kind}, ${route.host}, ${route.port}, ${route.tls},
              ${route.priority}, ${route.weight}, ${route.region}, ${tx.now})`);
  }
  return routes;
}

/** All routes of clients: the client's own first, then by domain, each in their order. */
export async function listRoutes(tx: TenantTx, clientIds: readonly string[]): Promise<ClientRoute[]> {
  return tx.rows<ClientRoute>(sql`
    select r.client_id as "clientId", r.domain, r.kind, r.host, r.port, r.tls, r.priority, r.weight, r.region from routes r
    where r.partner_id = ${tx.partnerId} and r.client_id = any(${[...clientIds]}::uuid[])
    order by r.domain nulls first, r.priority, r.id`);
}

/** Where mail for a domain of a client goes, by priority. A domain's own routes hide the client's. */
export async function routesFor(tx: Tx, partnerId: string, clientId: string, domain: string): Promise<Route[]> {
  const rows = await tx.rows<Route & { domain: string | null }>(sql`
    select kind, host, port, tls, priority, weight, region, domain from routes
    where partner_id = ${partnerId} and client_id = ${clientId} and (domain is null or domain = ${domain})
    order by priority, id`);
  const own = rows.filter((row) => row.domain !== null);
  return (own.length > 0 ? own : rows).map(({ domain: _, ...route }) => route);
}

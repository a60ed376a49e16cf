import { networkInterfaces } from 'node:os';
import { type Route, routesFor } from '../accounts/routes.ts';
import { strategyFor } from '../accounts/routing.ts';
import type { SystemDb } from '../db/db.ts';
import { mxRecords, type Resolver } from '../mail/resolver.ts';
import type { Job } from './queue.ts';
import type { Destination, RelayReply } from './relay.ts';

/** A server to try. `policy` and `isListed` are of MTA-STS (world.ts). */
export interface Hop extends Pick<Destination, 'policy' | 'isListed'> {
  readonly host: string;
  readonly port: number;
  readonly tls: Destination['tls'];
  /** Null: it is in none that is known of. */
  readonly region: string | null;
  /** The DNS names it: for a client's own mail that may lead back to us. */
  readonly isMx: boolean;
}

/** Where a delivery goes: the servers to be tried in turn, or why there are none. */
export interface Way {
  readonly hops: readonly Hop[];
  /** What the client's strategy allows, in order; null: it has none. */
  readonly regions: readonly string[] | null;
  /** The answer when no server is left to try. Code 0: the mail waits as for a server that is down. */
  readonly none: RelayReply;
}

export interface WayDeps {
  readonly db: SystemDb;
  readonly resolver: Resolver;
  readonly config: { readonly hostName: string; readonly region?: string | null };
  /** Port of the hosts that the DNS names, 25 except in tests. */
  readonly mxPort?: number;
  /** 0 to below 1; Math.random except in tests. */
  readonly random?: () => number;
}

const MX_HOSTS = 5;

/** To a server of the client, by its routes; else to the world, by MX. */
export function isToClient(job: Pick<Job, 'direction' | 'kind'>): boolean {
  return job.direction === 'inbound' || job.kind === 'dsn';
}

/** The servers for a job, none of them in a region that the client's strategy does not name. Rejects when a look-up fails. */
export async function wayFor(deps: WayDeps, job: Job): Promise<Way> {
  const { strategy, routes } = await deps.db.system(
    async (tx) => ({
      strategy: await strategyFor(tx, job.partnerId, job.clientId, job.ownDomain),
      routes: isToClient(job) ? await routesFor(tx, job.partnerId, job.clientId, job.domain) : null,
    }),
    { readOnly: true },
  );
  const regions = strategy?.regions ?? null;
  const wait = (text: string): Way => ({ hops: [], regions, none: { code: 0, text: `451 4.4.4 ${text}` } });
  if (regions !== null && !allows(regions, deps.config.region ?? null)) return wait(noGateway(regions));
  if (routes === null) {
    if (strategy !== null && !strategy.recipientServers) {
      return wait(`The recipient's server is in no region, and the mail may go through ${regions?.join(', ')} only`);
    }
    const hops = await mxHops(deps, job.domain, null);
    const none = { code: 556, text: '556 5.1.10 The domain takes no mail' };
    return {
      hops: hops ?? [],
      regions,
      none: hops === null ? none : { code: 550, text: '550 5.1.2 The domain has no mail host' },
    };
  }
  if (routes.length === 0) {
    return { hops: [], regions, none: { code: 450, text: '450 4.4.4 no route is configured for the domain' } };
  }
  const ordered = orderRoutes(routes, regions, deps.random ?? Math.random);
  if (ordered.length === 0) {
    return wait(`No server in an allowed region (${regions?.join(', ')}) is configured, the mail waits`);
  }
  const hops: Hop[] = [];
  let doubt: unknown = null;
  for (const route of ordered) {
    if (route.kind === 'relay') {
      hops.push({ host: route.host, port: route.port, tls: route.tls, region: route.region, isMx: false });
      continue;
    }
    // One look-up that fails must not keep mail from the other routes.
    try {
      hops.push(...((await mxHops(deps, route.host === '' ? job.domain : route.host, route)) ?? []));
    } catch (error) {
      doubt = error;
    }
  }
  const ours = hops.filter((hop) => hop.host.toLowerCase() !== deps.config.hostName);
  if (ours.length === 0 && doubt !== null) throw doubt;
  const looped = hops.length > 0 || ordered.some((route) => route.kind === 'mx');
  return {
    hops: ours,
    regions,
    none: looped
      ? { code: 450, text: '450 4.4.6 The routes of the domain name no server but this gateway' }
      : { code: 450, text: '450 4.4.4 no route is configured for the domain' },
  };
}

/** The answer for mail that no gateway of an allowed region takes. */
export function noGateway(regions: readonly string[]): string {
  return `No gateway in an allowed region (${regions.join(', ')}) is at work, the mail waits`;
}

function allows(regions: readonly string[], region: string | null): boolean {
  return region !== null && regions.includes(region);
}

/**
 * Routes in the order in which they are to be tried: by the regions of the strategy, then by priority, then drawn by weight.
 * Those outside of the regions are left out.
 */
export function orderRoutes(
  routes: readonly Route[],
  regions: readonly string[] | null,
  random: () => number,
): readonly Route[] {
  const rank = (route: Route) => (regions === null ? 0 : regions.indexOf(route.region ?? ''));
  const allowed = routes.filter((route) => regions === null || allows(regions, route.region));
  const sorted = allowed.toSorted((a, b) => rank(a) - rank(b) || a.priority - b.priority);
  const ordered: Route[] = [];
  for (let from = 0; from < sorted.length; ) {
    const first = sorted[from] as Route;
    const isEqual = (route: Route) => rank(route) === rank(first) && route.priority === first.priority;
    const equals = sorted.filter(isEqual);
    ordered.push(...drawn(equals, random));
    from += equals.length;
  }
  return ordered;
}

/** All of them, each next one drawn with a chance of its weight among those that are left. */
function drawn(routes: readonly Route[], random: () => number): Route[] {
  const left = [...routes];
  const order: Route[] = [];
  while (left.length > 0) {
    let point = random() * left.reduce((sum, route) => sum + route.weight, 0);
    const at = left.findIndex((route) => {
      point -= route.weight;
      return point < 0;
    });
    order.push(...left.splice(at < 0 ? left.length - 1 : at, 1));
  }
  return order;
}

/**
 * The mail hosts of a domain. Null: it takes no mail. With a route of a client, ourselves and what comes after us are left out
 * (RFC 5321 section 5.1): the mail would come back.
 */
async function mxHops(deps: WayDeps, domain: string, route: Route | null): Promise<Hop[] | null> {
  const records = await mxRecords(deps.resolver, domain);
  if (records === null) return null;
  const hostOf = (exchange: string) => exchange.toLowerCase().replace(/\.$/, '');
  const own = records.find((record) => hostOf(record.exchange) === deps.config.hostName);
  const usable = route === null || own === undefined ? records : records.filter((one) => one.priority < own.priority);
  return usable.slice(0, MX_HOSTS).map((record) => ({
    host: hostOf(record.exchange),
    port: deps.mxPort ?? route?.port ?? 25,
    tls: route?.tls ?? 'opportunistic',
    region: null,
    isMx: true,
  }));
}

/** Where this gateway itself is reached. */
export interface OwnPlace {
  readonly bindHost?: string;
  readonly smtpPort?: number;
  readonly submissionPort?: number;
}

/**
 * Whether a client's route leads back to this gateway: to a port of ours at an address of this machine or, as the DNS names no
 * ports, to any port at an address of it that the world sees.
 */
export function isOurselves(hop: Hop, address: string, own: OwnPlace, addresses = localAddresses()): boolean {
  const here = addresses.find((one) => one.address === address);
  const isHere = here !== undefined || address === own.bindHost;
  if (!isHere) return false;
  const isOurPort = hop.port === own.smtpPort || hop.port === own.submissionPort;
  return isOurPort || (hop.isMx && here?.internal !== true);
}

export interface LocalAddress {
  readonly address: string;
  readonly internal: boolean;
}

function localAddresses(): readonly LocalAddress[] {
  return Object.values(networkInterfaces()).flatMap((list) => list ?? []);
}

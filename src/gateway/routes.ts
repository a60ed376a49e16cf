import { networkInterfaces } from 'node:os';
import { type Route, routesFor } from '../accounts/routes.ts';
import { type Strategy, strategyFor } from '../accounts/routing.ts';
import type { SystemDb, SystemTx } from '../db/db.ts';
import { mxRecords, type Resolver } from '../mail/resolver.ts';
import { domainKey, serverKey } from './backoff.ts';
import { groupBy } from './group.ts';
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

/** What the database says of a delivery's way, in which the DNS is still to be asked. */
export interface Plan {
  /** As in Way. */
  readonly regions: readonly string[] | null;
  /** Of the client, in the order in which they are to be tried; null: the mail hosts of the world. */
  readonly routes: readonly Route[] | null;
  /** Not null: there is nobody to try, and this is the answer. */
  readonly none: RelayReply | null;
}

/** The plan of each job, by one reading of strategies and routes; among equal routes it is drawn for each job anew. */
export async function plansFor(deps: WayDeps, jobs: readonly Job[]): Promise<readonly Plan[]> {
  const strategyKey = (job: Job) => `${job.clientId} ${job.ownDomain}`;
  const routesKey = (job: Job) => `${job.clientId} ${job.domain}`;
  const strategies = new Map<string, Strategy | null>();
  const routes = new Map<string, readonly Route[]>();
  if (jobs.length > 0) {
    const read = async (tx: SystemTx) => {
      for (const [key, [job]] of groupBy(jobs, strategyKey)) {
        if (job) strategies.set(key, await strategyFor(tx, job.partnerId, job.clientId, job.ownDomain));
      }
      for (const [key, [job]] of groupBy(jobs.filter(isToClient), routesKey)) {
        if (job) routes.set(key, await routesFor(tx, job.partnerId, job.clientId, job.domain));
      }
    };
    await deps.db.system(read, { readOnly: true, perStatement: true });
  }
  return jobs.map((job) =>
    planOf(deps, strategies.get(strategyKey(job)) ?? null, isToClient(job) ? (routes.get(routesKey(job)) ?? []) : null),
  );
}

function planOf(deps: WayDeps, strategy: Strategy | null, routes: readonly Route[] | null): Plan {
  const regions = strategy?.regions ?? null;
  const wait = (text: string): Plan => ({ regions, routes, none: { code: 0, text: `451 4.4.4 ${text}` } });
  if (regions !== null && !allows(regions, deps.config.region ?? null)) return wait(noGateway(regions));
  if (routes === null) {
    if (strategy === null || strategy.recipientServers) return { regions, routes, none: null };
    return wait(`The recipient's server is in no region, and the mail may go through ${regions?.join(', ')} only`);
  }
  if (routes.length === 0) return { regions, routes, none: NO_ROUTE };
  const ordered = orderRoutes(routes, regions, deps.random ?? Math.random);
  if (ordered.length > 0) return { regions, routes: ordered, none: null };
  return wait(`No server in an allowed region (${regions?.join(', ')}) is configured, the mail waits`);
}

const NO_ROUTE: RelayReply = { code: 450, text: '450 4.4.4 no route is configured for the domain' };

/** The servers of a plan, none of them in a region that the client's strategy does not name. Rejects when a look-up fails. */
export async function wayOf(deps: WayDeps, { regions, routes, none }: Plan, job: Job): Promise<Way> {
  if (none !== null) return { hops: [], regions, none };
  if (routes === null) {
    const hops = await mxHops(deps, job.domain, null);
    const takesNone = { code: 556, text: '556 5.1.10 The domain takes no mail' };
    const noHost = { code: 550, text: '550 5.1.2 The domain has no mail host' };
    return { hops: hops ?? [], regions, none: hops === null ? takesNone : noHost };
  }
  const hops: Hop[] = [];
  let doubt: unknown = null;
  for (const route of routes) {
    if (route.kind === 'relay') {
      hops.push({ host: route.host, port: route.port, tls: route.tls, region: route.region, isMx: false });
      continue;
    }
    // One look-up that fails must not keep mail from the other routes.
    try {
      hops.push(...((await mxHops(deps, mxDomain(route, job), route)) ?? []));
    } catch (error) {
      doubt = error;
    }
  }
  const ours = hops.filter((hop) => hop.host.toLowerCase() !== deps.config.hostName);
  if (ours.length === 0 && doubt !== null) throw doubt;
  const looped = hops.length > 0 || routes.some((route) => route.kind === 'mx');
  const loop = { code: 450, text: '450 4.4.6 The routes of the domain name no server but this gateway' };
  return { hops: ours, regions, none: looped ? loop : NO_ROUTE };
}

/** Of a route by the DNS: the domain that is asked for. */
function mxDomain(route: Route, job: Job): string {
  return route.host === '' ? job.domain : route.host;
}

/** The destinations (backoff.ts) of a plan in order, as far as they are known without the DNS: its servers, or a domain. */
export function destinationsOf({ routes, none }: Plan, job: Job): string[] {
  if (none !== null) return [];
  if (routes === null) return [domainKey(job.domain)];
  return routes.map((route) =>
    route.kind === 'relay' ? serverKey(route.host, route.port) : domainKey(mxDomain(route, job)),
  );
}

/** The answer for mail that no gateway of an allowed region takes. */
export function noGateway(regions: readonly string[]): string {
  return `No gateway in an allowed region (${regions.join(', ')}) is at work, the mail waits`;
}

/** The answer for mail whose allowed servers all failed. */
export function noServer(regions: readonly string[]): string {
  return `451 4.4.1 No server in an allowed region (${regions.join(', ')}) answers, the mail waits`;
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

import ipaddr from 'ipaddr.js';
import type { SMTPServerSession } from 'smtp-server';
import type { Submitter } from '../accounts/credentials.ts';
import { routesFor } from '../accounts/routes.ts';
import { normalizeDomain, printable } from '../core/address.ts';
import type { Clock } from '../core/clock.ts';
import type { Logger } from '../core/log.ts';
import type { SystemDb, SystemTx } from '../db/db.ts';
import { sql } from '../db/sql.ts';
import type { Resolver } from '../mail/resolver.ts';
import type { Etrn, EtrnReply } from './etrn.ts';
import { flushDomains } from './flush.ts';
import { addressesOf } from './hosts.ts';

export interface TurnDeps {
  readonly db: SystemDb;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly resolver: Resolver;
}

/** Milliseconds between two ETRN for one domain, and tries of one address in that time. */
const EVERY_MS = 60_000;
const TRIES = 10;
const REMEMBERED = 10_000;
const DOMAINS_MAX = 100;

/** ETRN on the inbound port: for the addresses of a client's relays. */
export function relayTurn(deps: TurnDeps, known: RelayAddresses): Etrn {
  const limits = new Limits(deps.clock);
  return {
    isOffered: (session) => known.has(session.remoteAddress),
    run: (node, session) =>
      turn(deps, limits, node, session, (domains) => ofRelay(deps, domains, session.remoteAddress)),
  };
}

/** ETRN on the submission port: for the domains of a login. */
export function submitterTurn(deps: Pick<TurnDeps, 'db' | 'clock'>): Etrn {
  const limits = new Limits(deps.clock);
  const submitterOf = (session: SMTPServerSession) => session.user as unknown as Submitter | undefined;
  return {
    isOffered: (session) => submitterOf(session) !== undefined,
    run: (node, session) =>
      turn(deps, limits, node, session, async (domains) => {
        const submitter = submitterOf(session);
        return domains.filter((one) => one.clientId === submitter?.clientId && submitter.domains.includes(one.name));
      }),
  };
}

interface OwnDomain {
  readonly partnerId: string;
  readonly clientId: string;
  readonly name: string;
}

/** `allowed` leaves of a client's domains those that the session may ask for. */
async function turn(
  deps: Pick<TurnDeps, 'db' | 'clock'>,
  limits: Limits,
  node: string,
  session: SMTPServerSession,
  allowed: (domains: readonly OwnDomain[]) => Promise<readonly OwnDomain[]>,
): Promise<EtrnReply> {
  // RFC 1985 section 5.3: `@` means the domain and all below it.
  const withBelow = node.startsWith('@');
  const name = normalizeDomain(withBelow ? node.slice(1) : node);
  if (name === null) return { code: 501, text: '5.5.4 That is no domain' };
  const shown = printable(node, 260);
  if (!limits.mayTry(session.remoteAddress)) {
    return { code: 458, text: `4.7.0 Unable to queue messages for node ${shown}: too many tries` };
  }
  const found = await deps.db.system((tx) => domainsOf(tx, name, withBelow), { readOnly: true });
  const mine = await allowed(found);
  const [first] = mine;
  // A domain that is not here and one that is another's are answered alike.
  if (first === undefined || !mine.some((one) => one.name === name)) {
    return { code: 459, text: `4.7.1 Node ${shown} not allowed: you are no server of it` };
  }
  if (!limits.mayStart(`${first.clientId} ${node.toLowerCase()}`)) {
    return { code: 458, text: `4.7.0 Unable to queue messages for node ${shown}: asked a moment ago` };
  }
  const names = mine.map((one) => one.name);
  const { flushed, underWay } = await deps.db.system((tx) => flushDomains(tx, first.partnerId, first.clientId, names));
  if (flushed === 0 && underWay === 0) return { code: 251, text: `2.0.0 OK, no messages waiting for node ${shown}` };
  if (flushed === 0) return { code: 252, text: `2.0.0 OK, pending messages for node ${shown} started` };
  if (withBelow) return { code: 250, text: `2.0.0 OK, queuing for node ${shown} started` };
  return { code: 253, text: `2.0.0 OK, ${flushed} pending messages for node ${shown} started` };
}

/** The domain and, if wanted, those of the same client below it. */
function domainsOf(tx: SystemTx, name: string, withBelow: boolean): Promise<OwnDomain[]> {
  const below = `%.${name.replace(/[\\%_]/g, '\\$&')}`;
  return tx.rows<OwnDomain>(sql`
    select d.partner_id as "partnerId", d.client_id as "clientId", d.name from domains o
    join domains d on d.partner_id = o.partner_id and d.client_id = o.client_id
    where o.name = ${name} and (d.name = o.name or (${withBelow}::boolean and d.name like ${below}))
    order by d.name = o.name desc, d.name limit ${DOMAINS_MAX}`);
}

/** Those of the domains that a relay with this address is configured for. */
async function ofRelay(
  deps: TurnDeps,
  domains: readonly OwnDomain[],
  remoteAddress: string,
): Promise<readonly OwnDomain[]> {
  const address = plainAddress(remoteAddress);
  const routed = await deps.db.system(
    async (tx) => {
      const list: { domain: OwnDomain; hosts: string[] }[] = [];
      for (const domain of domains) {
        const routes = await routesFor(tx, domain.partnerId, domain.clientId, domain.name);
        list.push({ domain, hosts: routes.flatMap((route) => (route.kind === 'relay' ? [route.host] : [])) });
      }
      return list;
    },
    { readOnly: true },
  );
  const own: OwnDomain[] = [];
  for (const { domain, hosts } of routed) {
    const found = await Promise.all(hosts.map((host) => addressesFor(host, deps.resolver)));
    if (found.flat().includes(address)) own.push(domain);
  }
  return own;
}

async function addressesFor(host: string, resolver: Resolver): Promise<string[]> {
  const found = await addressesOf(host.toLowerCase(), resolver).catch(() => []);
  return found.map(plainAddress);
}

function plainAddress(text: string): string {
  return ipaddr.isValid(text) ? ipaddr.process(text).toString() : text;
}

const REFRESH_MS = 300_000;
const HOSTS_MAX = 5000;
const LOOKUPS = 20;

/** The addresses of all relays, as far as they are known: a hint for EHLO, which can't wait for the DNS. */
export class RelayAddresses {
  readonly #deps: TurnDeps;
  #known: ReadonlySet<string> = new Set();
  #at = Number.NEGATIVE_INFINITY;
  #running: Promise<void> | null = null;

  constructor(deps: TurnDeps) {
    this.#deps = deps;
  }

  /** Whether a relay has this address; what is older than five minutes is learnt anew in the background. */
  has(address: string): boolean {
    if (this.#deps.clock.now().getTime() - this.#at >= REFRESH_MS) void this.refresh();
    return this.#known.has(plainAddress(address));
  }

  /** Learns them now. Never rejects: a failure leaves what was known. */
  refresh(): Promise<void> {
    this.#running ??= this.#learn()
      .catch((error: unknown) => this.#deps.logger.debug({ err: error }, 'the relays could not be looked up'))
      .finally(() => {
        this.#running = null;
      });
    return this.#running;
  }

  /** Resolves when nothing is under way. */
  async idle(): Promise<void> {
    await this.#running;
  }

  async #learn(): Promise<void> {
    this.#at = this.#deps.clock.now().getTime();
    const rows = await this.#deps.db.system(
      (tx) =>
        tx.rows<{ host: string }>(sql`
          select distinct r.host from routes r where r.kind = 'relay' order by r.host limit ${HOSTS_MAX}`),
      { readOnly: true },
    );
    const known = new Set<string>();
    for (let from = 0; from < rows.length; from += LOOKUPS) {
      const hosts = rows.slice(from, from + LOOKUPS).map((row) => row.host);
      const found = await Promise.all(hosts.map((host) => addressesFor(host, this.#deps.resolver)));
      for (const address of found.flat()) known.add(address);
    }
    this.#known = known;
  }
}

/** Bounds on ETRN, in memory of this node. */
class Limits {
  readonly #clock: Clock;
  readonly #tries = new Map<string, { since: number; count: number }>();
  readonly #started = new Map<string, number>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  mayTry(address: string): boolean {
    const now = this.#clock.now().getTime();
    const known = this.#tries.get(address);
    const entry = known !== undefined && now - known.since < EVERY_MS ? known : { since: now, count: 0 };
    entry.count += 1;
    this.#tries.set(address, entry);
    bound(this.#tries);
    return entry.count <= TRIES;
  }

  mayStart(key: string): boolean {
    const now = this.#clock.now().getTime();
    if (now - (this.#started.get(key) ?? Number.NEGATIVE_INFINITY) < EVERY_MS) return false;
    this.#started.delete(key);
    this.#started.set(key, now);
    bound(this.#started);
    return true;
  }
}

function bound(map: Map<string, unknown>): void {
  for (const oldest of map.keys()) {
    if (map.size <= REMEMBERED) return;
    map.delete(oldest);
  }
}

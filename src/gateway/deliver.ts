import { QUEUE_CHANNEL } from '../core/channels.ts';
import type { Clock } from '../core/clock.ts';
import { errorCode } from '../core/errors.ts';
import type { Logger } from '../core/log.ts';
import type { SystemDb } from '../db/db.ts';
import type { Resolver } from '../mail/resolver.ts';
import type { SrsSettings } from '../mail/srs.ts';
import type { Attempt } from './attempts.ts';
import { type Change, type Parked, type Sign, serverKey, signOf } from './backoff.ts';
import { Batcher } from './batch.ts';
import { bounceFor } from './bounce.ts';
import { Destinations, type Gate } from './destinations.ts';
import { hurry } from './flush.ts';
import { groupBy } from './group.ts';
import type { RouteState } from './health.ts';
import { addressOf, NoSuchHost } from './hosts.ts';
import { needsOf } from './needs.ts';
import { sendDelayNotices } from './notice.ts';
import { outcomeOf, putOff } from './outcome.ts';
import { outgoing, type Signing } from './outgoing.ts';
import { freeLeases, type Job, type Outcome, seenInRegion } from './queue.ts';
import { type Parcel, type ParcelDsn, Relay, type RelayReply, type RelayResult } from './relay.ts';
import {
  destinationsOf,
  type Hop,
  isOurselves,
  isToClient,
  noServer,
  type OwnPlace,
  type Plan,
  plansFor,
  type Way,
  wayOf,
} from './routes.ts';
import { type Parcelled, Scheduler } from './scheduler.ts';
import { deservesSecondChance, Hourly, joinResults, type SecondChance, sendSecondChance } from './secondchance.ts';
import { type Settlement, settle } from './settle.ts';
import type { Spool } from './spool.ts';
import { StsPolicies } from './sts.ts';
import { stsFetcher } from './sts-fetch.ts';
import { underPolicy } from './world.ts';

/** `db.listen` of src/db; optional, so that delivery also works by looking now and then. */
interface DeliveryDb extends SystemDb {
  listen?(channel: string, onMessage: () => void): Promise<() => Promise<void>>;
}

export interface DeliveryDeps {
  readonly db: DeliveryDb;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly spool: Spool;
  readonly resolver: Resolver;
  readonly config: OwnPlace & {
    readonly nodeId: string;
    readonly hostName: string;
    readonly allowPrivateHosts: readonly string[];
    /** Of this node; absent or null: in none. */
    readonly region?: string | null;
    /** Own address that second chances leave from; absent or null: the usual one. */
    readonly secondSource?: string | null;
  };
  /** Keys for outbound and changed mail; absent: nothing is signed. */
  readonly signing?: Signing;
  /** As the gateway has it; absent: nobody is told when a forwarded copy can't be delivered. */
  readonly srs?: SrsSettings;
  /** Port of outbound mail hosts, 25 except in tests. */
  readonly mxPort?: number;
  /** 0 to below 1, for the draw among routes of one priority; Math.random except in tests. */
  readonly random?: () => number;
  /** The text of a domain's MTA-STS policy file, over HTTPS unless a test says otherwise. */
  readonly fetchPolicy?: (domain: string) => Promise<string>;
  /** Further certificate authority, PEM, for tests. */
  readonly ca?: string;
  /** SMTP transactions at once: in all, of one client in one direction, and to one destination. */
  readonly concurrency?: number;
  readonly perClient?: number;
  readonly perDestination?: number;
  /** Milliseconds between looks at the queue when nobody wakes us. */
  readonly pollMs?: number;
}

export interface Delivery {
  /** Takes back what a killed process of this node held, then delivers as mail comes. */
  start(): Promise<void>;
  /** Ends what is under way, then stops. */
  stop(): Promise<void>;
  /** Delivers everything that is due now; answers how many rows it tried. */
  drainOnce(): Promise<number>;
  /** Makes a client's waiting mail due now; null: everybody's. Answers the number of rows. */
  flush(clientId: string | null): Promise<number>;
}

/** Milliseconds between a node's signs of life as one of its region. */
const SEEN_MS = 30_000;

/**
 * The delivery worker: leases rows client by client, sends them grouped by message and destination as slots come free, and
 * writes what became of them.
 */
export function createDelivery(deps: DeliveryDeps): Delivery {
  const { db, clock, logger } = deps;
  const owner = deps.config.nodeId;
  const perDestination = deps.perDestination ?? 5;
  const destinations = new Destinations(db, perDestination);
  const settling = new Batcher<Settlement, undefined>(async (batch) => {
    await db.system((tx) => settle({ id: owner, region }, tx, batch));
    return batch.map(() => undefined);
  });
  const { resolver, config } = deps;
  const region = config.region ?? null;
  const fetchPolicy =
    deps.fetchPolicy ?? stsFetcher({ resolver, allowPrivateHosts: config.allowPrivateHosts, ca: deps.ca });
  const worker: Worker = {
    deps,
    relay: new Relay(config.hostName, undefined, deps.ca),
    sts: new StsPolicies({ ...deps, fetchPolicy }),
    hourly: new Hourly(),
    destinations,
    settling,
  };
  let seenAt = Number.NEGATIVE_INFINITY;
  const chores = async (): Promise<void> => {
    if (region !== null && clock.now().getTime() - seenAt >= SEEN_MS) {
      await db.system((tx) => seenInRegion(tx, owner, region));
      seenAt = clock.now().getTime();
    }
    // A disk that takes no notices must not keep mail from going.
    await sendDelayNotices(deps).catch((error: unknown) => {
      logger.warn({ err: error, code: errorCode(error) }, 'senders could not be told of late mail, it is tried again');
    });
  };
  const scheduler = new Scheduler<Group>({
    db,
    clock,
    logger,
    owner,
    region,
    destinations,
    concurrency: deps.concurrency ?? 100,
    perClient: deps.perClient ?? 10,
    perDestination,
    group: (jobs) => grouped(deps, jobs),
    chores,
    deliver: (group) => deliverGroup(worker, group),
  });
  let timer: NodeJS.Timeout | undefined;
  let unlisten: (() => Promise<void>) | null = null;

  return {
    drainOnce: () => scheduler.drain(),
    async flush(clientId) {
      const rows = await db.system((tx) => hurry(tx, clientId));
      scheduler.poll();
      return rows;
    },
    async start() {
      await db.system((tx) => freeLeases(tx, owner));
      unlisten = (await deps.db.listen?.(QUEUE_CHANNEL, () => scheduler.wake())) ?? null;
      timer = setInterval(() => scheduler.poll(), deps.pollMs ?? 1000);
      timer.unref();
      scheduler.start();
    },
    async stop() {
      clearInterval(timer);
      await unlisten?.();
      unlisten = null;
      await scheduler.stop();
      await settling.idle();
      worker.relay.close();
    },
  };
}

/** What mail goes out by, and what is known of where it goes. */
interface Worker {
  readonly deps: DeliveryDeps;
  readonly relay: Relay;
  readonly sts: StsPolicies;
  readonly hourly: Hourly;
  readonly destinations: Destinations;
  readonly settling: Batcher<Settlement, undefined>;
}

/** Rows of one message to one destination domain, and where they are to go. */
interface Group extends Parcelled {
  readonly plan: Plan;
}

async function grouped(deps: DeliveryDeps, jobs: readonly Job[]): Promise<Group[]> {
  const groups = [
    ...groupBy(jobs, (job) =>
      [
        job.messageId,
        job.kind,
        job.transform,
        job.strip.join(),
        job.direction === 'inbound' ? job.clientId : '',
        job.domain,
        job.dsnNotify,
        job.dsnOrcpt,
      ].join(' '),
    ).values(),
  ].flatMap((group) => (group[0] === undefined ? [] : [{ first: group[0], jobs: group }]));
  const plans = await plansFor(
    deps,
    groups.map(({ first }) => first),
  );
  return groups.flatMap((group, index): Group[] => {
    const plan = plans[index];
    return plan === undefined ? [] : [{ ...group, plan, keys: destinationsOf(plan, group.first) }];
  });
}

interface Tried {
  readonly result: RelayResult;
  /** Servers of the client that were tried, for route_health. */
  readonly states: readonly RouteState[];
  readonly tries: readonly Try[];
  /** The server whose answer counts. */
  readonly via: Hop | null;
  /** What that answer says of the destination; null: nothing. */
  readonly last: Found | null;
  /** The destination that is in trouble, as was found before that. */
  readonly waitsFor: string | undefined;
  /** Nothing was tried: the destination is parked. */
  readonly parked: Parked | null;
  /** As in Way. */
  readonly regions: Way['regions'];
}

/** One server that was tried, and what it said. */
interface Try {
  readonly server: Omit<Attempt, 'code' | 'reply'>;
  readonly result: RelayResult;
}

interface Found {
  readonly key: string;
  readonly sign: Sign;
}

/** The destinations of one group: which may be connected to, and what was found of them. */
class Gates {
  readonly changes: Change[] = [];
  readonly #destinations: Destinations;
  readonly #clock: Clock;
  readonly #gates = new Map<string, Gate>();

  constructor({ deps, destinations }: Worker) {
    this.#destinations = destinations;
    this.#clock = deps.clock;
  }

  async enter(key: string): Promise<Gate> {
    const gate = await this.#destinations.enter(key, this.#clock.now());
    this.#gates.set(key, gate);
    return gate;
  }

  /** Answers the destination when it is in trouble, as this try has found. */
  leave({ key, sign }: Found): string | undefined {
    const gate = this.#gates.get(key);
    const change = gate?.open === true ? this.#destinations.note(key, gate, sign, this.#clock.now()) : null;
    if (change !== null) this.changes.push(change);
    const isTrouble = sign !== 'ok' && sign !== 'soft' && sign !== 'nothing';
    return isTrouble && this.#destinations.isParked(key) ? key : undefined;
  }

  /** What was found is written, or can't be. */
  settled(): void {
    this.#destinations.settled(this.changes);
  }
}

/** Sends a group, or puts it off when its destinations are parked. Answers whether it was tried. */
async function deliverGroup(worker: Worker, group: Group): Promise<boolean> {
  const gates = new Gates(worker);
  try {
    return await deliverThrough(worker, group, gates);
  } finally {
    gates.settled();
  }
}

async function deliverThrough(worker: Worker, group: Group, gates: Gates): Promise<boolean> {
  const { deps } = worker;
  const tried = await trySend(worker, group, gates);
  const { states, tries, parked, last } = tried;
  const { result, delivered, attempts } = await trySecond(worker, group.jobs, tried);
  // Where the second way works mail does not wait.
  const waitsFor = last === null ? tried.waitsFor : gates.leave(delivered.size > 0 ? { ...last, sign: 'ok' } : last);
  const now = deps.clock.now();
  const host = tries.at(-1)?.server.host ?? null;
  const outcomes = group.jobs.map((job): Outcome => {
    if (parked !== null) return putOff(job, parked, tried.regions, now);
    const isAnswered = (result.replies.get(job.recipient)?.code ?? 0) > 0;
    const dsnTakenOver = result.dsn === true && !delivered.has(job.recipient);
    return { ...outcomeOf(job, result, now, waitsFor), host: isAnswered ? host : null, dsnTakenOver };
  });
  const made = await Promise.all(
    outcomes.map((one) => bounceFor(deps.spool, deps.config.hostName, one, now, deps.srs ?? null)),
  );
  const notices = outcomes.map((one, index) => ({ notice: made[index] ?? null, id: one.job.deliveryId }));
  await worker.settling.add({
    outcomes,
    notices,
    attempts: group.jobs.map(({ partnerId, deliveryId, recipient, attempts: earlier }) => {
      const second = attempts.get(recipient);
      const direct = tries.map((one) => attemptOf(one, recipient));
      // This try is counted already.
      const isAgain = earlier > 1;
      return { partnerId, deliveryId, attempts: second === undefined ? direct : [...direct, second], isAgain };
    }),
    second: new Map(
      group.jobs.flatMap(({ deliveryId, recipient }) =>
        attempts.has(recipient) ? [[deliveryId, delivered.has(recipient)] as const] : [],
      ),
    ),
    states,
    changes: gates.changes,
  });
  return parked === null;
}

function attemptOf({ server, result }: Try, recipient: string): Attempt {
  const { code, text } = result.replies.get(recipient) ?? { code: 0, text: 'the server said nothing' };
  const { tlsVersion = null, tlsCipher = null, tlsVerified = null } = result;
  return { ...server, code, reply: text, tlsVersion, tlsCipher, tlsVerified: tlsVersion === null ? null : tlsVerified };
}

async function trySend(worker: Worker, { first, jobs, plan, keys }: Group, gates: Gates): Promise<Tried> {
  const { deps, relay, sts, destinations } = worker;
  const recipients = jobs.map((job) => job.recipient);
  const all = ({ code, text }: RelayReply): RelayResult => ({
    replies: new Map(recipients.map((one) => [one, { code, text }])),
    failure: null,
    ours: true,
  });
  const { regions } = plan;
  const nothing = { states: [], tries: [], via: null, last: null, waitsFor: undefined, parked: null, regions };
  const worldKey = isToClient(first) ? undefined : keys[0];
  let way: Way;
  try {
    await deps.spool.path(first.contentId);
    if (worldKey !== undefined) {
      const gate = await gates.enter(worldKey);
      if (!gate.open) return { ...nothing, result: all({ code: 0, text: '' }), parked: gate.state };
    }
    way = await underPolicy(sts, await wayOf(deps, plan, first), first);
    // What the DNS has named only now.
    const named = worldKey === undefined ? way.hops.filter((hop) => hop.isMx).map(keyOf) : [];
    await destinations.load(named.filter((key) => !keys.includes(key)));
  } catch (error) {
    if (errorCode(error) === 'not_found')
      deps.logger.error({ contentId: first.contentId }, 'a message body is missing');
    const text = `451 4.3.0 ${error instanceof Error ? error.message : 'look-up failed'}`;
    return { ...nothing, result: all({ code: 451, text }) };
  }
  const states: RouteState[] = [];
  const tries: Try[] = [];
  let via: Hop | null = null;
  let parked: Parked | null = null;
  let last: Found | null = null;
  let waitsFor: string | undefined;
  let result = all(way.none);
  for (const hop of way.hops) {
    const key = worldKey ?? keyOf(hop);
    if (worldKey === undefined) {
      const gate = await gates.enter(key);
      if (!gate.open) {
        if (parked === null || gate.state.parkedUntil < parked.parkedUntil) parked = gate.state;
        continue;
      }
      // The last one counts: where a server answers, mail does not wait for a better one's return.
      if (last !== null) waitsFor = gates.leave(last);
      last = null;
    }
    const tried = await sendTo(deps, relay, hop, first, recipients);
    // A host of the world that does not exist says nothing when another one does, and neither does a way back to us.
    if (tried === null) continue;
    result = tried.result;
    via = hop;
    tries.push(tried);
    last = { key, sign: signOf(result) };
    if (worldKey === undefined) {
      const { partnerId, clientId } = first;
      const { host, port } = hop;
      states.push({ partnerId, clientId, host, port, error: result.failure?.slice(0, 500) ?? null });
    }
    if (result.failure === null) break;
  }
  if (regions !== null) result = named(result, regions);
  return { result, states, tries, via, last, waitsFor, parked: tries.length === 0 ? parked : null, regions };
}

const keyOf = ({ host, port }: Hop): string => serverKey(host, port);

/** The reply for mail whose allowed servers all failed says which those are. */
function named(result: RelayResult, regions: readonly string[]): RelayResult {
  if (result.failure === null) return result;
  const text = `${noServer(regions)}: ${result.failure}`;
  return { ...result, replies: new Map([...result.replies].map(([one, { code }]) => [one, { code, text }])) };
}

/**
 * One try at one host. Null: an outbound host that is not in the DNS, or ourselves. A client's host that is not there counts as
 * down.
 */
async function sendTo(
  deps: DeliveryDeps,
  relay: Relay,
  hop: Hop,
  first: Job,
  recipients: readonly string[],
): Promise<Try | null> {
  const { host, port, region } = hop;
  const at = deps.clock.now();
  const since = performance.now();
  const server = (address: string | null) => ({
    at,
    host,
    address,
    port,
    region,
    durationMs: performance.now() - since,
  });
  try {
    const address = await addressOf(host, deps.resolver, deps.config.allowPrivateHosts);
    if (isToClient(first) && isOurselves(hop, address, deps.config)) return null;
    const result = await relay.send({ ...hop, address }, parcelOf(deps, first, recipients));
    return { server: server(address), result };
  } catch (error) {
    if (error instanceof NoSuchHost && !isToClient(first)) return null;
    const text = error instanceof Error ? error.message : String(error);
    return {
      server: server(null),
      result: { replies: new Map(recipients.map((one) => [one, { code: 0, text }])), failure: text, unreached: true },
    };
  }
}

function dsnOf({ dsnRet: ret, dsnEnvid: envid, dsnNotify: notify, dsnOrcpt: orcpt }: Job): ParcelDsn | undefined {
  return [ret, envid, notify, orcpt].every((one) => one === null) ? undefined : { ret, envid, notify, orcpt };
}

function parcelOf(deps: DeliveryDeps, first: Job, recipients: readonly string[]): Parcel {
  return {
    sender: first.sender,
    recipients,
    // With room for the fields that we add.
    bytes: first.bytes + (deps.signing === undefined ? 1024 : 8192),
    open: () =>
      outgoing(deps.spool, deps.config.hostName, first, recipients.length, deps.signing ?? null, deps.clock.now()),
    dsn: dsnOf(first),
    // A client's own server gets what came for it as it is: refusing it here would lose it without a word.
    ...(isToClient(first) ? {} : { needs: () => needsOf(deps.spool, first) }),
  };
}

/** What the server did not take although it is up goes once more, the other way (secondchance.ts). */
async function trySecond(
  { deps, hourly }: Worker,
  group: readonly Job[],
  { result, via }: Tried,
): Promise<SecondChance> {
  const at = deps.clock.now();
  const worthy =
    via === null
      ? []
      : group.filter((job) => deservesSecondChance(job, result, at) && hourly.allows(job.deliveryId, at));
  const [first] = worthy;
  if (first === undefined || via === null) return { result, delivered: new Set(), attempts: new Map() };
  const recipients = worthy.map((job) => job.recipient);
  const { hostName, allowPrivateHosts, secondSource: source = null } = deps.config;
  const since = performance.now();
  try {
    const to = { ...via, address: await addressOf(via.host, deps.resolver, allowPrivateHosts) };
    const second = await sendSecondChance({ hostName, source, ca: deps.ca }, to, parcelOf(deps, first, recipients));
    return joinResults(result, second, to, { at, durationMs: performance.now() - since, region: via.region });
  } catch (error) {
    deps.logger.debug({ err: error, host: via.host }, 'a second chance could not be tried');
    return { result, delivered: new Set(), attempts: new Map() };
  }
}

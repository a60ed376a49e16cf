import { QUEUE_CHANNEL } from '../core/channels.ts';
import type { Clock } from '../core/clock.ts';
import { errorCode } from '../core/errors.ts';
import type { LedgerEvent } from '../core/event.ts';
import { newId } from '../core/id.ts';
import type { Logger } from '../core/log.ts';
import type { Disposition, Verdict } from '../core/verdict.ts';
import type { SystemDb } from '../db/db.ts';
import { appendEvents } from '../ledger/append.ts';
import type { Resolver } from '../mail/resolver.ts';
import type { SrsSettings } from '../mail/srs.ts';
import { holdOriginals, ORIGINAL_REASON, type OriginalOutcome, settleOriginals } from '../quarantine/originals.ts';
import { type Attempt, recordAttempts } from './attempts.ts';
import { bounceFor } from './bounce.ts';
import { writeMessages } from './commit.ts';
import { groupBy } from './group.ts';
import { type RouteState, recordHealth } from './health.ts';
import { addressOf, NoSuchHost } from './hosts.ts';
import { needsOf } from './needs.ts';
import { sendDelayNotices } from './notice.ts';
import { outgoing, type Signing } from './outgoing.ts';
import {
  claim,
  freeLeases,
  type Job,
  makeDue,
  type Outcome,
  postpone,
  removeEnded,
  seenInRegion,
  updateDeliveries,
} from './queue.ts';
import { type Parcel, type ParcelDsn, Relay, type RelayReply, type RelayResult } from './relay.ts';
import { isExpired, retryDelay } from './retry.ts';
import { type Hop, isOurselves, isToClient, type OwnPlace, wayFor } from './routes.ts';
import {
  countSecondChances,
  deservesSecondChance,
  Hourly,
  joinResults,
  SECOND_CHANCE,
  type SecondChance,
  sendSecondChance,
} from './secondchance.ts';
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
  /** Rows per claim. */
  readonly batch?: number;
  /** SMTP transactions at once, in all and to one destination. */
  readonly concurrency?: number;
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

/** What mail goes out by. */
interface Ways {
  readonly relay: Relay;
  readonly sts: StsPolicies;
  readonly hourly: Hourly;
}

/** Milliseconds between a node's signs of life as one of its region. */
const SEEN_MS = 30_000;

/** The delivery worker: leases rows, sends them grouped by message and destination, writes what became of them. */
export function createDelivery(deps: DeliveryDeps): Delivery {
  const owner = deps.config.nodeId;
  const relay = new Relay(deps.config.hostName, undefined, deps.ca);
  const { resolver, config } = deps;
  const fetchPolicy =
    deps.fetchPolicy ?? stsFetcher({ resolver, allowPrivateHosts: config.allowPrivateHosts, ca: deps.ca });
  const ways: Ways = { relay, sts: new StsPolicies({ ...deps, fetchPolicy }), hourly: new Hourly() };
  let running: Promise<void> | null = null;
  let seenAt = Number.NEGATIVE_INFINITY;
  let again = false;
  let stopped = true;
  let timer: NodeJS.Timeout | undefined;
  let unlisten: (() => Promise<void>) | null = null;

  const drainOnce = async (): Promise<number> => {
    const limit = deps.batch ?? 200;
    const region = deps.config.region ?? null;
    let total = 0;
    if (region !== null && deps.clock.now().getTime() - seenAt >= SEEN_MS) {
      await deps.db.system((tx) => seenInRegion(tx, owner, region));
      seenAt = deps.clock.now().getTime();
    }
    // A disk that takes no notices must not keep mail from going.
    await sendDelayNotices(deps).catch((error: unknown) => {
      deps.logger.warn(
        { err: error, code: errorCode(error) },
        'senders could not be told of late mail, it is tried again',
      );
    });
    for (const stranded of [false, true]) {
      for (let jobs: Job[] | null = null; jobs === null || jobs.length === limit; ) {
        jobs = await deps.db.system((tx) => claim(tx, owner, limit, { region, stranded }));
        total += jobs.length;
        await deliverAll(deps, ways, jobs);
      }
    }
    return total;
  };

  const wake = (): void => {
    if (stopped) return;
    again = true;
    running ??= (async () => {
      while (again && !stopped) {
        again = false;
        await drainOnce().catch((error: unknown) => {
          deps.logger.warn(
            { err: error, code: errorCode(error) },
            'the queue could not be worked on, it is tried again',
          );
        });
      }
      running = null;
    })();
  };

  return {
    drainOnce,
    async flush(clientId) {
      const rows = await deps.db.system((tx) => makeDue(tx, clientId));
      wake();
      return rows;
    },
    async start() {
      stopped = false;
      await deps.db.system((tx) => freeLeases(tx, owner));
      unlisten = (await deps.db.listen?.(QUEUE_CHANNEL, wake)) ?? null;
      timer = setInterval(wake, deps.pollMs ?? 1000);
      timer.unref();
      wake();
    },
    async stop() {
      stopped = true;
      clearInterval(timer);
      await unlisten?.();
      unlisten = null;
      while (running !== null) await running;
      relay.close();
    },
  };
}

/** Rows of one message to one destination domain travel together; groups run side by side within the bounds. */
async function deliverAll(deps: DeliveryDeps, ways: Ways, jobs: readonly Job[]): Promise<void> {
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
  ];
  const perDestination = deps.perDestination ?? 5;
  const busy = new Map<string, number>();
  const destination = (group: readonly Job[]) => `${group[0]?.clientId} ${group[0]?.domain}`;
  await new Promise<void>((resolve) => {
    let active = 0;
    const next = (): void => {
      if (groups.length === 0 && active === 0) resolve();
      while (active < (deps.concurrency ?? 20)) {
        const at = groups.findIndex((group) => (busy.get(destination(group)) ?? 0) < perDestination);
        const group = at < 0 ? undefined : groups.splice(at, 1)[0];
        if (group === undefined) return;
        const name = destination(group);
        active += 1;
        busy.set(name, (busy.get(name) ?? 0) + 1);
        deliverGroup(deps, ways, group)
          // The rows keep their lease and come again when it ends.
          .catch((error: unknown) => deps.logger.error({ err: error }, 'a delivery could not be recorded'))
          .finally(() => {
            active -= 1;
            busy.set(name, (busy.get(name) ?? 1) - 1);
            next();
          });
      }
    };
    next();
  });
}

interface Tried {
  readonly result: RelayResult;
  /** Servers of the client that were tried, for route_health. */
  readonly states: readonly RouteState[];
  readonly tries: readonly Try[];
  /** The server whose answer counts. */
  readonly via: Hop | null;
}

/** One server that was tried, and what it said. */
interface Try {
  readonly server: Omit<Attempt, 'code' | 'reply'>;
  readonly result: RelayResult;
}

async function deliverGroup(deps: DeliveryDeps, ways: Ways, group: readonly Job[]): Promise<void> {
  const first = group[0];
  if (first === undefined) return;
  const tried = await trySend(deps, ways, first, group);
  const { states, tries } = tried;
  const { result, delivered, attempts } = await trySecond(deps, ways, group, tried);
  const now = deps.clock.now();
  const host = tries.at(-1)?.server.host ?? null;
  const outcomes = group.map((job): Outcome => {
    const isAnswered = (result.replies.get(job.recipient)?.code ?? 0) > 0;
    const dsnTakenOver = result.dsn === true && !delivered.has(job.recipient);
    return { ...outcomeOf(job, result, now), host: isAnswered ? host : null, dsnTakenOver };
  });
  const notices = (
    await Promise.all(outcomes.map((one) => bounceFor(deps.spool, deps.config.hostName, one, now, deps.srs ?? null)))
  ).map((notice, index) => ({ notice, id: outcomes[index]?.job.deliveryId }));
  await deps.db.system(async (tx) => {
    const ended = await removeEnded(
      tx,
      deps.config.nodeId,
      outcomes.filter((one) => one.end !== 'deferred'),
    );
    const waiting = await postpone(
      tx,
      deps.config.nodeId,
      outcomes.filter((one) => one.end === 'deferred'),
    );
    const ours = outcomes.filter((one) => ended.has(one.job.deliveryId) || waiting.has(one.job.deliveryId));
    // An original comes after a delivery that has ended, and changes nothing of how it ended.
    const [originals, deliveries] = [ours.filter(isOriginal), ours.filter((one) => !isOriginal(one))];
    await updateDeliveries(tx, deliveries);
    await holdOriginals(tx, stripped(deliveries));
    await settleOriginals(tx, originals.flatMap(settled));
    await recordAttempts(
      tx,
      { id: deps.config.nodeId, region: deps.config.region ?? null },
      ours.map(({ job }) => {
        const second = attempts.get(job.recipient);
        const first = tries.map((one) => attemptOf(one, job.recipient));
        return { ...job, attempts: second === undefined ? first : [...first, second] };
      }),
    );
    const second = ours.filter(({ job }) => attempts.has(job.recipient));
    await countSecondChances(tx, second.length, second.filter(({ job }) => delivered.has(job.recipient)).length);
    // The first deferral is an event, later ones are not: n deferrals are one deferred recipient.
    const told = ours.filter(
      (one) =>
        one.end !== 'deferred' ||
        (one.job.disposition !== 'deferred' && one.job.kind !== 'release' && !isOriginal(one)),
    );
    await appendEvents(
      tx,
      told.map((one) =>
        eventOf(one, tx.now, deps.config.nodeId, delivered.has(one.job.recipient) ? [SECOND_CHANCE] : []),
      ),
    );
    const messages = notices.flatMap(({ notice, id }) =>
      notice !== null && id !== undefined && ended.has(id) ? [notice] : [],
    );
    await writeMessages(tx, messages, deps.config.nodeId);
    for (const state of states) {
      if (await recordHealth(tx, state)) await makeDue(tx, state.clientId);
    }
  });
}

function attemptOf({ server, result }: Try, recipient: string): Attempt {
  const { code, text } = result.replies.get(recipient) ?? { code: 0, text: 'the server said nothing' };
  const { tlsVersion = null, tlsCipher = null, tlsVerified = null } = result;
  return { ...server, code, reply: text, tlsVersion, tlsCipher, tlsVerified: tlsVersion === null ? null : tlsVerified };
}

async function trySend(deps: DeliveryDeps, ways: Ways, first: Job, group: readonly Job[]): Promise<Tried> {
  const recipients = group.map((job) => job.recipient);
  const all = ({ code, text }: RelayReply): RelayResult => ({
    replies: new Map(recipients.map((one) => [one, { code, text }])),
    failure: null,
  });
  let way: Awaited<ReturnType<typeof wayFor>>;
  try {
    await deps.spool.path(first.contentId);
    way = await underPolicy(ways.sts, await wayFor(deps, first), first);
  } catch (error) {
    if (errorCode(error) === 'not_found')
      deps.logger.error({ contentId: first.contentId }, 'a message body is missing');
    const text = `451 4.3.0 ${error instanceof Error ? error.message : 'look-up failed'}`;
    return { result: all({ code: 451, text }), states: [], tries: [], via: null };
  }
  const states: RouteState[] = [];
  const tries: Try[] = [];
  let via: Hop | null = null;
  let result = all(way.none);
  for (const hop of way.hops) {
    const tried = await sendTo(deps, ways.relay, hop, first, recipients);
    // A host of the world that does not exist says nothing when another one does, and neither does a way back to us.
    if (tried === null) continue;
    result = tried.result;
    via = hop;
    tries.push(tried);
    if (isToClient(first)) {
      const { partnerId, clientId } = first;
      const { host, port } = hop;
      states.push({ partnerId, clientId, host, port, error: result.failure?.slice(0, 500) ?? null });
    }
    if (result.failure === null) break;
  }
  return { result: way.regions === null ? result : named(result, way.regions), states, tries, via };
}

/** The reply for mail whose allowed servers all failed says which those are. */
function named(result: RelayResult, regions: readonly string[]): RelayResult {
  if (result.failure === null) return result;
  const text = `451 4.4.1 No server in an allowed region (${regions.join(', ')}) answers, the mail waits: ${result.failure}`;
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
      result: { replies: new Map(recipients.map((one) => [one, { code: 0, text }])), failure: text },
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
  deps: DeliveryDeps,
  ways: Ways,
  group: readonly Job[],
  { result, via }: Tried,
): Promise<SecondChance> {
  const at = deps.clock.now();
  const worthy =
    via === null
      ? []
      : group.filter((job) => deservesSecondChance(job, result, at) && ways.hourly.allows(job.deliveryId, at));
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

const DELIVERED: Readonly<Record<Job['transform'], Disposition>> = {
  none: 'delivered',
  tag: 'tagged',
  strip: 'stripped',
};

/** What a reply means (RFC 5321 section 4.2.1): 2yz delivered, 5yz bounced, everything else another try until it is too old. */
function outcomeOf(job: Job, result: RelayResult, now: Date): Outcome {
  const reply: RelayReply = result.replies.get(job.recipient) ?? { code: 0, text: 'the server said nothing' };
  const text = reply.text.slice(0, 1000);
  if (reply.code >= 200 && reply.code < 300) {
    const disposition = job.kind === 'release' ? 'released' : DELIVERED[job.transform];
    return { job, end: 'delivered', disposition, reply: text, dueAt: null };
  }
  if (reply.code >= 500) return { job, end: 'bounced', disposition: 'bounced', reply: text, dueAt: null };
  const isDown = reply.code === 0;
  // Mail for a client's server that is down is held; somebody else's server has the five days that everybody gives.
  if (isExpired(job.queuedAt, now, isDown && isToClient(job)))
    return { job, end: 'expired', disposition: 'expired', reply: text, dueAt: null };
  const dueAt = new Date(now.getTime() + retryDelay(job.attempts, isDown));
  return { job, end: 'deferred', disposition: 'deferred', reply: text, dueAt };
}

const isOriginal = ({ job }: Outcome): boolean => job.kind === 'original';

/** The deliveries of these outcomes that went out without their files; of a forwarded copy the mailbox may have no other. */
function stripped(outcomes: readonly Outcome[]): Job[] {
  return outcomes
    .filter(({ job, disposition }) => (job.kind === 'mail' || job.kind === 'forward') && disposition === 'stripped')
    .map(({ job }) => job);
}

function settled({ job: { partnerId, deliveryId }, end, reply }: Outcome): OriginalOutcome[] {
  return end === 'deferred' ? [] : [{ partnerId, deliveryId, arrived: end === 'delivered', reply }];
}

function eventOf({ job, end, disposition }: Outcome, now: Date, node: string, reasons: readonly string[]): LedgerEvent {
  const isOriginal = job.kind === 'original';
  return {
    id: newId(),
    partnerId: job.partnerId,
    clientId: job.clientId,
    occurredAt: now,
    kind: isOriginal ? (end === 'delivered' ? 'original_released' : 'original_failed') : end,
    direction: job.direction,
    messageId: job.messageId,
    deliveryId: job.deliveryId,
    mailboxId: job.mailboxId,
    recipient: job.recipient,
    domain: job.ownDomain,
    sender: job.sender,
    verdict: job.verdict as Verdict,
    disposition: isOriginal ? 'stripped' : (disposition as Disposition),
    reasons: isOriginal ? [ORIGINAL_REASON] : reasons,
    bytes: job.bytes,
    leads: 0,
    latencyMs: Math.max(0, now.getTime() - job.acceptedAt.getTime()),
    node,
  };
}

import { routesFor } from '../accounts/routes.ts';
import { QUEUE_CHANNEL } from '../core/channels.ts';
import type { Clock } from '../core/clock.ts';
import { errorCode } from '../core/errors.ts';
import type { LedgerEvent } from '../core/event.ts';
import { newId } from '../core/id.ts';
import type { Logger } from '../core/log.ts';
import type { Disposition, Verdict } from '../core/verdict.ts';
import type { SystemDb, SystemTx } from '../db/db.ts';
import { appendEvents } from '../ledger/append.ts';
import { type Resolver, resolveMx } from '../mail/resolver.ts';
import type { AcceptedMessage } from './acceptance.ts';
import {
  type Change,
  domainKey,
  type Parked,
  probeNow,
  type Sign,
  serverKey,
  signOf,
  type Trouble,
  writeChanges,
} from './backoff.ts';
import { Batcher } from './batch.ts';
import { bounceFor } from './bounce.ts';
import { writeMessages } from './commit.ts';
import { Destinations, type Gate } from './destinations.ts';
import { groupBy } from './group.ts';
import { type RouteState, recordHealth } from './health.ts';
import { addressOf, NoSuchHost } from './hosts.ts';
import { outgoing } from './outgoing.ts';
import { freeLeases, type Job, makeDue, type Outcome, postpone, removeEnded, updateDeliveries } from './queue.ts';
import { type Destination, Relay, type RelayReply, type RelayResult } from './relay.ts';
import { expiryOf, isExpired, parkedDelay, retryDelay } from './retry.ts';
import { type Parcelled, Scheduler } from './scheduler.ts';
import type { Spool } from './spool.ts';

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
  readonly config: {
    readonly nodeId: string;
    readonly hostName: string;
    readonly allowPrivateHosts: readonly string[];
  };
  /** Port of outbound mail hosts, 25 except in tests. */
  readonly mxPort?: number;
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

const ROUTE_OWN = 'no route is configured for the domain';

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
    await db.system((tx) => settle(deps, tx, batch));
    return batch.map(() => undefined);
  });
  const worker: Worker = { deps, relay: new Relay(deps.config.hostName), destinations, settling };
  const scheduler = new Scheduler<Group>({
    db,
    clock,
    logger,
    owner,
    destinations,
    concurrency: deps.concurrency ?? 100,
    perClient: deps.perClient ?? 10,
    perDestination,
    group: (jobs) => grouped(deps, jobs),
    deliver: (group) => deliverGroup(worker, group),
  });
  let timer: NodeJS.Timeout | undefined;
  let unlisten: (() => Promise<void>) | null = null;

  return {
    drainOnce: () => scheduler.drain(),
    async flush(clientId) {
      const rows = await db.system(async (tx) => {
        await probeNow(tx, clientId);
        return makeDue(tx, clientId);
      });
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

interface Worker {
  readonly deps: DeliveryDeps;
  readonly relay: Relay;
  readonly destinations: Destinations;
  readonly settling: Batcher<Settlement, undefined>;
}

interface Host {
  readonly host: string;
  readonly port: number;
  readonly tls: Destination['tls'];
}

/** Rows of one message to one destination. `keys`: one per server of the client, or one for the domain. */
interface Group extends Parcelled {
  /** The client's servers, best first; null: the world's, by MX. */
  readonly hosts: readonly Host[] | null;
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
      ].join(' '),
    ).values(),
  ];
  const target = (job: Job) => `${job.clientId} ${job.domain}`;
  const own = [...groupBy(jobs.filter(isToClient), target)].flatMap(([name, [job]]) => (job ? [{ name, job }] : []));
  const routes = new Map<string, readonly Host[]>();
  if (own.length > 0) {
    const readRoutes = async (tx: SystemTx) => {
      for (const { name, job } of own) routes.set(name, await routesFor(tx, job.partnerId, job.clientId, job.domain));
    };
    await deps.db.system(readRoutes, { readOnly: true, perStatement: true });
  }
  return groups.flatMap((group): Group[] => {
    const first = group[0];
    if (first === undefined) return [];
    if (!isToClient(first)) return [{ first, jobs: group, hosts: null, keys: [domainKey(first.domain)] }];
    const hosts = routes.get(target(first)) ?? [];
    return [{ first, jobs: group, hosts, keys: hosts.map(({ host, port }) => serverKey(host, port)) }];
  });
}

interface Tried {
  readonly result: RelayResult;
  /** Servers of the client that were tried, for route_health. */
  readonly states: readonly RouteState[];
  /** The destination that is in trouble, as this try has found. */
  readonly waitsFor?: string;
  /** Nothing was tried: the destination is parked. */
  readonly parked?: Parked;
}

/** What a try, or the want of one, did to rows and destinations: written together. */
interface Settlement {
  readonly outcomes: readonly Outcome[];
  readonly notices: readonly { readonly notice: AcceptedMessage | null; readonly id: string }[];
  readonly states: readonly RouteState[];
  readonly changes: readonly Change[];
}

/** Sends a group, or puts it off when its destinations are parked. Answers whether it was tried. */
async function deliverGroup(worker: Worker, group: Group): Promise<boolean> {
  const { deps, destinations } = worker;
  const gates = new Map<string, Gate>();
  const enter = async (key: string): Promise<Gate> => {
    const gate = await destinations.enter(key, deps.clock.now());
    gates.set(key, gate);
    return gate;
  };
  const changes: Change[] = [];
  const leave = (key: string, sign: Sign): string | undefined => {
    const gate = gates.get(key);
    const change = gate?.open === true ? destinations.note(key, gate, sign, deps.clock.now()) : null;
    if (change !== null) changes.push(change);
    const isTrouble = sign !== 'ok' && sign !== 'soft' && sign !== 'nothing';
    return isTrouble && destinations.isParked(key) ? key : undefined;
  };
  const { result, states, waitsFor, parked } = await trySend(worker, group, enter, leave);
  const now = deps.clock.now();
  const outcomes = group.jobs.map((job) =>
    parked === undefined ? outcomeOf(job, result, now, waitsFor) : putOff(job, parked, now),
  );
  const made = await Promise.all(outcomes.map((one) => bounceFor(deps.spool, deps.config.hostName, one, now)));
  const notices = outcomes.map((one, index) => ({ notice: made[index] ?? null, id: one.job.deliveryId }));
  await worker.settling.add({ outcomes, notices, states, changes }).finally(() => destinations.settled(changes));
  return parked === undefined;
}

/** Writes what became of many groups in one transaction. */
async function settle(deps: DeliveryDeps, tx: SystemTx, batch: readonly Settlement[]): Promise<void> {
  const outcomes = batch.flatMap((one) => one.outcomes);
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
  await updateDeliveries(tx, ours);
  // The first deferral is an event, later ones are not: n deferrals are one deferred recipient.
  const told = ours.filter(
    (one) => one.end !== 'deferred' || (one.job.disposition !== 'deferred' && one.job.kind !== 'release'),
  );
  await appendEvents(
    tx,
    told.map((one) => eventOf(one, tx.now, deps.config.nodeId)),
  );
  const messages = batch
    .flatMap((one) => one.notices)
    .flatMap(({ notice, id }) => (notice !== null && ended.has(id) ? [notice] : []));
  await writeMessages(tx, messages, deps.config.nodeId);
  await writeChanges(
    tx,
    batch.flatMap((one) => one.changes),
  );
  // The last word on each server, in one order everywhere, so that two nodes don't wait for each other.
  const states = new Map(batch.flatMap((one) => one.states).map((state) => [stateKey(state), state]));
  for (const [, state] of [...states].toSorted(([a], [b]) => a.localeCompare(b))) {
    if (await recordHealth(tx, state)) await makeDue(tx, state.clientId);
  }
}

const stateKey = ({ clientId, host, port }: RouteState): string => `${clientId} ${host} ${port}`;

async function trySend(
  { deps, relay }: Worker,
  { first, jobs, hosts: own, keys }: Group,
  enter: (key: string) => Promise<Gate>,
  leave: (key: string, sign: Sign) => string | undefined,
): Promise<Tried> {
  const recipients = jobs.map((job) => job.recipient);
  const all = (code: number, text: string): RelayResult => ({
    replies: new Map(recipients.map((one) => [one, { code, text }])),
    failure: null,
    ours: true,
  });
  let hosts: readonly Host[];
  let world: Gate | null = null;
  const worldKey = own === null ? keys[0] : undefined;
  try {
    await deps.spool.path(first.contentId);
    if (worldKey !== undefined) {
      world = await enter(worldKey);
      if (!world.open) return { result: all(0, ''), states: [], parked: world.state };
    }
    hosts = own ?? (await mx(deps, first));
  } catch (error) {
    if (errorCode(error) === 'not_found')
      deps.logger.error({ contentId: first.contentId }, 'a message body is missing');
    if (worldKey !== undefined) leave(worldKey, 'nothing');
    return { result: all(451, `4.3.0 ${error instanceof Error ? error.message : 'look-up failed'}`), states: [] };
  }
  if (hosts.length === 0) {
    return {
      result: own !== null ? all(450, `4.4.4 ${ROUTE_OWN}`) : all(556, '556 5.1.10 The domain takes no mail'),
      states: [],
    };
  }
  const states: RouteState[] = [];
  let parked: Parked | undefined;
  let waitsFor: string | undefined;
  let result: RelayResult | null = null;
  for (const [index, { host, port, tls }] of hosts.entries()) {
    const key = own === null ? undefined : keys[index];
    if (key !== undefined) {
      const gate = await enter(key);
      if (!gate.open) {
        if (parked === undefined || gate.state.parkedUntil < parked.parkedUntil) parked = gate.state;
        continue;
      }
    }
    const tried = await sendTo(deps, relay, { host, port, tls }, first, recipients);
    // A host of the world that does not exist says nothing when another one does.
    if (tried === null) continue;
    result = tried;
    if (key !== undefined) {
      const { partnerId, clientId } = first;
      states.push({ partnerId, clientId, host, port, error: result.failure?.slice(0, 500) ?? null });
      // The last one counts: where a server answers, mail does not wait for a better one's return.
      waitsFor = leave(key, signOf(result));
    }
    if (result.failure === null) break;
  }
  if (result === null && parked !== undefined) return { result: all(0, ''), states, parked };
  result ??= all(550, '550 5.1.2 The domain has no mail host');
  if (worldKey !== undefined) waitsFor = leave(worldKey, signOf(result));
  return { result, states, ...(waitsFor === undefined ? {} : { waitsFor }) };
}

async function mx(deps: DeliveryDeps, job: Job): Promise<{ host: string; port: number; tls: 'opportunistic' }[]> {
  const names = (await resolveMx(deps.resolver, job.domain)) ?? [];
  return names.slice(0, 5).map((host) => ({ host, port: deps.mxPort ?? 25, tls: 'opportunistic' }));
}

/** To a server of the client, by its routes; else to the world, by MX. */
function isToClient(job: Job): boolean {
  return job.direction === 'inbound' || job.kind === 'dsn';
}

/** One try at one host. Null: an outbound host that is not in the DNS. A client's host that is not there counts as down. */
async function sendTo(
  deps: DeliveryDeps,
  relay: Relay,
  to: { host: string; port: number; tls: Destination['tls'] },
  first: Job,
  recipients: readonly string[],
): Promise<RelayResult | null> {
  try {
    const address = await addressOf(to.host, deps.resolver, deps.config.allowPrivateHosts);
    return await relay.send(
      { ...to, address },
      {
        sender: first.sender,
        recipients,
        // With room for the fields that we add.
        bytes: first.bytes + 1024,
        open: () => outgoing(deps.spool, deps.config.hostName, first, recipients.length),
      },
    );
  } catch (error) {
    if (error instanceof NoSuchHost && !isToClient(first)) return null;
    const text = error instanceof Error ? error.message : String(error);
    return { replies: new Map(recipients.map((one) => [one, { code: 0, text }])), failure: text, unreached: true };
  }
}

const DELIVERED: Readonly<Record<Job['transform'], Disposition>> = {
  none: 'delivered',
  tag: 'tagged',
  strip: 'stripped',
};

/** What a reply means (RFC 5321 section 4.2.1): 2yz delivered, 5yz bounced, everything else another try until it is too old. */
function outcomeOf(job: Job, result: RelayResult, now: Date, waitsFor: string | undefined): Outcome {
  const reply: RelayReply = result.replies.get(job.recipient) ?? { code: 0, text: 'the server said nothing' };
  const text = reply.text.slice(0, 1000);
  if (reply.code >= 200 && reply.code < 300) {
    const disposition = job.kind === 'release' ? 'released' : DELIVERED[job.transform];
    return { job, end: 'delivered', disposition, reply: text, dueAt: null };
  }
  if (reply.code >= 500) return { job, end: 'bounced', disposition: 'bounced', reply: text, dueAt: null };
  const isDown = reply.code === 0;
  // Mail for a client's server that is down is held; somebody else's server has the five days that everybody gives.
  const isHeld = isDown && isToClient(job);
  if (isExpired(job, now, isHeld)) return { job, end: 'expired', disposition: 'expired', reply: text, dueAt: null };
  if (waitsFor !== undefined) return { ...waitFor(job, waitsFor, isHeld, now), reply: text };
  const dueAt = new Date(now.getTime() + retryDelay(job.attempts));
  return { job, end: 'deferred', disposition: 'deferred', reply: text, dueAt };
}

const PARKED_TEXT: Readonly<Record<Trouble, string>> = {
  no_answer: '4.4.1 The server did not answer when it was tried last',
  closing: '4.3.2 The server was not available when it was tried last',
  too_many: '4.4.5 The server wants fewer connections',
  refusing: '4.4.5 The server refused for now whatever it was sent last',
};

/** A row whose destination is parked waits without a try, and ages. */
function putOff(job: Job, { destination, reason }: Parked, now: Date): Outcome {
  const reply = PARKED_TEXT[reason];
  const isHeld = reason === 'no_answer' && isToClient(job);
  if (isExpired(job, now, isHeld)) return { job, end: 'expired', disposition: 'expired', reply, dueAt: null };
  return { ...waitFor(job, destination, isHeld, now), reply, untried: true };
}

/** Until the destination's return makes it due, or it is given up, or for an hour or two. */
function waitFor(job: Job, waitsFor: string, isHeld: boolean, now: Date): Omit<Outcome, 'reply'> {
  const at = Math.min(now.getTime() + parkedDelay(job.deliveryId), expiryOf(job, isHeld).getTime());
  return { job, end: 'deferred', disposition: 'deferred', dueAt: new Date(at), waitsFor };
}

function eventOf({ job, end, disposition }: Outcome, now: Date, node: string): LedgerEvent {
  return {
    id: newId(),
    partnerId: job.partnerId,
    clientId: job.clientId,
    occurredAt: now,
    kind: end,
    direction: job.direction,
    messageId: job.messageId,
    deliveryId: job.deliveryId,
    mailboxId: job.mailboxId,
    recipient: job.recipient,
    domain: job.ownDomain,
    sender: job.sender,
    verdict: job.verdict as Verdict,
    disposition: disposition as Disposition,
    reasons: [],
    bytes: job.bytes,
    leads: 0,
    latencyMs: Math.max(0, now.getTime() - job.acceptedAt.getTime()),
    node,
  };
}

import { routesFor } from '../accounts/routes.ts';
import { QUEUE_CHANNEL } from '../core/channels.ts';
import type { Clock } from '../core/clock.ts';
import { errorCode } from '../core/errors.ts';
import type { LedgerEvent } from '../core/event.ts';
import { newId } from '../core/id.ts';
import type { Logger } from '../core/log.ts';
import type { Disposition, Verdict } from '../core/verdict.ts';
import type { SystemDb } from '../db/db.ts';
import { appendEvents } from '../ledger/append.ts';
import { type Resolver, resolveMx } from '../mail/resolver.ts';
import type { SrsSettings } from '../mail/srs.ts';
import { bounceFor } from './bounce.ts';
import { writeMessages } from './commit.ts';
import { groupBy } from './group.ts';
import { type RouteState, recordHealth } from './health.ts';
import { addressOf, NoSuchHost } from './hosts.ts';
import { outgoing, type Signing } from './outgoing.ts';
import {
  claim,
  freeLeases,
  type Job,
  makeDue,
  type Outcome,
  postpone,
  removeEnded,
  updateDeliveries,
} from './queue.ts';
import { type Destination, Relay, type RelayReply, type RelayResult } from './relay.ts';
import { isExpired, retryDelay } from './retry.ts';
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
  /** Keys for outbound and changed mail; absent: nothing is signed. */
  readonly signing?: Signing;
  /** As the gateway has it; absent: nobody is told when a forwarded copy can't be delivered. */
  readonly srs?: SrsSettings;
  /** Port of outbound mail hosts, 25 except in tests. */
  readonly mxPort?: number;
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

const ROUTE_OWN = 'no route is configured for the domain';

/** The delivery worker: leases rows, sends them grouped by message and destination, writes what became of them. */
export function createDelivery(deps: DeliveryDeps): Delivery {
  const owner = deps.config.nodeId;
  const relay = new Relay(deps.config.hostName);
  let running: Promise<void> | null = null;
  let again = false;
  let stopped = true;
  let timer: NodeJS.Timeout | undefined;
  let unlisten: (() => Promise<void>) | null = null;

  const drainOnce = async (): Promise<number> => {
    const limit = deps.batch ?? 200;
    let total = 0;
    for (;;) {
      const jobs = await deps.db.system((tx) => claim(tx, owner, limit));
      total += jobs.length;
      await deliverAll(deps, relay, jobs);
      if (jobs.length < limit) return total;
    }
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
async function deliverAll(deps: DeliveryDeps, relay: Relay, jobs: readonly Job[]): Promise<void> {
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
        deliverGroup(deps, relay, group)
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
}

async function deliverGroup(deps: DeliveryDeps, relay: Relay, group: readonly Job[]): Promise<void> {
  const first = group[0];
  if (first === undefined) return;
  const { result, states } = await trySend(deps, relay, first, group);
  const now = deps.clock.now();
  const outcomes = group.map((job) => outcomeOf(job, result, now));
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
    await updateDeliveries(tx, ours);
    // The first deferral is an event, later ones are not: n deferrals are one deferred recipient.
    const told = ours.filter(
      (one) => one.end !== 'deferred' || (one.job.disposition !== 'deferred' && one.job.kind !== 'release'),
    );
    await appendEvents(
      tx,
      told.map((one) => eventOf(one, tx.now, deps.config.nodeId)),
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

async function trySend(deps: DeliveryDeps, relay: Relay, first: Job, group: readonly Job[]): Promise<Tried> {
  const recipients = group.map((job) => job.recipient);
  const all = (code: number, text: string): RelayResult => ({
    replies: new Map(recipients.map((one) => [one, { code, text }])),
    failure: null,
  });
  let hosts: { host: string; port: number; tls: Destination['tls'] }[];
  const isOwn = isToClient(first);
  try {
    await deps.spool.path(first.contentId);
    hosts = isOwn
      ? await deps.db.system((tx) => routesFor(tx, first.partnerId, first.clientId, first.domain))
      : await mx(deps, first);
  } catch (error) {
    if (errorCode(error) === 'not_found')
      deps.logger.error({ contentId: first.contentId }, 'a message body is missing');
    return { result: all(451, `4.3.0 ${error instanceof Error ? error.message : 'look-up failed'}`), states: [] };
  }
  if (hosts.length === 0) {
    return {
      result: isOwn ? all(450, `4.4.4 ${ROUTE_OWN}`) : all(556, '556 5.1.10 The domain takes no mail'),
      states: [],
    };
  }
  const states: RouteState[] = [];
  let result = all(550, '550 5.1.2 The domain has no mail host');
  for (const { host, port, tls } of hosts) {
    const tried = await sendTo(deps, relay, { host, port, tls }, first, recipients);
    // A host of the world that does not exist says nothing when another one does.
    if (tried === null) continue;
    result = tried;
    if (isOwn) {
      const { partnerId, clientId } = first;
      states.push({ partnerId, clientId, host, port, error: result.failure?.slice(0, 500) ?? null });
    }
    if (result.failure === null) break;
  }
  return { result, states };
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
        bytes: first.bytes + (deps.signing === undefined ? 1024 : 8192),
        open: () =>
          outgoing(deps.spool, deps.config.hostName, first, recipients.length, deps.signing ?? null, deps.clock.now()),
      },
    );
  } catch (error) {
    if (error instanceof NoSuchHost && !isToClient(first)) return null;
    const text = error instanceof Error ? error.message : String(error);
    return { replies: new Map(recipients.map((one) => [one, { code: 0, text }])), failure: text };
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

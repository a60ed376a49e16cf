import type { DirectoryCache } from '../accounts/cache.ts';
import type { ClientView, KnownRecipient } from '../accounts/directory.ts';
import type { Clock } from '../core/clock.ts';
import type { ConnectionFacts, ListEntry } from '../core/message.ts';
import { networkOf, networkRule } from '../core/networks.ts';
import type { SystemDb } from '../db/db.ts';
import { spfResult } from '../mail/authentication.ts';
import type { DnsListHit, DnsLists } from '../mail/dns-lists.ts';
import type { Resolver } from '../mail/resolver.ts';
import { askGreylist } from './greylist.ts';
import type { Refusal } from './refusals.ts';
import { Reply } from './replies.ts';
import type { Reputation, Standing } from './reputation.ts';

/**
 * Different unknown recipients of one network in ten minutes: from `slowFrom` on answers are slower, from `stopAt` on all are 450,
 * while they are more than `share` of the different recipients that it named. An old list, a tenth or a fifth of it gone, stays
 * below; who tries addresses can't hide behind the few that are right.
 */
export const HARVEST = Object.freeze({ slowFrom: 10, stopAt: 30, share: 1 / 3, stepMs: 250, maxMs: 5_000 });

/** Whether a network tries addresses. */
export function isHarvesting({ known, unknown }: Pick<Standing, 'known' | 'unknown'>): boolean {
  return unknown >= HARVEST.slowFrom && unknown > (known + unknown) * HARVEST.share;
}

/** A network that stands at or below `score` may send `perMinute` transactions a minute to each node. */
export const THROTTLE = Object.freeze({ score: -0.7, perMinute: 10, networksMax: 10_000 });

const SPF_MS = 5_000;

export interface EdgeDeps {
  readonly db: SystemDb;
  readonly clock: Clock;
  readonly directory: DirectoryCache;
  readonly reputation: Reputation;
  readonly dnsLists: DnsLists | null;
  /** For SPF before greylisting; null: without. */
  readonly resolver: Resolver | null;
  readonly hostName: string;
  /** Milliseconds of waiting; tests count instead. */
  readonly delay?: (ms: number) => Promise<void>;
}

export interface Connection {
  readonly remoteAddress: string;
  readonly helo: string;
}

/** Why a known or unknown recipient is refused: the reply, and the event's reason; null: without an event. */
export interface Refused {
  readonly reply: Reply;
  readonly reason: Refusal | null;
}

interface Bucket {
  tokens: number;
  at: number;
}

/**
 * What is decided of a connection before there is a message. Only the lists of the operator and of partners, and DNS lists
 * that the operator rejects by, refuse for good; everything else asks the sender to come back.
 */
export class Edge {
  readonly #deps: EdgeDeps;
  readonly #buckets = new Map<string, Bucket>();

  constructor(deps: EdgeDeps) {
    this.#deps = deps;
  }

  /** At connect. Throws Reply 554 for the operator's blocked networks, 421 for networks that sent mostly unwanted mail. */
  async connect(remoteAddress: string): Promise<void> {
    // A database that is away is told at RCPT, with a reply that is right there.
    const network = await this.#masterNetwork(remoteAddress).catch(() => null);
    if (network === 'block') throw new Reply(554, '5.7.1', 'Your network is blocked here');
    if (network !== 'allow' && !(await this.#mayTake(remoteAddress, 0))) throw slowDown();
  }

  /** At MAIL. Throws Reply 421. */
  async transaction(remoteAddress: string): Promise<void> {
    if ((await this.#masterNetwork(remoteAddress)) === 'allow') return;
    if (!(await this.#mayTake(remoteAddress, 1))) throw slowDown();
  }

  /**
   * Before a recipient is looked up: a network that tries addresses is answered slower and then not at all, in the same way
   * whether the address exists or not. Throws Reply 450.
   */
  async beforeRecipient(remoteAddress: string): Promise<void> {
    const standing = await this.#deps.reputation.standing(remoteAddress);
    if (!isHarvesting(standing)) return;
    const { unknown } = standing;
    if ((await this.#masterNetwork(remoteAddress)) === 'allow') return;
    const wait = this.#deps.delay ?? sleep;
    await wait(Math.min(HARVEST.maxMs, (unknown - HARVEST.slowFrom + 1) * HARVEST.stepMs));
    if (unknown >= HARVEST.stopAt) {
      throw new Reply(450, '4.7.1', 'Too many unknown recipients from your network, try again later');
    }
  }

  /** Lists of networks and DNS lists, for a recipient of the client, existing or not. */
  async refusalOf(view: ClientView, remoteAddress: string): Promise<Refused | null> {
    const master = await this.#masterNetwork(remoteAddress);
    const own = networkRule(view.networks, remoteAddress);
    if (own === 'block') {
      const reply = new Reply(554, '5.7.1', 'Your network is blocked for this recipient');
      return { reply, reason: 'connection.network_blocked' };
    }
    if (own === 'allow' || master === 'allow') return null;
    const hit = (await this.#dnsHits(remoteAddress)).find((one) => one.reject);
    if (hit === undefined) return null;
    return { reply: new Reply(554, '5.7.1', `Your address is listed by ${hit.zone}`), reason: 'connection.dnsbl' };
  }

  /** For a client that greylists: null, or the deferral. `reason` is set at the first try only. */
  async greylist(
    view: ClientView,
    recipient: KnownRecipient,
    sender: string,
    connection: Connection,
  ): Promise<Refused | null> {
    const { remoteAddress, helo } = connection;
    if (!view.policy.greylist) return null;
    if (networkRule(view.networks, remoteAddress) === 'allow') return null;
    if ((await this.#masterNetwork(remoteAddress)) === 'allow') return null;
    const { resolver, hostName, db } = this.#deps;
    if (resolver !== null) {
      const identity = { ip: remoteAddress, helo, sender, mta: hostName };
      if ((await spfResult(identity, resolver, SPF_MS)) === 'pass') return null;
    }
    const { partnerId, clientId } = recipient;
    const answer = await askGreylist(db, {
      partnerId,
      clientId,
      remoteAddress,
      sender,
      recipient: recipient.recipient,
    });
    if (answer.pass) return null;
    const seconds = Math.max(1, Math.ceil(answer.waitMs / 1000));
    const reply = new Reply(451, '4.7.1', `Greylisted, try again in ${seconds} seconds`);
    return { reply, reason: answer.first ? 'recipient.greylisted' : null };
  }

  /** What the filter is told; null for networks that the operator allows. */
  async factsOf(remoteAddress: string): Promise<ConnectionFacts | null> {
    if ((await this.#masterNetwork(remoteAddress)) === 'allow') return null;
    const [{ score }, hits] = await Promise.all([
      this.#deps.reputation.standing(remoteAddress),
      this.#dnsHits(remoteAddress),
    ]);
    return { reputation: score, dnsLists: hits.map(({ zone, points }) => ({ zone, points })) };
  }

  #dnsHits(remoteAddress: string): Promise<DnsListHit[]> {
    return this.#deps.dnsLists?.check(remoteAddress) ?? Promise.resolve([]);
  }

  async #masterNetwork(remoteAddress: string): Promise<ListEntry['kind'] | null> {
    return networkRule((await this.#deps.directory.master()).networks, remoteAddress);
  }

  /** A bucket of `perMinute` tokens for each badly standing network; `cost` 0 asks whether one is left. */
  async #mayTake(remoteAddress: string, cost: number): Promise<boolean> {
    const { score } = await this.#deps.reputation.standing(remoteAddress);
    if (score > THROTTLE.score) return true;
    const network = networkOf(remoteAddress);
    const now = this.#deps.clock.now().getTime();
    const before = this.#buckets.get(network) ?? { tokens: THROTTLE.perMinute, at: now };
    const refill = (Math.max(0, now - before.at) * THROTTLE.perMinute) / 60_000;
    const tokens = Math.min(THROTTLE.perMinute, before.tokens + refill);
    const taken = tokens >= 1;
    this.#buckets.delete(network);
    this.#buckets.set(network, { tokens: taken ? tokens - cost : tokens, at: now });
    for (const oldest of this.#buckets.keys()) {
      if (this.#buckets.size <= THROTTLE.networksMax) break;
      this.#buckets.delete(oldest);
    }
    return taken;
  }
}

const slowDown = () => new Reply(421, '4.7.0', 'Too much unwanted mail from your network, try again in a minute');

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms).unref();
  });
}

import { createHash } from 'node:crypto';
import type { Clock } from '../core/clock.ts';
import type { Logger } from '../core/log.ts';
import { networkOf } from '../core/networks.ts';
import type { SystemDb } from '../db/db.ts';
import {
  addHarvest,
  addNetworks,
  type Counters,
  type HarvestRow,
  type NetworkRow,
  readNetwork,
} from './reputation-store.ts';

/** What is counted of a network, beside recipients. */
export type Sign = 'ham' | 'spam' | 'authFailures' | 'protocolErrors';

/** How a network stands now, over all nodes as far as they have told, with what this node has not told yet. */
export interface Standing {
  /** -1 to 1; 0: unknown or even. */
  readonly score: number;
  /** Different recipients in the window of ten minutes: mailboxes that exist, and addresses that do not. */
  readonly known: number;
  readonly unknown: number;
}

export const REPUTATION = Object.freeze({
  /** Counts halve in this time, milliseconds. */
  halfLifeMs: 86_400_000,
  windowMs: 600_000,
  /** How much must have come before the score says much: a network with this many, all bad, stands at -0.5. */
  prior: 20,
  /** Milliseconds after which a network is read anew. */
  rereadMs: 60_000,
  flushMs: 5_000,
  networksMax: 20_000,
  /** Recipients that a node remembers of a window, to count each once. */
  recipientsMax: 200_000,
});

const ZERO: Counters = Object.freeze({ ham: 0, spam: 0, unknown: 0, authFailures: 0, protocolErrors: 0 });
const NEUTRAL: Standing = Object.freeze({ score: 0, known: 0, unknown: 0 });

interface Pending extends Counters {
  known: number;
  windowUnknown: number;
  windowAt: number;
}

interface Read {
  readonly row: NetworkRow | null;
  readonly at: number;
}

/**
 * Counts what comes from networks (/24, /64). Each node gathers and adds its counts to the shared table every few seconds, in
 * one statement whose answer is the sum of all nodes; a node that dies loses its last seconds of counts and nothing else. A
 * database that is away makes every network neutral: reputation never refuses for good and never stops mail by failing.
 */
export class Reputation {
  readonly #db: SystemDb;
  readonly #clock: Clock;
  readonly #logger: Logger;
  #pending = new Map<string, Pending>();
  /** What is being added to the shared table: it counts until the table's answer is there. */
  #telling: ReadonlyMap<string, Pending> = new Map();
  #harvest = new Map<string, HarvestRow>();
  readonly #seen = new Set<string>();
  #seenAt = 0;
  readonly #read = new Map<string, Read>();
  readonly #reading = new Map<string, Promise<void>>();
  #timer: NodeJS.Timeout | undefined;
  #flushing: Promise<void> = Promise.resolve();

  constructor(db: SystemDb, clock: Clock, logger: Logger) {
    this.#db = db;
    this.#clock = clock;
    this.#logger = logger;
  }

  start(): void {
    this.#timer ??= setInterval(() => void this.flush(), REPUTATION.flushMs);
    this.#timer.unref();
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    this.#timer = undefined;
    await this.flush();
  }

  note(address: string, sign: Sign, count = 1): void {
    const pending = this.#of(networkOf(address));
    if (pending === null) return;
    pending[sign] += count;
  }

  /**
   * A recipient that exists. By its mailbox and once a window: who has one good address would else outweigh any number of tries
   * by giving it again and again, or with details behind a plus sign.
   */
  noteKnown(address: string, mailboxId: string): void {
    const network = networkOf(address);
    const pending = this.#of(network);
    if (pending !== null && this.#isFirst(network, mailboxId)) pending.known += 1;
  }

  /**
   * An unknown recipient of a client's domain: counted for the network, and for the client. In the window once: a sender who
   * repeats one stale address tries nothing.
   */
  noteUnknown(
    address: string,
    owner: { partnerId: string; clientId: string; domain: string },
    recipient: string,
  ): void {
    const network = networkOf(address);
    const pending = this.#of(network);
    if (pending !== null) pending.unknown += 1;
    if (!this.#isFirst(network, recipient)) return;
    if (pending !== null) pending.windowUnknown += 1;
    const { partnerId, clientId, domain } = owner;
    const windowAt = this.#window();
    const key = `${clientId} ${domain} ${network} ${windowAt}`;
    const row = this.#harvest.get(key) ?? {
      partnerId,
      clientId,
      domain,
      network,
      windowAt: new Date(windowAt),
      unknown: 0,
    };
    if (!this.#harvest.has(key) && this.#harvest.size >= REPUTATION.networksMax) return;
    this.#harvest.set(key, { ...row, unknown: row.unknown + 1 });
  }

  async standing(address: string): Promise<Standing> {
    const network = networkOf(address);
    const now = this.#clock.now().getTime();
    const read = this.#read.get(network);
    if (read === undefined || now - read.at >= REPUTATION.rereadMs || now < read.at) await this.#load(network);
    const row = this.#read.get(network)?.row ?? null;
    const own = [this.#telling.get(network), this.#pending.get(network)].filter((one) => one !== undefined);
    if (row === null && own.length === 0) return NEUTRAL;
    return standingOf(row, own, now, this.#window());
  }

  /** Adds what was gathered to the shared table. Never rejects: what could not be added is kept for the next time. */
  flush(): Promise<void> {
    this.#flushing = this.#flushing.then(() => this.#flush());
    return this.#flushing;
  }

  async #flush(): Promise<void> {
    const pending = this.#pending;
    const harvest = this.#harvest;
    if (pending.size === 0 && harvest.size === 0) return;
    this.#pending = new Map();
    this.#telling = pending;
    this.#harvest = new Map();
    try {
      const rows = await this.#db.system(async (tx) => {
        await addHarvest(tx, [...harvest.values()]);
        return addNetworks(
          tx,
          [...pending].map(([network, one]) => ({ network, ...one, windowAt: new Date(one.windowAt) })),
          REPUTATION.halfLifeMs,
        );
      });
      for (const row of rows) this.#remember(row.network, row);
    } catch (error) {
      this.#logger.warn({ err: error }, 'the reputation of networks could not be written, it is tried again');
      for (const [network, one] of pending) this.#putBack(network, one);
      for (const [key, row] of harvest) {
        const since = this.#harvest.get(key);
        this.#harvest.set(key, { ...row, unknown: row.unknown + (since?.unknown ?? 0) });
      }
    }
    this.#telling = new Map();
  }

  #putBack(network: string, one: Pending): void {
    const since = this.#of(network);
    if (since === null) return;
    for (const name of ['ham', 'spam', 'unknown', 'authFailures', 'protocolErrors'] as const) since[name] += one[name];
    if (since.windowAt !== one.windowAt) return;
    since.known += one.known;
    since.windowUnknown += one.windowUnknown;
  }

  /** Whether the network names this recipient for the first time in this window, as far as this node knows. */
  #isFirst(network: string, recipient: string): boolean {
    const window = this.#window();
    if (window !== this.#seenAt) this.#seen.clear();
    this.#seenAt = window;
    const key = createHash('sha256').update(`${network} ${recipient}`).digest('base64url').slice(0, 22);
    if (this.#seen.has(key)) return false;
    this.#seen.add(key);
    for (const oldest of this.#seen) {
      if (this.#seen.size <= REPUTATION.recipientsMax) break;
      this.#seen.delete(oldest);
    }
    return true;
  }

  /** The counts of this window that are still to be told; null when there are too many networks at once. */
  #of(network: string): Pending | null {
    const windowAt = this.#window();
    const known = this.#pending.get(network);
    if (known !== undefined) {
      if (known.windowAt !== windowAt) Object.assign(known, { windowAt, known: 0, windowUnknown: 0 });
      return known;
    }
    if (this.#pending.size >= REPUTATION.networksMax) return null;
    const fresh = { ...ZERO, known: 0, windowUnknown: 0, windowAt };
    this.#pending.set(network, fresh);
    return fresh;
  }

  #window(): number {
    const now = this.#clock.now().getTime();
    return now - (now % REPUTATION.windowMs);
  }

  #load(network: string): Promise<void> {
    const running = this.#reading.get(network);
    if (running !== undefined) return running;
    const before = this.#read.get(network);
    const reading = this.#db
      .system((tx) => readNetwork(tx, network), { readOnly: true, perStatement: true })
      .then(
        (row) => {
          // What was told meanwhile has its answer, which is newer.
          if (this.#read.get(network) === before) this.#remember(network, row);
        },
        (error: unknown) => this.#logger.debug({ err: error }, 'the reputation of a network could not be read'),
      )
      .finally(() => this.#reading.delete(network));
    this.#reading.set(network, reading);
    return reading;
  }

  #remember(network: string, row: NetworkRow | null): void {
    this.#read.delete(network);
    this.#read.set(network, { row, at: this.#clock.now().getTime() });
    for (const oldest of this.#read.keys()) {
      if (this.#read.size <= REPUTATION.networksMax) break;
      this.#read.delete(oldest);
    }
  }
}

function standingOf(row: NetworkRow | null, own: readonly Pending[], now: number, windowAt: number): Standing {
  const age = row === null ? 0 : Math.max(0, now - row.updatedAt.getTime());
  const left = 0.5 ** (age / REPUTATION.halfLifeMs);
  const total = (name: keyof Counters | 'known' | 'windowUnknown', of = own) =>
    of.reduce((sum, one) => sum + one[name], 0);
  const sum = (name: keyof Counters) => (row === null ? 0 : row[name] * left) + total(name);
  const good = sum('ham');
  const bad = sum('spam') + 0.5 * sum('unknown') + 2 * sum('authFailures') + 0.5 * sum('protocolErrors');
  const told = row !== null && row.windowAt.getTime() === windowAt ? row : null;
  const present = own.filter((one) => one.windowAt === windowAt);
  return {
    score: (good - bad) / (good + bad + REPUTATION.prior),
    known: (told?.windowKnown ?? 0) + total('known', present),
    unknown: (told?.windowUnknown ?? 0) + total('windowUnknown', present),
  };
}

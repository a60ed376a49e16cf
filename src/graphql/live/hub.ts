import { LIVE_CHANNEL } from '../../core/channels.ts';
import { AppError } from '../../core/errors.ts';
import type { Logger } from '../../core/log.ts';
import type { PartnerId } from '../../core/tenant.ts';
import type { SystemDb, TenantDb } from '../../db/db.ts';
import { CHANGES_MAX, type LiveChange, type LiveKind, readChanges } from './changes.ts';
import { Pending } from './pending.ts';
import { type Traffic, TrafficFeed } from './traffic.ts';

/** `listen` of src/db; optional: without it changes are found by looking. */
export interface LiveDb extends TenantDb, SystemDb {
  listen?(channel: string, onMessage: (payload: string) => void): Promise<() => Promise<void>>;
}

export interface LivePace {
  /** Milliseconds between two looks for changes that NOTIFY did not tell. */
  readonly lookMs?: number;
  /** Milliseconds between two readings of the same numbers, at least. */
  readonly trafficMs?: number;
  /** Milliseconds after which numbers are sent though none has changed. */
  readonly quietMs?: number;
  /** Milliseconds of a clock that only goes forward. */
  readonly monotonic?: () => number;
}

interface Watcher {
  readonly partnerId: PartnerId;
  readonly kind: LiveKind;
  readonly clientId: string | null;
  readonly pending: Pending<string>;
}

/** Changed objects that may wait for one reader. */
const PENDING_MAX = 1_000;
/** After a longer time without a look rows may be gone, so that something may have been missed. */
const GAP_MAX_MS = 30 * 60_000;

/**
 * Tells who watches what changed. Changes are rows, read once per node for all (see live_changes): NOTIFY only says when to
 * look, so one that is lost makes a change late and never lost. Nothing runs before the first who watches.
 */
export class LiveHub {
  readonly #db: LiveDb;
  readonly #logger: Logger;
  readonly #lookMs: number;
  readonly #now: () => number;
  readonly #feed: TrafficFeed;
  readonly #watchers = new Set<Watcher>();
  readonly #onKeys = new Set<() => void>();
  #starting: Promise<void> | null = null;
  #unlisten: (() => Promise<void>) | null = null;
  #timer: NodeJS.Timeout | undefined;
  #snapshot: string | null = null;
  #lookedAt = 0;
  #looking: Promise<void> | null = null;
  #again = false;
  #stopped = false;

  constructor(db: LiveDb, logger: Logger, pace: LivePace = {}) {
    this.#db = db;
    this.#logger = logger;
    this.#lookMs = pace.lookMs ?? 5_000;
    this.#now = pace.monotonic ?? (() => performance.now());
    const { trafficMs: everyMs = 1_000, quietMs = 15_000 } = pace;
    this.#feed = new TrafficFeed(db, { everyMs, quietMs, monotonic: this.#now }, (error) =>
      logger.warn({ err: error }, 'the numbers that are watched could not be read'),
    );
  }

  /** How many watch changes, for tests and metrics. */
  get watching(): number {
    return this.#watchers.size;
  }

  /** Ids of what changes from now on. Throws `unavailable` when the database is away. */
  async changes(partnerId: PartnerId, kind: LiveKind, clientId: string | null): Promise<Pending<string>> {
    await this.#start();
    const pending = new Pending<string>(PENDING_MAX, () => this.#watchers.delete(watcher));
    const watcher: Watcher = { partnerId, kind, clientId, pending };
    this.#watchers.add(watcher);
    return pending;
  }

  /** Numbers, now and whenever they move. */
  async traffic(partnerId: PartnerId, clientId: string | null, zone: string): Promise<Pending<Traffic>> {
    await this.#start();
    return this.#feed.watch(partnerId, clientId, zone);
  }

  /** Calls back when a key was changed somewhere, until the answer is called. */
  onKeys(callback: () => void): () => void {
    this.#onKeys.add(callback);
    return () => this.#onKeys.delete(callback);
  }

  /** Looks for changes now, and once more when it was asked for meanwhile. Never rejects. */
  look(): Promise<void> {
    if (this.#looking !== null) {
      this.#again = true;
      return this.#looking;
    }
    this.#looking = (async () => {
      do {
        this.#again = false;
        await this.#lookOnce().catch((error: unknown) => {
          this.#logger.warn({ err: error }, 'changes that are watched could not be looked for');
        });
      } while (this.#again && !this.#stopped);
      this.#looking = null;
    })();
    return this.#looking;
  }

  /** Ends every watch and lets go of the database. */
  async stop(): Promise<void> {
    this.#stopped = true;
    clearInterval(this.#timer);
    this.#endAll(null);
    await this.#starting?.catch(() => undefined);
    // What was starting has begun to look, and may have been given a watcher.
    clearInterval(this.#timer);
    this.#endAll(null);
    await this.#feed.stop();
    await this.#unlisten?.();
    await this.#looking;
  }

  #start(): Promise<void> {
    if (this.#stopped) return Promise.reject(new AppError('unavailable', 'the server is closing'));
    this.#starting ??= this.#open().catch((error: unknown) => {
      this.#starting = null;
      throw error;
    });
    return this.#starting;
  }

  async #open(): Promise<void> {
    try {
      this.#unlisten ??= (await this.#db.listen?.(LIVE_CHANNEL, (payload) => this.#hear(payload))) ?? null;
    } catch (error) {
      this.#logger.warn({ err: error }, 'changes that are watched are found by looking only');
    }
    // Before anybody watches: what is committed from here on is told.
    await this.#lookOnce();
    this.#timer ??= setInterval(() => {
      this.#feed.moved();
      void this.look();
    }, this.#lookMs).unref();
  }

  /** An empty payload is a change, and also a connection that was made anew: then anything may have been missed. */
  #hear(payload: string): void {
    if (payload === 'rolled' || payload === '') this.#feed.moved();
    if (payload === 'keys' || payload === '') for (const callback of this.#onKeys) callback();
    if (payload === '') void this.look();
  }

  async #lookOnce(): Promise<void> {
    const startedAt = this.#now();
    const before = this.#snapshot;
    const { snapshot, changes } = await this.#db.system((tx) => readChanges(tx, before), {
      readOnly: true,
      perStatement: true,
    });
    const isSure = before === null || (startedAt - this.#lookedAt <= GAP_MAX_MS && changes.length <= CHANGES_MAX);
    this.#snapshot = snapshot;
    this.#lookedAt = startedAt;
    if (isSure) for (const change of changes) this.#tell(change);
    else
      this.#endAll(new AppError('unavailable', 'changes may have been missed; subscribe again and ask for the state'));
  }

  #tell({ partnerId, clientId, kind, id }: LiveChange): void {
    for (const watcher of this.#watchers) {
      const fits =
        watcher.partnerId === partnerId &&
        watcher.kind === kind &&
        (watcher.clientId === null || watcher.clientId === clientId);
      if (fits) watcher.pending.push(id, id);
    }
  }

  #endAll(error: unknown): void {
    for (const { pending } of [...this.#watchers]) pending.end(error);
  }
}

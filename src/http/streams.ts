import { type ApiCaller, liveKeys } from '../accounts/keys.ts';
import type { Clock } from '../core/clock.ts';
import { AppError } from '../core/errors.ts';
import type { Logger } from '../core/log.ts';
import type { SystemDb } from '../db/db.ts';

/** Limits on what stays open. docs/api.md publishes them. */
export const STREAMS = {
  /** Connections of one key: sockets, streams of events and exports together. */
  perKey: 20,
  perNode: 2_000,
  /** Seconds within which a revoked key's streams end. */
  recheckSeconds: 5,
} as const;

export type EndReason = 'revoked' | 'closing';

/** Something that outlasts its request. */
export interface OpenStream {
  /** Ends it with a last word; may be called again. */
  end(reason: EndReason): void;
  /** Whether its reader has taken nothing for too long; then it is cut off. */
  isStuck(): boolean;
  /** Lets go of the connection, without a word. */
  destroy(): void;
}

export interface StreamsDeps {
  readonly db: SystemDb;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Milliseconds between two looks at the keys. */
  readonly recheckMs?: number;
}

/**
 * Everything that stays open on this node. A request's key is checked when it comes; what outlasts the request is checked again
 * and again here, so that a revoked key hears nothing more within seconds.
 */
export class Streams {
  readonly #deps: StreamsDeps;
  readonly #open = new Map<OpenStream, string>();
  #timer: NodeJS.Timeout | undefined;
  #closing = false;
  #emptied: () => void = () => undefined;

  constructor(deps: StreamsDeps) {
    this.#deps = deps;
  }

  get size(): number {
    return this.#open.size;
  }

  get isClosing(): boolean {
    return this.#closing;
  }

  /** Counts a stream until the answer is called. Throws `limit_exceeded`, or `unavailable` while the node closes. */
  add(caller: ApiCaller, stream: OpenStream): () => void {
    if (this.#closing) throw new AppError('unavailable', 'the server is closing');
    let own = 0;
    for (const key of this.#open.values()) if (key === caller.keyId) own += 1;
    if (own >= STREAMS.perKey) {
      throw new AppError('limit_exceeded', `a key has at most ${STREAMS.perKey} streams open`, { retryAfter: 10 });
    }
    if (this.#open.size >= STREAMS.perNode) {
      throw new AppError('limit_exceeded', 'this server has as many streams open as it may', { retryAfter: 30 });
    }
    this.#open.set(stream, caller.keyId);
    const every = this.#deps.recheckMs ?? STREAMS.recheckSeconds * 1_000;
    this.#timer ??= setInterval(() => void this.check(), every).unref();
    return () => {
      this.#open.delete(stream);
      if (this.#open.size > 0) return;
      clearInterval(this.#timer);
      this.#timer = undefined;
      this.#emptied();
    };
  }

  /** Ends the streams of keys that are not live any more, and cuts off readers that do not read. Never rejects. */
  async check(): Promise<void> {
    for (const stream of [...this.#open.keys()]) if (stream.isStuck()) stream.destroy();
    const keys = new Set(this.#open.values());
    if (keys.size === 0) return;
    try {
      const live = await liveKeys(this.#deps.db, [...keys], this.#deps.clock.now());
      for (const [stream, key] of [...this.#open]) if (keys.has(key) && !live.has(key)) stream.end('revoked');
    } catch (error) {
      // While nobody can say that a key is live, streams go on: the database that would feed them is away too.
      this.#deps.logger.warn({ err: error }, 'the keys of open streams could not be checked');
    }
  }

  /** Ends all with a last word, and after `graceMs` milliseconds without one. Takes no new ones. */
  async close(graceMs: number): Promise<void> {
    this.#closing = true;
    if (this.#open.size === 0) return;
    const emptied = new Promise<void>((resolve) => {
      this.#emptied = resolve;
    });
    for (const stream of [...this.#open.keys()]) stream.end('closing');
    const timer = setTimeout(() => {
      for (const stream of [...this.#open.keys()]) stream.destroy();
    }, graceMs);
    await emptied;
    clearTimeout(timer);
  }
}

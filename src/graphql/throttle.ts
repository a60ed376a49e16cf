import { AppError } from '../core/errors.ts';

/** A leaky bucket of points per API key. */
export interface Rate {
  /** Points that a key may spend at once. */
  readonly capacity: number;
  /** Points that come back each second. */
  readonly perSecond: number;
}

export const DEFAULT_RATE: Rate = { capacity: 20_000, perSecond: 500 };

/** What the caller is told of its bucket. */
export interface ThrottleStatus {
  readonly maximumAvailable: number;
  readonly currentlyAvailable: number;
  readonly restoreRate: number;
}

// Buckets of keys that have been quiet long enough to be full again hold nothing worth keeping.
const SWEEP_AT = 10_000;

/** Per key and node: N nodes let a key spend N times as much. */
export class Throttle {
  readonly #rate: Rate;
  readonly #buckets = new Map<string, { level: number; at: number }>();

  constructor(rate: Rate) {
    this.#rate = rate;
  }

  /** Takes points for a query. Throws `limit_exceeded` with `retryAfter` in seconds when there are not enough. */
  take(key: string, points: number, now: Date): ThrottleStatus {
    const { capacity, perSecond } = this.#rate;
    const at = now.getTime();
    const bucket = this.#buckets.get(key);
    const restored = bucket === undefined ? capacity : bucket.level + (Math.max(0, at - bucket.at) / 1000) * perSecond;
    const level = Math.min(capacity, restored);
    if (level < points) {
      throw new AppError('limit_exceeded', 'this key has asked for too much in a short time', {
        retryAfter: Math.ceil((points - level) / perSecond),
      });
    }
    if (this.#buckets.size >= SWEEP_AT) this.#sweep(at);
    this.#buckets.set(key, { level: level - points, at });
    return { maximumAvailable: capacity, currentlyAvailable: Math.floor(level - points), restoreRate: perSecond };
  }

  #sweep(at: number): void {
    const full = (this.#rate.capacity / this.#rate.perSecond) * 1000;
    for (const [key, bucket] of this.#buckets) if (at - bucket.at > full) this.#buckets.delete(key);
  }
}

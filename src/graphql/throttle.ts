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

/** The most buckets that are kept; beyond them the one that was quiet longest is forgotten. */
const KEPT_MAX = 100_000;
/** Buckets that are looked at with each one taken: more than one, so that what is full again goes faster than new ones come. */
const SWEPT_AT_ONCE = 4;

/** Per key and node: N nodes let a key spend N times as much. */
export class Throttle {
  readonly #rate: Rate;
  /** In the order of their last use, the longest quiet first. */
  readonly #buckets = new Map<string, { level: number; at: number }>();
  readonly #max: number;

  constructor(rate: Rate, max: number = KEPT_MAX) {
    this.#rate = rate;
    this.#max = max;
  }

  /** How many buckets are kept. */
  get size(): number {
    return this.#buckets.size;
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
    this.#buckets.delete(key);
    this.#buckets.set(key, { level: level - points, at });
    this.#sweep(at);
    return { maximumAvailable: capacity, currentlyAvailable: Math.floor(level - points), restoreRate: perSecond };
  }

  /** Gives points back that were taken for what turned out to cost none. */
  give(key: string, points: number): void {
    const bucket = this.#buckets.get(key);
    if (bucket !== undefined) bucket.level = Math.min(this.#rate.capacity, bucket.level + points);
  }

  /** A few of the longest quiet at a time: a bucket that is full again holds nothing worth keeping. */
  #sweep(at: number): void {
    const full = (this.#rate.capacity / this.#rate.perSecond) * 1000;
    let looked = 0;
    for (const [key, bucket] of this.#buckets) {
      const surplus = this.#buckets.size > this.#max;
      if (!surplus && (looked === SWEPT_AT_ONCE || at - bucket.at <= full)) return;
      this.#buckets.delete(key);
      looked += 1;
    }
  }
}

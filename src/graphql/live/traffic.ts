import type { Totals } from '../../core/counts.ts';
import { BUCKET_MS, bucketStart, type Interval, interval, localDate } from '../../core/period.ts';
import type { PartnerId } from '../../core/tenant.ts';
import type { TenantDb, TenantTx } from '../../db/db.ts';
import { readQuarterHour, readStatistics } from '../../rollups/read.ts';
import { Pending } from './pending.ts';

export interface TrafficSpan extends Interval {
  readonly complete: boolean;
  readonly totals: Totals;
}

/** How much mail there is at one moment, of one client or, with null, of all of a partner. */
export interface Traffic {
  readonly clientId: string | null;
  readonly at: Date;
  readonly completeThrough: Date | null;
  readonly quarterHour: TrafficSpan;
  readonly day: TrafficSpan;
}

/** Counts of the quarter hour and of the local day that `tx.now` lies in, from the one reader of the rollups (rule 12). */
export async function readTraffic(tx: TenantTx, clientId: string | null, zone: string): Promise<Traffic> {
  const today = localDate(tx.now, zone);
  const period = { from: today, to: today, zone };
  const start = bucketStart(tx.now);
  const quarter = await readQuarterHour(tx, clientId, start);
  const day = await readStatistics(tx, { clientId, period, granularity: 'DAY' });
  return {
    clientId,
    at: tx.now,
    completeThrough: day.completeThrough,
    quarterHour: {
      start,
      end: new Date(start.getTime() + BUCKET_MS),
      complete: quarter.complete,
      totals: quarter.totals,
    },
    day: { ...interval(period), complete: day.complete, totals: day.totals },
  };
}

// The quarter hour is within the day in the same numbers.
const ONE_SNAPSHOT = { readOnly: true, repeatableRead: true } as const;

interface Topic {
  readonly partnerId: PartnerId;
  readonly clientId: string | null;
  readonly zone: string;
  readonly watchers: Set<Pending<Traffic>>;
  last: { readonly traffic: Traffic; readonly text: string; readonly at: number } | null;
  /** Not before this moment of the monotonic clock. */
  nextAt: number;
  isReading: boolean;
}

export interface TrafficPace {
  /** Milliseconds between two readings of one topic, at least. */
  readonly everyMs: number;
  /** Milliseconds after which an update is sent though no count has changed, for `completeThrough`. */
  readonly quietMs: number;
  readonly monotonic: () => number;
}

// A reading that takes long comes less often: at most a twentieth of the time goes into it.
const PAUSE_FACTOR = 20;

/**
 * The numbers that are watched, each read once for all who watch them. Readers of one partner share what was read as that
 * partner, so nothing passes between tenants.
 */
export class TrafficFeed {
  readonly #db: TenantDb;
  readonly #pace: TrafficPace;
  readonly #onFault: (error: unknown) => void;
  readonly #topics = new Map<string, Topic>();
  readonly #reads = new Set<Promise<void>>();
  #timer: NodeJS.Timeout | undefined;
  #moved = false;

  constructor(db: TenantDb, pace: TrafficPace, onFault: (error: unknown) => void) {
    this.#db = db;
    this.#pace = pace;
    this.#onFault = onFault;
  }

  /** Watches the numbers of a client in its zone; null: of all clients. */
  watch(partnerId: PartnerId, clientId: string | null, zone: string): Pending<Traffic> {
    const key = `${partnerId} ${clientId ?? ''} ${zone}`;
    const topic = this.#topics.get(key) ?? this.#open(key, partnerId, clientId, zone);
    const pending = new Pending<Traffic>(1, () => {
      topic.watchers.delete(pending);
      if (topic.watchers.size === 0) this.#close(key);
    });
    topic.watchers.add(pending);
    if (topic.last !== null) pending.push('', topic.last.traffic);
    else this.#read(topic);
    return pending;
  }

  /** The rollups moved on. */
  moved(): void {
    this.#moved = true;
  }

  /** Ends all, and waits for what is being read. */
  async stop(): Promise<void> {
    for (const topic of [...this.#topics.values()]) for (const pending of [...topic.watchers]) pending.end();
    clearInterval(this.#timer);
    await Promise.all(this.#reads);
  }

  #open(key: string, partnerId: PartnerId, clientId: string | null, zone: string): Topic {
    const topic = {
      partnerId,
      clientId,
      zone,
      watchers: new Set<Pending<Traffic>>(),
      last: null,
      nextAt: 0,
      isReading: false,
    };
    this.#topics.set(key, topic);
    this.#timer ??= setInterval(() => this.#tick(), this.#pace.everyMs).unref();
    return topic;
  }

  #close(key: string): void {
    this.#topics.delete(key);
    if (this.#topics.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  #tick(): void {
    const moved = this.#moved;
    this.#moved = false;
    const now = this.#pace.monotonic();
    for (const topic of this.#topics.values()) {
      const isDue = moved || topic.last === null || now - topic.last.at >= this.#pace.quietMs;
      if (isDue && now >= topic.nextAt) this.#read(topic);
      else if (isDue) this.#moved = true;
    }
  }

  #read(topic: Topic): void {
    if (topic.isReading) return;
    topic.isReading = true;
    const started = this.#pace.monotonic();
    const reading = this.#db
      .tenant(topic.partnerId, (tx) => readTraffic(tx, topic.clientId, topic.zone), ONE_SNAPSHOT)
      .then((traffic) => this.#publish(topic, traffic), this.#onFault)
      .finally(() => {
        const now = this.#pace.monotonic();
        topic.isReading = false;
        topic.nextAt = Math.max(started + this.#pace.everyMs, now + (now - started) * PAUSE_FACTOR);
        this.#reads.delete(reading);
      });
    this.#reads.add(reading);
  }

  #publish(topic: Topic, traffic: Traffic): void {
    const text = fingerprint(traffic);
    const now = this.#pace.monotonic();
    if (topic.last !== null && topic.last.text === text && now - topic.last.at < this.#pace.quietMs) return;
    topic.last = { traffic, text, at: now };
    for (const pending of topic.watchers) pending.push('', traffic);
  }
}

/** What makes an update worth sending: all but when it was read and how far the numbers reach. */
function fingerprint({ quarterHour, day }: Traffic): string {
  return JSON.stringify(
    [quarterHour, day].map(({ totals, ...span }) => [
      span,
      { ...totals, byVerdict: [...totals.byVerdict], byDisposition: [...totals.byDisposition] },
    ]),
  );
}

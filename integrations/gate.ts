import { AppError } from '../src/core/errors.ts';

/** What may pass to one PSA account, shared by all requests of this process to it. */
export interface GateLimits {
  /** Requests in flight at once per endpoint (Autotask counts threads per object endpoint). */
  readonly perEndpoint: number;
  /** Requests in flight at once in all. */
  readonly total: number;
  /** Requests in any rolling `windowMs`; null where the vendor publishes none. */
  readonly budget: { readonly requests: number; readonly windowMs: number } | null;
  /** Failures in a row that open the circuit. */
  readonly failures: number;
  /** Milliseconds that an open circuit stays open before one request may try. */
  readonly openMs: number;
}

const MAX_WAITING = 500;

/**
 * Concurrency, budget and circuit of one PSA account. The budget is what this process has sent, raised by what the PSA
 * says that others have sent too (`observe`): both vendors count per account, not per client.
 */
export class Gate {
  readonly #limits: GateLimits;
  readonly #now: () => number;
  #inFlight = 0;
  readonly #perEndpoint = new Map<string, number>();
  readonly #waiting: { endpoint: string; go: () => void }[] = [];
  #sent: number[] = [];
  #foreign = { count: 0, until: 0 };
  #failures = 0;
  #closedUntil = 0;
  #probing = false;

  constructor(limits: GateLimits, now: () => number) {
    this.#limits = limits;
    this.#now = now;
  }

  /** Milliseconds to wait before sending, for the share of the budget that is used: none below half, then 0.5 s, 2 s. */
  pauseMs(): number {
    const used = this.used();
    if (used >= 0.75) return 2_000;
    return used >= 0.5 ? 500 : 0;
  }

  /** Share of the budget that is used, 0 to 1 and beyond. */
  used(): number {
    const { budget } = this.#limits;
    if (budget === null) return 0;
    const now = this.#now();
    this.#sent = this.#sent.filter((at) => at > now - budget.windowMs);
    return (this.#sent.length + (this.#foreign.until > now ? this.#foreign.count : 0)) / budget.requests;
  }

  /** The PSA's own count of requests in the window, others' included. */
  observe(count: number): void {
    const { budget } = this.#limits;
    if (budget === null) return;
    this.#foreign = { count: Math.max(0, count - this.#sent.length), until: this.#now() + budget.windowMs };
  }

  /** Milliseconds until the gate lets requests pass again; 0 when it does. */
  closedMs(): number {
    return Math.max(0, this.#closedUntil - this.#now());
  }

  /** Throws `unavailable` when nothing may be sent now: circuit open, throttled by the PSA, or the budget nearly spent. */
  check(): void {
    const wait = this.closedMs();
    if (wait > 0) {
      throw new AppError('unavailable', 'the PSA is not being asked for now, after failures or throttling', {
        retryAfter: Math.ceil(wait / 1000),
      });
    }
    if (this.#failures >= this.#limits.failures && this.#probing) {
      throw new AppError('unavailable', 'the PSA is being tried with another request first', { retryAfter: 5 });
    }
    if (this.used() >= 0.9) {
      throw new AppError(
        'unavailable',
        'nine tenths of the PSA’s request budget are used; the rest is left to others',
        {
          retryAfter: 300,
        },
      );
    }
  }

  /** Waits for a free slot and takes it; the answer gives it back. Throws `unavailable` when too many wait already. */
  async enter(endpoint: string): Promise<() => void> {
    if (!this.#free(endpoint)) {
      if (this.#waiting.length >= MAX_WAITING) {
        throw new AppError('unavailable', 'too many requests to the PSA are waiting', { retryAfter: 30 });
      }
      await new Promise<void>((go) => {
        this.#waiting.push({ endpoint, go });
      });
      // The circuit may have opened, or the PSA throttled, while this one stood in line.
      if (this.closedMs() > 0) {
        this.#leave(endpoint);
        this.check();
      }
    } else {
      this.#take(endpoint);
    }
    if (this.#failures >= this.#limits.failures) this.#probing = true;
    this.#sent.push(this.#now());
    let left = false;
    return () => {
      if (left) return;
      left = true;
      this.#leave(endpoint);
    };
  }

  succeeded(): void {
    this.#failures = 0;
    this.#probing = false;
  }

  /** The PSA did not answer sensibly; enough of these in a row open the circuit. */
  failed(): void {
    this.#failures += 1;
    this.#probing = false;
    if (this.#failures >= this.#limits.failures) this.#close(this.#limits.openMs);
  }

  /** The PSA said to wait. */
  throttled(ms: number): void {
    this.#probing = false;
    this.#close(ms);
  }

  #close(ms: number): void {
    this.#closedUntil = Math.max(this.#closedUntil, this.#now() + ms);
  }

  #free(endpoint: string): boolean {
    return this.#inFlight < this.#limits.total && (this.#perEndpoint.get(endpoint) ?? 0) < this.#limits.perEndpoint;
  }

  #take(endpoint: string): void {
    this.#inFlight += 1;
    this.#perEndpoint.set(endpoint, (this.#perEndpoint.get(endpoint) ?? 0) + 1);
  }

  #leave(endpoint: string): void {
    this.#inFlight -= 1;
    const left = (this.#perEndpoint.get(endpoint) ?? 1) - 1;
    if (left === 0) this.#perEndpoint.delete(endpoint);
    else this.#perEndpoint.set(endpoint, left);
    // The first that fits, not the first in line: a full endpoint must not hold up the others.
    const next = this.#waiting.findIndex((waiter) => this.#free(waiter.endpoint));
    const waiter = next < 0 ? undefined : this.#waiting.splice(next, 1)[0];
    if (waiter === undefined) return;
    this.#take(waiter.endpoint);
    waiter.go();
  }
}

/** The gates of this process, one per PSA account, however often a connector is made for it. */
export class Gates {
  readonly #gates = new Map<string, Gate>();

  get(account: string, limits: GateLimits, now: () => number): Gate {
    const known = this.#gates.get(account);
    if (known !== undefined) return known;
    const gate = new Gate(limits, now);
    this.#gates.set(account, gate);
    return gate;
  }
}

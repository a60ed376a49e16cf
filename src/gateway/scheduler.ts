import type { Clock } from '../core/clock.ts';
import { errorCode } from '../core/errors.ts';
import type { Logger } from '../core/log.ts';
import type { SystemDb } from '../db/db.ts';
import { forgetDestinations, wakeDestinations } from './backoff.ts';
import type { Destinations } from './destinations.ts';
import { groupBy } from './group.ts';
import { ANY, claim, giveBack, isAnyStranded, type Job, type Lane, laneKey, wakeDue } from './queue.ts';
import { Slots } from './slots.ts';

/** Rows that one look makes ready, and that one return of a destination makes ready per look. */
const WAKE_BATCH = 1_000;
/** What one claim takes of a lane: domains, and rows of each. A lane holds at most `LANE_ROWS` rows that wait for a slot. */
const DOMAINS = 4;
const ROWS = 100;
const LANE_ROWS = 200;
const CURSORS_MAX = 10_000;
/** Claims in a row that take nothing, before the next look: lanes whose rows are for other nodes are passed by. */
const EMPTY_MAX = 10;
/** A claim that took fewer rows than this is followed by a pause of so many times its own duration, at most `PAUSE_MS`. */
const FEW_ROWS = 10;
const PAUSE_TIMES = 3;
const PAUSE_MS = 20;
const EVERYTHING = { ...ANY, lanes: 1_000, domains: 1_000, rows: 1_000 };
/** What one look takes of mail that no node at work may deliver. */
const STRANDED = { ...ANY, lanes: 20, domains: 20, rows: 20, stranded: true };
const DRAIN_ROWS = 10_000;
/** Rows that have waited for a slot for longer than this are given back, so that their lease does not end under way. */
const HELD_MS = 300_000;
const FORGET_MS = 60_000;

/** Rows that travel together. */
export interface Parcelled {
  readonly first: Job;
  readonly jobs: readonly Job[];
  /** Destinations of backoff.ts, the first is the one that it is counted for. */
  readonly keys: readonly string[];
}

export interface SchedulerDeps<G extends Parcelled> {
  readonly db: SystemDb;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly owner: string;
  /** Of this node; null: it is in none. */
  readonly region: string | null;
  readonly destinations: Destinations;
  readonly concurrency: number;
  readonly perClient: number;
  readonly perDestination: number;
  group(jobs: readonly Job[]): Promise<readonly G[]>;
  /** What is done at each look beside the queue. */
  chores(): Promise<void>;
  /** Answers whether the group was tried, and not only put off. */
  deliver(group: G): Promise<boolean>;
}

/**
 * Takes rows out of the queue as slots come free. It claims for the lanes that can start something, a few rows each, and goes
 * on while others are under way: a claim never waits for the slowest of the last one. While mail comes faster than claims take
 * it one by one, a short pause lets it gather, so that claims are a quarter of the time at most.
 */
export class Scheduler<G extends Parcelled> {
  readonly #deps: SchedulerDeps<G>;
  readonly #slots: Slots;
  readonly #afterDomains = new Map<string, string>();
  #after: Lane | null = null;
  #afterStranded: Lane | null = null;
  #empty = 0;
  #running: Promise<void> | null = null;
  #chores: Promise<void> | null = null;
  #isDirty = false;
  #isLooking = false;
  #forgottenAt = 0;
  #isStopped = true;
  #isStopping = false;
  /** Milliseconds to wait before the next claim. */
  #pauseMs = 0;

  constructor(deps: SchedulerDeps<G>) {
    this.#deps = deps;
    this.#slots = new Slots({
      concurrency: deps.concurrency,
      perLane: deps.perClient,
      limitOf: (key) => deps.destinations.limitOf(key, deps.clock.now()),
      onFree: (wants) => {
        if (wants) this.wake();
      },
    });
  }

  start(): void {
    this.#isStopped = false;
    this.poll();
  }

  /** Ends what is under way; rows that have not started are given back. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    while (this.#running !== null) await this.#running;
    await this.#chores;
    this.#isStopping = true;
    await this.#slots.idle();
    this.#isStopping = false;
  }

  /** There is new mail. */
  wake(): void {
    if (this.#isStopped) return;
    this.#isDirty = true;
    this.#running ??= this.#run();
  }

  /** The time has moved on: what has become due is made ready first. */
  poll(): void {
    this.#isLooking = true;
    this.wake();
  }

  /** Delivers all that is due now, and nothing that comes of it; answers how many rows were tried. */
  async drain(): Promise<number> {
    await this.#deps.chores();
    let isMore = true;
    while (isMore) isMore = await this.#look();
    return (await this.#drain(false)) + (await this.#drain(true));
  }

  async #drain(stranded: boolean): Promise<number> {
    const { db, owner, region } = this.#deps;
    let total = 0;
    for (;;) {
      const ends: Promise<number>[] = [];
      let rows = 0;
      while (rows < DRAIN_ROWS) {
        const { jobs } = await db.system((tx) => claim(tx, owner, { ...EVERYTHING, region, stranded }));
        if (jobs.length === 0) break;
        rows += jobs.length;
        ends.push((await this.#place(jobs)).tried);
      }
      this.#slots.pump();
      for (const tried of await Promise.all(ends)) total += tried;
      if (rows < DRAIN_ROWS) return total;
    }
  }

  async #claimStranded(): Promise<readonly Job[]> {
    const { db, owner, region } = this.#deps;
    const { jobs, last } = await db.system(async (tx) =>
      (await isAnyStranded(tx, region))
        ? claim(tx, owner, { ...STRANDED, region, after: this.#afterStranded })
        : { jobs: [], last: null },
    );
    this.#afterStranded = last;
    return jobs;
  }

  async #run(): Promise<void> {
    // So that `#running` is set before this can end.
    await Promise.resolve();
    while ((this.#isDirty || this.#isLooking) && !this.#isStopped) {
      try {
        if (this.#isLooking) {
          this.#isLooking = false;
          this.#startChores();
          if (await this.#look()) this.#isLooking = true;
          await this.#place(await this.#claimStranded());
          this.#slots.pump();
          this.#isDirty = true;
        }
        // The end of whatever holds the slots wakes us.
        if (this.#slots.free === 0) break;
        if (this.#pauseMs > 0) {
          await new Promise((resolve) => setTimeout(resolve, this.#pauseMs));
          this.#pauseMs = 0;
          if (this.#isStopped) break;
        }
        this.#isDirty = false;
        if (await this.#fill()) this.#isDirty = true;
      } catch (error) {
        const facts = { err: error, code: errorCode(error) };
        this.#deps.logger.warn(facts, 'the queue could not be worked on, it is tried again');
        break;
      }
    }
    this.#running = null;
  }

  /** Beside the queue: a disk that is slow must not keep mail from going. */
  #startChores(): void {
    this.#chores ??= this.#deps
      .chores()
      .catch((error: unknown) => {
        const facts = { err: error, code: errorCode(error) };
        this.#deps.logger.warn(facts, 'the chores of delivery could not be done, they are tried again');
      })
      .finally(() => {
        this.#chores = null;
      });
  }

  /** Makes ready what has become due; answers whether there may be more of it. */
  async #look(): Promise<boolean> {
    const { db, clock, destinations, perDestination } = this.#deps;
    const now = clock.now().getTime();
    const isForgetting = now - this.#forgottenAt >= FORGET_MS;
    if (isForgetting) this.#forgottenAt = now;
    const rows = await db.system(async (tx) => {
      if (isForgetting) await forgetDestinations(tx, perDestination);
      const woken = await wakeDestinations(tx, WAKE_BATCH);
      return Math.max(woken, await wakeDue(tx, WAKE_BATCH));
    });
    await destinations.load(this.#slots.destinations());
    return rows >= WAKE_BATCH;
  }

  /** One claim for the slots that are free; answers whether another may find something. */
  async #fill(): Promise<boolean> {
    const { db, owner, region } = this.#deps;
    const lanes = this.#slots.lanes();
    const want = {
      lanes: this.#slots.free,
      domains: DOMAINS,
      rows: ROWS,
      after: this.#after,
      afterDomains: this.#afterDomains,
      region,
      stranded: false,
      fullLanes: lanes.filter((name) => this.#slots.isLaneFull(name, LANE_ROWS)),
      fullDomains: lanes.flatMap((name) => this.#slots.domains(name).map((domain) => `${name} ${domain}`)),
    };
    const since = performance.now();
    const { jobs, last } = await db.system((tx) => {
      const claimed = claim(tx, owner, want);
      tx.seal();
      return claimed;
    });
    const isFew = jobs.length > 0 && jobs.length < FEW_ROWS;
    this.#pauseMs = isFew ? Math.min(PAUSE_MS, (performance.now() - since) * PAUSE_TIMES) : 0;
    this.#after = last ?? this.#after;
    this.#empty = jobs.length > 0 || last === null ? 0 : this.#empty + 1;
    this.#rememberDomains(jobs);
    await this.#place(jobs);
    this.#slots.pump();
    if (jobs.length > 0) return true;
    const isMore = last !== null && this.#empty < EMPTY_MAX;
    if (!isMore) this.#empty = 0;
    return isMore;
  }

  /** Hands rows to the slots. `tried` comes when all of them have ended: how many were tried. */
  async #place(jobs: readonly Job[]): Promise<{ readonly tried: Promise<number> }> {
    const { db, clock, destinations, owner } = this.#deps;
    if (jobs.length === 0) return { tried: Promise.resolve(0) };
    let groups: readonly G[];
    try {
      groups = await this.#deps.group(jobs);
      await destinations.load(groups.flatMap((group) => group.keys));
    } catch (error) {
      await db.system((tx) => giveBack(tx, owner, jobs));
      throw error;
    }
    const claimedAt = clock.now().getTime();
    const ends = groups.map(async (group) => {
      let tried = 0;
      await this.#slots.add({
        lane: laneKey(group.first),
        domain: group.first.domain,
        destination: group.keys[0] ?? laneKey(group.first),
        rows: group.jobs.length,
        run: async () => {
          if (await this.#send(group, claimedAt)) tried = group.jobs.length;
        },
      });
      return tried;
    });
    return { tried: Promise.all(ends).then((rows) => rows.reduce((sum, one) => sum + one, 0)) };
  }

  async #send(group: G, claimedAt: number): Promise<boolean> {
    const { db, clock, logger, owner } = this.#deps;
    try {
      if (!this.#isStopping && clock.now().getTime() - claimedAt <= HELD_MS) return await this.#deps.deliver(group);
      await db.system((tx) => giveBack(tx, owner, group.jobs));
    } catch (error) {
      // The rows keep their lease and come again when it ends.
      logger.error({ err: error }, 'a delivery could not be recorded');
    }
    return false;
  }

  /** Where the next claim goes on in each lane: behind the domain that came last in its circle. */
  #rememberDomains(jobs: readonly Job[]): void {
    if (this.#afterDomains.size > CURSORS_MAX) this.#afterDomains.clear();
    for (const [name, rows] of groupBy(jobs, laneKey)) {
      const domains = [...new Set(rows.map((job) => job.domain))];
      const domain = lastInCircle(domains, this.#afterDomains.get(name) ?? '');
      if (domains.length < DOMAINS || domain === undefined) this.#afterDomains.delete(name);
      else this.#afterDomains.set(name, domain);
    }
  }
}

/** Of names in a circle that is walked from behind `after`: the one that comes last. */
function lastInCircle(names: readonly string[], after: string): string | undefined {
  const again = names.filter((name) => name <= after);
  return (again.length > 0 ? again : [...names]).toSorted().at(-1);
}

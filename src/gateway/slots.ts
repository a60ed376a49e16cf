/** One SMTP transaction that waits for its turn. */
export interface Task {
  /** Whose turn it is: client and direction. */
  readonly lane: string;
  /** Of its recipients. */
  readonly domain: string;
  /** Where it goes: one destination takes a bounded number of connections at once. */
  readonly destination: string;
  /** Queue rows that it holds. */
  readonly rows: number;
  run(): Promise<void>;
}

export interface SlotOptions {
  /** Tasks at once, in all and of one lane. */
  readonly concurrency: number;
  readonly perLane: number;
  /** Tasks at once to a destination; asked whenever one may start. */
  limitOf(destination: string): number;
  /** Called after each task, when its slot is free. `wants`: there is room that the tasks at hand can't fill. */
  onFree(wants: boolean): void;
}

interface Waiting {
  readonly task: Task;
  readonly done: () => void;
}

interface Lane {
  active: number;
  rows: number;
  /** By destination, in the order of their turns. */
  readonly waiting: Map<string, Waiting[]>;
}

/**
 * Who may send now. Lanes take turns, and within a lane its destinations. A lane holds at most `perLane` slots and never more
 * than half of those that are free (dynamic thresholds, Choudhury and Hahne 1998), so that a few slow lanes leave room for
 * others; one that comes free goes to a lane that has none before it goes to one that has.
 */
export class Slots {
  readonly #options: SlotOptions;
  readonly #lanes = new Map<string, Lane>();
  readonly #destinations = new Map<string, number>();
  #idlers: (() => void)[] = [];
  #active = 0;
  #waiting = 0;

  constructor(options: SlotOptions) {
    this.#options = options;
  }

  get free(): number {
    return this.#options.concurrency - this.#active;
  }

  /** Resolves when the task has run, whether it failed or not. */
  add(task: Task): Promise<void> {
    return new Promise((resolve) => {
      const lane = this.#lanes.get(task.lane) ?? { active: 0, rows: 0, waiting: new Map<string, Waiting[]>() };
      this.#lanes.set(task.lane, lane);
      const list = lane.waiting.get(task.destination) ?? [];
      lane.waiting.set(task.destination, list);
      list.push({ task, done: resolve });
      lane.rows += task.rows;
      this.#waiting += 1;
    });
  }

  /** Starts what may start. */
  pump(): void {
    while (this.free > 0) {
      const started = this.#startOne();
      if (!started) return;
    }
  }

  /** Whether more rows of the lane would only wait: it has its share, or tasks that can start as soon as there is a slot. */
  isLaneFull(name: string, maxRows: number): boolean {
    const lane = this.#lanes.get(name);
    if (lane === undefined) return false;
    return !this.#hasRoom(lane) || lane.rows >= maxRows || this.#startable(lane) !== null;
  }

  isDestinationFull(destination: string): boolean {
    return (this.#destinations.get(destination) ?? 0) >= this.#options.limitOf(destination);
  }

  lanes(): string[] {
    return [...this.#lanes.keys()];
  }

  /** Destinations with tasks under way or waiting. */
  destinations(): string[] {
    const waiting = [...this.#lanes.values()].flatMap((lane) => [...lane.waiting.keys()]);
    return [...new Set([...this.#destinations.keys(), ...waiting])];
  }

  /** Domains of a lane's tasks that wait. */
  domains(name: string): string[] {
    const waiting = [...(this.#lanes.get(name)?.waiting.values() ?? [])].flat();
    return [...new Set(waiting.map(({ task }) => task.domain))];
  }

  /** Resolves when nothing is under way and nothing waits. */
  async idle(): Promise<void> {
    while (this.#active + this.#waiting > 0) await new Promise<void>((resolve) => this.#idlers.push(resolve));
  }

  #hasRoom(lane: Lane): boolean {
    if (lane.active === 0) return this.free > 0;
    return lane.active < Math.min(this.#options.perLane, Math.floor(this.free / 2));
  }

  #startable(lane: Lane): string | null {
    for (const destination of lane.waiting.keys()) if (!this.isDestinationFull(destination)) return destination;
    return null;
  }

  #startOne(): boolean {
    for (const [name, lane] of this.#lanes) {
      if (!this.#hasRoom(lane)) continue;
      const destination = this.#startable(lane);
      if (destination === null) continue;
      const list = lane.waiting.get(destination) ?? [];
      const next = list.shift();
      // Behind the others: the lane, and the destination within it.
      this.#lanes.delete(name);
      this.#lanes.set(name, lane);
      lane.waiting.delete(destination);
      if (list.length > 0) lane.waiting.set(destination, list);
      if (next !== undefined) this.#start(name, lane, next);
      return true;
    }
    return false;
  }

  #start(name: string, lane: Lane, { task, done }: Waiting): void {
    this.#active += 1;
    this.#waiting -= 1;
    lane.active += 1;
    lane.rows -= task.rows;
    this.#destinations.set(task.destination, (this.#destinations.get(task.destination) ?? 0) + 1);
    const end = (): void => {
      const wasFull = this.isDestinationFull(task.destination);
      const left = (this.#destinations.get(task.destination) ?? 1) - 1;
      if (left > 0) this.#destinations.set(task.destination, left);
      else this.#destinations.delete(task.destination);
      this.#active -= 1;
      lane.active -= 1;
      const isEmpty = lane.waiting.size === 0;
      if (isEmpty && lane.active === 0) this.#lanes.delete(name);
      done();
      this.pump();
      this.#options.onFree(isEmpty || wasFull);
      if (this.#active + this.#waiting === 0) for (const resolve of this.#idlers.splice(0)) resolve();
    };
    // `run` answers for its own faults; a slot is given back whatever happens.
    task.run().then(end, end);
  }
}

interface Waiting<T, R> {
  readonly item: T;
  readonly resolve: (result: R) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Writes what many callers bring in few transactions: while one is under way the next gathers. `write` answers one result
 * per item, in order. When a batch fails its items are written one by one, so that one that cannot be written fails alone.
 */
export class Batcher<T, R> {
  readonly #write: (items: readonly T[]) => Promise<readonly R[]>;
  readonly #max: number;
  #waiting: Waiting<T, R>[] = [];
  #running: Promise<void> | null = null;

  constructor(write: (items: readonly T[]) => Promise<readonly R[]>, max = 100) {
    this.#write = write;
    this.#max = max;
  }

  /** Resolves after the commit of the item's transaction. */
  add(item: T): Promise<R> {
    return new Promise<R>((resolve, reject) => {
      this.#waiting.push({ item, resolve, reject });
      this.#running ??= this.#run();
    });
  }

  /** Resolves when nothing is under way. */
  async idle(): Promise<void> {
    while (this.#running !== null) await this.#running;
  }

  async #run(): Promise<void> {
    // One turn of the loop, so that what comes in the same moment goes together.
    await new Promise<void>((resolve) => setImmediate(resolve));
    while (this.#waiting.length > 0) await this.#round(this.#waiting.splice(0, this.#max));
    this.#running = null;
  }

  async #round(batch: readonly Waiting<T, R>[]): Promise<void> {
    try {
      const results = await this.#write(batch.map((one) => one.item));
      for (const [index, one] of batch.entries()) one.resolve(results[index] as R);
    } catch (error) {
      if (batch.length === 1) batch[0]?.reject(error);
      else for (const one of batch) await this.#round([one]);
    }
  }
}

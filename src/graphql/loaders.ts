/**
 * Collects the keys that one tick of execution asks for and fetches them in one statement (no N+1). Lives for one request,
 * so nothing is shared between callers.
 */
export class Loader<K, V> {
  readonly #fetch: (keys: readonly K[]) => Promise<ReadonlyMap<string, V>>;
  readonly #keyOf: (key: K) => string;
  readonly #known = new Map<string, Promise<V | null>>();
  #waiting: { key: K; text: string; resolve: (value: V | null) => void; reject: (error: unknown) => void }[] = [];

  /** `fetch` answers with what exists, under `keyOf(key)`; the rest is null. */
  constructor(fetch: (keys: readonly K[]) => Promise<ReadonlyMap<string, V>>, keyOf: (key: K) => string = String) {
    this.#fetch = fetch;
    this.#keyOf = keyOf;
  }

  load(key: K): Promise<V | null> {
    const text = this.#keyOf(key);
    const known = this.#known.get(text);
    if (known !== undefined) return known;
    const promise = new Promise<V | null>((resolve, reject) => {
      this.#waiting.push({ key, text, resolve, reject });
    });
    this.#known.set(text, promise);
    // Resolvers of one level run in one go of promise jobs: the batch leaves once they have all spoken.
    if (this.#waiting.length === 1) void Promise.resolve().then(() => process.nextTick(() => this.#send()));
    return promise;
  }

  /** What was read with the parent needs no statement of its own. */
  prime(key: K, value: V): void {
    this.#known.set(this.#keyOf(key), Promise.resolve(value));
  }

  async #send(): Promise<void> {
    const batch = this.#waiting;
    this.#waiting = [];
    try {
      const found = await this.#fetch(batch.map((one) => one.key));
      for (const one of batch) one.resolve(found.get(one.text) ?? null);
    } catch (error) {
      for (const one of batch) one.reject(error);
    }
  }
}

/** Rows as a loader wants them. */
export function byKey<V>(rows: readonly V[], keyOf: (row: V) => string): Map<string, V> {
  return new Map(rows.map((row) => [keyOf(row), row]));
}

/** Rows gathered under the key that they belong to. */
export function groupBy<V>(rows: readonly V[], keyOf: (row: V) => string): Map<string, V[]> {
  const groups = new Map<string, V[]>();
  for (const row of rows) {
    const key = keyOf(row);
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [row]);
    else group.push(row);
  }
  return groups;
}

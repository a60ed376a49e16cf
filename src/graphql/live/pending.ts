import { AppError } from '../../core/errors.ts';

/**
 * What waits for one reader: at most one entry per key, the latest, so that a slow reader gets the present state and not the
 * whole way there. With more keys than `max` waiting the reader is dropped: its memory is bounded, and it is told.
 */
export class Pending<T> {
  readonly #entries = new Map<string, T>();
  readonly #max: number;
  readonly #onEnd: () => void;
  #wake: (() => void) | null = null;
  #ended = false;
  #error: unknown = null;

  constructor(max: number, onEnd: () => void) {
    this.#max = max;
    this.#onEnd = onEnd;
  }

  /** Entries that wait. */
  get size(): number {
    return this.#entries.size;
  }

  push(key: string, value: T): void {
    if (this.#ended) return;
    if (!this.#entries.has(key) && this.#entries.size >= this.#max) {
      this.end(new AppError('limit_exceeded', 'more changed than was read; subscribe again and ask for the state'));
      return;
    }
    this.#entries.set(key, value);
    this.#signal();
  }

  /** The longest waiting entry, or null after the end. One reader at a time. Throws what it was ended with. */
  async next(): Promise<T | null> {
    for (;;) {
      if (this.#error !== null) throw this.#error;
      if (this.#ended) return null;
      for (const [key, value] of this.#entries) {
        this.#entries.delete(key);
        return value;
      }
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  /** Nothing more is taken or given. With an error the reader is told why. */
  end(error: unknown = null): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#error = error;
    this.#entries.clear();
    this.#onEnd();
    this.#signal();
  }

  #signal(): void {
    this.#wake?.();
    this.#wake = null;
  }
}

import type { Context } from '../context.ts';
import type { Pending } from './pending.ts';

/**
 * What one subscription follows: what happened, and how it becomes the value of the root field. `load` reads as the tenant, in
 * a transaction of its own per event, and answers null for what is not there any more, which is passed over.
 */
export class Source<T> implements AsyncIterable<T> {
  readonly #pending: Pending<T>;
  readonly #load: (event: T, context: Context) => Promise<object | null>;

  constructor(pending: Pending<T>, load: (event: T, context: Context) => Promise<object | null>) {
    this.#pending = pending;
    this.#load = load;
  }

  /** The next event's reader, or null at the end. Throws when the subscription was dropped. */
  async next(): Promise<((context: Context) => Promise<object | null>) | null> {
    const event = await this.#pending.next();
    return event === null ? null : (context) => this.#load(event, context);
  }

  end(): void {
    this.#pending.end();
  }

  /** graphql-js asks for an iterable; ours is read by `next`. */
  async *[Symbol.asyncIterator](): AsyncGenerator<T> {
    for (let event = await this.#pending.next(); event !== null; event = await this.#pending.next()) yield event;
  }
}

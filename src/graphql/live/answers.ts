import { setTimeout as pause } from 'node:timers/promises';
import { AppError } from '../../core/errors.ts';
import type { Outcome } from '../engine.ts';

export type AnswerBody = Outcome['body'];

/** What makes a subscription's answers, one per event. */
export interface Following {
  /** The next event as an answer; null at the end. What it makes may be null: there is nothing to be told. */
  next(): Promise<(() => Promise<AnswerBody | null>) | null>;
  /** Takes the points of one answer. Throws `limit_exceeded` with `retryAfter`. */
  pay(): void;
  /** An error as the caller may see it. */
  refusal(error: unknown): AnswerBody;
  end(): void;
}

/**
 * The answers of one subscription, read one at a time: nothing is made before it is asked for, so a slow reader makes events
 * run together (pending.ts) and nothing pile up. Ends by itself, by `return`, or by `stop` with a last word to the reader.
 */
export class LiveAnswers implements AsyncIterableIterator<AnswerBody> {
  readonly #following: Following;
  readonly #ended = new AbortController();
  #lastWord: unknown = null;
  #done = false;

  constructor(following: Following) {
    this.#following = following;
  }

  get isDone(): boolean {
    return this.#done;
  }

  async next(): Promise<IteratorResult<AnswerBody, undefined>> {
    if (this.#done) return { done: true, value: undefined };
    try {
      const body = await this.#answer();
      if (body !== null) return { done: false, value: body };
    } catch (error) {
      // Dropped, as one that is too slow: the reader is told, then it is over.
      this.#lastWord ??= error;
    }
    this.#finish();
    if (this.#lastWord === null) return { done: true, value: undefined };
    return { done: false, value: this.#following.refusal(this.#lastWord) };
  }

  async #answer(): Promise<AnswerBody | null> {
    for (;;) {
      const make = await this.#following.next();
      if (make === null || !(await this.#paid())) return null;
      const body = await make();
      if (body !== null) return body;
    }
  }

  /** Waits until the key has the points; events run together meanwhile. False: it ended before. */
  async #paid(): Promise<boolean> {
    while (!this.#ended.signal.aborted) {
      try {
        this.#following.pay();
        return true;
      } catch (error) {
        if (!(error instanceof AppError) || error.code !== 'limit_exceeded') throw error;
        const wait = (error.retryAfter ?? 1) * 1_000;
        await pause(wait, undefined, { signal: this.#ended.signal, ref: false }).catch(() => undefined);
      }
    }
    return false;
  }

  /** Ends it from outside; the reader gets `error` as the last answer, if there is one. */
  stop(error: unknown = null): void {
    this.#lastWord ??= error;
    this.#ended.abort();
    this.#following.end();
  }

  async return(): Promise<IteratorResult<AnswerBody, undefined>> {
    this.#finish();
    return { done: true, value: undefined };
  }

  #finish(): void {
    this.#done = true;
    this.#ended.abort();
    this.#following.end();
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}

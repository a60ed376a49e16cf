import { setMaxListeners } from 'node:events';
import { type ResourceLimits, Worker } from 'node:worker_threads';
import { later as byTimer, type Later } from '../core/clock.ts';
import type { Logger } from '../core/log.ts';
import type { SymbolCode } from './symbols.ts';

export interface PoolOptions {
  /** The compiled worker. It posts `ready` once, takes `{ task }` and posts an `Answer`. */
  readonly file: URL;
  readonly threads: number;
  /** Wall clock for one task, milliseconds, from the moment a thread takes it. */
  readonly taskMs: number;
  /** How that time is waited for; absent: by timers. */
  readonly later?: Later;
  readonly limits: ResourceLimits;
  readonly logger: Logger;
}

/** A task that did not come back with a result, and why (a `scan.*` symbol). */
export interface Failed {
  readonly failed: SymbolCode;
  readonly detail: string;
}

export type Outcome<Result> = { readonly result: Result } | Failed;

interface Job<Result> {
  readonly task: unknown;
  readonly settle: (outcome: Outcome<Result>) => void;
  readonly signal: AbortSignal;
}

interface Thread<Result> {
  readonly worker: Worker;
  isReady: boolean;
  job: Job<Result> | null;
  /** Takes the task's time limit back. */
  cancel: () => void;
}

export type Answer<Result> = 'ready' | Outcome<Result>;

const RESTARTS_MAX = 3;

/**
 * Worker threads that take one task each. Whatever a task does to its thread (a loop without end, no more heap, a crash),
 * the thread is ended and replaced and the task comes back as failed: `run` never rejects and never hangs.
 */
export class WorkerPool<Task, Result> {
  readonly #options: PoolOptions;
  readonly #threads = new Set<Thread<Result>>();
  readonly #waiting: Job<Result>[] = [];
  readonly #ending = new Set<Promise<unknown>>();
  #failedStarts = 0;
  #closed = false;

  constructor(options: PoolOptions) {
    this.#options = options;
    for (let count = 0; count < options.threads; count += 1) this.#start();
  }

  /** Resolves always. An abort ends a running task's thread, too. */
  run(task: Task, signal: AbortSignal): Promise<Outcome<Result>> {
    if (this.#closed) return Promise.resolve({ failed: 'scan.unavailable', detail: 'closed' });
    if (signal.aborted) return Promise.resolve({ failed: 'scan.aborted', detail: '' });
    if (this.#threads.size === 0) this.#start();
    // One signal (a shutdown's) may stand behind any number of messages.
    setMaxListeners(0, signal);
    return new Promise((resolve) => {
      const onAbort = () => this.#abort(job);
      const job: Job<Result> = {
        task,
        signal,
        settle: (outcome) => {
          signal.removeEventListener('abort', onAbort);
          resolve(outcome);
        },
      };
      signal.addEventListener('abort', onAbort, { once: true });
      this.#waiting.push(job);
      this.#assign();
    });
  }

  /** Fails what runs and waits, and resolves when every thread has ended. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const job of this.#waiting.splice(0)) job.settle({ failed: 'scan.unavailable', detail: 'closed' });
    for (const thread of [...this.#threads]) this.#end(thread, { failed: 'scan.unavailable', detail: 'closed' });
    await Promise.all(this.#ending);
  }

  #start(): void {
    const worker = new Worker(this.#options.file, { resourceLimits: this.#options.limits });
    const thread: Thread<Result> = { worker, isReady: false, job: null, cancel: () => undefined };
    this.#threads.add(thread);
    worker.on('message', (answer: Answer<Result>) => this.#onAnswer(thread, answer));
    worker.on('error', (error: NodeJS.ErrnoException) => {
      const failed = error.code === 'ERR_WORKER_OUT_OF_MEMORY' ? 'scan.memory' : 'scan.crashed';
      this.#lost(thread, { failed, detail: error.message });
    });
    worker.on('exit', (code) => this.#lost(thread, { failed: 'scan.crashed', detail: `exit ${code}` }));
  }

  #onAnswer(thread: Thread<Result>, answer: Answer<Result>): void {
    if (!this.#threads.has(thread)) return;
    if (answer === 'ready') {
      this.#failedStarts = 0;
      thread.isReady = true;
    } else {
      this.#release(thread)?.settle(answer);
    }
    this.#assign();
  }

  #assign(): void {
    for (const thread of this.#threads) {
      if (this.#waiting.length === 0) return;
      if (!thread.isReady || thread.job !== null) continue;
      const job = this.#waiting.shift();
      if (job === undefined) return;
      thread.job = job;
      thread.cancel = (this.#options.later ?? byTimer)(this.#options.taskMs, () => {
        const detail = `${this.#options.taskMs} ms`;
        this.#options.logger.warn({ detail }, 'a message took too long to read: its thread is replaced');
        this.#end(thread, { failed: 'scan.timeout', detail });
      });
      thread.worker.postMessage({ task: job.task });
    }
  }

  #abort(job: Job<Result>): void {
    const at = this.#waiting.indexOf(job);
    if (at >= 0) {
      this.#waiting.splice(at, 1);
      job.settle({ failed: 'scan.aborted', detail: '' });
      return;
    }
    for (const thread of this.#threads)
      if (thread.job === job) this.#end(thread, { failed: 'scan.aborted', detail: '' });
  }

  /** A thread ended by itself. */
  #lost(thread: Thread<Result>, failed: Failed): void {
    if (!this.#threads.has(thread)) return;
    this.#options.logger.warn({ ...failed }, 'a filter thread ended: it is replaced');
    if (!thread.isReady) this.#failedStarts += 1;
    this.#end(thread, failed);
  }

  #end(thread: Thread<Result>, failed: Failed): void {
    this.#threads.delete(thread);
    this.#release(thread)?.settle(failed);
    const ended: Promise<unknown> = thread.worker.terminate().finally(() => this.#ending.delete(ended));
    this.#ending.add(ended);
    if (this.#closed) return;
    if (this.#failedStarts < RESTARTS_MAX) {
      this.#start();
    } else if (this.#threads.size === 0) {
      // Threads that cannot even start: say so per message, and try again with the next one.
      this.#options.logger.error({ ...failed }, 'no filter thread starts');
      for (const job of this.#waiting.splice(0)) job.settle({ failed: 'scan.unavailable', detail: failed.detail });
    }
  }

  #release(thread: Thread<Result>): Job<Result> | null {
    const { job } = thread;
    thread.cancel();
    thread.job = null;
    return job;
  }
}

import { Worker } from 'node:worker_threads';
import type { WriteJob, WriteResult } from './spool-write.ts';

interface Waiting {
  readonly job: WriteJob;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

interface Thread {
  readonly worker: Worker;
  batch: readonly Waiting[];
}

const THREADS = 2;
const BATCH_MAX = 32;

/**
 * Writes whole messages in threads of its own: eight file operations of a message, each of which would go through the four
 * threads that all of Node shares, become one message to a thread. What comes while a thread writes goes with its next batch.
 */
export class SpoolWriter {
  readonly #threads: Thread[] = [];
  #waiting: Waiting[] = [];

  /** Resolves when the file survives a loss of power. Rejects with the disk's error, and nothing is left. */
  write(job: WriteJob): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ job, resolve, reject });
      this.#assign();
    });
  }

  #assign(): void {
    if (this.#waiting.length === 0) return;
    let idle = this.#threads.find((thread) => thread.batch.length === 0);
    if (idle === undefined && this.#threads.length < THREADS) idle = this.#start();
    if (idle === undefined) return;
    idle.batch = this.#waiting.splice(0, BATCH_MAX);
    // While it works the process must not end.
    idle.worker.ref();
    idle.worker.postMessage(idle.batch.map((one) => one.job));
  }

  #start(): Thread {
    const thread: Thread = { worker: new Worker(new URL('./spool-thread.js', import.meta.url)), batch: [] };
    this.#threads.push(thread);
    thread.worker.on('message', (results: readonly WriteResult[]) => {
      const batch = thread.batch;
      thread.batch = [];
      thread.worker.unref();
      for (const [index, one] of batch.entries()) {
        const failure = results[index];
        if (failure === null) one.resolve();
        else one.reject(Object.assign(new Error(failure?.message ?? 'not written'), { code: failure?.code ?? null }));
      }
      this.#assign();
    });
    const lost = (error: Error) => {
      const at = this.#threads.indexOf(thread);
      if (at < 0) return;
      this.#threads.splice(at, 1);
      for (const one of thread.batch) one.reject(error);
      this.#assign();
    };
    thread.worker.on('error', lost);
    thread.worker.on('exit', () => lost(new Error('the thread that writes messages has ended')));
    return thread;
  }
}

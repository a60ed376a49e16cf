import { Worker } from 'node:worker_threads';
import type { FilterClass } from '../core/message.ts';

export interface StripTask {
  readonly message: Uint8Array;
  readonly classes: readonly FilterClass[];
}

export interface StripAnswer {
  readonly message: Uint8Array;
  readonly removed: readonly string[];
}

/** Finding the files again opens archives, which takes its time and, in 7-Zip, cannot be interrupted but by ending the thread. */
const STRIP_MS = 60_000;
const LIMITS = { maxOldGenerationSizeMb: 384, maxYoungGenerationSizeMb: 32, stackSizeMb: 4 };

/**
 * Takes the files of some classes out of a message, in a thread of its own. Rejects when the thread takes too long, too much
 * memory or fails: the mail then waits and is tried again.
 */
export async function stripInThread(
  message: Buffer,
  classes: readonly FilterClass[],
  ms: number = STRIP_MS,
): Promise<{ readonly message: Buffer; readonly removed: readonly string[] }> {
  const task: StripTask = { message, classes };
  const worker = new Worker(new URL('./strip-worker.js', import.meta.url), {
    workerData: task,
    resourceLimits: LIMITS,
  });
  let timer: NodeJS.Timeout | undefined;
  try {
    const answer = await new Promise<StripAnswer>((resolve, reject) => {
      timer = setTimeout(() => reject(new Error('taking the files out took too long')), ms);
      worker.once('message', resolve);
      worker.once('error', reject);
      worker.once('exit', (code) => reject(new Error(`the thread that takes files out ended (${code})`)));
    });
    return { message: Buffer.from(answer.message), removed: answer.removed };
  } finally {
    clearTimeout(timer);
    await worker.terminate();
  }
}

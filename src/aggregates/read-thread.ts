import { AppError } from '../core/errors.ts';
import type { Logger } from '../core/log.ts';
import { WorkerPool } from '../pipeline/pool.ts';
import type { PackedFile } from './packed.ts';

export interface ReadTask {
  /** Of the mail's body. */
  readonly path: string;
  readonly now: Date;
}

/** Reads mails with reports in a thread of its own. */
export interface ReportReader {
  /** Null: too large. Rejects with `unavailable` when the thread took too long, too much memory, or failed. */
  read(task: ReadTask): Promise<PackedFile[] | null>;
  close(): Promise<void>;
}

const TASK_MS = 60_000;
const LIMITS = { maxOldGenerationSizeMb: 512, maxYoungGenerationSizeMb: 32, stackSizeMb: 4 };

/** One thread, started with the first mail: a report of some ten thousand records takes a second, in which all else would wait. */
export function createReportReader(logger: Logger, taskMs: number = TASK_MS): ReportReader {
  const ending = new AbortController();
  let pool: WorkerPool<ReadTask, PackedFile[] | null> | null = null;
  return {
    async read(task) {
      pool ??= new WorkerPool<ReadTask, PackedFile[] | null>({
        file: new URL('./read-worker.js', import.meta.url),
        threads: 1,
        taskMs,
        limits: LIMITS,
        logger,
      });
      const outcome = await pool.run(task, ending.signal);
      if (!('failed' in outcome)) return outcome.result;
      throw new AppError('unavailable', `a report could not be read: ${outcome.failed} ${outcome.detail}`);
    },
    async close() {
      ending.abort();
      await pool?.close();
    },
  };
}

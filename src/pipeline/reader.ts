import { AppError } from '../core/errors.ts';
import type { Logger } from '../core/log.ts';
import type { Envelope } from '../core/message.ts';
import type { Learnable } from './learned.ts';
import { loadModel } from './model.ts';
import { WorkerPool } from './pool.ts';
import type { Inspected } from './stage.ts';
import type { InspectTask } from './worker.ts';

/** Reads of stored messages what the filter would learn from. */
export interface FeatureReader {
  /** Of the content model that reads. */
  readonly modelVersion: number;
  /** Null when the message is such that it cannot be read. Rejects when it may be at another time. */
  read(path: string): Promise<Learnable | null>;
  close(): Promise<void>;
}

/** What is read of a message does not hang on how it came. */
const ENVELOPE: Envelope = {
  sender: '',
  remoteAddress: '127.0.0.1',
  remoteName: null,
  helo: '',
  tls: false,
  direction: 'inbound',
  authenticatedAs: null,
  receivedAt: new Date(0),
};

/** One thread, the same as the filter's, started with the first message. */
export function createFeatureReader({ logger }: { readonly logger: Logger }): FeatureReader {
  const ending = new AbortController();
  let pool: WorkerPool<InspectTask, Inspected> | null = null;
  return {
    modelVersion: loadModel().version,
    async read(path) {
      pool ??= new WorkerPool<InspectTask, Inspected>({
        file: new URL('./worker.js', import.meta.url),
        threads: 1,
        taskMs: 20_000,
        limits: { maxOldGenerationSizeMb: 256, maxYoungGenerationSizeMb: 32, stackSizeMb: 4 },
        logger,
      });
      const outcome = await pool.run({ path, message: null, envelope: ENVELOPE }, ending.signal);
      if (!('failed' in outcome)) return outcome.result.learnable;
      if (outcome.failed === 'scan.unavailable' || outcome.failed === 'scan.aborted') {
        throw new AppError('unavailable', 'the reader of messages is not available');
      }
      return null;
    },
    async close() {
      ending.abort();
      await pool?.close();
    },
  };
}

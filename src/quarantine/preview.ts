import { open } from 'node:fs/promises';
import type { ContentStore } from '../core/content.ts';
import { AppError } from '../core/errors.ts';
import type { Logger } from '../core/log.ts';
import { HEADER_BYTES_MAX, type MailPreview, previewHeaders, unreadable } from '../mail/preview.ts';
import { WorkerPool } from '../pipeline/pool.ts';

export interface PreviewDeps {
  readonly store: ContentStore;
  readonly logger: Logger;
  readonly limits?: Partial<PreviewLimits>;
}

export interface PreviewLimits {
  /** Milliseconds for one message. */
  readonly taskMs: number;
  /** Megabytes of heap of the thread. */
  readonly heapMb: number;
  /** Previews that may wait; more are refused, so that looking never eats up the machine. */
  readonly waiting: number;
}

/** Shows stored messages without letting them out. */
export interface Previewer {
  /**
   * Never rejects for what is in a message: what cannot be shown is said in `problem`, in words. Throws `not_found` when the
   * body is no longer stored, `limit_exceeded` when too many wait.
   */
  preview(contentId: string): Promise<MailPreview>;
  /** The first octets of the message as it came, at most `max`, and how many there are in all. Throws `not_found`. */
  source(contentId: string, max: number): Promise<{ bytes: Buffer; total: number }>;
  close(): Promise<void>;
}

const LIMITS: PreviewLimits = { taskMs: 8_000, heapMb: 256, waiting: 20 };

const WORDS: Readonly<Record<string, string>> = {
  'scan.timeout': 'Reading the message took longer than is allowed, so its text and its files cannot be shown.',
  'scan.memory': 'Reading the message took more memory than is allowed, so its text and its files cannot be shown.',
};
const OTHER_WORDS = 'The reader of the message stopped, so its text and its files cannot be shown.';

/** One thread, started with the first preview and bounded in time and heap like those of the filter. */
export function createPreviewer({ store, logger, limits }: PreviewDeps): Previewer {
  const { taskMs, heapMb, waiting } = { ...LIMITS, ...limits };
  const ending = new AbortController();
  let pool: WorkerPool<string, MailPreview> | null = null;
  let running = 0;
  return {
    async preview(contentId) {
      const path = await store.path(contentId);
      if (running >= waiting)
        throw new AppError('limit_exceeded', 'too many previews at once, try again', { retryAfter: 5 });
      pool ??= new WorkerPool<string, MailPreview>({
        file: new URL('./preview-worker.js', import.meta.url),
        threads: 1,
        taskMs,
        limits: { maxOldGenerationSizeMb: heapMb, maxYoungGenerationSizeMb: 32, stackSizeMb: 4 },
        logger,
      });
      running += 1;
      try {
        const outcome = await pool.run(path, ending.signal);
        if (!('failed' in outcome)) return outcome.result;
        logger.warn({ contentId, ...outcome }, 'a message could not be shown');
        const { headers } = previewHeaders((await firstBytes(path, HEADER_BYTES_MAX)).bytes);
        return unreadable(headers, WORDS[outcome.failed] ?? OTHER_WORDS);
      } finally {
        running -= 1;
      }
    },
    async source(contentId, max) {
      return firstBytes(await store.path(contentId), max);
    },
    async close() {
      ending.abort();
      await pool?.close();
    },
  };
}

async function firstBytes(path: string, max: number): Promise<{ bytes: Buffer; total: number }> {
  const handle = await open(path, 'r');
  try {
    const total = (await handle.stat()).size;
    const bytes = Buffer.alloc(Math.min(max, total));
    let read = 0;
    while (read < bytes.length) {
      const { bytesRead } = await handle.read(bytes, read, bytes.length - read, read);
      if (bytesRead === 0) break;
      read += bytesRead;
    }
    return { bytes: bytes.subarray(0, read), total };
  } finally {
    await handle.close();
  }
}

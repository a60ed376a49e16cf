import { createPostgresBackend, Queue, type QueueOptions, Worker, type WorkerOptions, withBackend } from 'bullmq';
import type { Logger } from '../core/log.ts';
import { HeardClient } from '../db/heard-client.ts';

/** A job carries ids only: rows are the truth, a lost job is made again by the next sweep, a repeated job does nothing. */
export interface JobData {
  readonly partnerId?: string;
  readonly id?: string;
}

export interface QueueSettings {
  /** Null: PostgreSQL; else `redis://…`. */
  readonly queueUrl: string | null;
  /** Connection string of the role that may use the schema `jobs`. */
  readonly postgresUrl: string;
  readonly logger: Logger;
}

/** The slice of BullMQ that we use, whichever store is behind it. */
export interface JobQueue {
  /** Adds a job unless one with this id is still known. */
  add(name: string, id: string, data: JobData): Promise<void>;
  /** Starts working off; at most `concurrency` at a time. */
  work(run: (name: string, data: JobData) => Promise<void>, concurrency: number): Promise<void>;
  /** Waiting and running jobs, for metrics. */
  depth(): Promise<number>;
  close(): Promise<void>;
}

const QUEUE = 'tollgate';
export const JOBS_SCHEMA = 'jobs';
/** How long a finished job's id keeps a second one away. */
const REMEMBER_SECONDS = 3_600;

/** BullMQ's errors come as events; without a listener they would end the process. */
function hear(source: { on(event: 'error', listener: (error: Error) => void): unknown }, logger: Logger): void {
  source.on('error', (error) => logger.warn({ err: error.message }, 'the job queue reports an error'));
}

export async function openQueue(settings: QueueSettings): Promise<JobQueue> {
  const make = settings.queueUrl === null ? onPostgres(settings.postgresUrl) : onRedis(settings.queueUrl);
  const queue = make.queue();
  hear(queue, settings.logger);
  await queue.waitUntilReady();
  let worker: Worker | null = null;
  return {
    async add(name, id, data) {
      await queue.add(name, data, {
        jobId: id,
        removeOnComplete: { age: REMEMBER_SECONDS },
        removeOnFail: { age: 24 * REMEMBER_SECONDS },
      });
    },
    async work(run, concurrency) {
      worker = make.worker(async (job) => run(job.name, job.data as JobData), concurrency);
      hear(worker, settings.logger);
      worker.on('failed', (job, error) =>
        settings.logger.error({ job: job?.name, id: job?.id, err: error }, 'a job failed'),
      );
      await worker.waitUntilReady();
    },
    async depth() {
      const counts = await queue.getJobCounts('waiting', 'active', 'delayed');
      return Object.values(counts).reduce((sum, count) => sum + count, 0);
    },
    async close() {
      // Not forced: running jobs finish; the caller has bounded the wait.
      await worker?.close();
      await queue.close();
    },
  };
}

type Run = (job: { name: string; data: unknown }) => Promise<void>;

interface Maker {
  queue(): Queue;
  worker(run: Run, concurrency: number): Worker;
}

function onPostgres(url: string): Maker {
  const bound = withBackend(createPostgresBackend);
  const connection = { connectionString: url, schema: JOBS_SCHEMA, max: 4, Client: HeardClient };
  return {
    // The classes differ from the default ones in their connection type only.
    queue: () => new bound.Queue(QUEUE, { connection } as never) as unknown as Queue,
    worker: (run, concurrency) =>
      new bound.Worker(QUEUE, run, { connection, concurrency } as never) as unknown as Worker,
  };
}

function onRedis(url: string): Maker {
  const parsed = new URL(url);
  const connection = {
    host: parsed.hostname,
    port: Number(parsed.port || 6379),
    ...(parsed.username === '' ? {} : { username: decodeURIComponent(parsed.username) }),
    ...(parsed.password === '' ? {} : { password: decodeURIComponent(parsed.password) }),
    db: Number(parsed.pathname.slice(1) || 0),
    ...(parsed.protocol === 'rediss:' ? { tls: {} } : {}),
    maxRetriesPerRequest: null,
  };
  return {
    queue: () => new Queue(QUEUE, { connection } satisfies QueueOptions),
    worker: (run, concurrency) => new Worker(QUEUE, run, { connection, concurrency } satisfies WorkerOptions),
  };
}

import { parentPort } from 'node:worker_threads';
import { type WriteJob, writeBatch } from './spool-write.ts';

/** A thread of SpoolWriter: takes batches, answers with a result per message. */
parentPort?.on('message', (jobs: readonly WriteJob[]) => parentPort?.postMessage(writeBatch(jobs)));

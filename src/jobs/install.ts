import { createPostgresBackend, withBackend } from 'bullmq';
import { JOBS_SCHEMA } from './queues.ts';

/** Statements that let a role use BullMQ's tables, as the owner runs them. */
export type RunAsOwner = (statement: string) => Promise<void>;

/**
 * Makes or updates BullMQ's tables in the schema `jobs` as the owner, and lets the system role use them. Repeated at every
 * start: BullMQ's own migrations decide whether there is something to do.
 */
export async function installJobs(ownerUrl: string, run: RunAsOwner): Promise<void> {
  const { Queue } = withBackend(createPostgresBackend);
  const queue = new Queue('install', {
    connection: { connectionString: ownerUrl, schema: JOBS_SCHEMA, migrate: true, max: 2 },
  });
  queue.on('error', () => undefined);
  try {
    await queue.waitUntilReady();
  } finally {
    await queue.close();
  }
  await run(`grant usage on schema ${JOBS_SCHEMA} to tollgate_system`);
  await run(`grant select, insert, update, delete on all tables in schema ${JOBS_SCHEMA} to tollgate_system`);
  await run(`grant usage, select on all sequences in schema ${JOBS_SCHEMA} to tollgate_system`);
  await run(`grant execute on all functions in schema ${JOBS_SCHEMA} to tollgate_system`);
}

import { AppError } from '../core/errors.ts';
import type { JobData } from './queues.ts';

/** What a job does. It takes ids, looks at rows, and does nothing when there is nothing to do. */
export type JobHandler = (data: JobData) => Promise<void>;

/** The jobs of the schedule, and those that are asked for. The composition root hands in a function for each. */
export const JOB_NAMES = [
  'monitor.watch',
  'servers.probe',
  'mappings.watch',
  'tickets.sync',
  'reports.sweep',
  'digests.sweep',
  'usage.snapshot',
  'billing.apply',
  'rollups.verify',
  'rollups.verify_all',
  'rollups.fold',
  'spool.sweep',
  'outbound.sweep',
  'ledger.partitions',
  'ledger.retention',
  'quarantine.retention',
  'edge.prune',
  'learning.train',
  'history.prune',
  'traffic.watch',
  'aggregates.take',
  'aggregates.watch',
  'aggregates.retention',
] as const;
export type JobName = (typeof JOB_NAMES)[number];

export type JobHandlers = Readonly<Record<JobName, JobHandler>>;

/** Runs a job by its name. A name that this program does not know fails loudly: a newer node may have queued it. */
export async function runJob(handlers: JobHandlers, name: string, data: JobData): Promise<void> {
  const known = JOB_NAMES.find((one) => one === name);
  if (known === undefined) throw new AppError('internal', `there is no job ${name}`);
  await handlers[known](data);
}

import cron, { type ScheduledTask } from 'node-cron';
import type { Logger } from '../core/log.ts';
import type { JobQueue } from './queues.ts';

export interface ScheduleEntry {
  readonly job: string;
  /** node-cron: second minute hour day month weekday, in UTC. */
  readonly cron: string;
  /** The tick's length: N nodes that tick within it make one job. */
  readonly periodSeconds: number;
  readonly why: string;
}

/** Everything that runs by the clock. */
export const SCHEDULE: readonly ScheduleEntry[] = [
  {
    job: 'monitor.watch',
    cron: '*/10 * * * * *',
    periodSeconds: 10,
    why: 'servers that fail, releases that do not arrive',
  },
  { job: 'servers.probe', cron: '*/15 * * * * *', periodSeconds: 15, why: "clients' servers, each every 5 minutes" },
  {
    job: 'mappings.watch',
    cron: '0 23 3 * * *',
    periodSeconds: 86_400,
    why: 'companies renamed, merged or made inactive in the PSA',
  },
  { job: 'tickets.sync', cron: '*/10 * * * * *', periodSeconds: 10, why: 'what incidents want of the PSA' },
  {
    job: 'reports.sweep',
    cron: '*/30 * * * * *',
    periodSeconds: 30,
    why: 'reports that are due, and their copies in the PSA',
  },
  {
    job: 'digests.sweep',
    cron: '12 * * * * *',
    periodSeconds: 60,
    why: "digests of held mail, at each client's hours",
  },
  {
    job: 'usage.snapshot',
    cron: '0 */15 * * * *',
    periodSeconds: 900,
    why: "each client's own midnight, in whatever zone",
  },
  {
    job: 'billing.apply',
    cron: '5,35 * * * * *',
    periodSeconds: 30,
    why: 'plans that were begun and wait for the PSA',
  },
  {
    job: 'rollups.verify',
    cron: '0 7 * * * *',
    periodSeconds: 3_600,
    why: 'some closed days of some clients against a recount of the ledger',
  },
  {
    job: 'rollups.verify_all',
    cron: '0 52 3 * * *',
    periodSeconds: 86_400,
    why: 'all rollups against a recount of the ledger',
  },
  {
    job: 'rollups.fold',
    cron: '0 29 * * * *',
    periodSeconds: 3_600,
    why: 'senders, types and subjects of days that are over for two days',
  },
  { job: 'spool.sweep', cron: '0 37 * * * *', periodSeconds: 3_600, why: 'files that no message refers to' },
  {
    job: 'outbound.sweep',
    cron: '0 47 * * * *',
    periodSeconds: 3_600,
    why: 'counts and known recipients that are too old',
  },
  { job: 'edge.prune', cron: '0 17 * * * *', periodSeconds: 3_600, why: 'what gateways have no use for any more' },
  { job: 'learning.train', cron: '20 */10 * * * *', periodSeconds: 600, why: 'what people released and reported' },
  {
    job: 'traffic.watch',
    cron: '40 */20 * * * *',
    periodSeconds: 1_200,
    why: "each client's last day, once it is over in its zone and counted whole",
  },
  { job: 'history.prune', cron: '0 43 * * * *', periodSeconds: 3_600, why: 'correspondents of half a year ago' },
  {
    job: 'aggregates.watch',
    cron: '0 13,43 * * * *',
    periodSeconds: 1_800,
    why: 'mail that fails DMARC, TLS that fails',
  },
  {
    job: 'aggregates.take',
    cron: '8,23,38,53 * * * * *',
    periodSeconds: 15,
    why: 'DMARC and TLS reports that came in',
  },
  { job: 'aggregates.retention', cron: '0 29 * * * *', periodSeconds: 3_600, why: 'reports older than they are kept' },
  { job: 'ledger.partitions', cron: '0 11 */6 * * *', periodSeconds: 21_600, why: 'tables for the days to come' },
  {
    job: 'ledger.retention',
    cron: '0 41 2 * * *',
    periodSeconds: 86_400,
    why: 'the detail of mail that is older than it is kept',
  },
  {
    job: 'quarantine.retention',
    cron: '0 17 * * * *',
    periodSeconds: 3_600,
    why: 'held mail and bodies that are older than their client keeps them',
  },
];

/** The id of a tick's job: the same on every node, so that the queue keeps one. BullMQ allows no colon in ids. */
export function tickId(entry: ScheduleEntry, at: Date): string {
  const period = entry.periodSeconds * 1000;
  const start = new Date(Math.floor(at.getTime() / period) * period);
  return `${entry.job}-${start.toISOString().replace(/[-:]|\.\d+/g, '')}`;
}

/** Starts the clockwork. Answers with the function that stops it. */
export function startSchedule(deps: { queue: JobQueue; logger: Logger }, entries = SCHEDULE): () => Promise<void> {
  const tasks: ScheduledTask[] = entries.map((entry) =>
    cron.schedule(
      entry.cron,
      async ({ date }) => {
        try {
          await deps.queue.add(entry.job, tickId(entry, date), {});
        } catch (error) {
          // The next tick tries again; what a job does is found from rows, so nothing is lost by a missed tick.
          deps.logger.warn({ job: entry.job, err: error }, 'a scheduled job could not be queued');
        }
      },
      { timezone: 'UTC', name: entry.job },
    ),
  );
  return async () => {
    for (const task of tasks) await task.destroy();
  };
}

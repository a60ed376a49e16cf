import type { Mailbox } from '../../accounts/mailboxes.ts';
import { interval } from '../../core/period.ts';
import type { Direction } from '../../core/verdict.ts';
import {
  byDirection,
  byDomain,
  distinctMailboxes,
  distinctSenders,
  type GroupCount,
  type Metric,
  type RankedWithin,
  readPercentiles,
  topItems,
  topSenders,
} from '../../rollups/read-dimensions.ts';
import type { MailboxTotals } from '../../rollups/read-mailboxes.ts';
import type { Context } from '../context.ts';
import { clientOf } from './accounts.ts';
import { byVerdict, DAYS_MAX, requirePeriod, type Scoped, type StatisticsArgs, top } from './statistics.ts';
import type { Resolvers } from './types.ts';

const percentiles =
  (metric: Metric) =>
  (parent: Scoped, { direction }: { direction?: Direction | null }, context: Context) =>
    context.read((tx) => readPercentiles(tx, metric, parent.clientId, interval(parent.period), direction ?? null));

async function ofMailbox(mailbox: Mailbox, args: StatisticsArgs, context: Context) {
  const client = await clientOf(context, mailbox.clientId);
  const period = requirePeriod(args, client.timeZone, DAYS_MAX[args.granularity]);
  const key = { mailboxId: mailbox.id, period, granularity: args.granularity };
  const found = await context.loaders.mailboxStatistics.load(key);
  if (found === null) throw new Error('statistics of a mailbox were not read');
  return found;
}

/** What `Statistics` tells beside traffic, and the numbers of a mailbox. */
export const dimensionResolvers: Resolvers = {
  Mailbox: { statistics: ofMailbox },
  Statistics: {
    topSenders: top(topSenders),
    topAttachmentTypes: top((tx, clientId, range, limit) => topItems(tx, 'attachment_type', clientId, range, limit)),
    topSubjects: top((tx, clientId, range, limit) => topItems(tx, 'subject', clientId, range, limit)),
    byDomain: top(byDomain),
    byDirection: (parent: Scoped, _: unknown, context: Context) =>
      context.read((tx) => byDirection(tx, parent.clientId, interval(parent.period))),
    latency: percentiles('delivery_ms'),
    sizes: percentiles('bytes'),
    distinctMailboxes: (parent: Scoped, _: unknown, context: Context) =>
      context.read((tx) => distinctMailboxes(tx, parent.clientId, parent.period)),
    distinctSenders: (parent: Scoped, _: unknown, context: Context) =>
      context.read((tx) => distinctSenders(tx, parent.clientId, interval(parent.period))),
  },
  SenderCount: { sender: (count: RankedWithin) => count.key },
  AttachmentTypeCount: { type: (count: RankedWithin) => count.key },
  SubjectCount: { subject: (count: RankedWithin) => count.key },
  DomainCount: { domain: (count: Pick<GroupCount, 'key'>) => count.key },
  DirectionCount: { direction: (count: GroupCount) => count.key },
  MailboxTotals: { byVerdict: (totals: MailboxTotals) => byVerdict(totals) },
};

import type { Client } from '../../accounts/clients.ts';
import type { Totals } from '../../core/counts.ts';
import { AppError } from '../../core/errors.ts';
import { type Granularity, interval, type LocalPeriod, parseDate } from '../../core/period.ts';
import { DISPOSITIONS, VERDICTS } from '../../core/verdict.ts';
import {
  type Ranked,
  readStatistics,
  restatedAt,
  type Statistics,
  type StatisticsBucket,
  topMailboxes,
  topReasons,
} from '../../rollups/read.ts';
import { requireFirst } from '../connection.ts';
import type { Context } from '../context.ts';
import type { Resolvers } from './types.ts';

export interface PeriodArgs {
  readonly from: string;
  readonly to: string;
}

export interface StatisticsArgs extends PeriodArgs {
  readonly granularity: Granularity;
}

/** The longest period of each granularity, in days: what a chart can show, and what keeps an answer within bounds. */
export const DAYS_MAX: Readonly<Record<Granularity, number>> = { HOUR: 31, DAY: 800, WEEK: 3_700, MONTH: 3_700 };

/** Statistics with what they were asked for, so that the fields below can ask for more of the same. */
export interface Scoped extends Statistics {
  readonly clientId: string | null;
  readonly period: LocalPeriod;
}

/** Days from the first to the last, both included. Throws `invalid_input` when `to` is before `from` or too far off. */
export function requirePeriod(args: PeriodArgs, zone: string, daysMax: number): LocalPeriod {
  const days = parseDate(args.from, 'from').until(parseDate(args.to, 'to'), { largestUnit: 'days' }).days + 1;
  if (days < 1) throw new AppError('invalid_input', 'to is before from', { field: 'to' });
  if (days > daysMax)
    throw new AppError('invalid_input', `the period has ${days} days, at most ${daysMax}`, { field: 'to' });
  return { from: args.from, to: args.to, zone };
}

async function ofClient(client: Client, args: StatisticsArgs, context: Context): Promise<Scoped> {
  const period = requirePeriod(args, client.timeZone, DAYS_MAX[args.granularity]);
  const key = { clientId: client.id, period, granularity: args.granularity };
  const found = await context.loaders.statistics.load(key);
  if (found === null) throw new Error('statistics of a client were not read');
  return { ...found, clientId: client.id, period };
}

async function ofPartner(args: StatisticsArgs & { timeZone: string }, context: Context): Promise<Scoped> {
  const period = requirePeriod(args, args.timeZone, DAYS_MAX[args.granularity]);
  const query = { clientId: null, period, granularity: args.granularity };
  return { ...(await context.read((tx) => readStatistics(tx, query))), clientId: null, period };
}

export const byVerdict = (totals: Pick<Totals, 'byVerdict'>) =>
  VERDICTS.flatMap((verdict) => {
    const deliveries = totals.byVerdict.get(verdict) ?? 0;
    return deliveries === 0 ? [] : [{ verdict, deliveries }];
  });

const byDisposition = (totals: Totals) =>
  DISPOSITIONS.flatMap((disposition) => {
    const deliveries = totals.byDisposition.get(disposition) ?? 0;
    return deliveries === 0 ? [] : [{ disposition, deliveries }];
  });

export const top =
  <T>(
    read: (
      tx: Parameters<Parameters<Context['read']>[0]>[0],
      clientId: string | null,
      within: ReturnType<typeof interval>,
      limit: number,
    ) => Promise<T>,
  ) =>
  (parent: Scoped, args: { first: number }, context: Context) =>
    context.read((tx) => read(tx, parent.clientId, interval(parent.period), requireFirst(args.first)));

export const statisticsResolvers: Resolvers = {
  Client: { statistics: ofClient },
  Partner: {
    statistics: (_: unknown, args: StatisticsArgs & { timeZone: string }, context: Context) => ofPartner(args, context),
  },
  Statistics: {
    restatedAt: (parent: Scoped, _: unknown, context: Context) =>
      context.read((tx) => restatedAt(tx, parent.clientId, interval(parent.period))),
    topMailboxes: top(topMailboxes),
    topReasons: top(topReasons),
  },
  MailboxCount: {
    mailbox: (count: Ranked, _: unknown, context: Context) => context.loaders.mailbox.load(count.key),
  },
  ReasonCount: { code: (count: Pick<Ranked, 'key'>) => count.key },
  Totals: { byVerdict, byDisposition },
  StatisticsBucket: {
    messages: (bucket: StatisticsBucket) => bucket.totals.messages,
    deliveries: (bucket: StatisticsBucket) => bucket.totals.deliveries,
    refused: (bucket: StatisticsBucket) => bucket.totals.refused,
    bytes: (bucket: StatisticsBucket) => bucket.totals.bytes,
    byVerdict: (bucket: StatisticsBucket) => byVerdict(bucket.totals),
    byDisposition: (bucket: StatisticsBucket) => byDisposition(bucket.totals),
  },
};

import { isIP } from 'node:net';
import {
  type DaysOfDomain,
  type DmarcSource,
  type DmarcTotals,
  dmarcByDay,
  dmarcByDisposition,
  dmarcByOrg,
  dmarcSources,
  dmarcTotals,
  listReports,
  type ReportRow,
  type ReportState,
  reportTokenOf,
} from '../../aggregates/read.ts';
import { type Readiness, readinessOf } from '../../aggregates/readiness.ts';
import { type TlsTotals, tlsByDay, tlsFailures, tlsTotals } from '../../aggregates/tls-read.ts';
import { AppError } from '../../core/errors.ts';
import { connect, cursorPart, type PageArgs } from '../connection.ts';
import type { Context } from '../context.ts';
import { globalId } from '../ids.ts';
import { momentKey, timeCursor } from '../time-cursor.ts';
import { clientOf } from './accounts.ts';
import { optionalClient } from './quarantine.ts';
import { type PeriodArgs, requirePeriod } from './statistics.ts';
import type { Resolvers } from './types.ts';

/** Reports are kept for 400 days. */
const DAYS_MAX = 400;

type DaysArgs = PeriodArgs & { readonly authenticatedOnly: boolean };
type ListArgs = PageArgs & {
  readonly clientId?: string | null;
  readonly domain?: string | null;
  readonly state?: ReportState | null;
};
interface DomainNode {
  readonly name: string;
}
/** What the fields below are asked of. */
type Scoped<T> = T & { readonly of: DaysOfDomain };
type Source = DmarcSource & { readonly domain: string };

function daysOf(domain: DomainNode, args: DaysArgs): DaysOfDomain {
  const { from, to } = requirePeriod(args, 'UTC', DAYS_MAX);
  return { domain: domain.name, from, to, authenticatedOnly: args.authenticatedOnly };
}

const share = (part: number, whole: number) => (whole === 0 ? null : part / whole);

/** The place of a source in the order of `dmarcSources`. Throws `invalid_input` for a cursor that was made by hand. */
function sourceCursor(after: readonly string[] | null): { messages: number; sourceIp: string } | null {
  if (after === null) return null;
  const [messages, sourceIp] = [cursorPart(after, 0, 'text'), cursorPart(after, 1, 'text')];
  if (!/^\d{1,15}$/.test(messages) || isIP(sourceIp) === 0) {
    throw new AppError('invalid_input', 'after is not a cursor of this connection', { field: 'after' });
  }
  return { messages: Number(messages), sourceIp };
}

export const aggregateResolvers: Resolvers = {
  Query: {
    aggregateReports: (_: unknown, args: ListArgs, context: Context) =>
      connect(
        args,
        2,
        (row: ReportRow) => momentKey(row.receivedAt, row.id),
        async ({ first, after }) => {
          const cursor = timeCursor(after);
          const clientId = optionalClient(args.clientId);
          if (clientId === undefined) return [];
          const filter = { clientId, domain: args.domain?.toLowerCase() ?? null, state: args.state ?? null };
          return context.read((tx) => listReports(tx, filter, { first, after: cursor }));
        },
      ),
  },
  Domain: {
    async reportAddress(domain: DomainNode, _: unknown, context: Context) {
      const token = await context.read((tx) => reportTokenOf(tx, domain.name));
      return token === null ? null : context.commands.reportRecords(domain.name, token);
    },
    async dmarc(domain: DomainNode, args: DaysArgs, context: Context): Promise<Scoped<DmarcTotals>> {
      const of = daysOf(domain, args);
      return { ...(await context.read((tx) => dmarcTotals(tx, of))), of };
    },
    async tlsReports(domain: DomainNode, args: DaysArgs, context: Context): Promise<Scoped<TlsTotals>> {
      const of = daysOf(domain, args);
      return { ...(await context.read((tx) => tlsTotals(tx, of))), of };
    },
    dmarcReadiness: (domain: DomainNode, _: unknown, context: Context) =>
      context.read((tx) => readinessOf(tx, domain.name)),
  },
  DmarcStatistics: {
    from: ({ of }: Scoped<DmarcTotals>) => of.from,
    to: ({ of }: Scoped<DmarcTotals>) => of.to,
    alignedShare: ({ aligned, messages }: DmarcTotals) => share(aligned, messages),
    byDisposition: ({ of }: Scoped<DmarcTotals>, _: unknown, context: Context) =>
      context.read((tx) => dmarcByDisposition(tx, of)),
    byDay: ({ of }: Scoped<DmarcTotals>, _: unknown, context: Context) => context.read((tx) => dmarcByDay(tx, of)),
    byOrg: ({ of }: Scoped<DmarcTotals>, _: unknown, context: Context) => context.read((tx) => dmarcByOrg(tx, of)),
    bySource: ({ of }: Scoped<DmarcTotals>, args: PageArgs, context: Context) =>
      connect(
        args,
        2,
        (row: Source) => [String(row.messages), row.sourceIp],
        async ({ first, after }) => {
          const page = { first, after: sourceCursor(after) };
          const rows = await context.read((tx) => dmarcSources(tx, of, page));
          return rows.map((row) => ({ ...row, domain: of.domain }));
        },
      ),
  },
  DmarcSource: {
    isKnown: (row: Source) => row.aligned > 0,
    isOurs: (row: Source, _: unknown, context: Context) => context.commands.spfAllows(null, row.sourceIp),
    isSpfAuthorized: (row: Source, _: unknown, context: Context) =>
      context.commands.spfAllows(row.domain, row.sourceIp),
  },
  DmarcReadiness: {
    alignedShare: ({ aligned, messages }: Readiness) => share(aligned, messages),
  },
  TlsStatistics: {
    from: ({ of }: Scoped<TlsTotals>) => of.from,
    to: ({ of }: Scoped<TlsTotals>) => of.to,
    failedShare: ({ successful, failed }: TlsTotals) => share(failed, successful + failed),
    byDay: ({ of }: Scoped<TlsTotals>, _: unknown, context: Context) => context.read((tx) => tlsByDay(tx, of)),
    failures: ({ of }: Scoped<TlsTotals>, _: unknown, context: Context) => context.read((tx) => tlsFailures(tx, of)),
  },
  AggregateReport: {
    id: (row: ReportRow) => globalId('AggregateReport', row.id),
    client: (row: ReportRow, _: unknown, context: Context) =>
      row.clientId === null ? null : clientOf(context, row.clientId),
    isAuthenticated: (row: ReportRow) => row.standing === 2,
  },
};

import type { Totals } from '../../core/counts.ts';
import { NO_TOTALS } from '../../core/counts.ts';
import { type LocalPeriod, previousPeriod } from '../../core/period.ts';
import { type ClientsOverview, readClientsOverview } from '../../rollups/read.ts';
import { connect, type PageArgs } from '../connection.ts';
import type { Context } from '../context.ts';
import { clientOf } from './accounts.ts';
import { type PeriodArgs, requirePeriod } from './statistics.ts';
import type { Resolvers } from './types.ts';

type Measure = 'deliveries' | 'messages' | 'bytes' | 'refused' | 'unwanted' | 'quarantined';

/** The longest period, in days. */
const DAYS_MAX = 3_700;

const MEASURES: Readonly<Record<Measure, (totals: Totals) => number>> = {
  deliveries: (totals) => totals.deliveries,
  messages: (totals) => totals.messages,
  bytes: (totals) => totals.bytes,
  refused: (totals) => totals.refused,
  unwanted: (totals) => totals.deliveries - (totals.byVerdict.get('clean') ?? 0) - (totals.byVerdict.get('bulk') ?? 0),
  quarantined: (totals) => totals.byDisposition.get('quarantined') ?? 0,
};

interface Compared extends ClientsOverview {
  readonly before: ClientsOverview;
  readonly period: LocalPeriod;
}

interface ClientRow {
  readonly clientId: string;
  readonly totals: Totals;
  readonly previous: Totals;
  readonly value: number;
  readonly change: number | null;
}

async function overview(args: PeriodArgs, context: Context): Promise<Compared> {
  // Each client has its own zone; of this one only the names of the days are used.
  const period = requirePeriod(args, 'UTC', DAYS_MAX);
  const now = await context.read((tx) => readClientsOverview(tx, period));
  const before = await context.read((tx) => readClientsOverview(tx, previousPeriod(period)));
  return { ...now, before, period };
}

/** All clients of either period, the largest first; those of the same size by id, so that a page has one place. */
function ranked({ before, ...now }: Compared, measure: Measure): ClientRow[] {
  const of = MEASURES[measure];
  const current = new Map(now.clients.map((client) => [client.clientId, client.totals]));
  const earlier = new Map(before.clients.map((client) => [client.clientId, client.totals]));
  const isKnown = now.complete && before.complete;
  return [...new Set([...current.keys(), ...earlier.keys()])]
    .map((clientId) => {
      const totals = current.get(clientId) ?? NO_TOTALS;
      const previous = earlier.get(clientId) ?? NO_TOTALS;
      const [value, base] = [of(totals), of(previous)];
      return { clientId, totals, previous, value, change: isKnown && base > 0 ? (value - base) / base : null };
    })
    .sort((a, b) => b.value - a.value || (a.clientId < b.clientId ? -1 : 1));
}

function clients(parent: Compared, args: PageArgs & { orderBy: Measure }) {
  const rows = ranked(parent, args.orderBy);
  return connect(
    args,
    2,
    (row: ClientRow) => [String(row.value), row.clientId],
    async ({ first, after }) => {
      if (after === null) return rows.slice(0, first);
      const [value, id] = [Number(after[0]), after[1] ?? ''];
      return rows.filter((row) => row.value < value || (row.value === value && row.clientId > id)).slice(0, first);
    },
  );
}

export const overviewResolvers: Resolvers = {
  Partner: { overview: (_: unknown, args: PeriodArgs, context: Context) => overview(args, context) },
  PartnerOverview: {
    previous: ({ before, period }: Compared) => {
      const { from, to } = previousPeriod(period);
      return { from, to, complete: before.complete, totals: before.totals };
    },
    clients,
  },
  ClientOverview: {
    client: (row: ClientRow, _: unknown, context: Context) => clientOf(context, row.clientId),
  },
};

import { listRuns, type RunRow } from '../../../reports/run-list.ts';
import type { Client } from '../../accounts/clients.ts';
import { interval } from '../../core/period.ts';
import { restatedAt } from '../../rollups/read.ts';
import { connect, type PageArgs } from '../connection.ts';
import type { Context } from '../context.ts';
import { globalId } from '../ids.ts';
import { momentKey, timeCursor } from '../time-cursor.ts';
import { clientOf } from './accounts.ts';
import { optionalClient } from './quarantine.ts';
import type { Resolvers } from './types.ts';

function reportRuns(context: Context, args: PageArgs, clientId: string | null | undefined) {
  return connect(
    args,
    2,
    (row: RunRow) => momentKey(row.requestedAt, row.id),
    async ({ first, after }) => {
      const cursor = timeCursor(after);
      if (clientId === undefined) return [];
      return context.read((tx) => listRuns(tx, clientId, { first, after: cursor }));
    },
  );
}

export const reportResolvers: Resolvers = {
  Query: {
    reportRuns: (_: unknown, args: PageArgs & { clientId?: string | null }, context: Context) =>
      reportRuns(context, args, optionalClient(args.clientId)),
  },
  Client: {
    reportRuns: (client: Client, args: PageArgs, context: Context) => reportRuns(context, args, client.id),
  },
  ReportRun: {
    id: (row: RunRow) => globalId('ReportRun', row.id),
    client: (row: RunRow, _: unknown, context: Context) => clientOf(context, row.clientId),
    restatedAt: async (row: RunRow, _: unknown, context: Context) => {
      const { issuedAt, clientId } = row;
      if (issuedAt === null) return null;
      const range = interval({ from: row.from, to: row.to, zone: row.timeZone });
      const restated = await context.read((tx) => restatedAt(tx, clientId, range));
      return restated !== null && restated >= issuedAt ? restated : null;
    },
  },
};

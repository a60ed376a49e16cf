import type { Client } from '../../accounts/clients.ts';
import { type LineRow, listLines, listPlans, type PlanRow } from '../../billing/read.ts';
import { moneyText } from '../../core/money.ts';
import { connect, cursorPart, type PageArgs } from '../connection.ts';
import type { Context } from '../context.ts';
import { globalId } from '../ids.ts';
import { momentKey, timeCursor } from '../time-cursor.ts';
import { clientOf } from './accounts.ts';
import { type PeriodArgs, requirePeriod } from './statistics.ts';
import type { Resolvers } from './types.ts';

/** Days of usage in one answer: each may name every mailbox of the client. */
const USAGE_DAYS_MAX = 62;

export const billingResolvers: Resolvers = {
  Query: {
    billingPlans: (_: unknown, args: PageArgs, context: Context) =>
      connect(
        args,
        2,
        (row: PlanRow) => momentKey(row.createdAt, row.id),
        ({ first, after }) => {
          const cursor = timeCursor(after);
          return context.read((tx) => listPlans(tx, { first, after: cursor }));
        },
      ),
  },
  BillingPlan: {
    id: (row: PlanRow) => globalId('BillingPlan', row.id),
    lines: (row: PlanRow, args: PageArgs, context: Context) =>
      connect(
        args,
        2,
        (line: LineRow) => [line.clientId, line.product],
        ({ first, after }) => {
          const cursor =
            after === null ? null : { clientId: cursorPart(after, 0, 'uuid'), product: cursorPart(after, 1, 'text') };
          return context.read((tx) => listLines(tx, row.id, { first, after: cursor }));
        },
      ),
  },
  BillingLine: {
    client: (line: LineRow, _: unknown, context: Context) => clientOf(context, line.clientId),
    unitPrice: ({ unitPrice, currency }: LineRow) =>
      unitPrice === null || currency === null ? null : moneyText(unitPrice, currency),
  },
  Client: {
    usage: async (client: Client, args: PeriodArgs, context: Context) => {
      const { from, to } = requirePeriod(args, client.timeZone, USAGE_DAYS_MAX);
      return (await context.loaders.usage.load({ clientId: client.id, from, to })) ?? [];
    },
    mapping: (client: Client, _: unknown, context: Context) => context.loaders.mapping.load(client.id),
    subscriptions: async (client: Client, _: unknown, context: Context) =>
      (await context.loaders.subscriptions.load(client.id)) ?? [],
  },
};

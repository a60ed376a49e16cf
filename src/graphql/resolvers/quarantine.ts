import type { Client } from '../../accounts/clients.ts';
import type { DeliveryRow } from '../../ledger/read.ts';
import { searchDeliveries } from '../../ledger/search.ts';
import { connect, type PageArgs } from '../connection.ts';
import type { Context } from '../context.ts';
import { globalId, uuidOf } from '../ids.ts';
import { momentKey, timeCursor } from '../time-cursor.ts';
import { clientOf } from './accounts.ts';
import type { Resolvers } from './types.ts';

/** A page of what is in quarantine, newest first. `clientId` undefined: no client has that id. */
function quarantine(context: Context, args: PageArgs, clientId: string | null | undefined) {
  return connect(
    args,
    2,
    (row: DeliveryRow) => momentKey(row.acceptedAt, row.id),
    async ({ first, after }) => {
      const cursor = timeCursor(after);
      if (clientId === undefined) return [];
      const filter = { clientId, dispositions: ['quarantined'] as const };
      const rows = await context.read((tx) => searchDeliveries(tx, filter, { first, after: cursor }));
      for (const row of rows) context.loaders.delivery.prime(row.id, row);
      return rows;
    },
  );
}

/** The client that an optional id names: null for none given, undefined for an id that no client has. */
export function optionalClient(id: string | null | undefined): string | null | undefined {
  return id == null ? null : (uuidOf('Client', id) ?? undefined);
}

const messageOf = (row: DeliveryRow, context: Context) => context.loaders.message.load(row.messageId);

export const quarantineResolvers: Resolvers = {
  Query: {
    quarantine: (_: unknown, args: PageArgs & { clientId?: string | null }, context: Context) =>
      quarantine(context, args, optionalClient(args.clientId)),
  },
  Client: {
    quarantine: (client: Client, args: PageArgs, context: Context) => quarantine(context, args, client.id),
  },
  QuarantineItem: {
    id: (row: DeliveryRow) => globalId('QuarantineItem', row.id),
    client: (row: DeliveryRow, _: unknown, context: Context) => clientOf(context, row.clientId),
    delivery: (row: DeliveryRow) => row,
    sender: async (row: DeliveryRow, _: unknown, context: Context) => (await messageOf(row, context))?.sender,
    subject: async (row: DeliveryRow, _: unknown, context: Context) => (await messageOf(row, context))?.subject,
  },
};

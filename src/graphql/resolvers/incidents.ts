import type { Client } from '../../accounts/clients.ts';
import { type IncidentRow, type IncidentState, listIncidents } from '../../tickets/read.ts';
import { connect, type PageArgs } from '../connection.ts';
import type { Context } from '../context.ts';
import { globalId } from '../ids.ts';
import { momentKey, timeCursor } from '../time-cursor.ts';
import { clientOf } from './accounts.ts';
import { optionalClient } from './quarantine.ts';
import type { Resolvers } from './types.ts';

type IncidentArgs = PageArgs & { readonly state?: IncidentState | null };

function incidents(context: Context, args: IncidentArgs, clientId: string | null | undefined) {
  return connect(
    args,
    2,
    (row: IncidentRow) => momentKey(row.openedAt, row.id),
    async ({ first, after }) => {
      const cursor = timeCursor(after);
      if (clientId === undefined) return [];
      const filter = { clientId, state: args.state ?? null };
      return context.read((tx) => listIncidents(tx, filter, { first, after: cursor }));
    },
  );
}

export const incidentResolvers: Resolvers = {
  Query: {
    incidents: (_: unknown, args: IncidentArgs & { clientId?: string | null }, context: Context) =>
      incidents(context, args, optionalClient(args.clientId)),
  },
  Client: {
    incidents: (client: Client, args: IncidentArgs, context: Context) => incidents(context, args, client.id),
  },
  Incident: {
    id: (row: IncidentRow) => globalId('Incident', row.id),
    client: (row: IncidentRow, _: unknown, context: Context) => clientOf(context, row.clientId),
    ticket: (row: IncidentRow) => ({
      state: row.ticketState,
      key: row.ticketKey,
      number: row.ticketNumber,
      note: row.ticketNote,
    }),
  },
};

import { type Client, listClients } from '../../accounts/clients.ts';
import { listEntries } from '../../accounts/lists.ts';
import { listMailboxes, type Mailbox } from '../../accounts/mailboxes.ts';
import { getPartner, type Partner } from '../../accounts/partners.ts';
import { AppError } from '../../core/errors.ts';
import type { ListEntry as Entry } from '../../core/message.ts';
import { connect, connectList, cursorPart, type PageArgs } from '../connection.ts';
import type { Context } from '../context.ts';
import { globalId } from '../ids.ts';
import type { Resolvers } from './types.ts';

const idOf = (entry: Entry) => [entry.pattern, entry.id];

/** A page of clients by name. */
export function clientPage(context: Context, args: PageArgs) {
  return connect(
    args,
    2,
    (client: Client) => [client.name, client.id],
    ({ first, after }) =>
      context.read((tx) =>
        listClients(tx, {
          first,
          after: after === null ? null : { name: cursorPart(after, 0, 'text'), id: cursorPart(after, 1, 'uuid') },
        }),
      ),
  );
}

/** The entries that hold for all clients. */
export async function partnerEntryPage(context: Context, args: PageArgs) {
  const entries = await context.read((tx) => listEntries(tx, null));
  return connectList(args, entries, idOf);
}

/** A client that a row of ours names: it is there, since rows fall with their client. */
export async function clientOf(context: Context, id: string): Promise<Client> {
  const client = await context.loaders.client.load(id);
  if (client === null) throw new AppError('not_found', 'no such client');
  return client;
}

export const accountResolvers: Resolvers = {
  Viewer: {
    partner: (_: unknown, __: unknown, context: Context) => context.read(getPartner),
    scopes: (_: unknown, __: unknown, context: Context) => context.caller.scopes,
    documentsOnly: (_: unknown, __: unknown, context: Context) => context.caller.documentsOnly === true,
  },
  Partner: {
    id: (partner: Partner) => globalId('Partner', partner.id),
  },
  Client: {
    id: (client: Client) => globalId('Client', client.id),
    domains: async (client: Client, _: unknown, context: Context) =>
      ((await context.loaders.domains.load(client.id)) ?? []).map((domain) => domain.name),
    mailboxes: (client: Client, args: PageArgs, context: Context) =>
      connect(
        args,
        1,
        (mailbox: Mailbox) => [mailbox.address],
        ({ first, after }) =>
          context.read((tx) =>
            listMailboxes(tx, client.id, { first, after: after === null ? null : cursorPart(after, 0, 'text') }),
          ),
      ),
    listEntries: async (client: Client, args: PageArgs, context: Context) => {
      const entries = await context.read((tx) => listEntries(tx, client.id));
      return connectList(
        args,
        entries.filter((entry) => entry.scope !== 'partner'),
        idOf,
      );
    },
  },
  Mailbox: {
    id: (mailbox: Mailbox) => globalId('Mailbox', mailbox.id),
    client: (mailbox: Mailbox, _: unknown, context: Context) => clientOf(context, mailbox.clientId),
  },
  ListEntry: {
    id: (entry: Entry) => globalId('ListEntry', entry.id),
  },
};

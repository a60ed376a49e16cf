import type { Client } from '../../accounts/clients.ts';
import { normalizeAddress, printable } from '../../core/address.ts';
import { AppError } from '../../core/errors.ts';
import { normalizeNetwork } from '../../core/networks.ts';
import type { Disposition, Verdict } from '../../core/verdict.ts';
import type { DeliveryRow, MessageRow } from '../../ledger/read.ts';
import { type DeliveryFilter, searchDeliveries } from '../../ledger/search.ts';
import { type Connection, connect, type PageArgs } from '../connection.ts';
import type { Context } from '../context.ts';
import { globalId, uuidOf } from '../ids.ts';
import { momentKey, timeCursor } from '../time-cursor.ts';
import { clientOf } from './accounts.ts';
import type { Resolvers } from './types.ts';

interface FilterInput {
  readonly clientId?: string | null;
  readonly text?: string | null;
  readonly subject?: string | null;
  readonly attachment?: string | null;
  readonly messageId?: string | null;
  readonly remoteAddress?: string | null;
  readonly recipient?: string | null;
  readonly sender?: string | null;
  readonly verdicts?: readonly Verdict[] | null;
  readonly dispositions?: readonly Disposition[] | null;
  readonly from?: Date | null;
  readonly to?: Date | null;
}

type SearchArgs = PageArgs & { readonly filter?: FilterInput | null };

const TEXT_MAX = 200;
/** RFC 5322 section 2.1.1: the longest line, which no fold of a Message-ID can end. */
const MESSAGE_ID_MAX = 998;

/** A page of deliveries, newest first. `clientId` null: of all clients. `askedFrom`: nothing older was asked for. */
async function deliveries(
  context: Context,
  args: SearchArgs,
  clientId: string | null,
): Promise<Connection<DeliveryRow> & { readonly askedFrom: Date | null }> {
  const filter = readFilter(args.filter ?? {}, clientId);
  const page = await connect(
    args,
    2,
    (row: DeliveryRow) => momentKey(row.acceptedAt, row.id),
    async ({ first, after }) => {
      // A filter that no delivery can meet needs no look-up; the page's arguments are checked all the same.
      const cursor = timeCursor(after);
      if (filter === null) return [];
      const rows = await context.read((tx) => searchDeliveries(tx, filter, { first, after: cursor }));
      for (const row of rows) context.loaders.delivery.prime(row.id, row);
      return rows;
    },
  );
  return { ...page, askedFrom: args.filter?.from ?? null };
}

/** Null: no delivery can meet it, as with another tenant's client. */
function readFilter(given: FilterInput, clientId: string | null): DeliveryFilter | null {
  const wanted = given.clientId == null ? clientId : uuidOf('Client', given.clientId);
  if (given.clientId != null && (wanted === null || (clientId !== null && wanted !== clientId))) return null;
  return {
    clientId: wanted,
    text: fragment(given.text, 'text'),
    subject: fragment(given.subject, 'subject'),
    attachment: fragment(given.attachment, 'attachment'),
    messageId: fragment(given.messageId, 'messageId', MESSAGE_ID_MAX),
    remoteAddress: given.remoteAddress == null ? null : ipAddress(given.remoteAddress),
    recipient: given.recipient == null ? null : address(given.recipient, 'recipient'),
    sender: given.sender == null || given.sender === '' ? (given.sender ?? null) : address(given.sender, 'sender'),
    verdicts: given.verdicts ?? null,
    dispositions: given.dispositions ?? null,
    from: given.from ?? null,
    to: given.to ?? null,
  };
}

function address(text: string, field: string): string {
  const normal = normalizeAddress(text);
  if (normal === null) throw new AppError('invalid_input', `"${printable(text)}" is not a mail address`, { field });
  return normal;
}

/** Text as PostgreSQL can hold it. Throws `invalid_input` when it is too long. */
function fragment(text: string | null | undefined, field: string, max = TEXT_MAX): string | null {
  if (text == null) return null;
  if (text.length > max) throw new AppError('invalid_input', `${field} has at most ${max} characters`, { field });
  return text.replaceAll('\0', '');
}

function ipAddress(text: string): string {
  const network = text.includes('/') ? null : normalizeNetwork(text);
  if (network === null) {
    throw new AppError('invalid_input', `"${printable(text)}" is not an IP address`, { field: 'remoteAddress' });
  }
  return network.slice(0, network.indexOf('/'));
}

export const traceResolvers: Resolvers = {
  Query: {
    deliveries: (_: unknown, args: SearchArgs, context: Context) => deliveries(context, args, null),
  },
  Client: {
    deliveries: (client: Client, args: SearchArgs, context: Context) => deliveries(context, args, client.id),
  },
  Delivery: {
    id: (row: DeliveryRow) => globalId('Delivery', row.id),
    client: (row: DeliveryRow, _: unknown, context: Context) => clientOf(context, row.clientId),
    message: (row: DeliveryRow, _: unknown, context: Context) => context.loaders.message.load(row.messageId),
    mailbox: (row: DeliveryRow, _: unknown, context: Context) =>
      row.mailboxId === null ? null : context.loaders.mailbox.load(row.mailboxId),
    events: async (row: DeliveryRow, _: unknown, context: Context) => (await context.loaders.events.load(row.id)) ?? [],
  },
  Message: {
    id: (row: MessageRow) => globalId('Message', row.id),
  },
};

import type { Client } from '../../accounts/clients.ts';
import { AppError, errorCode } from '../../core/errors.ts';
import type { DeliveryRow } from '../../ledger/read.ts';
import type { MailPreview } from '../../mail/preview.ts';
import { reachDelivery } from '../../quarantine/held.ts';
import { listRequests, type ReleaseRequest, type RequestState } from '../../quarantine/request-rows.ts';
import { keyActor, mayRelease, requireRelease, roleOfScopes } from '../../quarantine/rights.ts';
import { reasonWords, verdictWords } from '../../quarantine/words.ts';
import { connect, type PageArgs } from '../connection.ts';
import type { Context } from '../context.ts';
import { globalId, uuidOf } from '../ids.ts';
import { momentKey, timeCursor } from '../time-cursor.ts';
import { clientOf } from './accounts.ts';
import { optionalClient } from './quarantine.ts';
import type { Resolvers } from './types.ts';

/** Octets of a message's source that one answer holds. */
const SOURCE_MAX = 1_048_576;

type Content = Omit<MailPreview, 'document'> & { readonly previewDocument: string };

/** Null: the body is no longer stored. */
async function contentOf(row: DeliveryRow, context: Context): Promise<Content | null> {
  const held = await context.read((tx) => reachDelivery(tx, keyActor(context.caller), row.id));
  try {
    const { document, ...preview } = await context.commands.previewMessage(context.caller, held);
    return { ...preview, previewDocument: document };
  } catch (error) {
    if (errorCode(error) === 'not_found') return null;
    throw error;
  }
}

/** What may be let out may be had as it came, and nothing else: a harmful program is handed to administrators only. */
async function sourceOf(row: DeliveryRow, maxBytes: number, context: Context) {
  if (!Number.isInteger(maxBytes) || maxBytes < 1 || maxBytes > SOURCE_MAX) {
    throw new AppError('invalid_input', `maxBytes is 1 to ${SOURCE_MAX}`, { field: 'maxBytes' });
  }
  const actor = keyActor(context.caller);
  const held = await context.read((tx) => reachDelivery(tx, actor, row.id));
  requireRelease(actor.role, held);
  try {
    const { bytes, total } = await context.commands.messageSource(context.caller, held, maxBytes);
    return { base64: bytes.toString('base64'), bytes: total, complete: bytes.length === total };
  } catch (error) {
    if (errorCode(error) === 'not_found') return null;
    throw error;
  }
}

async function deliveryOf(context: Context, id: string): Promise<DeliveryRow | null> {
  const uuid = uuidOf('Delivery', id) ?? uuidOf('QuarantineItem', id);
  return uuid === null ? null : context.loaders.delivery.load(uuid);
}

type RequestArgs = PageArgs & { readonly state?: RequestState | null };

function requests(context: Context, args: RequestArgs, clientId: string | null | undefined) {
  return connect(
    args,
    2,
    (row: ReleaseRequest) => momentKey(row.requestedAt, row.id),
    async ({ first, after }) => {
      const cursor = timeCursor(after);
      if (clientId === undefined) return [];
      const filter = { clientId, state: args.state ?? null };
      return context.read((tx) => listRequests(tx, filter, { first, after: cursor }));
    },
  );
}

export const heldResolvers: Resolvers = {
  Query: {
    delivery: (_: unknown, args: { id: string }, context: Context) => deliveryOf(context, args.id),
    quarantinedDelivery: async (_: unknown, args: { id: string }, context: Context) => {
      const row = await deliveryOf(context, args.id);
      return row?.disposition === 'quarantined' ? row : null;
    },
    releaseRequests: (_: unknown, args: RequestArgs & { clientId?: string | null }, context: Context) =>
      requests(context, args, optionalClient(args.clientId)),
  },
  Client: {
    quarantineRetention: async (client: Client, _: unknown, context: Context) =>
      (await context.loaders.retention.load(client.id))?.retention,
  },
  Delivery: {
    why: (row: DeliveryRow) => [verdictWords(row.verdict), ...reasonWords(row.reasons)],
    mayRelease: (row: DeliveryRow, _: unknown, context: Context) => {
      const role = roleOfScopes(context.caller.scopes);
      return role !== null && row.disposition === 'quarantined' && mayRelease(role, row);
    },
    content: (row: DeliveryRow, _: unknown, context: Context) => contentOf(row, context),
    source: (row: DeliveryRow, args: { maxBytes: number }, context: Context) => sourceOf(row, args.maxBytes, context),
    eventsComplete: async (row: DeliveryRow, _: unknown, context: Context) => {
      const from = await context.loaders.detailFrom.load('');
      return from === null || row.acceptedAt >= from;
    },
  },
  DeliveryConnection: {
    detailFrom: (_: unknown, __: unknown, context: Context) => context.loaders.detailFrom.load(''),
    detailComplete: async (page: { readonly askedFrom: Date | null }, _: unknown, context: Context) => {
      const from = await context.loaders.detailFrom.load('');
      return from === null || (page.askedFrom !== null && page.askedFrom >= from);
    },
  },
  ReleaseRequest: {
    id: (row: ReleaseRequest) => globalId('ReleaseRequest', row.id),
    client: (row: ReleaseRequest, _: unknown, context: Context) => clientOf(context, row.clientId),
    delivery: (row: ReleaseRequest, _: unknown, context: Context) => context.loaders.delivery.load(row.deliveryId),
  },
};

import { type DeliveryRow, getDeliveries } from '../../ledger/read.ts';
import {
  discardOriginal,
  listOriginals,
  type OriginalState,
  originalStates,
  releaseOriginal,
} from '../../quarantine/originals.ts';
import { keyActor } from '../../quarantine/rights.ts';
import { connect, type PageArgs } from '../connection.ts';
import type { Context } from '../context.ts';
import { payload } from '../payload.ts';
import { momentKey, timeCursor } from '../time-cursor.ts';
import { deliveryId, required } from './mutations.ts';
import { optionalClient } from './quarantine.ts';
import type { Resolvers } from './types.ts';

type ById = { readonly input: { readonly id: string } };

/** A page of the deliveries whose original is held, newest first. */
async function originals(context: Context, args: PageArgs & { readonly clientId?: string | null }) {
  const clientId = optionalClient(args.clientId);
  const page = await connect(
    args,
    2,
    (row: DeliveryRow) => momentKey(row.acceptedAt, row.id),
    async ({ first, after }) => {
      const cursor = timeCursor(after);
      if (clientId === undefined) return [];
      return context.read(async (tx) => {
        const held = await listOriginals(tx, clientId, { first, after: cursor });
        const rows = new Map(
          (
            await getDeliveries(
              tx,
              held.map((one) => one.id),
            )
          ).map((row) => [row.id, row]),
        );
        return held.flatMap(({ id }) => rows.get(id) ?? []);
      });
    },
  );
  return { ...page, askedFrom: null };
}

export const originalResolvers: Resolvers = {
  Query: {
    heldOriginals: (_: unknown, args: PageArgs & { readonly clientId?: string | null }, context: Context) =>
      originals(context, args),
  },
  Delivery: {
    original: async (row: DeliveryRow, _: unknown, context: Context): Promise<OriginalState | null> => {
      if (row.disposition !== 'stripped') return null;
      const [found] = await context.read((tx) => originalStates(tx, [row.id]));
      return found?.state ?? null;
    },
  },
  Mutation: {
    releaseOriginal: (_: unknown, { input }: ById, context: Context) =>
      payload<{ delivery: DeliveryRow | null; released: boolean }>({ delivery: null, released: false }, () => {
        const id = deliveryId(input.id);
        return context.write(async (tx) => {
          const { released } = await releaseOriginal(tx, keyActor(context.caller), id);
          return { delivery: await required(tx, getDeliveries, id, 'delivery'), released };
        });
      }),

    discardOriginal: (_: unknown, { input }: ById, context: Context) =>
      payload<{ delivery: DeliveryRow | null; discarded: boolean }>({ delivery: null, discarded: false }, () => {
        const id = deliveryId(input.id);
        return context.write(async (tx) => {
          const { discarded } = await discardOriginal(tx, keyActor(context.caller), id);
          return { delivery: await required(tx, getDeliveries, id, 'delivery'), discarded };
        });
      }),
  },
};

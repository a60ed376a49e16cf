import { AppError } from '../../core/errors.ts';
import { PAGE_MAX, type PageArgs } from '../connection.ts';
import type { Context } from '../context.ts';
import { uuidOf } from '../ids.ts';
import { nodeById } from '../nodes.ts';
import { clientPage, partnerEntryPage } from './accounts.ts';
import type { Resolvers } from './types.ts';

export const queryResolvers: Resolvers = {
  Query: {
    viewer: () => ({}),
    node: (_: unknown, args: { id: string }, context: Context) => nodeById(context, args.id),
    nodes: (_: unknown, args: { ids: readonly string[] }, context: Context) => {
      if (args.ids.length > PAGE_MAX) {
        throw new AppError('invalid_input', `at most ${PAGE_MAX} ids at once`, { field: 'ids' });
      }
      return args.ids.map((id) => nodeById(context, id));
    },
    client: (_: unknown, args: { id: string }, context: Context) => {
      const id = uuidOf('Client', args.id);
      return id === null ? null : context.loaders.client.load(id);
    },
    clients: (_: unknown, args: PageArgs, context: Context) => clientPage(context, args),
    listEntries: (_: unknown, args: PageArgs, context: Context) => partnerEntryPage(context, args),
  },
};

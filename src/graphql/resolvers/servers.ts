import type { Client } from '../../accounts/clients.ts';
import type { Context } from '../context.ts';
import type { Resolvers } from './types.ts';

export const serverResolvers: Resolvers = {
  Client: {
    servers: async (client: Client, _: unknown, context: Context) =>
      (await context.loaders.servers.load(client.id)) ?? [],
  },
};

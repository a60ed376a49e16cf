import { type Client, requireClient } from '../../accounts/clients.ts';
import type { ClientRoute, RouteInput, RouteKind, RouteTls } from '../../accounts/routes.ts';
import { setRoutes, setStrategy } from '../../accounts/routing.ts';
import { AppError } from '../../core/errors.ts';
import type { AttemptRow } from '../../ledger/attempts.ts';
import type { DeliveryRow } from '../../ledger/read.ts';
import type { Context } from '../context.ts';
import { requireId } from '../ids.ts';
import { payload } from '../payload.ts';
import type { Resolvers } from './types.ts';

type Input<T> = { readonly input: T };

interface GivenRoute {
  readonly kind?: RouteKind | null;
  readonly host?: string | null;
  readonly port?: number | null;
  readonly tls?: RouteTls | null;
  readonly priority?: number | null;
  readonly weight?: number | null;
  readonly region?: string | null;
}

const SMTP_PORT = 25;

function routeInput(given: GivenRoute): RouteInput {
  const kind = given.kind ?? 'relay';
  if (kind === 'relay' && given.host == null) {
    throw new AppError('invalid_input', 'a relay has a host', { field: 'routes' });
  }
  return {
    kind,
    host: given.host ?? '',
    port: given.port ?? SMTP_PORT,
    tls: given.tls ?? undefined,
    priority: given.priority ?? undefined,
    weight: given.weight ?? undefined,
    region: given.region,
  };
}

export const routingResolvers: Resolvers = {
  Client: {
    routes: async (client: Client, _: unknown, context: Context) =>
      (await context.loaders.routes.load(client.id)) ?? [],
    regionStrategies: async (client: Client, _: unknown, context: Context) =>
      (await context.loaders.strategies.load(client.id)) ?? [],
  },
  Route: {
    host: (route: ClientRoute) => (route.host === '' ? null : route.host),
  },
  Delivery: {
    attempts: async (row: DeliveryRow, _: unknown, context: Context): Promise<readonly AttemptRow[]> =>
      (await context.loaders.attempts.load(row.id)) ?? [],
  },
  DeliveryAttempt: {
    code: (attempt: AttemptRow) => (attempt.code === 0 ? null : attempt.code),
  },
  Mutation: {
    setRoutes: (
      _: unknown,
      { input }: Input<{ clientId: string; domain?: string | null; routes: readonly GivenRoute[] }>,
      context: Context,
    ) =>
      payload<{ client: Client | null }>({ client: null }, () => {
        const clientId = requireId('Client', input.clientId, 'clientId');
        const routes = input.routes.map(routeInput);
        return context.write(async (tx) => {
          const { actor } = context.caller;
          await setRoutes(tx, { clientId, domain: input.domain ?? null, routes, actor });
          return { client: await requireClient(tx, clientId) };
        });
      }),

    setRegionStrategy: (
      _: unknown,
      {
        input,
      }: Input<{
        clientId: string;
        domain?: string | null;
        regions: readonly string[];
        recipientServers?: boolean | null;
      }>,
      context: Context,
    ) =>
      payload<{ client: Client | null }>({ client: null }, () => {
        const clientId = requireId('Client', input.clientId, 'clientId');
        return context.write(async (tx) => {
          const { regions } = input;
          const recipientServers = input.recipientServers ?? false;
          const { actor } = context.caller;
          await setStrategy(tx, { clientId, domain: input.domain ?? null, regions, recipientServers, actor });
          return { client: await requireClient(tx, clientId) };
        });
      }),

    flushQueue: (_: unknown, { input }: Input<{ clientId: string }>, context: Context) =>
      payload<{ client: Client | null; deliveries: number }>({ client: null, deliveries: 0 }, () => {
        const clientId = requireId('Client', input.clientId, 'clientId');
        return context.write(async (tx) => {
          const client = await requireClient(tx, clientId);
          const { deliveries } = await context.commands.flushQueue(tx, clientId, context.caller.actor);
          return { client, deliveries };
        });
      }),
  },
};

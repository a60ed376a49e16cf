import { AppError } from '../../core/errors.ts';
import type { Context } from '../context.ts';
import { requireId } from '../ids.ts';
import type { LiveKind } from '../live/changes.ts';
import { Source } from '../live/source.ts';
import type { Traffic } from '../live/traffic.ts';
import { clientOf } from './accounts.ts';
import type { Resolvers, Subscribers } from './types.ts';

type OfClient = { readonly clientId?: string | null };

/** The client that is watched, null for all. Throws `not_found`, for another tenant's id alike. */
async function watched(context: Context, clientId: string | null | undefined) {
  if (clientId === null || clientId === undefined) return null;
  const client = await context.loaders.client.load(requireId('Client', clientId, 'clientId'));
  if (client === null) throw new AppError('not_found', 'no such client', { field: 'clientId' });
  return client;
}

/** Follows objects of one kind; each is read anew by its id. */
const changed =
  (kind: LiveKind, load: (context: Context, id: string) => Promise<object | null>) =>
  async ({ clientId }: OfClient, context: Context): Promise<Source<string>> => {
    const client = await watched(context, clientId);
    const pending = await context.live.changes(context.caller.partnerId, kind, client?.id ?? null);
    return new Source(pending, (id, reading) => load(reading, id));
  };

/** How each field of Subscription begins to watch. */
export const subscribers: Subscribers = {
  traffic: async ({ clientId, timeZone }: OfClient & { timeZone: string }, context: Context) => {
    const client = await watched(context, clientId);
    const zone = client?.timeZone ?? timeZone;
    const pending = await context.live.traffic(context.caller.partnerId, client?.id ?? null, zone);
    return new Source<Traffic>(pending, async (traffic) => traffic);
  },
  incidentChanged: changed('incident', (context, id) => context.loaders.incident.load(id)),
  reportRunChanged: changed('report_run', (context, id) => context.loaders.reportRun.load(id)),
  releaseRequestChanged: changed('release_request', (context, id) => context.loaders.releaseRequest.load(id)),
};

export const liveResolvers: Resolvers = {
  TrafficUpdate: {
    client: (traffic: Traffic, _: unknown, context: Context) =>
      traffic.clientId === null ? null : clientOf(context, traffic.clientId),
  },
};

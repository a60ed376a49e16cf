import { accountMutations } from './account-mutations.ts';
import { accountResolvers } from './accounts.ts';
import { aggregateResolvers } from './aggregates.ts';
import { billingResolvers } from './billing.ts';
import { digestResolvers } from './digests.ts';
import { dimensionResolvers } from './dimensions.ts';
import { documentResolvers } from './documents.ts';
import { heldResolvers } from './held.ts';
import { incidentResolvers } from './incidents.ts';
import { insightResolvers } from './insights.ts';
import { liveResolvers } from './live.ts';
import { commandMutations } from './mutations.ts';
import { originalResolvers } from './originals.ts';
import { outboundResolvers } from './outbound.ts';
import { outboundMutations } from './outbound-mutations.ts';
import { overviewResolvers } from './overview.ts';
import { quarantineResolvers } from './quarantine.ts';
import { quarantineMutations } from './quarantine-mutations.ts';
import { queryResolvers } from './query.ts';
import { reportResolvers } from './reports.ts';
import { routingResolvers } from './routing.ts';
import { serverResolvers } from './servers.ts';
import { statisticsResolvers } from './statistics.ts';
import { traceResolvers } from './trace.ts';
import type { Resolver, Resolvers } from './types.ts';

/** All resolvers by type. A field that two files answer is a fault of ours. */
function merge(parts: readonly Resolvers[]): Resolvers {
  const merged: Record<string, Record<string, Resolver>> = {};
  for (const part of parts) {
    for (const [type, fields] of Object.entries(part)) {
      merged[type] ??= {};
      const known = merged[type];
      for (const [field, resolver] of Object.entries(fields)) {
        if (known[field] !== undefined) throw new Error(`${type}.${field} has two resolvers`);
        known[field] = resolver;
      }
    }
  }
  return merged;
}

export const resolvers: Resolvers = merge([
  queryResolvers,
  accountResolvers,
  accountMutations,
  statisticsResolvers,
  overviewResolvers,
  dimensionResolvers,
  traceResolvers,
  quarantineResolvers,
  originalResolvers,
  heldResolvers,
  quarantineMutations,
  incidentResolvers,
  aggregateResolvers,
  reportResolvers,
  billingResolvers,
  serverResolvers,
  outboundResolvers,
  outboundMutations,
  digestResolvers,
  commandMutations,
  routingResolvers,
  insightResolvers,
  documentResolvers,
  liveResolvers,
]);

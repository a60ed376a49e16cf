import { getPartner } from '../accounts/partners.ts';
import type { Context } from './context.ts';
import { type NodeType, parseGlobalId } from './ids.ts';

type Fetch = (context: Context, uuid: string) => Promise<object | null>;

/** How an object of each type is fetched by its id. Null: there is none, or it is another partner's. */
const FETCH: Readonly<Record<NodeType, Fetch>> = {
  Partner: async (context, uuid) => (uuid === context.caller.partnerId ? context.read(getPartner) : null),
  Client: (context, uuid) => context.loaders.client.load(uuid),
  Delivery: (context, uuid) => context.loaders.delivery.load(uuid),
  Message: (context, uuid) => context.loaders.message.load(uuid),
  ListEntry: (context, uuid) => context.loaders.listEntry.load(uuid),
  QuarantineItem: async (context, uuid) => {
    const delivery = await context.loaders.delivery.load(uuid);
    return delivery?.disposition === 'quarantined' ? delivery : null;
  },
  Incident: (context, uuid) => context.loaders.incident.load(uuid),
  ReportRun: (context, uuid) => context.loaders.reportRun.load(uuid),
  BillingPlan: (context, uuid) => {
    // What the root field needs, a way round it needs too.
    context.require('billing');
    return context.loaders.billingPlan.load(uuid);
  },
  ReleaseRequest: (context, uuid) => context.loaders.releaseRequest.load(uuid),
  Mailbox: (context, uuid) => context.loaders.mailbox.load(uuid),
  SubmissionCredential: (context, uuid) => context.loaders.credential.load(uuid),
  SubmissionNetwork: (context, uuid) => context.loaders.network.load(uuid),
  DkimKey: (context, uuid) => context.loaders.dkimKey.load(uuid),
  AggregateReport: (context, uuid) => context.loaders.aggregateReport.load(uuid),
};

/** The object of a global id, marked with its type for the interface `Node`. */
export async function nodeById(context: Context, id: string): Promise<object | null> {
  const parsed = parseGlobalId(id);
  if (parsed === null) return null;
  const found = (await FETCH[parsed.type](context, parsed.uuid)) ?? null;
  return found === null ? null : { ...found, nodeType: parsed.type };
}

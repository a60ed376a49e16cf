import { type Client, requireClient } from '../../accounts/clients.ts';
import { setRetention } from '../../accounts/retention.ts';
import { normalizeAddress, printable } from '../../core/address.ts';
import { AppError, graphqlCode } from '../../core/errors.ts';
import type { ListEntry } from '../../core/message.ts';
import type { Verdict } from '../../core/verdict.ts';
import { type DeliveryRow, getDeliveries } from '../../ledger/read.ts';
import { blockSender, type ListChoice, releaseAndAllow, reportNotSpam, reportSpam } from '../../quarantine/actions.ts';
import {
  actOnAll,
  BULK_FILTER_MAX,
  BULK_IDS_MAX,
  type BulkAction,
  type BulkFilter,
  type BulkResult,
  selectHeld,
} from '../../quarantine/bulk.ts';
import type { ReleaseRequest } from '../../quarantine/request-rows.ts';
import { approveRequest, denyRequest, requestRelease } from '../../quarantine/requests.ts';
import { keyActor, type Scope } from '../../quarantine/rights.ts';
import type { Context } from '../context.ts';
import { globalId, requireId } from '../ids.ts';
import { payload, type UserError } from '../payload.ts';
import { deliveryId, required } from './mutations.ts';
import type { Resolvers } from './types.ts';

type Input<T> = { readonly input: T };
type ById = Input<{ readonly id: string }>;

interface Choice {
  readonly scope?: Scope | null;
  readonly match?: 'address' | 'domain' | null;
}

const choiceOf = ({ scope, match }: Choice): ListChoice => ({ scope: scope ?? 'mailbox', match: match ?? 'address' });

interface FilterInput {
  readonly clientId?: string | null;
  readonly verdicts?: readonly Verdict[] | null;
  readonly sender?: string | null;
  readonly before?: Date | null;
}

interface Done {
  readonly deliveryId: string;
  readonly changed: boolean;
  readonly userErrors: readonly UserError[];
}

function doneOf(givenId: string, { changed, error }: BulkResult): Done {
  const errors =
    error === null ? [] : [{ code: graphqlCode(error), field: error.field ?? null, message: error.message }];
  return { deliveryId: givenId, changed, userErrors: errors };
}

const count = (results: readonly BulkResult[]) => ({
  changed: results.filter((one) => one.changed).length,
  failed: results.filter((one) => one.error !== null).length,
});

/** A filter that names nothing would empty the quarantine of all clients by a slip. */
function filterOf(given: FilterInput): BulkFilter {
  const sender = given.sender == null ? null : normalizeAddress(given.sender);
  if (given.sender != null && sender === null) {
    throw new AppError('invalid_input', `"${printable(given.sender)}" is not a mail address`, { field: 'sender' });
  }
  const filter = {
    clientId: given.clientId == null ? null : requireId('Client', given.clientId, 'clientId'),
    verdicts: given.verdicts ?? null,
    sender,
    before: given.before ?? null,
  };
  if (Object.values(filter).every((value) => value === null)) {
    throw new AppError('invalid_input', 'the filter names at least one of client, verdicts, sender and before', {
      field: 'filter',
    });
  }
  return filter;
}

/** The change of one delivery by its id, with the delivery as it is then. */
function onDelivery<T extends object>(
  context: Context,
  id: string,
  nothing: T,
  act: (tx: Parameters<typeof getDeliveries>[0], uuid: string) => Promise<T>,
) {
  return payload<T & { delivery: DeliveryRow | null }>({ ...nothing, delivery: null }, () => {
    const uuid = deliveryId(id);
    return context.write(async (tx) => {
      const changed = await act(tx, uuid);
      return { ...changed, delivery: await required(tx, getDeliveries, uuid, 'delivery') };
    });
  });
}

export const quarantineMutations: Resolvers = {
  Mutation: {
    releaseAndAllow: (_: unknown, { input }: Input<{ id: string } & Choice>, context: Context) =>
      onDelivery<{ released: boolean; entry: ListEntry | null }>(
        context,
        input.id,
        { released: false, entry: null },
        (tx, id) => releaseAndAllow(tx, keyActor(context.caller), id, choiceOf(input)),
      ),

    blockSender: (_: unknown, { input }: Input<{ id: string } & Choice>, context: Context) =>
      payload<{ entry: ListEntry | null; added: boolean }>({ entry: null, added: false }, () => {
        const id = deliveryId(input.id);
        return context.write((tx) => blockSender(tx, keyActor(context.caller), id, choiceOf(input)));
      }),

    reportSpam: (_: unknown, { input }: ById, context: Context) =>
      onDelivery(context, input.id, { recorded: false }, (tx, id) => reportSpam(tx, keyActor(context.caller), id)),

    reportNotSpam: (_: unknown, { input }: ById, context: Context) =>
      onDelivery(context, input.id, { recorded: false }, (tx, id) => reportNotSpam(tx, keyActor(context.caller), id)),

    requestRelease: (_: unknown, { input }: Input<{ id: string; note?: string | null }>, context: Context) =>
      payload<{ request: ReleaseRequest | null; created: boolean }>({ request: null, created: false }, () => {
        const id = deliveryId(input.id);
        return context.write((tx) => requestRelease(tx, keyActor(context.caller), id, input.note ?? ''));
      }),

    approveReleaseRequest: (_: unknown, { input }: ById, context: Context) =>
      payload<{ request: ReleaseRequest | null; released: boolean }>({ request: null, released: false }, () => {
        const id = requireId('ReleaseRequest', input.id, 'id');
        return context.write((tx) => approveRequest(tx, keyActor(context.caller), id));
      }),

    denyReleaseRequest: (_: unknown, { input }: Input<{ id: string; note?: string | null }>, context: Context) =>
      payload<{ request: ReleaseRequest | null; denied: boolean }>({ request: null, denied: false }, () => {
        const id = requireId('ReleaseRequest', input.id, 'id');
        return context.write((tx) => denyRequest(tx, keyActor(context.caller), id, input.note ?? ''));
      }),

    actOnDeliveries: (
      _: unknown,
      { input }: Input<{ ids: readonly string[]; action: BulkAction } & Choice>,
      context: Context,
    ) =>
      payload<{ results: readonly Done[]; changed: number; failed: number }>(
        { results: [], changed: 0, failed: 0 },
        async () => {
          if (input.ids.length === 0 || input.ids.length > BULK_IDS_MAX) {
            throw new AppError('invalid_input', `1 to ${BULK_IDS_MAX} ids at once`, { field: 'ids' });
          }
          // An id that is none is one result like any other, and stops nothing.
          const named = new Map<string, string>();
          const unknown: Done[] = [];
          for (const id of new Set(input.ids)) {
            try {
              const uuid = deliveryId(id);
              if (!named.has(uuid)) named.set(uuid, id);
            } catch (error) {
              if (!(error instanceof AppError)) throw error;
              unknown.push(doneOf(id, { id, changed: false, error }));
            }
          }
          const write = context.write.bind(context);
          const actor = keyActor(context.caller);
          const results = await actOnAll(write, actor, input.action, [...named.keys()], choiceOf(input));
          const done = [...results.map((one) => doneOf(named.get(one.id) ?? one.id, one)), ...unknown];
          const { changed, failed } = count(results);
          return { results: done, changed, failed: failed + unknown.length };
        },
      ),

    actOnQuarantine: (
      _: unknown,
      { input }: Input<{ filter: FilterInput; action: BulkAction; dryRun?: boolean | null } & Choice>,
      context: Context,
    ) =>
      payload<{ matched: number; acted: number; changed: number; failed: number; failures: readonly Done[] }>(
        { matched: 0, acted: 0, changed: 0, failed: 0, failures: [] },
        async () => {
          if (input.action === 'report_spam') {
            throw new AppError('invalid_input', 'what is in quarantine is not reported as spam', { field: 'action' });
          }
          const filter = filterOf(input.filter);
          const actor = keyActor(context.caller);
          const write = context.write.bind(context);
          const { ids, matched } = await write((tx) => selectHeld(tx, actor, filter, BULK_FILTER_MAX));
          if (input.dryRun === true) return { matched, acted: 0, changed: 0, failed: 0, failures: [] };
          const results = await actOnAll(write, actor, input.action, ids, choiceOf(input));
          const failures = results.filter((one) => one.error !== null);
          return {
            matched,
            acted: results.length,
            ...count(results),
            failures: failures.slice(0, BULK_IDS_MAX).map((one) => doneOf(globalId('Delivery', one.id), one)),
          };
        },
      ),

    replyToDelivery: (
      _: unknown,
      { input }: Input<{ id: string; text: string; subject?: string | null }>,
      context: Context,
    ) =>
      payload<{ delivery: DeliveryRow | null; sent: boolean }>({ delivery: null, sent: false }, async () => {
        const id = deliveryId(input.id);
        await context.read((tx) => required(tx, getDeliveries, id, 'delivery'));
        await context.forget();
        const { deliveryId: answer, sent } = await context.commands.replyToDelivery(
          context.caller,
          keyActor(context.caller),
          { deliveryId: id, text: input.text, subject: input.subject ?? null },
        );
        return { delivery: await context.read((tx) => required(tx, getDeliveries, answer, 'delivery')), sent };
      }),

    setQuarantineRetention: (
      _: unknown,
      { input }: Input<{ clientId: string; days: number; malwareDays?: number | null }>,
      context: Context,
    ) =>
      payload<{ client: Client | null }>({ client: null }, () => {
        const id = requireId('Client', input.clientId, 'clientId');
        return context.write(async (tx) => {
          const given = { days: input.days, malwareDays: input.malwareDays ?? null };
          await setRetention(tx, id, given, context.caller.actor);
          return { client: await requireClient(tx, id) };
        });
      }),
  },
};

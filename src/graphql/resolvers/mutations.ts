import { getRuns, type RunRow } from '../../../reports/run-list.ts';
import { requireClient } from '../../accounts/clients.ts';
import { getPlans, type PlanRow } from '../../billing/read.ts';
import { AppError } from '../../core/errors.ts';
import type { TenantTx } from '../../db/db.ts';
import { type DeliveryRow, getDeliveries } from '../../ledger/read.ts';
import { keyActor, requireRelease } from '../../quarantine/rights.ts';
import { getIncidents, type IncidentRow } from '../../tickets/read.ts';
import type { Context } from '../context.ts';
import { requireId, uuidOf } from '../ids.ts';
import { payload } from '../payload.ts';
import { requirePeriod } from './statistics.ts';
import type { Resolvers } from './types.ts';

type Input<T> = { readonly input: T };
type ById = Input<{ readonly id: string }>;

const RESOLUTION_MAX = 1_000;
const REPORT_DAYS_MAX = 800;

/** The one row of an id. Throws `not_found`, for another tenant's id alike. */
export async function required<T>(
  tx: TenantTx,
  get: (tx: TenantTx, ids: readonly string[]) => Promise<T[]>,
  id: string,
  what: string,
): Promise<T> {
  const [row] = await get(tx, [id]);
  if (row === undefined) throw new AppError('not_found', `no such ${what}`, { field: 'id' });
  return row;
}

/** The UUID of a delivery, named by its own id or that of its quarantine item. Throws `not_found`. */
export const deliveryId = (id: string): string =>
  uuidOf('Delivery', id) ?? uuidOf('QuarantineItem', id) ?? requireId('Delivery', id, 'id');

export const commandMutations: Resolvers = {
  Mutation: {
    releaseDelivery: (_: unknown, { input }: ById, context: Context) =>
      payload<{ delivery: DeliveryRow | null; released: boolean }>({ delivery: null, released: false }, () => {
        const id = deliveryId(input.id);
        return context.write(async (tx) => {
          const actor = keyActor(context.caller);
          requireRelease(actor.role, await required(tx, getDeliveries, id, 'delivery'));
          const { released } = await context.commands.releaseDelivery(tx, id, actor);
          return { delivery: await required(tx, getDeliveries, id, 'delivery'), released };
        });
      }),

    discardDelivery: (_: unknown, { input }: ById, context: Context) =>
      payload<{ delivery: DeliveryRow | null; discarded: boolean }>({ delivery: null, discarded: false }, () => {
        const id = deliveryId(input.id);
        return context.write(async (tx) => {
          await required(tx, getDeliveries, id, 'delivery');
          const { discarded } = await context.commands.discardDelivery(tx, id, keyActor(context.caller));
          return { delivery: await required(tx, getDeliveries, id, 'delivery'), discarded };
        });
      }),

    resolveIncident: (_: unknown, { input }: Input<{ id: string; resolution: string }>, context: Context) =>
      payload<{ incident: IncidentRow | null }>({ incident: null }, () => {
        const id = requireId('Incident', input.id, 'id');
        const resolution = input.resolution.trim();
        if (resolution === '' || resolution.length > RESOLUTION_MAX) {
          throw new AppError('invalid_input', `a resolution has 1 to ${RESOLUTION_MAX} characters`, {
            field: 'resolution',
          });
        }
        return context.write(async (tx) => {
          await required(tx, getIncidents, id, 'incident');
          await context.commands.resolveIncident(tx, id, resolution, context.caller.actor);
          return { incident: await required(tx, getIncidents, id, 'incident') };
        });
      }),

    requestReport: (
      _: unknown,
      { input }: Input<{ clientId: string; report: string; from: string; to: string }>,
      context: Context,
    ) =>
      payload<{ reportRun: RunRow | null }>({ reportRun: null }, () => {
        const clientId = requireId('Client', input.clientId, 'clientId');
        return context.write(async (tx) => {
          const client = await requireClient(tx, clientId);
          const { from, to } = requirePeriod(input, client.timeZone, REPORT_DAYS_MAX);
          const wanted = { clientId, report: input.report, from, to };
          const { id } = await context.commands.requestReport(tx, wanted, context.caller.actor);
          return { reportRun: await required(tx, getRuns, id, 'report run') };
        });
      }),

    createBillingPlan: (
      _: unknown,
      { input }: Input<{ usageDay: string; allowLargeChanges?: boolean | null }>,
      context: Context,
    ) =>
      payload<{ plan: PlanRow | null }>({ plan: null }, async () => {
        // It asks the PSA, which takes its time: no transaction is held meanwhile.
        await context.forget();
        const { id } = await context.commands.createBillingPlan(
          context.caller,
          input.usageDay,
          input.allowLargeChanges === true,
        );
        return { plan: await context.read((tx) => required(tx, getPlans, id, 'billing plan')) };
      }),

    approveBillingPlan: (_: unknown, { input }: ById, context: Context) =>
      payload<{ plan: PlanRow | null }>({ plan: null }, () => {
        const id = requireId('BillingPlan', input.id, 'id');
        return context.write(async (tx) => {
          await required(tx, getPlans, id, 'billing plan');
          await context.commands.approveBillingPlan(tx, id, context.caller.actor);
          return { plan: await required(tx, getPlans, id, 'billing plan') };
        });
      }),

    applyBillingPlan: (_: unknown, { input }: ById, context: Context) =>
      payload<{ plan: PlanRow | null }>({ plan: null }, async () => {
        const id = requireId('BillingPlan', input.id, 'id');
        await context.forget();
        await context.read((tx) => required(tx, getPlans, id, 'billing plan'));
        await context.forget();
        await context.commands.applyBillingPlan(context.caller, id);
        return { plan: await context.read((tx) => required(tx, getPlans, id, 'billing plan')) };
      }),
  },
};

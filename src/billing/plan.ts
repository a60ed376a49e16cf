import { recordAudit } from '../accounts/audit.ts';
import type { Clock } from '../core/clock.ts';
import { AppError } from '../core/errors.ts';
import { newId } from '../core/id.ts';
import type { Logger } from '../core/log.ts';
import { addDays, localDate, parseDate } from '../core/period.ts';
import type { Psa } from '../core/psa.ts';
import type { PartnerId } from '../core/tenant.ts';
import type { TenantDb, TenantTx } from '../db/db.ts';
import { sql } from '../db/sql.ts';
import { groupBy } from './group.ts';
import {
  DEFAULT_LIMITS,
  heldBefore,
  type LineInput,
  type LineRead,
  type PlanLimits,
  type PlannedLine,
  planLine,
} from './line.ts';
import { MAILBOX_PROTECTION } from './usage.ts';

export interface BillingDeps {
  readonly db: TenantDb;
  /** Throws AppError `not_found` when the connection is gone. */
  readonly psaFor: (connectionId: string, partnerId: string) => Promise<Psa>;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Called between the steps, by name: tests crash here. */
  readonly fault?: (name: string) => Promise<void> | void;
}

export interface PlanOptions {
  readonly actor?: string;
  /** Lines beyond them are held; DEFAULT_LIMITS unless said. Null: a person answers for every line. */
  readonly limits?: PlanLimits | null;
}

/** Older usage says nothing of what is to be billed now. */
const USAGE_AGE_MAX_DAYS = 31;

/**
 * Computes the difference between the usage of a day (`YYYY-MM-DD`) and what the PSA bills, for every client with usage or a
 * subscription. Reads the PSA and writes nothing there; no transaction is open meanwhile. Plans of the partner that were not
 * begun are superseded. Throws `conflict` while a plan is being applied, `invalid_input` for a day that is not to be billed.
 */
export async function createPlan(
  deps: BillingDeps,
  partner: PartnerId,
  usageDay: string,
  options: PlanOptions = {},
): Promise<{ id: string }> {
  requireUsageDay(usageDay, deps.clock.now());
  const inputs = await deps.db.tenant(partner, async (tx) => {
    await refuseWhileApplying(tx);
    return readInputs(tx, usageDay);
  });
  const reads = await readLines(deps, partner, inputs);
  const lines = inputs.map((input) => ({
    input,
    price: priceOf(reads.get(input)),
    line: planLine(input, reads.get(input) ?? null, options.limits === undefined ? DEFAULT_LIMITS : options.limits),
  }));
  return deps.db.tenant(partner, async (tx) => {
    await tx.run(sql`select pg_advisory_xact_lock(hashtextextended(${`billing|${partner}`}, 0))`);
    await refuseWhileApplying(tx);
    await tx.run(sql`
      update billing_plans set state = 'superseded', finished_at = ${tx.now}
      where partner_id = ${partner} and state in ('planned', 'approved')`);
    const id = newId();
    await insertPlan(tx, id, usageDay, lines);
    await recordAudit(tx, {
      partnerId: partner,
      actor: options.actor ?? 'job:billing',
      action: 'billing.plan',
      subject: id,
      details: { usageDay, planned: lines.filter(({ line }) => line.state === 'planned').length },
    });
    return { id };
  });
}

function requireUsageDay(day: string, now: Date): void {
  parseDate(day, 'usageDay');
  // Some client may be a day ahead of UTC; UTC+14 is the furthest.
  const latest = localDate(now, 'Pacific/Kiritimati');
  if (day > latest) throw new AppError('invalid_input', `${day} has not been yet`, { field: 'usageDay' });
  if (day < addDays(latest, -USAGE_AGE_MAX_DAYS)) {
    throw new AppError('invalid_input', `usage of ${day} is too old to be billed now`, { field: 'usageDay' });
  }
}

async function refuseWhileApplying(tx: TenantTx): Promise<void> {
  const applying = await tx.maybe<{ id: string }>(sql`
    select id from billing_plans where partner_id = ${tx.partnerId} and state = 'applying'`);
  if (applying !== null) {
    throw new AppError('conflict', 'a plan is being applied; a new one can be made when it has ended');
  }
}

interface InputRow {
  client_id: string;
  status: 'active' | 'suspended';
  time_zone: string;
  /** The snapshots of the day before, the day and the day after. */
  snapshots: Readonly<Record<string, number>> | null;
  first_day: string | null;
  line_connection: string | null;
  contract_id: string | null;
  line_id: string | null;
  map_connection: string | null;
  company_id: string | null;
  map_state: 'ok' | 'needs_attention' | null;
}

/**
 * A plan names one date for clients of all zones. A client takes its own day of that date; one whose zone has not reached
 * it takes the day before, and one that was first counted after it (its zone was ahead already) that first day. Null: the
 * day has no snapshot, and none is made up.
 */
function quantityOn(row: InputRow, usageDay: string, now: Date): number | null {
  const own = row.snapshots?.[usageDay];
  if (own !== undefined) return own;
  if (localDate(now, row.time_zone) < usageDay) return row.snapshots?.[addDays(usageDay, -1)] ?? null;
  const next = addDays(usageDay, 1);
  return row.first_day === next ? (row.snapshots?.[next] ?? null) : null;
}

async function readInputs(tx: TenantTx, usageDay: string): Promise<LineInput[]> {
  const rows = await tx.rows<InputRow>(sql`
    select c.id as client_id, c.status, c.time_zone, u.snapshots, u.first_day, s.connection_id as line_connection,
           s.contract_id, s.line_id, m.connection_id as map_connection, m.company_id, m.state as map_state
    from clients c
    left join lateral (
      select jsonb_object_agg(x.day::text, x.quantity)
               filter (where x.day between ${usageDay}::date - 1 and ${usageDay}::date + 1) as snapshots,
             min(x.day) as first_day
      from usage_snapshots x
      where x.partner_id = c.partner_id and x.client_id = c.id and x.product = ${MAILBOX_PROTECTION}) as u on true
    left join subscriptions s on s.partner_id = c.partner_id and s.client_id = c.id and s.product = ${MAILBOX_PROTECTION}
    left join psa_mappings m on m.partner_id = c.partner_id and m.client_id = c.id
    where c.partner_id = ${tx.partnerId} and (u.snapshots is not null or s.client_id is not null)
    order by c.id`);
  return rows.map((row) => ({
    clientId: row.client_id,
    product: MAILBOX_PROTECTION,
    clientStatus: row.status,
    timeZone: row.time_zone,
    quantity: quantityOn(row, usageDay, tx.now),
    subscription:
      row.line_connection === null || row.contract_id === null || row.line_id === null
        ? null
        : { connectionId: row.line_connection, contractId: row.contract_id, lineId: row.line_id },
    mapping:
      row.map_connection === null || row.company_id === null || row.map_state === null
        ? null
        : { connectionId: row.map_connection, companyId: row.company_id, state: row.map_state },
  }));
}

/** Asks each PSA in turn, the PSAs side by side. One that does not answer is not asked for the rest of its lines. */
async function readLines(
  deps: BillingDeps,
  partner: PartnerId,
  inputs: readonly LineInput[],
): Promise<Map<LineInput, LineRead>> {
  const reads = new Map<LineInput, LineRead>();
  const wanted = inputs.filter((input) => heldBefore(input) === null);
  const connections = groupBy(wanted, (input) => input.subscription?.connectionId ?? '');
  await Promise.all(
    [...connections].map(async ([connectionId, group]) => {
      try {
        const psa = await deps.psaFor(connectionId, partner);
        for (const input of group) reads.set(input, await readLine(psa, input, deps.clock.now()));
      } catch (error) {
        deps.logger.warn({ connection: connectionId, err: error }, 'a PSA could not be read; its lines are held');
        for (const input of group) if (!reads.has(input)) reads.set(input, { kind: 'failed' });
      }
    }),
  );
  return reads;
}

/** What the line holds on the first day from which a change would touch nothing that is billed. */
async function readLine(psa: Psa, input: LineInput, now: Date): Promise<LineRead> {
  if (input.subscription === null) return { kind: 'missing' };
  const today = localDate(now, input.timeZone);
  const first = await psa.readSubscription(input.subscription, today);
  if (first === null) return { kind: 'missing' };
  if (first.earliestEffectiveDate <= today) return { kind: 'read', subscription: first, effectiveDate: today };
  const effectiveDate = first.earliestEffectiveDate;
  const then = await psa.readSubscription(input.subscription, effectiveDate);
  return then === null ? { kind: 'missing' } : { kind: 'read', subscription: then, effectiveDate };
}

interface Price {
  /** Decimal. */
  readonly amount: string;
  /** ISO 4217. */
  readonly currency: string;
}

/** What the PSA charges for a unit; null where it does not say, or not in which currency. */
function priceOf(read: LineRead | undefined): Price | null {
  if (read?.kind !== 'read') return null;
  const { unitPrice, currency } = read.subscription;
  return unitPrice === null || currency === null || !/^[A-Z]{3}$/.test(currency)
    ? null
    : { amount: unitPrice, currency };
}

async function insertPlan(
  tx: TenantTx,
  id: string,
  usageDay: string,
  lines: readonly { readonly input: LineInput; readonly line: PlannedLine; readonly price: Price | null }[],
): Promise<void> {
  await tx.run(sql`
    insert into billing_plans (partner_id, id, usage_day, state, created_at)
    values (${tx.partnerId}, ${id}, ${usageDay}, 'planned', ${tx.now})`);
  await tx.run(sql`
    insert into billing_lines (partner_id, plan_id, client_id, product, connection_id, contract_id, line_id, before_quantity,
                               target_quantity, effective_date, state, reason, unit_price, currency)
    select ${tx.partnerId}::uuid, ${id}::uuid, l.client_id, l.product, l.connection_id, l.contract_id, l.line_id, l.before,
           l.target, l.effective_date, l.state, l.reason, l.unit_price, l.currency
    from unnest(${lines.map(({ input }) => input.clientId)}::uuid[],
                ${lines.map(({ input }) => input.product)}::text[],
                ${lines.map(({ input }) => input.subscription?.connectionId ?? null)}::uuid[],
                ${lines.map(({ input }) => input.subscription?.contractId ?? null)}::text[],
                ${lines.map(({ input }) => input.subscription?.lineId ?? null)}::text[],
                ${lines.map(({ line }) => line.before)}::int[],
                ${lines.map(({ line }) => line.target)}::int[],
                ${lines.map(({ line }) => line.effectiveDate)}::date[],
                ${lines.map(({ line }) => line.state)}::text[],
                ${lines.map(({ line }) => line.reason)}::text[],
                ${lines.map(({ price }) => price?.amount ?? null)}::numeric[],
                ${lines.map(({ price }) => price?.currency ?? null)}::text[])
      as l (client_id, product, connection_id, contract_id, line_id, before, target, effective_date, state, reason,
            unit_price, currency)`);
}

/** A person says yes. Approving again changes nothing. Throws `not_found`, or `conflict` when the plan is beyond approval. */
export async function approvePlan(tx: TenantTx, planId: string, actor: string): Promise<void> {
  const approved = await tx.run(sql`
    update billing_plans set state = 'approved', approved_at = ${tx.now}, approved_by = ${actor}
    where partner_id = ${tx.partnerId} and id = ${planId} and state = 'planned'`);
  if (approved > 0) {
    await recordAudit(tx, { partnerId: tx.partnerId, actor, action: 'billing.approve', subject: planId });
    return;
  }
  const plan = await tx.maybe<{ state: string }>(sql`
    select state from billing_plans where partner_id = ${tx.partnerId} and id = ${planId}`);
  if (plan === null) throw new AppError('not_found', 'no such billing plan', { field: 'id' });
  if (plan.state === 'superseded') {
    throw new AppError('conflict', 'the plan was superseded by a newer one', { field: 'id' });
  }
}

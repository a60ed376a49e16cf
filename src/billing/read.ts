import type { TenantTx } from '../db/db.ts';
import { sql } from '../db/sql.ts';

/** A computed difference between usage and what the PSA bills. Days are `YYYY-MM-DD`. */
export interface PlanRow {
  readonly id: string;
  readonly usageDay: string;
  readonly state: 'planned' | 'approved' | 'applying' | 'applied' | 'failed' | 'superseded';
  readonly createdAt: Date;
  readonly approvedAt: Date | null;
  readonly approvedBy: string | null;
  readonly finishedAt: Date | null;
}

/** Quantities are null where they are not known (rule 4). */
export interface LineRow {
  readonly clientId: string;
  readonly product: string;
  readonly contractId: string | null;
  readonly lineId: string | null;
  readonly before: number | null;
  readonly target: number | null;
  readonly after: number | null;
  readonly effectiveDate: string | null;
  /** Decimal; null: the PSA names no price, or none with a currency. */
  readonly unitPrice: string | null;
  readonly currency: string | null;
  readonly state: 'unchanged' | 'planned' | 'held' | 'sending' | 'sent' | 'verified' | 'drift' | 'failed';
  readonly reason: string | null;
}

/** A page of plans, newest first. `after` is the last one's making and id. */
export async function listPlans(
  tx: TenantTx,
  page: { readonly first: number; readonly after: { readonly at: Date; readonly id: string } | null },
): Promise<PlanRow[]> {
  return tx.rows<PlanRow>(sql`
    select p.id, p.usage_day as "usageDay", p.state, p.created_at as "createdAt", p.approved_at as "approvedAt",
           p.approved_by as "approvedBy", p.finished_at as "finishedAt"
    from billing_plans p
    where p.partner_id = ${tx.partnerId}
      and (${page.after?.id ?? null}::uuid is null
           or (p.created_at, p.id) < (${page.after?.at ?? null}::timestamptz, ${page.after?.id ?? null}::uuid))
    order by p.created_at desc, p.id desc limit ${page.first}`);
}

/** Those of the ids that exist, in no special order. */
export async function getPlans(tx: TenantTx, ids: readonly string[]): Promise<PlanRow[]> {
  return tx.rows<PlanRow>(sql`
    select p.id, p.usage_day as "usageDay", p.state, p.created_at as "createdAt", p.approved_at as "approvedAt",
           p.approved_by as "approvedBy", p.finished_at as "finishedAt"
    from billing_plans p where p.partner_id = ${tx.partnerId} and p.id = any(${[...ids]}::uuid[])`);
}

/** How many lines of a plan are how far. `waiting`: not ended. */
export interface LineCounts {
  /** Written and read back. */
  readonly applied: number;
  readonly unchanged: number;
  readonly held: number;
  /** Refused, certainly not applied, or found at a quantity that nobody expected (drift). */
  readonly failed: number;
  readonly waiting: number;
}

/** Of each plan that has lines, how many are how far. */
export async function countLines(tx: TenantTx, planIds: readonly string[]): Promise<Map<string, LineCounts>> {
  const rows = await tx.rows<LineCounts & { planId: string }>(sql`
    select l.plan_id as "planId",
           count(*) filter (where l.state = 'verified') as applied,
           count(*) filter (where l.state = 'unchanged') as unchanged,
           count(*) filter (where l.state = 'held') as held,
           count(*) filter (where l.state in ('failed', 'drift')) as failed,
           count(*) filter (where l.state in ('planned', 'sending', 'sent')) as waiting
    from billing_lines l
    where l.partner_id = ${tx.partnerId} and l.plan_id = any(${[...planIds]}::uuid[])
    group by l.plan_id`);
  return new Map(rows.map(({ planId, ...counts }) => [planId, counts]));
}

/** A page of a plan's lines by client and product. */
export async function listLines(
  tx: TenantTx,
  planId: string,
  page: { readonly first: number; readonly after: { readonly clientId: string; readonly product: string } | null },
): Promise<LineRow[]> {
  return tx.rows<LineRow>(sql`
    select l.client_id as "clientId", l.product, l.contract_id as "contractId", l.line_id as "lineId",
           l.before_quantity as before, l.target_quantity as target, l.after_quantity as after,
           l.effective_date as "effectiveDate", l.unit_price as "unitPrice", l.currency, l.state, l.reason
    from billing_lines l
    where l.partner_id = ${tx.partnerId} and l.plan_id = ${planId}
      and (${page.after?.clientId ?? null}::uuid is null
           or (l.client_id, l.product) > (${page.after?.clientId ?? null}::uuid, ${page.after?.product ?? null}::text))
    order by l.client_id, l.product limit ${page.first}`);
}

/** The billable mailboxes of one client and product on one day. */
export interface UsageRow {
  readonly clientId: string;
  readonly product: string;
  readonly day: string;
  readonly quantity: number;
  readonly addresses: readonly string[];
  readonly takenAt: Date;
}

/** Usage of clients from `from` to `to`, both included, newest day first. */
export async function usageOf(
  tx: TenantTx,
  clientIds: readonly string[],
  days: { readonly from: string; readonly to: string },
): Promise<UsageRow[]> {
  return tx.rows<UsageRow>(sql`
    select u.client_id as "clientId", u.product, u.day, u.quantity, u.addresses, u.taken_at as "takenAt"
    from usage_snapshots u
    where u.partner_id = ${tx.partnerId} and u.client_id = any(${[...clientIds]}::uuid[])
      and u.day between ${days.from} and ${days.to}
    order by u.day desc, u.product`);
}

/** Which line of the PSA bills a product of a client. */
export interface SubscriptionRow {
  readonly clientId: string;
  readonly product: string;
  readonly contractId: string;
  readonly lineId: string;
}

export async function subscriptionsOf(tx: TenantTx, clientIds: readonly string[]): Promise<SubscriptionRow[]> {
  return tx.rows<SubscriptionRow>(sql`
    select s.client_id as "clientId", s.product, s.contract_id as "contractId", s.line_id as "lineId"
    from subscriptions s
    where s.partner_id = ${tx.partnerId} and s.client_id = any(${[...clientIds]}::uuid[]) order by s.product`);
}

/** Seats of a client and product as the PSA bills them. */
export interface SeatsRow {
  readonly clientId: string;
  readonly product: string;
  /** The quantity that was last read from the PSA; null: none was read yet. */
  readonly seats: number | null;
}

/** Of each subscription of a client, or of all, the quantity of the newest plan line in which one was read. */
export async function seatsOf(tx: TenantTx, clientId: string | null): Promise<SeatsRow[]> {
  return tx.rows<SeatsRow>(sql`
    select s.client_id as "clientId", s.product, l.quantity as seats
    from subscriptions s
    left join lateral (
      select coalesce(b.after_quantity, b.before_quantity) as quantity
      from billing_lines b join billing_plans p on p.partner_id = b.partner_id and p.id = b.plan_id
      where b.partner_id = s.partner_id and b.client_id = s.client_id and b.product = s.product
        and b.contract_id = s.contract_id and b.line_id = s.line_id
        and coalesce(b.after_quantity, b.before_quantity) is not null
      order by p.created_at desc, p.id desc limit 1) l on true
    where s.partner_id = ${tx.partnerId} and (${clientId}::uuid is null or s.client_id = ${clientId}::uuid)
    order by s.client_id, s.product`);
}

/** The newest usage of each client and product up to a day. */
export async function latestUsage(
  tx: TenantTx,
  clientId: string | null,
  day: string,
): Promise<Pick<UsageRow, 'clientId' | 'product' | 'day' | 'quantity'>[]> {
  return tx.rows(sql`
    select distinct on (u.client_id, u.product) u.client_id as "clientId", u.product, u.day, u.quantity
    from usage_snapshots u
    where u.partner_id = ${tx.partnerId} and (${clientId}::uuid is null or u.client_id = ${clientId}::uuid)
      and u.day <= ${day}::date and u.day > ${day}::date - 7
    order by u.client_id, u.product, u.day desc`);
}

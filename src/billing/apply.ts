import { AppError, errorCode, publicMessage } from '../core/errors.ts';
import type { Psa } from '../core/psa.ts';
import type { PartnerId } from '../core/tenant.ts';
import type { TenantTx } from '../db/db.ts';
import { sql } from '../db/sql.ts';
import { asPartner, type BillingDeps, readLine, SETTLE_MS } from './deps.ts';

interface Line {
  readonly clientId: string;
  readonly product: string;
  readonly connectionId: string;
  readonly contractId: string;
  readonly lineId: string;
  readonly before: number;
  readonly target: number;
  readonly effectiveDate: string;
  readonly state: 'planned' | 'sending';
  readonly sentAt: Date | null;
}

export type ApplyResult = 'applied' | 'failed' | 'waiting';

/**
 * Carries out an approved plan. Line by line: read again; write the intent and commit it; send one change; read back.
 *
 * - A line that differs from what the plan saw is `drift`: somebody else changed it, a person decides.
 * - A change whose answer was lost is not sent again until the settle time has passed and a reading shows the old quantity.
 * - Whoever applies an applied plan changes nothing; a crash at any point is taken up where it was (rule 7).
 *
 * `waiting`: something has to settle or the PSA is down; call again later. Throws `not_found` and `conflict`.
 */
export async function applyPlan(deps: BillingDeps, partner: string, planId: string): Promise<ApplyResult> {
  const id = asPartner(partner);
  const state = await deps.db.tenant(id, (tx) => beginPlan(tx, planId));
  if (state === 'applied' || state === 'failed') return state;
  const lines = await deps.db.tenant(id, (tx) => listOpen(tx, planId), { readOnly: true });
  for (const line of lines) {
    try {
      await applyLine(deps, id, planId, line);
    } catch (error) {
      const code = errorCode(error);
      if (code === 'internal') throw error;
      deps.logger.warn(
        { planId, clientId: line.clientId, code },
        `a billed line could not be brought up to date: ${publicMessage(error)}`,
      );
    }
  }
  return deps.db.tenant(id, (tx) => finishPlan(tx, planId));
}

async function beginPlan(tx: TenantTx, planId: string): Promise<string> {
  await tx.run(sql`
    update billing_plans set state = 'applying' where partner_id = ${tx.partnerId} and id = ${planId} and state = 'approved'`);
  const plan = await tx.maybe<{ state: string }>(sql`
    select state from billing_plans where partner_id = ${tx.partnerId} and id = ${planId}`);
  if (plan === null) throw new AppError('not_found', 'no such plan');
  if (!['applying', 'applied', 'failed'].includes(plan.state))
    throw new AppError('conflict', `the plan is ${plan.state}, not approved`);
  return plan.state;
}

function listOpen(tx: TenantTx, planId: string): Promise<Line[]> {
  return tx.rows<Line>(sql`
    select l.client_id as "clientId", l.product, l.connection_id as "connectionId", l.contract_id as "contractId",
           l.line_id as "lineId", l.before_quantity as before, l.target_quantity as target, l.effective_date as "effectiveDate",
           l.state, l.sent_at as "sentAt"
    from billing_lines l
    where l.partner_id = ${tx.partnerId} and l.plan_id = ${planId} and l.state in ('planned', 'sending')
    order by l.client_id, l.product`);
}

async function applyLine(deps: BillingDeps, partner: PartnerId, planId: string, line: Line): Promise<void> {
  const psa = await deps.psaFor(partner, line.connectionId);
  if (line.state === 'sending') return settle(deps, partner, planId, line, psa);
  const now = await readLine(psa, line, today(deps));
  if (now === null || now.status !== 'active')
    return void (await move(deps, partner, planId, line, {
      state: 'failed',
      reason: 'the line is gone or not active',
    }));
  if (now.quantity === line.target)
    return void (await move(deps, partner, planId, line, { state: 'verified', after: now.quantity }));
  if (now.quantity !== line.before || now.earliestEffectiveDate > line.effectiveDate) {
    return void (await move(deps, partner, planId, line, {
      state: 'drift',
      reason: 'changed in the PSA since the plan was made',
      after: now.quantity,
    }));
  }
  // Intent first, committed: from here on a crash is answered by reading, not by sending again.
  const sentAt = deps.clock.now();
  if (!(await move(deps, partner, planId, line, { state: 'sending', sentAt }))) return;
  deps.fault?.('after intent');
  const sending: Line = { ...line, state: 'sending', sentAt };
  try {
    await psa.writeQuantity(line, { before: line.before, target: line.target, effectiveDate: line.effectiveDate });
  } catch (error) {
    return afterFailure(deps, partner, planId, sending, error);
  }
  deps.fault?.('after write');
  await verifyLine(deps, partner, planId, sending, psa);
}

/** What a write that failed means: surely not done, surely refused, or unknown. */
async function afterFailure(
  deps: BillingDeps,
  partner: PartnerId,
  planId: string,
  line: Line,
  error: unknown,
): Promise<void> {
  const code = errorCode(error);
  if (code === 'upstream_ambiguous' || code === 'internal') throw error;
  const reason = publicMessage(error).slice(0, 300);
  const refused =
    code === 'upstream_rejected' || code === 'invalid_input' || code === 'conflict' || code === 'not_found';
  await move(
    deps,
    partner,
    planId,
    line,
    refused ? { state: 'failed', reason } : { state: 'planned', reason, sentAt: null },
  );
}

async function verifyLine(deps: BillingDeps, partner: PartnerId, planId: string, line: Line, psa: Psa): Promise<void> {
  const after = await psa.readSubscription(line, line.effectiveDate);
  deps.fault?.('after read back');
  if (after?.quantity === line.target) {
    await move(deps, partner, planId, line, { state: 'verified', after: after.quantity });
  }
  // Anything else may still be on its way: the settle time decides.
}

/** A line whose request went out earlier, with an answer that nobody knows. */
async function settle(deps: BillingDeps, partner: PartnerId, planId: string, line: Line, psa: Psa): Promise<void> {
  const read = await psa.readSubscription(line, line.effectiveDate);
  if (read?.quantity === line.target) {
    return void (await move(deps, partner, planId, line, { state: 'verified', after: read.quantity }));
  }
  const over = (line.sentAt?.getTime() ?? 0) + (deps.settleMs ?? SETTLE_MS) <= deps.clock.now().getTime();
  if (!over) return;
  if (read?.quantity === line.before) {
    // It never took effect, and can't any more: it may be sent again.
    return void (await move(deps, partner, planId, line, { state: 'planned', sentAt: null }));
  }
  await move(deps, partner, planId, line, {
    state: 'drift',
    reason: 'neither the old nor the new quantity is in the PSA',
    after: read?.quantity ?? null,
  });
}

interface Move {
  readonly state: 'planned' | 'sending' | 'verified' | 'drift' | 'failed';
  readonly reason?: string | null;
  readonly after?: number | null;
  readonly sentAt?: Date | null;
}

/** Moves a line on if it still is where we saw it: of two appliers one wins, and only the winner sends. */
async function move(deps: BillingDeps, partner: PartnerId, planId: string, line: Line, to: Move): Promise<boolean> {
  const sentAt = to.sentAt === undefined ? line.sentAt : to.sentAt;
  const rows = await deps.db.tenant(partner, (tx) =>
    tx.run(sql`
      update billing_lines set state = ${to.state}, reason = ${to.reason ?? null}, after_quantity = ${to.after ?? null},
             sent_at = ${sentAt}, verified_at = case when ${to.state === 'verified'} then ${tx.now}::timestamptz end
      where partner_id = ${partner} and plan_id = ${planId} and client_id = ${line.clientId} and product = ${line.product}
        and state = ${line.state} and sent_at is not distinct from ${line.sentAt}::timestamptz`),
  );
  return rows > 0;
}

async function finishPlan(tx: TenantTx, planId: string): Promise<ApplyResult> {
  const counts = await tx.one<{ open: number; bad: number }>(sql`
    select count(*) filter (where l.state in ('planned', 'sending', 'sent')) as open,
           count(*) filter (where l.state in ('failed', 'drift')) as bad
    from billing_lines l where l.partner_id = ${tx.partnerId} and l.plan_id = ${planId}`);
  if (counts.open > 0) return 'waiting';
  const result = counts.bad > 0 ? 'failed' : 'applied';
  await tx.run(sql`
    update billing_plans set state = ${result}, finished_at = ${tx.now}
    where partner_id = ${tx.partnerId} and id = ${planId} and state = 'applying'`);
  return result;
}

const today = (deps: BillingDeps) => deps.clock.now().toISOString().slice(0, 10);

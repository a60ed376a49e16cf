import { recordAudit } from '../accounts/audit.ts';
import { AppError, errorCode } from '../core/errors.ts';
import type { Psa } from '../core/psa.ts';
import type { PartnerId } from '../core/tenant.ts';
import type { SystemTx, TenantTx } from '../db/db.ts';
import { isUniqueViolation } from '../db/errors.ts';
import { sql } from '../db/sql.ts';
import { groupBy } from './group.ts';
import { lineStore, type OpenLine, openLines } from './lines.ts';
import type { BillingDeps } from './plan.ts';
import { advanceLine, type LineDeps, type LineOutcome, SETTLE_MS } from './protocol.ts';

export interface ApplyResult {
  /** `applying`: some lines wait; call again from `nextAt` on. */
  readonly state: 'applying' | 'applied' | 'failed';
  readonly verified: number;
  readonly drift: number;
  readonly failed: number;
  /** Lines that are not ended. */
  readonly open: number;
  readonly nextAt: Date | null;
}

/** An approval does not stand for ever: lines that could not be written by then fail, and are planned anew. */
const APPLY_WITHIN_MS = 24 * 3_600_000;
const RETRY_MS = 30_000;

/**
 * Begins an approved plan, for a worker to go on with. A plan that is begun or ended stays as it is. Throws `not_found`, or
 * `conflict` when the plan is not approved or another plan of the partner is being applied.
 */
export async function beginApply(tx: TenantTx, planId: string, actor: string): Promise<void> {
  try {
    const begun = await tx.run(sql`
      update billing_plans set state = 'applying'
      where partner_id = ${tx.partnerId} and id = ${planId} and state = 'approved'`);
    if (begun > 0) {
      await recordAudit(tx, { partnerId: tx.partnerId, actor, action: 'billing.apply', subject: planId });
      return;
    }
  } catch (error) {
    if (isUniqueViolation(error)) throw new AppError('conflict', 'another plan is being applied', { cause: error });
    throw error;
  }
  const plan = await tx.maybe<{ state: string }>(sql`
    select state from billing_plans where partner_id = ${tx.partnerId} and id = ${planId}`);
  if (plan === null) throw new AppError('not_found', 'no such billing plan', { field: 'id' });
  if (plan.state === 'planned' || plan.state === 'superseded') {
    throw new AppError('conflict', `the plan is ${plan.state}, not approved`, { field: 'id' });
  }
}

/** Plans that were begun and are not ended: what a worker goes on with, after a crash too. */
export async function plansBegun(tx: SystemTx): Promise<{ partnerId: PartnerId; planId: string }[]> {
  return tx.rows<{ partnerId: PartnerId; planId: string }>(sql`
    select p.partner_id as "partnerId", p.id as "planId" from billing_plans p
    where p.state = 'applying' order by p.approved_at`);
}

/**
 * Applies an approved plan, or goes on with one that was begun: at any point of a crash, by several workers at once, as often
 * as it is called. Each line is written once (see protocol.ts). A plan whose lines are all verified is `applied`; one with a
 * line that drifted or failed is `failed`, which a new plan puts right. An ended plan is left alone.
 */
export async function applyPlan(
  deps: BillingDeps,
  partner: PartnerId,
  planId: string,
  actor = 'job:billing',
): Promise<ApplyResult> {
  const { approvedAt, lines } = await deps.db.tenant(partner, async (tx) => {
    await beginApply(tx, planId, actor);
    const plan = await tx.one<{ approved_at: Date }>(sql`
      select approved_at from billing_plans where partner_id = ${partner} and id = ${planId}`);
    return { approvedAt: plan.approved_at, lines: await openLines(tx, planId) };
  });
  const store = lineStore(deps.db, partner, planId, () => deps.clock.now());
  const protocol: LineDeps = { store, logger: deps.logger, fault: deps.fault ?? (() => undefined) };
  const isOverdue = deps.clock.now().getTime() - approvedAt.getTime() > APPLY_WITHIN_MS;
  const groups = groupBy(lines, ({ line }) => line.connectionId);
  const results = await Promise.allSettled(
    [...groups].map(([connectionId, group]) => applyGroup(deps, protocol, partner, connectionId, group, isOverdue)),
  );
  for (const result of results) if (result.status === 'rejected') throw result.reason;
  return deps.db.tenant(partner, (tx) => finishPlan(tx, planId));
}

/** The lines of one PSA, one after the other. */
async function applyGroup(
  deps: BillingDeps,
  protocol: LineDeps,
  partner: PartnerId,
  connectionId: string,
  group: readonly OpenLine[],
  isOverdue: boolean,
): Promise<void> {
  let psa: Psa | null = null;
  let isGone = false;
  try {
    psa = await deps.psaFor(connectionId, partner);
  } catch (error) {
    isGone = errorCode(error) === 'not_found';
    deps.logger.warn({ connection: connectionId, err: error }, 'a PSA connection cannot be used');
  }
  for (const { line, companyId } of group) {
    if (line.state === 'planned' && (isOverdue || isGone)) {
      const reason = isGone
        ? 'the connection to the PSA was removed'
        : 'it could not be written within a day of approval';
      await protocol.store.end(line, { state: 'failed', after: null, reason });
      continue;
    }
    const outcome: LineOutcome = psa === null ? 'retry' : await advanceLine(protocol, psa, line, companyId);
    if (outcome === 'retry' && line.state !== 'planned' && (isOverdue || isGone)) {
      await protocol.store.end(line, { state: 'drift', after: null, reason: 'it was sent and could not be read back' });
    }
    // A PSA that does not answer is not asked for the rest.
    if (outcome === 'retry') psa = null;
  }
}

async function finishPlan(tx: TenantTx, planId: string): Promise<ApplyResult> {
  const counts = await tx.one<{
    verified: number;
    drift: number;
    failed: number;
    open: number;
    sent_at: Date | null;
  }>(sql`
    select count(*) filter (where l.state = 'verified') as verified, count(*) filter (where l.state = 'drift') as drift,
           count(*) filter (where l.state = 'failed') as failed,
           count(*) filter (where l.state in ('planned', 'sending', 'sent')) as open,
           min(l.sent_at) filter (where l.state in ('sending', 'sent')) as sent_at
    from billing_lines l where l.partner_id = ${tx.partnerId} and l.plan_id = ${planId}`);
  const { verified, drift, failed, open } = counts;
  const base = { verified, drift, failed, open };
  if (open > 0) {
    const retry = tx.now.getTime() + RETRY_MS;
    const settled = counts.sent_at === null ? retry : counts.sent_at.getTime() + SETTLE_MS;
    return { ...base, state: 'applying', nextAt: new Date(Math.max(tx.now.getTime(), Math.min(retry, settled))) };
  }
  const state = drift + failed > 0 ? 'failed' : 'applied';
  const ended = await tx.run(sql`
    update billing_plans set state = ${state}, finished_at = ${tx.now}
    where partner_id = ${tx.partnerId} and id = ${planId} and state = 'applying'`);
  if (ended > 0) {
    await recordAudit(tx, {
      partnerId: tx.partnerId,
      actor: 'job:billing',
      action: `billing.${state}`,
      subject: planId,
      details: base,
    });
  }
  return { ...base, state, nextAt: null };
}

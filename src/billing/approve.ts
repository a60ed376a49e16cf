import { recordAudit } from '../accounts/audit.ts';
import { AppError } from '../core/errors.ts';
import type { TenantTx } from '../db/db.ts';
import { sql } from '../db/sql.ts';

/** A person's word that the plan may be applied. Throws `not_found`; `conflict` unless the plan is waiting for it. */
export async function approvePlan(tx: TenantTx, planId: string, actor: string): Promise<void> {
  const approved = await tx.run(sql`
    update billing_plans set state = 'approved', approved_at = ${tx.now}, approved_by = ${actor}
    where partner_id = ${tx.partnerId} and id = ${planId} and state = 'planned'`);
  if (approved === 0) {
    const plan = await tx.maybe<{ state: string }>(sql`
      select state from billing_plans where partner_id = ${tx.partnerId} and id = ${planId}`);
    if (plan === null) throw new AppError('not_found', 'no such plan');
    throw new AppError('conflict', `the plan is ${plan.state} and can't be approved`);
  }
  await recordAudit(tx, { partnerId: tx.partnerId, actor, action: 'billing.approve', subject: planId });
}

import { recordAudit } from '../accounts/audit.ts';
import { AppError } from '../core/errors.ts';
import type { TenantTx } from '../db/db.ts';
import { isForeignKeyViolation, isUniqueViolation } from '../db/errors.ts';
import { sql } from '../db/sql.ts';

export interface SubscriptionLink {
  readonly clientId: string;
  readonly product: string;
  readonly connectionId: string;
  readonly contractId: string;
  readonly lineId: string;
  readonly actor: string;
}

/** Says which line of the PSA bills a product of a client. Throws `conflict` when the line bills something else already. */
export async function linkSubscription(tx: TenantTx, link: SubscriptionLink): Promise<void> {
  try {
    await tx.run(sql`
      insert into subscriptions (partner_id, client_id, product, connection_id, contract_id, line_id, created_at)
      values (${tx.partnerId}, ${link.clientId}, ${link.product}, ${link.connectionId}, ${link.contractId}, ${link.lineId}, ${tx.now})
      on conflict (partner_id, client_id, product) do update set connection_id = excluded.connection_id,
        contract_id = excluded.contract_id, line_id = excluded.line_id`);
  } catch (error) {
    if (isUniqueViolation(error))
      throw new AppError('conflict', 'that line bills another client or product already', { cause: error });
    if (isForeignKeyViolation(error)) throw new AppError('not_found', 'no such client or connection', { cause: error });
    throw error;
  }
  await recordAudit(tx, {
    partnerId: tx.partnerId,
    actor: link.actor,
    action: 'billing.link',
    subject: link.clientId,
    details: { product: link.product, contractId: link.contractId, lineId: link.lineId },
  });
}

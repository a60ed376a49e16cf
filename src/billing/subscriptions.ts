import { recordAudit } from '../accounts/audit.ts';
import { requireClient } from '../accounts/clients.ts';
import { mappingOf } from '../accounts/connections.ts';
import { AppError } from '../core/errors.ts';
import { localDate } from '../core/period.ts';
import type { Subscription, SubscriptionRef } from '../core/psa.ts';
import type { PartnerId } from '../core/tenant.ts';
import type { TenantTx } from '../db/db.ts';
import { isUniqueViolation } from '../db/errors.ts';
import { sql } from '../db/sql.ts';
import { lineFault } from './line.ts';
import type { BillingDeps } from './plan.ts';
import { MAILBOX_PROTECTION } from './usage.ts';

export interface LinkInput {
  readonly clientId: string;
  readonly ref: SubscriptionRef;
  readonly product?: string;
  readonly actor: string;
}

async function companyOf(deps: BillingDeps, partner: PartnerId, clientId: string) {
  return deps.db.tenant(partner, async (tx) => {
    const client = await requireClient(tx, clientId);
    const mapping = await mappingOf(tx, partner, clientId);
    if (mapping === null)
      throw new AppError('conflict', 'the client is not mapped to a company', { field: 'clientId' });
    return { mapping, today: localDate(tx.now, client.timeZone) };
  });
}

/** The lines of the client's company in the PSA, for a person to choose from: names are never matched by themselves. */
export async function subscriptionChoices(
  deps: BillingDeps,
  partner: PartnerId,
  clientId: string,
): Promise<readonly Subscription[]> {
  const { mapping } = await companyOf(deps, partner, clientId);
  const psa = await deps.psaFor(mapping.connectionId, partner);
  return psa.listSubscriptions(mapping.companyId);
}

/**
 * Says which line of the PSA bills a product of a client. The line is read first: it must be there, be the company's, be
 * active and hold a whole number. Throws `invalid_input` or `conflict` (not mapped; the line bills something else already).
 */
export async function linkSubscription(deps: BillingDeps, partner: PartnerId, input: LinkInput): Promise<Subscription> {
  const { mapping, today } = await companyOf(deps, partner, input.clientId);
  const psa = await deps.psaFor(mapping.connectionId, partner);
  const line = await psa.readSubscription(input.ref, today);
  if (line === null) throw new AppError('invalid_input', 'the PSA has no such line', { field: 'lineId' });
  const fault = lineFault(line, mapping.companyId);
  if (fault !== null) {
    throw new AppError('invalid_input', `the line cannot be billed to: ${fault.replaceAll('_', ' ')}`, {
      field: 'lineId',
    });
  }
  const product = input.product ?? MAILBOX_PROTECTION;
  try {
    await deps.db.tenant(partner, async (tx) => {
      await tx.run(sql`
        insert into subscriptions (partner_id, client_id, product, connection_id, contract_id, line_id, created_at)
        values (${partner}, ${input.clientId}, ${product}, ${mapping.connectionId}, ${input.ref.contractId},
                ${input.ref.lineId}, ${tx.now})
        on conflict (partner_id, client_id, product) do update set connection_id = excluded.connection_id,
          contract_id = excluded.contract_id, line_id = excluded.line_id, created_at = excluded.created_at`);
      await recordAudit(tx, {
        partnerId: partner,
        actor: input.actor,
        action: 'subscription.link',
        subject: input.clientId,
        details: { product, ...input.ref, name: line.name },
      });
    });
  } catch (error) {
    if (isUniqueViolation(error, 'subscriptions_line')) {
      throw new AppError('conflict', 'that line bills another client or product already', {
        field: 'lineId',
        cause: error,
      });
    }
    throw error;
  }
  return line;
}

/** False: there was none. What a plan holds for the line is not written any more. */
export async function unlinkSubscription(
  tx: TenantTx,
  input: { readonly clientId: string; readonly product?: string; readonly actor: string },
): Promise<boolean> {
  const product = input.product ?? MAILBOX_PROTECTION;
  const removed = await tx.run(sql`
    delete from subscriptions where partner_id = ${tx.partnerId} and client_id = ${input.clientId} and product = ${product}`);
  if (removed === 0) return false;
  await recordAudit(tx, {
    partnerId: tx.partnerId,
    actor: input.actor,
    action: 'subscription.unlink',
    subject: input.clientId,
    details: { product },
  });
  return true;
}

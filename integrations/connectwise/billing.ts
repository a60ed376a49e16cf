import { z } from 'zod';
import { AppError } from '../../src/core/errors.ts';
import type { QuantityChange, Subscription, SubscriptionRef } from '../../src/core/psa.ts';
import { checkChange, day, nextDay, numericId, price, requireNumericId } from '../settings.ts';
import type { ConnectWiseClient } from './client.ts';

const agreementSchema = z.object({
  id: z.number(),
  name: z.string(),
  company: z.object({ id: z.number() }).nullish(),
  startDate: z.string().nullish(),
  endDate: z.string().nullish(),
  noEndingDateFlag: z.boolean().nullish(),
  cancelledFlag: z.boolean().nullish(),
  agreementStatus: z.string().nullish(),
  currency: z.object({ currencyCode: z.string().nullish() }).nullish(),
});
const additionSchema = z.object({
  id: z.number(),
  product: z.object({ identifier: z.string().nullish() }).nullish(),
  description: z.string().nullish(),
  /** Required here: a line without a quantity is a failed read, never a zero. */
  quantity: z.number(),
  unitPrice: z.number().nullish(),
  effectiveDate: z.string().nullish(),
  cancelledDate: z.string().nullish(),
});
type Agreement = z.infer<typeof agreementSchema>;
type Addition = z.infer<typeof additionSchema>;

/** All additions of all agreements of a company, as they stand on `today` (`YYYY-MM-DD`). */
export async function listSubscriptions(
  client: ConnectWiseClient,
  companyId: string,
  today: string,
): Promise<Subscription[]> {
  const company = numericId(companyId);
  if (company === null) return [];
  const agreements = await client.all('/finance/agreements', agreementSchema, {
    conditions: `company/id = ${company}`,
  });
  const lines: Subscription[] = [];
  for (const agreement of agreements ?? []) {
    const additions = await client.all(`/finance/agreements/${agreement.id}/additions`, additionSchema);
    lines.push(...(additions ?? []).map((addition) => subscription(agreement, addition, today, today)));
  }
  return lines;
}

export async function readSubscription(
  client: ConnectWiseClient,
  ref: SubscriptionRef,
  onDate: string,
  today: string,
): Promise<Subscription | null> {
  const [agreementId, additionId] = [numericId(ref.contractId), numericId(ref.lineId)];
  if (agreementId === null || additionId === null) return null;
  const agreement = await client.get(`/finance/agreements/${agreementId}`, agreementSchema);
  if (agreement === null) return null;
  const addition = await client.get(`/finance/agreements/${agreementId}/additions/${additionId}`, additionSchema);
  return addition === null ? null : subscription(agreement, addition, onDate, today);
}

/**
 * Quantities are absolute, so that the same change twice is one change. They hold from the moment of writing: a day in
 * the future cannot be sent, it would change what is billed until then. A day of grace, for clients east of UTC.
 */
export async function writeQuantity(
  client: ConnectWiseClient,
  ref: SubscriptionRef,
  change: QuantityChange,
  today: string,
): Promise<void> {
  checkChange(change);
  if (change.effectiveDate > nextDay(today)) {
    throw new AppError('invalid_input', 'ConnectWise changes a quantity when it is sent: send it on its day', {
      field: 'effectiveDate',
    });
  }
  const agreementId = requireNumericId(ref.contractId, 'agreement');
  const additionId = requireNumericId(ref.lineId, 'addition');
  await client.patch(
    `/finance/agreements/${agreementId}/additions/${additionId}`,
    z.object({ id: z.number() }),
    [{ op: 'replace', path: 'quantity', value: change.target }],
    change.sendBy,
  );
}

/** Posted invoices keep their quantity, so the day of writing itself is the earliest that touches nothing billed. */
function subscription(agreement: Agreement, addition: Addition, onDate: string, today: string): Subscription {
  return {
    ref: { contractId: String(agreement.id), lineId: String(addition.id) },
    companyId: agreement.company === null || agreement.company === undefined ? '' : String(agreement.company.id),
    name: addition.description ?? addition.product?.identifier ?? agreement.name,
    quantity: addition.quantity,
    unitPrice: price(addition.unitPrice),
    currency: agreement.currency?.currencyCode ?? null,
    status: status(agreement, addition, onDate),
    earliestEffectiveDate: today,
  };
}

function status(agreement: Agreement, addition: Addition, onDate: string): Subscription['status'] {
  const cancelled = day(addition.cancelledDate);
  if (agreement.cancelledFlag === true || /^(cancelled|inactive)$/i.test(agreement.agreementStatus ?? '')) {
    return 'cancelled';
  }
  if (cancelled !== null && cancelled <= onDate) return 'cancelled';
  const end = agreement.noEndingDateFlag === true ? null : day(agreement.endDate);
  if (/^expired$/i.test(agreement.agreementStatus ?? '') || (end !== null && end < onDate)) return 'expired';
  const starts = [day(agreement.startDate), day(addition.effectiveDate)];
  return starts.some((start) => start !== null && start > onDate) ? 'pending' : 'active';
}

import type { Clock } from '../core/clock.ts';
import type { Logger } from '../core/log.ts';
import type { Psa, Subscription, SubscriptionRef } from '../core/psa.ts';
import { type PartnerId, partnerId } from '../core/tenant.ts';
import type { SystemDb, TenantDb } from '../db/db.ts';

export interface BillingDeps {
  readonly db: TenantDb & SystemDb;
  /** The connector of a partner's connection. Throws AppErrors. */
  psaFor(partnerId: string, connectionId: string): Promise<Psa>;
  readonly clock: Clock;
  readonly logger: Logger;
  /** How long after a write whose answer was lost it may still take effect. Longer than a PSA's request limit. */
  readonly settleMs?: number;
  /** Called at each step's border, by crash tests. */
  readonly fault?: (step: string) => void;
}

export const SETTLE_MS = 120_000;

/**
 * A line as it stands on the first day that a change may take effect. Autotask changes the next period that is not billed
 * yet, so what holds today says nothing of what a plan has to add. Null: there is no such line.
 */
export async function readLine(psa: Psa, ref: SubscriptionRef, today: string): Promise<Subscription | null> {
  const now = await psa.readSubscription(ref, today);
  if (now === null || now.earliestEffectiveDate <= today) return now;
  const then = await psa.readSubscription(ref, now.earliestEffectiveDate);
  return then === null ? null : { ...then, earliestEffectiveDate: now.earliestEffectiveDate };
}

export function asPartner(id: string): PartnerId {
  return partnerId(id);
}

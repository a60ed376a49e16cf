import { z } from 'zod';
import { AppError } from '../core/errors.ts';
import type { SystemTx, TenantTx } from '../db/db.ts';
import { sql } from '../db/sql.ts';
import { recordAudit } from './audit.ts';
import { retentionDays } from './policy.ts';

/** Days that a client keeps held mail, and the bodies of all its mail. */
export interface Retention {
  readonly days: number;
  /** For malware; the same as `days` unless set. */
  readonly malwareDays: number;
}

export const DEFAULT_QUARANTINE_DAYS = 30;

const stored = z.object({
  quarantineDays: retentionDays.optional().catch(undefined),
  quarantineMalwareDays: retentionDays.optional().catch(undefined),
});

/** What a client's stored policy says; what does not parse counts as not said. */
export function retentionOf(policy: unknown): Retention {
  const parsed = stored.safeParse(policy ?? {});
  const days = parsed.data?.quarantineDays ?? DEFAULT_QUARANTINE_DAYS;
  return { days, malwareDays: parsed.data?.quarantineMalwareDays ?? days };
}

/** Of each of the clients, in no special order. */
export async function retentionsOf(
  tx: TenantTx,
  clientIds: readonly string[],
): Promise<{ clientId: string; retention: Retention }[]> {
  const rows = await tx.rows<{ id: string; policy: unknown }>(sql`
    select c.id, c.policy from clients c where c.partner_id = ${tx.partnerId} and c.id = any(${[...clientIds]}::uuid[])`);
  return rows.map((row) => ({ clientId: row.id, retention: retentionOf(row.policy) }));
}

/** Sets it; `malwareDays` null: as `days`. Throws `not_found` or `invalid_input`. */
export async function setRetention(
  tx: TenantTx,
  clientId: string,
  given: { readonly days: number; readonly malwareDays: number | null },
  actor: string,
): Promise<void> {
  for (const [field, value] of Object.entries(given)) {
    if (value !== null && !retentionDays.safeParse(value).success) {
      throw new AppError('invalid_input', 'mail is kept for 1 to 365 days', { field });
    }
  }
  const settings = {
    quarantineDays: given.days,
    ...(given.malwareDays === null ? {} : { quarantineMalwareDays: given.malwareDays }),
  };
  const updated = await tx.run(sql`
    update clients set policy = (policy - 'quarantineMalwareDays') || ${JSON.stringify(settings)}::jsonb
    where partner_id = ${tx.partnerId} and id = ${clientId}`);
  if (updated === 0) throw new AppError('not_found', 'no such client', { field: 'clientId' });
  await recordAudit(tx, {
    partnerId: tx.partnerId,
    actor,
    action: 'client.retention',
    subject: clientId,
    details: settings,
  });
}

/** Mail of a client that was accepted before these moments is older than it is kept. */
export interface Cutoff {
  readonly partnerId: string;
  readonly clientId: string;
  readonly before: Date;
  readonly malwareBefore: Date;
}

/** Of all clients of all partners. */
export async function retentionCutoffs(tx: SystemTx): Promise<Cutoff[]> {
  const rows = await tx.rows<{ partner_id: string; id: string; policy: unknown }>(sql`
    select c.partner_id, c.id, c.policy from clients c`);
  const ago = (days: number) => new Date(tx.now.getTime() - days * 86_400_000);
  return rows.map((row) => {
    const { days, malwareDays } = retentionOf(row.policy);
    return { partnerId: row.partner_id, clientId: row.id, before: ago(days), malwareBefore: ago(malwareDays) };
  });
}

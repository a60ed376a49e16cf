import { recordAudit } from '../accounts/audit.ts';
import { AppError } from '../core/errors.ts';
import type { TenantTx } from '../db/db.ts';
import { sql } from '../db/sql.ts';
import { COSTLY_VERDICTS, type CostlyVerdict, requireSeconds, type SecondsPerMessage, secondsOf } from './value.ts';

/** What a partner is told of unusual days: nothing, by incidents without tickets, or by incidents with tickets. */
export const ANOMALY_ALERTS = ['off', 'incident', 'ticket'] as const;
export type AnomalyAlerts = (typeof ANOMALY_ALERTS)[number];

export interface InsightSettings {
  readonly seconds: SecondsPerMessage;
  readonly anomalyAlerts: AnomalyAlerts;
}

/** The partner's settings, defaults filled in. */
export async function insightSettings(tx: TenantTx): Promise<InsightSettings> {
  const row = await tx.maybe<{ seconds: unknown; anomalyAlerts: AnomalyAlerts }>(sql`
    select s.seconds, s.anomaly_alerts as "anomalyAlerts" from insight_settings s where s.partner_id = ${tx.partnerId}`);
  return { seconds: secondsOf(row?.seconds), anomalyAlerts: row?.anomalyAlerts ?? 'incident' };
}

/** Sets the seconds of the given verdicts and keeps the others. Throws `invalid_input`. */
export async function setProtectionValue(
  tx: TenantTx,
  given: readonly { readonly verdict: string; readonly seconds: number }[],
  actor: string,
): Promise<void> {
  if (given.length === 0) throw new AppError('invalid_input', 'no verdict is given', { field: 'seconds' });
  const seconds = Object.fromEntries(
    given.map(({ verdict, seconds: value }) => [requireCostly(verdict), requireSeconds(value, 'seconds')]),
  );
  await tx.run(sql`
    insert into insight_settings as s (partner_id, seconds) values (${tx.partnerId}, ${JSON.stringify(seconds)}::jsonb)
    on conflict (partner_id) do update set seconds = s.seconds || excluded.seconds`);
  await recordAudit(tx, {
    partnerId: tx.partnerId,
    actor,
    action: 'partner.protection_value',
    subject: tx.partnerId,
    details: seconds,
  });
}

/** Sets what the partner is told of unusual days. Incidents that are open stay as they are. */
export async function setAnomalyAlerts(tx: TenantTx, alerts: AnomalyAlerts, actor: string): Promise<void> {
  await tx.run(sql`
    insert into insight_settings (partner_id, anomaly_alerts) values (${tx.partnerId}, ${alerts})
    on conflict (partner_id) do update set anomaly_alerts = excluded.anomaly_alerts`);
  await recordAudit(tx, {
    partnerId: tx.partnerId,
    actor,
    action: 'partner.anomaly_alerts',
    subject: tx.partnerId,
    details: { alerts },
  });
}

function requireCostly(verdict: string): CostlyVerdict {
  const known = COSTLY_VERDICTS.find((one) => one === verdict);
  if (known === undefined) {
    throw new AppError('invalid_input', `mail with the verdict ${verdict} costs no time`, { field: 'seconds' });
  }
  return known;
}

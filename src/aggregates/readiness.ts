import { addDays } from '../core/period.ts';
import type { TenantTx } from '../db/db.ts';
import { sql } from '../db/sql.ts';

/** Days looked at, days of them with reports, messages and share that it takes. docs/aggregates.md has the formula. */
export const READY = { window: 30, days: 14, messages: 100, share: 0.98 } as const;

export interface Readiness {
  readonly state: 'ready' | 'not_yet' | 'too_little';
  readonly from: string;
  readonly to: string;
  readonly days: number;
  /** Of sources that sent at least one aligned message within the window. */
  readonly messages: number;
  readonly aligned: number;
  /** Of sources that never did: forgeries, or senders that nobody has set up. */
  readonly otherMessages: number;
}

/**
 * Whether a domain may ask receivers to quarantine or reject what is not aligned: by the 30 UTC days before the present, of
 * reports that are authenticated or were brought in by the operator.
 */
export async function readinessOf(tx: TenantTx, domain: string): Promise<Readiness> {
  const to = addDays(tx.now.toISOString().slice(0, 10), -1);
  const from = addDays(to, 1 - READY.window);
  const row = await tx.one<{ days: number; messages: number; aligned: number; other: number }>(sql`
    with sources as (
      select d.source_ip, sum(d.messages) as messages,
             coalesce(sum(d.messages) filter (where d.dkim_aligned or d.spf_aligned), 0) as aligned
      from dmarc_records d
      join aggregate_reports a on a.partner_id = d.partner_id and a.id = d.report_id and a.standing >= 1
      where d.partner_id = ${tx.partnerId} and d.domain = ${domain} and d.day between ${from} and ${to}
      group by d.source_ip)
    select (select count(distinct day) from aggregate_reports
            where partner_id = ${tx.partnerId} and domain = ${domain} and day between ${from} and ${to}
              and kind = 'dmarc' and state = 'taken' and standing >= 1) as days,
           coalesce(sum(s.messages) filter (where s.aligned > 0), 0)::bigint as messages,
           coalesce(sum(s.aligned), 0)::bigint as aligned,
           coalesce(sum(s.messages) filter (where s.aligned = 0), 0)::bigint as other
    from sources s`);
  const { days, messages, aligned } = row;
  const enough = days >= READY.days && messages >= READY.messages;
  const state = !enough ? 'too_little' : aligned >= READY.share * messages ? 'ready' : 'not_yet';
  return { state, from, to, days, messages, aligned, otherMessages: row.other };
}

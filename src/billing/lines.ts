import type { PartnerId } from '../core/tenant.ts';
import type { TenantDb, TenantTx } from '../db/db.ts';
import { sql } from '../db/sql.ts';
import type { ApplyLine, LineStore } from './protocol.ts';

/** A line that is not ended, with the company it may be written under. */
export interface OpenLine {
  readonly line: ApplyLine;
  /** Null: the mapping or the subscription is not as it was when the plan was made. */
  readonly companyId: string | null;
}

interface OpenRow {
  client_id: string;
  product: string;
  connection_id: string;
  contract_id: string;
  line_id: string;
  before_quantity: number;
  target_quantity: number;
  effective_date: string;
  state: ApplyLine['state'];
  sent_at: Date | null;
  company_id: string | null;
}

export async function openLines(tx: TenantTx, planId: string): Promise<OpenLine[]> {
  const rows = await tx.rows<OpenRow>(sql`
    select l.client_id, l.product, l.connection_id, l.contract_id, l.line_id, l.before_quantity, l.target_quantity,
           l.effective_date, l.state, l.sent_at, case when s.client_id is not null then m.company_id end as company_id
    from billing_lines l
    left join psa_mappings m on m.partner_id = l.partner_id and m.client_id = l.client_id
      and m.connection_id = l.connection_id and m.state = 'ok'
    left join subscriptions s on s.partner_id = l.partner_id and s.client_id = l.client_id and s.product = l.product
      and s.connection_id = l.connection_id and s.contract_id = l.contract_id and s.line_id = l.line_id
    where l.partner_id = ${tx.partnerId} and l.plan_id = ${planId} and l.state in ('planned', 'sending', 'sent')
    order by l.client_id, l.product`);
  return rows.map((row) => ({
    line: {
      clientId: row.client_id,
      product: row.product,
      connectionId: row.connection_id,
      ref: { contractId: row.contract_id, lineId: row.line_id },
      before: row.before_quantity,
      target: row.target_quantity,
      effectiveDate: row.effective_date,
      state: row.state,
      sentAt: row.sent_at,
    },
    companyId: row.company_id,
  }));
}

/** The protocol's store on PostgreSQL; each call is one transaction, and one statement that names the state it starts from. */
export function lineStore(db: TenantDb, partner: PartnerId, planId: string, now: () => Date): LineStore {
  const one = async (write: (tx: TenantTx) => Promise<number>) => (await db.tenant(partner, write)) > 0;
  return {
    now,
    intend: (line, effectiveDate, sentAt) =>
      one((tx) =>
        tx.run(sql`
          update billing_lines set state = 'sending', sent_at = ${sentAt}, effective_date = ${effectiveDate}
          where partner_id = ${partner} and plan_id = ${planId} and client_id = ${line.clientId}
            and product = ${line.product} and state = 'planned'`),
      ),
    confirm: (line) =>
      one((tx) =>
        tx.run(sql`
          update billing_lines set state = 'sent'
          where partner_id = ${partner} and plan_id = ${planId} and client_id = ${line.clientId}
            and product = ${line.product} and state = 'sending' and sent_at = ${line.sentAt}`),
      ),
    takeBack: (line) =>
      one((tx) =>
        tx.run(sql`
          update billing_lines set state = 'planned', sent_at = null
          where partner_id = ${partner} and plan_id = ${planId} and client_id = ${line.clientId}
            and product = ${line.product} and state = 'sending' and sent_at = ${line.sentAt}`),
      ),
    end: (line, end) =>
      one((tx) =>
        tx.run(sql`
          update billing_lines set state = ${end.state}, after_quantity = ${end.after}, reason = ${end.reason},
            verified_at = ${end.state === 'verified' ? tx.now : null}
          where partner_id = ${partner} and plan_id = ${planId} and client_id = ${line.clientId}
            and product = ${line.product} and state = ${line.state} and sent_at is not distinct from ${line.sentAt}`),
      ),
  };
}

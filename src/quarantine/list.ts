import { AppError } from '../core/errors.ts';
import type { Direction, Disposition, Reason, Verdict } from '../core/verdict.ts';
import type { TenantTx } from '../db/db.ts';
import { sql } from '../db/sql.ts';

/** A delivery that is kept here, with what a person needs to decide on it. */
export interface QuarantineItem {
  readonly id: string;
  readonly clientId: string;
  readonly messageId: string;
  readonly mailboxId: string | null;
  readonly direction: Direction;
  readonly recipient: string;
  readonly sender: string;
  readonly fromAddress: string;
  readonly fromName: string;
  readonly subject: string;
  readonly bytes: number;
  readonly verdict: Verdict;
  readonly disposition: Disposition;
  readonly score: number;
  readonly reasons: readonly Reason[];
  readonly acceptedAt: Date;
  readonly releasedBy: string | null;
  /** A release was asked for and has not arrived; it is late after this moment. */
  readonly releaseDueAt: Date | null;
}

export interface QuarantineFilter {
  readonly clientId?: string | null;
  readonly mailboxId?: string | null;
  readonly verdicts?: readonly Verdict[] | null;
  /** Any part of subject, sender or recipient. */
  readonly text?: string | null;
  readonly from?: Date | null;
  readonly to?: Date | null;
}

/** A page of what is in quarantine, newest first. `after` is the last one's acceptance and id. */
export async function listQuarantine(
  tx: TenantTx,
  filter: QuarantineFilter,
  page: { readonly first: number; readonly after: { readonly at: Date; readonly id: string } | null },
): Promise<QuarantineItem[]> {
  const text = filter.text == null || filter.text === '' ? null : `%${filter.text.replace(/[\\%_]/g, '\\$&')}%`;
  return tx.rows<QuarantineItem>(sql`
    select d.id, d.client_id as "clientId", d.message_id as "messageId", d.mailbox_id as "mailboxId", d.direction,
           d.recipient, m.sender, m.from_address as "fromAddress", m.from_name as "fromName", m.subject, m.bytes, d.verdict,
           d.disposition, d.score, d.reasons, d.accepted_at as "acceptedAt", d.released_by as "releasedBy",
           d.release_due_at as "releaseDueAt"
    from deliveries d
    join messages m on m.partner_id = d.partner_id and m.id = d.message_id
    where d.partner_id = ${tx.partnerId} and d.disposition = 'quarantined'
      and (${filter.clientId ?? null}::uuid is null or d.client_id = ${filter.clientId ?? null}::uuid)
      and (${filter.mailboxId ?? null}::uuid is null or d.mailbox_id = ${filter.mailboxId ?? null}::uuid)
      and (${filter.verdicts ?? null}::text[] is null or d.verdict = any(${filter.verdicts ?? null}::text[]))
      and (${filter.from ?? null}::timestamptz is null or d.accepted_at >= ${filter.from ?? null}::timestamptz)
      and (${filter.to ?? null}::timestamptz is null or d.accepted_at < ${filter.to ?? null}::timestamptz)
      and (${text}::text is null or m.subject ilike ${text} or m.sender ilike ${text} or d.recipient ilike ${text})
      and (${page.after?.id ?? null}::uuid is null
           or (d.accepted_at, d.id) < (${page.after?.at ?? null}::timestamptz, ${page.after?.id ?? null}::uuid))
    order by d.accepted_at desc, d.id desc
    limit ${page.first}`);
}

/** One delivery that is or was in quarantine. Throws `not_found`, for another tenant's id too. */
export async function getQuarantined(tx: TenantTx, id: string): Promise<QuarantineItem> {
  const item = await tx.maybe<QuarantineItem>(sql`
    select d.id, d.client_id as "clientId", d.message_id as "messageId", d.mailbox_id as "mailboxId", d.direction,
           d.recipient, m.sender, m.from_address as "fromAddress", m.from_name as "fromName", m.subject, m.bytes, d.verdict,
           d.disposition, d.score, d.reasons, d.accepted_at as "acceptedAt", d.released_by as "releasedBy",
           d.release_due_at as "releaseDueAt"
    from deliveries d
    join messages m on m.partner_id = d.partner_id and m.id = d.message_id
    where d.partner_id = ${tx.partnerId} and d.id = ${id} and (d.disposition = 'quarantined' or d.released_by is not null)`);
  if (item === null) throw new AppError('not_found', 'no such message in quarantine', { field: 'id' });
  return item;
}

import { AppError } from '../core/errors.ts';
import type { Direction, Disposition, Reason, Verdict } from '../core/verdict.ts';
import type { TenantTx } from '../db/db.ts';
import { sql } from '../db/sql.ts';
import type { QuarantineActor } from './rights.ts';

/** A delivery as the actions and the preview need it: in quarantine or anywhere else. */
export interface HeldDelivery {
  readonly id: string;
  readonly clientId: string;
  readonly messageId: string;
  readonly mailboxId: string | null;
  readonly contentId: string;
  readonly recipient: string;
  /** Envelope sender; empty for the null sender. */
  readonly sender: string;
  /** Address of the From header; empty when there is none. */
  readonly fromAddress: string;
  readonly headerMessageId: string;
  readonly subject: string;
  readonly direction: Direction;
  readonly verdict: Verdict;
  readonly disposition: Disposition;
  readonly reasons: readonly Reason[];
  readonly acceptedAt: Date;
  readonly bytes: number;
}

/**
 * A delivery that the actor may see. Throws `not_found` for what does not exist, what another tenant has, and what is out of
 * his reach, all alike.
 */
export async function reachDelivery(tx: TenantTx, actor: QuarantineActor, id: string): Promise<HeldDelivery> {
  const row = await tx.maybe<HeldDelivery>(sql`
    select d.id, d.client_id as "clientId", d.message_id as "messageId", d.mailbox_id as "mailboxId",
           m.content_id as "contentId", d.recipient, m.sender, m.from_address as "fromAddress",
           m.header_message_id as "headerMessageId", m.subject, d.direction, d.verdict, d.disposition, d.reasons,
           d.accepted_at as "acceptedAt", m.bytes
    from deliveries d
    join messages m on m.partner_id = d.partner_id and m.id = d.message_id
    where d.partner_id = ${tx.partnerId} and d.id = ${id}`);
  if (row === null || !isInReach(actor, row)) throw new AppError('not_found', 'no such delivery', { field: 'id' });
  return row;
}

/** A user is bound to mailboxes and a client's administrator to a client: one who names none reaches nothing. */
function isInReach(actor: QuarantineActor, row: HeldDelivery): boolean {
  if (actor.role === 'user' && actor.mailboxIds === null) return false;
  if (actor.role === 'client_admin' && actor.clientId === null) return false;
  if (actor.clientId !== null && actor.clientId !== row.clientId) return false;
  return actor.mailboxIds === null || (row.mailboxId !== null && actor.mailboxIds.includes(row.mailboxId));
}

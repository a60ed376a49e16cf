import { createHash } from 'node:crypto';
import type { TenantTx } from '../db/db.ts';
import { sql } from '../db/sql.ts';
import type { DigestPlan } from './settings.ts';

/** A group's or a room's digest goes to somebody who is named, or to nobody: whoever gets it can act on the mail. */
export const NEEDS_RECIPIENT: readonly string[] = ['group', 'resource'];

const TAG = 8;
/** Of links of a mailbox's own digest: they are its mailbox's, whatever it is called. */
export const OWN_READER = '0'.repeat(TAG * 2);

/** Whom a digest was sent to, as its links say it: 16 hex digits that do not show the address. */
export function readerTag(address: string): string {
  return createHash('sha256')
    .update(address.toLowerCase())
    .digest('hex')
    .slice(0, TAG * 2);
}

interface ReadMailbox {
  readonly address: string;
  readonly kind: string;
  readonly clientId: string;
}

/** Who was named and has left the directory since gets no links into it: then the mailbox itself is told. */
export async function recipientOf(tx: TenantTx, plan: DigestPlan, mailbox: ReadMailbox): Promise<string | null> {
  if (plan.recipient !== null) {
    const known = await tx.maybe(sql`
      select 1 as yes from addresses a
      join mailboxes m on m.partner_id = a.partner_id and m.id = a.mailbox_id and m.status <> 'deleted'
      where a.partner_id = ${tx.partnerId} and a.client_id = ${mailbox.clientId} and a.address = ${plan.recipient}`);
    if (known !== null) return plan.recipient;
  }
  return NEEDS_RECIPIENT.includes(mailbox.kind) ? null : mailbox.address;
}

/**
 * Whether an administrator's address is still read by whom it was given to: not if the mailbox behind it was removed or blocked. Of
 * addresses that are in no directory here nobody knows.
 */
export async function isRead(tx: TenantTx, address: string): Promise<boolean> {
  const left = await tx.maybe(sql`
    select 1 as yes from addresses a
    join mailboxes m on m.partner_id = a.partner_id and m.id = a.mailbox_id and m.status <> 'active'
    where a.partner_id = ${tx.partnerId} and a.address = ${address}`);
  return left === null;
}

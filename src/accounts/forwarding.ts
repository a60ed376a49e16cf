import { domainOf, normalizeAddress, printable } from '../core/address.ts';
import { AppError } from '../core/errors.ts';
import type { SystemTx, TenantTx } from '../db/db.ts';
import { sql } from '../db/sql.ts';
import { recordAudit } from './audit.ts';
import { getMailboxes, type Mailbox } from './mailboxes.ts';

export interface ForwardInput {
  readonly mailboxId: string;
  /** An address outside of the client's domains; null ends the forwarding. */
  readonly to: string | null;
  /** Whether the mailbox gets its mail as before. */
  readonly keep: boolean;
  readonly actor: string;
}

/** Sets where a mailbox's mail is forwarded to. Throws `not_found` or `invalid_input`. */
export async function setForward(tx: TenantTx, input: ForwardInput): Promise<Mailbox> {
  const [mailbox] = await getMailboxes(tx, [input.mailboxId]);
  if (mailbox === undefined || mailbox.status === 'deleted')
    throw new AppError('not_found', 'no such mailbox', { field: 'mailboxId' });
  if (mailbox.kind === 'contact')
    throw new AppError('invalid_input', 'a contact gets no mail here, so there is nothing to forward', {
      field: 'mailboxId',
    });
  const to = input.to === null ? null : await requireOutside(tx, mailbox.clientId, input.to);
  const keep = to === null || input.keep;
  await tx.run(sql`
    update mailboxes set forward_to = ${to}, forward_keep = ${keep}
    where partner_id = ${tx.partnerId} and id = ${mailbox.id}`);
  await recordAudit(tx, {
    partnerId: tx.partnerId,
    actor: input.actor,
    action: 'mailbox.forward',
    subject: mailbox.address,
    details: { mailboxId: mailbox.id, to, keep },
  });
  return { ...mailbox, forwardTo: to, forwardKeep: keep };
}

async function requireOutside(tx: TenantTx, clientId: string, text: string): Promise<string> {
  const to = normalizeAddress(text);
  if (to === null) throw new AppError('invalid_input', `"${printable(text)}" is not a mail address`, { field: 'to' });
  const own = await tx.maybe(sql`
    select name from domains where partner_id = ${tx.partnerId} and client_id = ${clientId} and name = ${domainOf(to)}`);
  if (own !== null)
    throw new AppError('invalid_input', `${domainOf(to)} is the client's own: use an alias or a group`, {
      field: 'to',
    });
  return to;
}

/** A client for whom a notification comes back. */
export interface ReturnClient {
  readonly partnerId: string;
  readonly clientId: string;
  /** Its first domain: where the notification is counted. */
  readonly domain: string;
}

/** The clients whose id ends like this; as good as always one or none. */
export function clientsByTag(tx: SystemTx, tag: string): Promise<ReturnClient[]> {
  return tx.rows<ReturnClient>(sql`
    select c.partner_id as "partnerId", c.id as "clientId", min(d.name) as domain
    from clients c
    join domains d on d.partner_id = c.partner_id and d.client_id = c.id
    where right(c.id::text, 10) = ${tag}
    group by c.partner_id, c.id`);
}

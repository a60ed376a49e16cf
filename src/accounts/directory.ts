import { domainOf, plainAddress } from '../core/address.ts';
import { AppError } from '../core/errors.ts';
import type { Policy, RecipientContext } from '../core/message.ts';
import type { SystemTx } from '../db/db.ts';
import { sql } from '../db/sql.ts';
import { listsForRecipients } from './lists.ts';
import { resolveOutboundPolicy, resolvePolicy } from './policy.ts';

/** A mailbox's mail goes on to another address. */
export interface Forward {
  readonly to: string;
  /** Whether the mailbox gets it too. */
  readonly keep: boolean;
}

export interface KnownRecipient {
  /** As given at RCPT, normalised. */
  readonly recipient: string;
  readonly domain: string;
  readonly partnerId: string;
  readonly clientId: string;
  readonly mailboxId: string;
  /** The client is suspended or the mailbox blocked: mail waits at the sender (4xx), it is not lost. */
  readonly suspended: boolean;
  readonly forward: Forward | null;
}

/** What RCPT TO finds. `recent`: the directory changed lately, so "unknown" may only mean "not yet here". */
export type RecipientLookup =
  | { readonly kind: 'known'; readonly recipient: KnownRecipient }
  | {
      readonly kind: 'unknown';
      readonly recent: boolean;
      readonly partnerId: string;
      readonly clientId: string;
      readonly domain: string;
    }
  | { readonly kind: 'not_local' };

interface LookupRow {
  partner_id: string;
  client_id: string;
  client_status: string;
  mailbox_id: string | null;
  mailbox_status: string | null;
  forward_to: string | null;
  forward_keep: boolean | null;
}

/**
 * Finds a recipient, normalised, among all partners. A `+detail` after the local part is delivered to the plain address
 * when the full one is not known (RFC 5233 subaddressing, as Exchange Online and Google Workspace do).
 *
 * `graceSeconds`: how long after its client's last directory change an unknown address is deferred and not refused.
 */
export async function resolveRecipient(tx: SystemTx, address: string, graceSeconds: number): Promise<RecipientLookup> {
  const domain = domainOf(address);
  const plain = plainAddress(address);
  const row = await tx.maybe<LookupRow>(sql`
    select d.partner_id, d.client_id, c.status as client_status, m.id as mailbox_id, m.status as mailbox_status,
           m.forward_to, m.forward_keep
    from domains d
    join clients c on c.partner_id = d.partner_id and c.id = d.client_id
    left join addresses a on a.partner_id = d.partner_id and a.client_id = d.client_id
                         and a.address in (${address}, ${plain})
    left join mailboxes m on m.partner_id = a.partner_id and m.id = a.mailbox_id
                         and m.kind <> 'contact' and m.status <> 'deleted'
    where d.name = ${domain}
    order by (m.id is not null) desc, (a.address = ${address}) desc nulls last
    limit 1`);
  if (row === null) return { kind: 'not_local' };
  const owner = { partnerId: row.partner_id, clientId: row.client_id };
  if (row.mailbox_id === null) {
    const recent = await changedSince(tx, owner, domain, new Date(tx.now.getTime() - graceSeconds * 1000));
    return { kind: 'unknown', recent, ...owner, domain };
  }
  return {
    kind: 'known',
    recipient: {
      recipient: address,
      domain,
      ...owner,
      mailboxId: row.mailbox_id,
      suspended: row.client_status !== 'active' || row.mailbox_status !== 'active',
      forward: row.forward_to === null ? null : { to: row.forward_to, keep: row.forward_keep !== false },
    },
  };
}

/** Whether the client's directory or the domain is younger than `since`: an account may not have arrived here yet. */
async function changedSince(
  tx: SystemTx,
  owner: { partnerId: string; clientId: string },
  domain: string,
  since: Date,
): Promise<boolean> {
  const row = await tx.one<{ recent: boolean }>(sql`
    select exists (select from mailboxes m where m.partner_id = ${owner.partnerId} and m.client_id = ${owner.clientId}
                   and m.updated_at > ${since})
        or exists (select from domains d where d.partner_id = ${owner.partnerId} and d.name = ${domain}
                   and d.created_at > ${since}) as recent`);
  return row.recent;
}

interface ClientRow {
  partner_id: string;
  id: string;
  policy: unknown;
  domains: string[];
}

/** What the pipeline may know of each recipient, in the order given. */
export function recipientContexts(tx: SystemTx, known: readonly KnownRecipient[]): Promise<RecipientContext[]> {
  return contextsOf(tx, known, resolvePolicy);
}

async function contextsOf(
  tx: SystemTx,
  known: readonly (Omit<KnownRecipient, 'mailboxId' | 'suspended' | 'forward'> & { mailboxId: string | null })[],
  policyOf: (stored: unknown) => Policy,
): Promise<RecipientContext[]> {
  const clientIds = [...new Set(known.map((one) => one.clientId))];
  const clients = await tx.rows<ClientRow>(sql`
    select c.partner_id, c.id, c.policy,
           array(select d.name from domains d where d.partner_id = c.partner_id and d.client_id = c.id order by d.name) as domains
    from clients c where c.id = any(${clientIds}::uuid[])`);
  const byId = new Map(clients.map((row) => [row.id, row]));
  const lists = await listsForRecipients(tx, known);
  return known.map((one, index) => {
    const client = byId.get(one.clientId);
    if (client === undefined) throw new AppError('unavailable', 'the client was removed meanwhile');
    return {
      recipient: one.recipient,
      domain: one.domain,
      partnerId: one.partnerId,
      clientId: one.clientId,
      mailboxId: one.mailboxId,
      policy: policyOf(client.policy),
      lists: lists[index] ?? [],
      ownDomains: client.domains,
    };
  });
}

/**
 * The pipeline's view of outbound mail's recipients: the sender's client decides, whoever receives it, by the outbound part of
 * its policy. A submission has one client, so that all recipients share one policy.
 */
export async function outboundContexts(
  tx: SystemTx,
  sender: { partnerId: string; clientId: string; mailboxId: string | null },
  recipients: readonly { recipient: string; domain: string }[],
): Promise<RecipientContext[]> {
  const { partnerId, clientId, mailboxId } = sender;
  const known = recipients.map((one) => ({ ...one, partnerId, clientId, mailboxId }));
  const contexts = await contextsOf(tx, known, resolveOutboundPolicy);
  return contexts.map((context) => ({ ...context, lists: [] }));
}

/** The mailbox of the client that an envelope sender belongs to; null for one that is not in the directory. */
export async function mailboxOfSender(
  tx: SystemTx,
  owner: { readonly partnerId: string; readonly clientId: string },
  sender: string,
): Promise<string | null> {
  if (sender === '') return null;
  const row = await tx.maybe<{ id: string }>(sql`
    select a.mailbox_id as id from addresses a
    where a.partner_id = ${owner.partnerId} and a.client_id = ${owner.clientId}
      and a.address in (${sender}, ${plainAddress(sender)})
    order by (a.address = ${sender}) desc limit 1`);
  return row?.id ?? null;
}

import { domainOf, plainAddress } from '../core/address.ts';
import { AppError } from '../core/errors.ts';
import type { ListEntry, OwnName, Policy, RecipientContext, StoredModel } from '../core/message.ts';
import { isNetwork } from '../core/networks.ts';
import type { SystemTx } from '../db/db.ts';
import { sql } from '../db/sql.ts';
import { entriesOfClients, masterEntries } from './lists.ts';
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

/** Names of one client that are looked for in From; a directory that is larger is protected in part. */
export const OWN_NAMES_MAX = 2_000;

/** What of a client its recipients' contexts are made of; the same for all messages until something changes. */
export interface ClientView {
  readonly partnerId: string;
  readonly clientId: string;
  readonly policy: Policy;
  /** For what the client sends. */
  readonly outboundPolicy: Policy;
  readonly ownDomains: readonly string[];
  readonly ownNames: readonly OwnName[];
  /** Entries of the client and of its partner that name senders. */
  readonly entries: readonly ListEntry[];
  readonly byMailbox: ReadonlyMap<string, readonly ListEntry[]>;
  /** Entries of the partner that name networks. */
  readonly networks: readonly ListEntry[];
  /** The client's own model (src/learning); null: none yet. */
  readonly learned: StoredModel | null;
}

/** The operator's entries: those that name senders, and networks. */
export interface MasterView {
  readonly entries: readonly ListEntry[];
  readonly networks: readonly ListEntry[];
}

interface ClientRow {
  partner_id: string;
  id: string;
  policy: unknown;
  domains: string[];
  names: OwnName[];
  version: number | null;
  model: Buffer | null;
}

/** Reads the views of clients, those that exist, in two statements. */
export async function loadClientViews(
  tx: SystemTx,
  clients: readonly { readonly partnerId: string; readonly clientId: string }[],
): Promise<Map<string, ClientView>> {
  const rows = await tx.rows<ClientRow>(sql`
    select c.partner_id, c.id, c.policy,
           array(select d.name from domains d where d.partner_id = c.partner_id and d.client_id = c.id order by d.name) as domains,
           coalesce((select jsonb_agg(jsonb_build_object('name', m.name, 'address', m.address, 'own', m.kind = 'user'))
             from (select b.name, b.address, b.kind from mailboxes b
                   where b.partner_id = c.partner_id and b.client_id = c.id and b.kind in ('user', 'contact')
                     and b.status <> 'deleted' and b.name <> ''
                   order by b.kind desc, b.address limit ${OWN_NAMES_MAX}) m), '[]') as names,
           l.version, l.model
    from clients c left join client_models l on l.partner_id = c.partner_id and l.client_id = c.id and l.examples > 0
    where c.id = any(${[...new Set(clients.map((one) => one.clientId))]}::uuid[])`);
  const entries = await entriesOfClients(tx, clients);
  return new Map(
    rows.map((row) => {
      const applies = entries.filter((one) => one.partnerId === row.partner_id);
      const own = applies.filter((one) => one.clientId === null || one.clientId === row.id);
      const byMailbox = new Map<string, ListEntry[]>();
      for (const { mailboxId, ...entry } of own) {
        if (mailboxId !== null) byMailbox.set(mailboxId, [...(byMailbox.get(mailboxId) ?? []), plain(entry)]);
      }
      const common = own.filter((one) => one.mailboxId === null).map(plain);
      const view: ClientView = {
        partnerId: row.partner_id,
        clientId: row.id,
        policy: resolvePolicy(row.policy),
        outboundPolicy: resolveOutboundPolicy(row.policy),
        ownDomains: row.domains,
        ownNames: row.names,
        entries: common.filter((one) => !isNetwork(one.pattern)),
        byMailbox,
        networks: common.filter((one) => isNetwork(one.pattern)),
        learned: row.model === null ? null : { version: row.version ?? 0, bytes: row.model },
      };
      return [row.id, view];
    }),
  );
}

const plain = ({ id, scope, kind, pattern }: ListEntry): ListEntry => ({ id, scope, kind, pattern });

export async function loadMasterView(tx: SystemTx): Promise<MasterView> {
  const all = await masterEntries(tx);
  return {
    entries: all.filter((one) => !isNetwork(one.pattern)),
    networks: all.filter((one) => isNetwork(one.pattern)),
  };
}

/** What the pipeline may know of one recipient. */
export function contextOf(one: KnownRecipient, view: ClientView, master: MasterView): RecipientContext {
  return {
    recipient: one.recipient,
    domain: one.domain,
    partnerId: one.partnerId,
    clientId: one.clientId,
    mailboxId: one.mailboxId,
    policy: view.policy,
    lists: [...(view.byMailbox.get(one.mailboxId) ?? []), ...view.entries, ...master.entries],
    ownDomains: view.ownDomains,
    ownNames: view.ownNames,
    ...(view.learned === null ? {} : { learned: view.learned }),
  };
}

/** What the pipeline may know of each recipient, in the order given, read now. */
export async function recipientContexts(tx: SystemTx, known: readonly KnownRecipient[]): Promise<RecipientContext[]> {
  const views = await loadClientViews(tx, known);
  const master = await loadMasterView(tx);
  return known.map((one) => contextOf(one, requireView(views.get(one.clientId)), master));
}

/** Throws `unavailable`: the sender comes back and is told then what has become of the client. */
export function requireView(view: ClientView | undefined): ClientView {
  if (view === undefined) throw new AppError('unavailable', 'the client was removed meanwhile');
  return view;
}

/**
 * The pipeline's view of outbound mail's recipients: the sender's client decides, whoever receives it, by the outbound part of
 * its policy. A submission has one client, so that all recipients share one policy.
 */
export function outboundContexts(
  view: ClientView,
  mailboxId: string | null,
  recipients: readonly { recipient: string; domain: string }[],
): RecipientContext[] {
  return recipients.map(({ recipient, domain }) => ({
    recipient,
    domain,
    partnerId: view.partnerId,
    clientId: view.clientId,
    mailboxId,
    policy: view.outboundPolicy,
    lists: [],
    ownDomains: view.ownDomains,
  }));
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

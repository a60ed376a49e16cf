import type { Disposition, Reason, Verdict } from '../core/verdict.ts';
import type { TenantTx } from '../db/db.ts';
import { sql } from '../db/sql.ts';
import type { QuarantineRole } from '../quarantine/rights.ts';
import type { LinkScope } from './links.ts';

/** A mailbox, a client or the partner: whose quarantine is looked at. */
export interface Subject {
  readonly scope: LinkScope;
  readonly id: string;
}

/** An inbound delivery that is held, as its recipient may see it. */
export interface HeldMail {
  readonly id: string;
  readonly recipient: string;
  readonly sender: string;
  readonly fromAddress: string;
  readonly fromName: string;
  readonly subject: string;
  readonly bytes: number;
  readonly verdict: Verdict;
  readonly reasons: readonly Reason[];
  readonly acceptedAt: Date;
}

export interface HeldPage {
  /** Any part of subject, sender or recipient; empty: all. */
  readonly text: string;
  readonly first: number;
  readonly after: { readonly at: Date; readonly id: string } | null;
}

/** Who the holder of a link is: the mail's own recipient, the client's administrator, the partner's people. */
export const ROLES: Readonly<Record<LinkScope, QuarantineRole>> = {
  mailbox: 'user',
  client: 'client_admin',
  partner: 'technician',
};

/** Ids of one digest; what is beyond is in the next. */
const ITEMS_MAX = 5_000;
/** Mail that was held earlier than this before a slot is not news: a digest that is switched on does not tell of years. */
const NEWS_DAYS = 14;

const only = (subject: Subject, scope: LinkScope) => (subject.scope === scope ? subject.id : null);

/** A page of what a subject has in quarantine, newest first. Outbound mail that is held is the administrators' affair. */
export async function listHeld(tx: TenantTx, subject: Subject, page: HeldPage): Promise<HeldMail[]> {
  const text = page.text === '' ? null : `%${page.text.replace(/[\\%_]/g, '\\$&')}%`;
  return tx.rows<HeldMail>(sql`
    select d.id, d.recipient, m.sender, m.from_address as "fromAddress", m.from_name as "fromName", m.subject, m.bytes,
           d.verdict, d.reasons, d.accepted_at as "acceptedAt"
    from deliveries d
    join messages m on m.partner_id = d.partner_id and m.id = d.message_id
    where d.partner_id = ${tx.partnerId} and d.disposition = 'quarantined' and d.direction = 'inbound'
      and (${only(subject, 'mailbox')}::uuid is null or d.mailbox_id = ${only(subject, 'mailbox')}::uuid)
      and (${only(subject, 'client')}::uuid is null or d.client_id = ${only(subject, 'client')}::uuid)
      and (${text}::text is null or m.subject ilike ${text} or m.sender ilike ${text} or m.from_address ilike ${text}
           or m.from_name ilike ${text} or d.recipient ilike ${text})
      and (${page.after?.id ?? null}::uuid is null
           or (d.accepted_at, d.id) < (${page.after?.at ?? null}::timestamptz, ${page.after?.id ?? null}::uuid))
    order by d.accepted_at desc, d.id desc limit ${page.first}`);
}

/** How much a subject has in quarantine. */
export async function countHeld(tx: TenantTx, subject: Subject): Promise<number> {
  const row = await tx.one<{ n: number }>(sql`
    select count(*) as n from deliveries d
    where d.partner_id = ${tx.partnerId} and d.disposition = 'quarantined' and d.direction = 'inbound'
      and (${only(subject, 'mailbox')}::uuid is null or d.mailbox_id = ${only(subject, 'mailbox')}::uuid)
      and (${only(subject, 'client')}::uuid is null or d.client_id = ${only(subject, 'client')}::uuid)`);
  return row.n;
}

/** A delivery that is or was held, with what its page shows. */
export interface HeldMessage extends HeldMail {
  readonly contentId: string;
  readonly disposition: Disposition;
  readonly asked: boolean;
}

/** One inbound delivery of the subject that is or was in quarantine; null for any other id. */
export async function heldMessage(tx: TenantTx, subject: Subject, id: string): Promise<HeldMessage | null> {
  return tx.maybe<HeldMessage>(sql`
    select d.id, d.recipient, m.sender, m.from_address as "fromAddress", m.from_name as "fromName", m.subject, m.bytes,
           d.verdict, d.reasons, d.accepted_at as "acceptedAt", m.content_id as "contentId", d.disposition,
           exists (select from release_requests r
                   where r.partner_id = d.partner_id and r.delivery_id = d.id and r.state = 'open') as asked
    from deliveries d
    join messages m on m.partner_id = d.partner_id and m.id = d.message_id
    where d.partner_id = ${tx.partnerId} and d.id = ${id} and d.direction = 'inbound'
      and (d.disposition in ('quarantined', 'discarded') or d.released_by is not null)
      and (${only(subject, 'mailbox')}::uuid is null or d.mailbox_id = ${only(subject, 'mailbox')}::uuid)
      and (${only(subject, 'client')}::uuid is null or d.client_id = ${only(subject, 'client')}::uuid)`);
}

/**
 * Ids for a digest, newest first: mail that was held by `slot` and that no digest of this subject has told of. `all`: what
 * was told before too.
 */
export async function newsOf(tx: TenantTx, subject: Subject, slot: Date, all: boolean): Promise<string[]> {
  const since = all ? new Date(0) : new Date(slot.getTime() - NEWS_DAYS * 86_400_000);
  const rows = await tx.rows<{ id: string }>(sql`
    select d.id from deliveries d
    where d.partner_id = ${tx.partnerId} and d.disposition = 'quarantined' and d.direction = 'inbound'
      and d.accepted_at <= ${slot} and d.accepted_at > ${since}
      and (${only(subject, 'mailbox')}::uuid is null or d.mailbox_id = ${only(subject, 'mailbox')}::uuid)
      and (${only(subject, 'client')}::uuid is null or d.client_id = ${only(subject, 'client')}::uuid)
      and (${all} or not exists (
        select from digest_items i
        where i.partner_id = d.partner_id and i.scope = ${subject.scope} and i.subject_id = ${subject.id}
          and i.delivery_id = d.id))
    order by d.accepted_at desc, d.id desc limit ${ITEMS_MAX}`);
  return rows.map((row) => row.id);
}

/** Held mail by id, in the order of the ids. */
export async function heldByIds(tx: TenantTx, ids: readonly string[]): Promise<HeldMail[]> {
  return tx.rows<HeldMail>(sql`
    select d.id, d.recipient, m.sender, m.from_address as "fromAddress", m.from_name as "fromName", m.subject, m.bytes,
           d.verdict, d.reasons, d.accepted_at as "acceptedAt"
    from deliveries d
    join messages m on m.partner_id = d.partner_id and m.id = d.message_id
    where d.partner_id = ${tx.partnerId} and d.id = any(${[...ids]}::uuid[])
    order by d.accepted_at desc, d.id desc`);
}

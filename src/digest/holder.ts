import { type Brand, getBrand } from '../accounts/branding.ts';
import { AppError } from '../core/errors.ts';
import type { TenantTx } from '../db/db.ts';
import { sql } from '../db/sql.ts';
import { blockSender, release, releaseAndAllow, remove } from '../quarantine/actions.ts';
import { requestRelease } from '../quarantine/requests.ts';
import type { QuarantineActor } from '../quarantine/rights.ts';
import { heldMessage, ROLES, type Subject } from './held.ts';
import { isRead, OWN_READER, readerTag, recipientOf } from './reader.ts';
import { planOf, readSettings, resolvePlan, type StoredDigest } from './settings.ts';
import { type Words, wordsOf } from './words.ts';

/** Who opened a link, and how pages speak to him. */
export interface Holder {
  readonly subject: Subject;
  readonly actor: QuarantineActor;
  /** Whose quarantine it is, for people. */
  readonly whose: string;
  readonly zone: string;
  readonly brand: Brand;
  readonly words: Words;
}

interface Found {
  readonly clientId: string | null;
  readonly whose: string;
  readonly zone: string;
  /** Of a mailbox. */
  readonly kind: string;
}

/**
 * The holder of a link of the tenant; null when the mailbox, client or administrators' digest is no longer there, or goes to another
 * reader than the link's, or to one who has left: its links open nothing.
 */
export async function holderOf(tx: TenantTx, subject: Subject, reader: string): Promise<Holder | null> {
  const found = await find(tx, subject);
  if (found === null) return null;
  const settings = await readSettings(tx, found.clientId);
  const admin = settings.find((one) => one.audience === 'admin');
  // An administrator whose digest was switched off keeps no keys.
  const isOff = admin !== undefined && resolvePlan(admin.settings).mode === 'off';
  if (isOff && subject.scope !== 'mailbox') return null;
  if (!(await isReader(tx, subject, found, settings, reader))) return null;
  return {
    subject,
    actor: {
      role: ROLES[subject.scope],
      name: nameOf(subject, found, admin),
      mailboxIds: subject.scope === 'mailbox' ? [subject.id] : null,
      clientId: found.clientId,
    },
    whose: found.whose,
    zone: found.zone,
    brand: await getBrand(tx),
    words: wordsOf(
      subject.scope === 'mailbox' ? planOf(settings, subject.id).language : resolvePlan(admin?.settings).language,
    ),
  };
}

/** Whether the digest is still sent to the reader of a link. */
async function isReader(
  tx: TenantTx,
  subject: Subject,
  found: Found,
  settings: readonly StoredDigest[],
  reader: string,
): Promise<boolean> {
  if (subject.scope === 'mailbox') {
    if (reader === OWN_READER) return true;
    const mailbox = { address: found.whose, kind: found.kind, clientId: found.clientId ?? '' };
    const to = await recipientOf(tx, planOf(settings, subject.id), mailbox);
    return to !== null && readerTag(to) === reader;
  }
  const to = settings.find((one) => one.audience === 'admin')?.settings.recipient ?? null;
  return to !== null && readerTag(to) === reader && (await isRead(tx, to));
}

/** For the audit: the mailbox's address, or that of the administrator whose digest held the link. */
function nameOf(subject: Subject, found: Found, admin: StoredDigest | undefined): string {
  if (subject.scope === 'mailbox') return found.whose;
  return admin?.settings.recipient ?? `link:${subject.scope}`;
}

async function find(tx: TenantTx, subject: Subject): Promise<Found | null> {
  if (subject.scope === 'mailbox') {
    return tx.maybe<Found>(sql`
      select m.client_id as "clientId", m.address as whose, c.time_zone as zone, m.kind
      from mailboxes m join clients c on c.partner_id = m.partner_id and c.id = m.client_id
      where m.partner_id = ${tx.partnerId} and m.id = ${subject.id} and m.status = 'active' and m.kind <> 'contact'`);
  }
  if (subject.scope === 'client') {
    return tx.maybe<Found>(sql`
      select c.id as "clientId", c.name as whose, c.time_zone as zone, '' as kind
      from clients c where c.partner_id = ${tx.partnerId} and c.id = ${subject.id}`);
  }
  if (subject.id !== tx.partnerId) return null;
  return tx.maybe<Found>(sql`
    select null as "clientId", p.name as whose,
           coalesce((select c.time_zone from clients c where c.partner_id = p.id order by c.created_at, c.id limit 1), 'UTC') as zone, '' as kind
    from partners p where p.id = ${tx.partnerId}`);
}

export const ACTS = ['release', 'allow', 'block', 'delete', 'ask'] as const;
export type Act = (typeof ACTS)[number];

/**
 * Does what the holder of a link asked for with one delivery. False: it was so before. Throws what the quarantine throws:
 * `not_found` for what is not his, `forbidden`, `conflict`.
 */
export async function act(tx: TenantTx, holder: Holder, what: Act, deliveryId: string, note: string): Promise<boolean> {
  const mail = await heldMessage(tx, holder.subject, deliveryId);
  if (mail === null) throw new AppError('not_found', 'no such delivery', { field: 'id' });
  const { actor } = holder;
  switch (what) {
    case 'release':
      return (await release(tx, actor, deliveryId)).released;
    case 'allow':
      return (await releaseAndAllow(tx, actor, deliveryId)).released;
    case 'block': {
      const { added } = await blockSender(tx, actor, deliveryId);
      return (await remove(tx, actor, deliveryId)).discarded || added;
    }
    case 'delete':
      return (await remove(tx, actor, deliveryId)).discarded;
    case 'ask':
      return (await requestRelease(tx, actor, deliveryId, note)).created;
  }
}

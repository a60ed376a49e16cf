import { type Brand, getBrand } from '../accounts/branding.ts';
import { domainOf } from '../core/address.ts';
import type { StoredContent } from '../core/content.ts';
import { AppError } from '../core/errors.ts';
import type { PartnerId } from '../core/tenant.ts';
import type { SystemDb, SystemTx, TenantDb, TenantTx } from '../db/db.ts';
import { sql } from '../db/sql.ts';
import { type DigestContent, htmlPart, ROWS_MAX, subjectLine, textPart } from './compose.ts';
import { heldByIds, newsOf, ROLES, type Subject } from './held.ts';
import { LINK_MAX_MS, type LinkSigner } from './links.ts';
import { writeMail } from './mime.ts';
import { OWN_READER, readerTag } from './reader.ts';
import { wordsOf } from './words.ts';

/** How digests leave: src/gateway's OwnPost. The row of the run and the queued message are one transaction. */
export interface Post {
  store(message: Buffer): Promise<StoredContent>;
  discard(content: StoredContent): Promise<void>;
  queue(
    tx: SystemTx,
    mail: {
      readonly partnerId: string;
      readonly clientId: string;
      readonly to: string;
      readonly fromAddress: string;
      readonly fromName: string;
      readonly subject: string;
      readonly messageId: string;
      readonly content: StoredContent;
    },
  ): Promise<string>;
}

export interface DigestDeps {
  readonly db: TenantDb & SystemDb;
  readonly post: Post;
  readonly signer: LinkSigner;
  /** `https://mail.msp.example`, without a slash at the end. Asked for at each digest: a free port is known late. */
  publicUrl(): string;
  readonly hostName: string;
}

/** One digest that is to be made. */
export interface DigestOrder {
  readonly partnerId: PartnerId;
  readonly subject: Subject;
  /** The client whose mail it is; null for the partner's own digest. */
  readonly clientId: string | null;
  /** Whose mail, for people: an address or a name. */
  readonly whose: string;
  readonly to: string;
  readonly zone: string;
  readonly language: string;
  readonly slot: Date;
  /** `schedule`: only what is new. Asked for: everything that is held, and a word when there is nothing. */
  readonly origin: 'schedule' | 'request' | 'command';
}

/** How long it is known which digests went out. */
const KEEP_DAYS = 90;

export type DigestResult = 'queued' | 'nothing' | 'already';

interface Made {
  readonly ids: readonly string[];
  readonly content: DigestContent;
  readonly clientId: string;
  readonly at: Date;
}

/**
 * Makes a digest and queues it: never two for one subject and slot, whatever crashes and however many ask at once. The body
 * is stored first; the run, what it tells of and the queued message are one transaction.
 */
export async function sendDigest(deps: DigestDeps, order: DigestOrder): Promise<DigestResult> {
  const made = await deps.db.tenant(order.partnerId, (tx) => compose(deps, tx, order), { readOnly: true });
  if (made === null) return 'nothing';
  const { content, ids, clientId } = made;
  const messageId = `<digest.${order.subject.id}.${order.slot.getTime()}@${deps.hostName}>`;
  const fromAddress = `quarantine@${deps.hostName}`;
  const subject = subjectLine(content);
  const stored = await deps.post.store(
    writeMail({
      to: order.to,
      fromName: content.brand.partnerName,
      fromAddress,
      subject,
      at: made.at,
      messageId,
      listId: `Quarantine digest <digest.${domainOf(order.to)}.${deps.hostName}>`,
      language: content.words.locale,
      text: textPart(content),
      html: htmlPart(content),
      logo: content.brand.logo,
    }),
  );
  const isOurs = await deps.db.system(async (tx) => {
    if (await isRun(tx, order)) return false;
    const queued = await deps.post.queue(tx, {
      partnerId: order.partnerId,
      clientId,
      to: order.to,
      fromAddress,
      fromName: content.brand.partnerName,
      subject,
      messageId,
      content: stored,
    });
    return recordRun(tx, order, queued, ids);
  });
  if (isOurs) return 'queued';
  await deps.post.discard(stored);
  return 'already';
}

async function compose(deps: DigestDeps, tx: TenantTx, order: DigestOrder): Promise<Made | null> {
  const isAsked = order.origin !== 'schedule';
  const ids = await newsOf(tx, order.subject, order.slot, isAsked);
  if (ids.length === 0 && !isAsked) return null;
  const rows = await heldByIds(tx, ids.slice(0, ROWS_MAX));
  const brand: Brand = await getBrand(tx);
  const clientId = order.clientId ?? (await clientOfMail(tx, ids[0]));
  const { partnerId, subject } = order;
  const expiresAt = new Date(tx.now.getTime() + LINK_MAX_MS);
  const reader = subject.scope === 'mailbox' && order.to === order.whose ? OWN_READER : readerTag(order.to);
  const content: DigestContent = {
    rows,
    more: ids.length - rows.length,
    whose: order.whose,
    showRecipient: subject.scope !== 'mailbox',
    role: ROLES[subject.scope],
    zone: order.zone,
    expiresAt,
    brand,
    words: wordsOf(order.language),
    link: (action, deliveryId) => {
      const link = { partnerId, scope: subject.scope, subjectId: subject.id, deliveryId, action, reader, expiresAt };
      return `${deps.publicUrl()}/q/${deps.signer.sign(link, tx.now)}`;
    },
  };
  return { ids, content, clientId, at: tx.now };
}

/** The partner's own digest counts as mail of the client that the newest message in it is to, else of the first client. */
async function clientOfMail(tx: TenantTx, deliveryId: string | undefined): Promise<string> {
  const row = await tx.maybe<{ id: string }>(sql`
    select c.id from clients c
    where c.partner_id = ${tx.partnerId}
    order by (c.id = (select d.client_id from deliveries d
                      where d.partner_id = ${tx.partnerId} and d.id = ${deliveryId ?? null}::uuid)) desc nulls last, c.created_at, c.id
    limit 1`);
  if (row === null) throw new AppError('not_found', 'the partner has no client');
  return row.id;
}

/** Locks the subject's runs and looks whether this slot has its digest. The lock ends with the transaction. */
async function isRun(tx: SystemTx, { partnerId, subject, slot, origin }: DigestOrder): Promise<boolean> {
  await tx.rows(sql`select pg_advisory_xact_lock(hashtextextended(${`digest ${subject.scope} ${subject.id}`}, 0))`);
  // A scheduled one is not wanted any more either when a later one has told of the same mail.
  const row = await tx.maybe(sql`
    select 1 as yes from digest_runs r
    where r.partner_id = ${partnerId} and r.scope = ${subject.scope} and r.subject_id = ${subject.id}
      and (r.slot = ${slot} or (${origin === 'schedule'} and r.slot > ${slot})
           or (${origin === 'request'} and r.origin = 'request' and r.slot > ${slot}::timestamptz - interval '1 hour'))
    limit 1`);
  return row !== null;
}

async function recordRun(
  tx: SystemTx,
  order: DigestOrder,
  messageId: string,
  ids: readonly string[],
): Promise<boolean> {
  const { partnerId, subject, slot } = order;
  await tx.run(sql`
    insert into digest_runs (partner_id, scope, subject_id, slot, mailbox_id, client_id, origin, recipient, items, message_id,
                             created_at)
    values (${partnerId}, ${subject.scope}, ${subject.id}, ${slot}, ${subject.scope === 'mailbox' ? subject.id : null},
            ${order.clientId}, ${order.origin}, ${order.to}, ${ids.length}, ${messageId}, ${tx.now})`);
  await tx.run(sql`
    insert into digest_items (partner_id, scope, subject_id, delivery_id, slot)
    select ${partnerId}, ${subject.scope}, ${subject.id}, d.id, ${slot}
    from deliveries d where d.partner_id = ${partnerId} and d.id = any(${[...ids]}::uuid[])
    on conflict do nothing`);
  // What was told so long ago is no news anyway (NEWS_DAYS).
  await tx.run(sql`
    delete from digest_runs
    where partner_id = ${partnerId} and scope = ${subject.scope} and subject_id = ${subject.id}
      and slot < ${new Date(tx.now.getTime() - KEEP_DAYS * 86_400_000)}`);
  return true;
}

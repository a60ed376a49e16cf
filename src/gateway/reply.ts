import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import { recordAudit } from '../accounts/audit.ts';
import { getClients } from '../accounts/clients.ts';
import { loadClientViews, outboundContexts, requireView } from '../accounts/directory.ts';
import { getMailboxes, type Mailbox } from '../accounts/mailboxes.ts';
import { domainOf, normalizeAddress } from '../core/address.ts';
import type { Clock } from '../core/clock.ts';
import { AppError, errorCode } from '../core/errors.ts';
import { newId } from '../core/id.ts';
import type { Pipeline, RecipientContext } from '../core/message.ts';
import type { PartnerId } from '../core/tenant.ts';
import type { SystemDb, TenantDb } from '../db/db.ts';
import { sql } from '../db/sql.ts';
import type { MailPreview } from '../mail/preview.ts';
import { type HeldDelivery, reachDelivery } from '../quarantine/held.ts';
import type { Previewer } from '../quarantine/preview.ts';
import { mayReply, type QuarantineActor } from '../quarantine/rights.ts';
import { buildAnswer } from './answer.ts';
import { Committer } from './commit.ts';
import { decide, RejectedReply } from './decision.ts';
import type { Spool } from './spool.ts';

export interface ReplyDeps {
  readonly db: SystemDb & TenantDb;
  readonly clock: Clock;
  readonly spool: Spool;
  readonly pipeline: Pipeline;
  readonly previewer: Previewer;
  readonly config: { readonly nodeId: string; readonly hostName: string };
  /** Milliseconds for the pipeline. */
  readonly scanMs?: number;
}

export interface ReplyInput {
  readonly deliveryId: string;
  readonly text: string;
  /** Null: `Re:` and the original's. */
  readonly subject: string | null;
}

export interface Replied {
  /** The answer's own delivery. */
  readonly deliveryId: string;
  /** False: the same answer had been sent before. */
  readonly sent: boolean;
}

const TEXT_MAX = 100_000;
const SUBJECT_MAX = 500;
/** How long an answer that was begun and is not there may be under way. */
const UNDER_WAY_MS = 5 * 60_000;

interface Plan {
  readonly delivery: HeldDelivery;
  readonly mailbox: Mailbox;
}

/**
 * Answers the sender of a delivery as its mailbox, through the filter and the queue like any mail that is submitted, and
 * counted like it. The same answer to the same delivery goes out once. Throws `not_found`, `forbidden` (rights.ts),
 * `invalid_input`, `conflict` (no address to answer to, no mailbox, the original's body is gone, the filter refuses the
 * answer) or `unavailable`.
 */
export async function replyToDelivery(
  deps: ReplyDeps,
  partnerId: PartnerId,
  actor: QuarantineActor,
  input: ReplyInput,
): Promise<Replied> {
  const text = bounded(input.text, 'text', TEXT_MAX);
  const plan = await planReply(deps, partnerId, actor, input.deliveryId);
  const { delivery, mailbox } = plan;
  const preview = await deps.previewer.preview(delivery.contentId).catch((error: unknown) => {
    if (errorCode(error) !== 'not_found') throw error;
    throw new AppError('conflict', 'the message is no longer stored, so it cannot be answered', {
      field: 'id',
      cause: error,
    });
  });
  const to = answerTo(delivery, preview);
  const subject = bounded(input.subject ?? replySubject(delivery.subject), 'subject', SUBJECT_MAX);
  const digest = createHash('sha256').update(`${subject}\0${text}`).digest();
  const before = await earlier(deps, partnerId, delivery.id, digest);
  if (before !== null) return { deliveryId: before, sent: false };

  const context = await contextOf(deps, partnerId, plan, to);
  const at = deps.clock.now();
  const message = await buildAnswer({
    id: newId(),
    at,
    from: mailbox,
    to,
    subject,
    text,
    original: {
      messageId: delivery.headerMessageId,
      references: headerOf(preview, 'references'),
      author: delivery.fromAddress === '' ? to : delivery.fromAddress,
      date: delivery.acceptedAt,
      text: preview.text,
    },
  });
  await deps.spool.requireSpace(message.length);
  const content = await deps.spool.take(Readable.from([message]));
  await begin(deps, partnerId, actor, delivery.id, digest, content.id);
  try {
    const { hostName, nodeId } = deps.config;
    await decide(
      {
        spool: deps.spool,
        pipeline: deps.pipeline,
        committer: new Committer(deps.db, nodeId),
        scanMs: deps.scanMs ?? 60_000,
      },
      content,
      {
        sender: mailbox.address,
        remoteAddress: '127.0.0.1',
        remoteName: null,
        helo: hostName,
        tls: false,
        direction: 'outbound',
        authenticatedAs: actor.name,
        receivedAt: at,
      },
      [context],
      new AbortController().signal,
    );
  } catch (error) {
    // After an unclear commit the message may be there: then it was sent, whatever the error says.
    const sent = error instanceof RejectedReply ? null : await deliveryOf(deps, partnerId, content.id);
    if (sent !== null) return { deliveryId: sent, sent: true };
    await forget(deps, partnerId, delivery.id, digest);
    if (error instanceof RejectedReply) {
      throw new AppError('conflict', `the filter refuses the answer: ${error.message}`, {
        field: 'text',
        cause: error,
      });
    }
    throw error;
  }
  const made = await deliveryOf(deps, partnerId, content.id);
  if (made === null) throw new AppError('unavailable', 'the answer is not there');
  return { deliveryId: made, sent: true };
}

function bounded(text: string, field: string, max: number): string {
  const trimmed = text.trim();
  if (trimmed === '' || trimmed.length > max) {
    throw new AppError('invalid_input', `it has 1 to ${max} characters`, { field });
  }
  return trimmed.replaceAll('\0', '').toWellFormed();
}

function replySubject(subject: string): string {
  return (/^re:/i.test(subject.trim()) ? subject : `Re: ${subject}`).slice(0, SUBJECT_MAX);
}

function planReply(deps: ReplyDeps, partnerId: PartnerId, actor: QuarantineActor, id: string): Promise<Plan> {
  return deps.db.tenant(
    partnerId,
    async (tx) => {
      const delivery = await reachDelivery(tx, actor, id);
      if (!mayReply(actor.role, delivery)) {
        throw new AppError('forbidden', 'the sender of such a message is answered by technicians only', {
          field: 'id',
        });
      }
      if (delivery.direction === 'outbound') {
        throw new AppError('conflict', 'only mail that came in is answered', { field: 'id' });
      }
      const [mailbox] = delivery.mailboxId === null ? [] : await getMailboxes(tx, [delivery.mailboxId]);
      const [client] = await getClients(tx, [delivery.clientId]);
      if (mailbox?.status !== 'active') {
        throw new AppError('conflict', 'the mailbox is not in use, so nobody answers as it', { field: 'id' });
      }
      if (client?.status !== 'active') throw new AppError('conflict', 'the client is suspended', { field: 'id' });
      return { delivery, mailbox };
    },
    { readOnly: true },
  );
}

/** Reply-To, else From, else the envelope sender. */
function answerTo(delivery: HeldDelivery, preview: MailPreview): string {
  const replyTo = headerOf(preview, 'reply-to');
  const wanted = /<([^<>]{3,320})>/.exec(replyTo)?.[1] ?? replyTo.split(',')[0] ?? '';
  const found = [wanted, delivery.fromAddress, delivery.sender].map(normalizeAddress).find((one) => one !== null);
  if (found == null) throw new AppError('conflict', 'the message names nobody who could be answered', { field: 'id' });
  return found;
}

function headerOf(preview: MailPreview, name: string): string {
  return preview.headers.find((field) => field.name.toLowerCase() === name)?.value ?? '';
}

async function contextOf(
  deps: ReplyDeps,
  partnerId: PartnerId,
  { delivery, mailbox }: Plan,
  to: string,
): Promise<RecipientContext> {
  const domain = domainOf(mailbox.address);
  const { clientId } = delivery;
  const views = await deps.db.system((tx) => loadClientViews(tx, [{ partnerId, clientId }]), { readOnly: true });
  const [context] = outboundContexts(requireView(views.get(clientId)), mailbox.id, [{ recipient: to, domain }]);
  if (context === undefined || !context.ownDomains.includes(domain)) {
    throw new AppError('conflict', `${domain} is not a domain of the client`, { field: 'id' });
  }
  return context;
}

/** The delivery of the same answer, sent before; null when there is none. Throws `conflict` while one is under way. */
async function earlier(
  deps: ReplyDeps,
  partnerId: PartnerId,
  deliveryId: string,
  digest: Buffer,
): Promise<string | null> {
  const row = await deps.db.tenant(
    partnerId,
    (tx) =>
      tx.maybe<{ contentId: string; at: Date }>(sql`
        select content_id as "contentId", at from message_replies
        where partner_id = ${partnerId} and delivery_id = ${deliveryId} and digest = ${digest}`),
    { readOnly: true },
  );
  if (row === null) return null;
  const sent = await deliveryOf(deps, partnerId, row.contentId);
  if (sent !== null) return sent;
  if (deps.clock.now().getTime() - row.at.getTime() < UNDER_WAY_MS) throw underWay();
  return null;
}

function underWay(): AppError {
  return new AppError('conflict', 'this answer is being sent at this moment', { field: 'text' });
}

/** Notes the intent before the act, so that of two equal answers at once one goes on. */
async function begin(
  deps: ReplyDeps,
  partnerId: PartnerId,
  actor: QuarantineActor,
  deliveryId: string,
  digest: Buffer,
  contentId: string,
): Promise<void> {
  const begun = await deps.db.tenant(partnerId, async (tx) => {
    const stale = new Date(tx.now.getTime() - UNDER_WAY_MS);
    const written = await tx.run(sql`
      insert into message_replies as r (partner_id, delivery_id, digest, content_id, actor, at)
      values (${partnerId}, ${deliveryId}, ${digest}, ${contentId}, ${actor.name}, ${tx.now})
      on conflict (partner_id, delivery_id, digest) do update set content_id = excluded.content_id, actor = excluded.actor,
        at = excluded.at
      where r.at <= ${stale} and not exists (select from messages m where m.partner_id = r.partner_id
                                             and m.content_id = r.content_id)`);
    if (written === 0) return false;
    await recordAudit(tx, {
      partnerId,
      actor: actor.name,
      action: 'message.reply',
      subject: deliveryId,
      details: { contentId },
    });
    return true;
  });
  if (begun) return;
  await deps.spool.remove(contentId);
  throw underWay();
}

async function forget(deps: ReplyDeps, partnerId: PartnerId, deliveryId: string, digest: Buffer): Promise<void> {
  await deps.db.tenant(partnerId, (tx) =>
    tx.run(sql`
      delete from message_replies
      where partner_id = ${partnerId} and delivery_id = ${deliveryId} and digest = ${digest}`),
  );
}

async function deliveryOf(deps: ReplyDeps, partnerId: PartnerId, contentId: string): Promise<string | null> {
  const row = await deps.db.tenant(
    partnerId,
    (tx) =>
      tx.maybe<{ id: string }>(sql`
        select d.id from messages m
        join deliveries d on d.partner_id = m.partner_id and d.message_id = m.id
        where m.partner_id = ${partnerId} and m.content_id = ${contentId}`),
    { readOnly: true },
  );
  return row?.id ?? null;
}

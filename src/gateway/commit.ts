import { domainOf } from '../core/address.ts';
import { QUEUE_CHANNEL } from '../core/channels.ts';
import type { LedgerEvent } from '../core/event.ts';
import { newId } from '../core/id.ts';
import type { RecipientDsn } from '../core/message.ts';
import type { SystemDb, SystemTx } from '../db/db.ts';
import { sql } from '../db/sql.ts';
import { together } from '../db/together.ts';
import { appendEvents } from '../ledger/append.ts';
import { campaignOf } from '../mail/campaign.ts';
import type { AcceptedDelivery, AcceptedMessage } from './acceptance.ts';
import { Batcher } from './batch.ts';
import { type Claim, claimDigests, claimNew, digestOf, isNotNew, type Repeated, type Unheard } from './digests.ts';
import { noteHistory } from './history.ts';
import { holdOverLimits } from './outbound-counts.ts';
import { HOLD_DAYS, NOTICE_HOURS } from './retry.ts';
import { noteTraits } from './traits.ts';

export interface RefusedRecipient {
  readonly partnerId: string;
  readonly clientId: string;
  readonly recipient: string;
  readonly domain: string;
  readonly sender: string;
  readonly reason: string;
}

export interface Commit {
  readonly messages: readonly AcceptedMessage[];
  readonly refused: readonly RefusedRecipient[];
  /** The client is gone. */
  readonly left: boolean;
}

/** As many transactions without a heard answer are remembered while the database is away. */
const UNHEARD_MAX = 10_000;

/**
 * Writes acceptances: those of sessions that end together in one transaction. `accept` resolves after its commit, and only
 * then may 250 be answered (rule 1).
 */
export class Committer {
  readonly #batcher: Batcher<Commit, Repeated | null>;
  /** Not yet written down. */
  #unheard: Unheard[] = [];

  constructor(db: SystemDb, node: string) {
    this.#batcher = new Batcher(async (commits) => {
      const unheard = this.#unheard;
      const answers = await write(db, commits, unheard, node);
      this.#unheard = this.#unheard.slice(unheard.length);
      return answers;
    });
  }

  /**
   * Null: written. Else nothing was: an equal transaction had been taken and its client had not heard so, and that is its answer
   * (`digests.ts`). `left`: the client of this one is gone.
   */
  async accept(messages: readonly AcceptedMessage[], left = false): Promise<Repeated | null> {
    try {
      return await this.#batcher.add({ messages, refused: [], left });
    } catch (error) {
      // It may be there: its client is told to come again, and is told then.
      this.#note(messages, messages[0]?.content.id ?? '');
      throw error;
    }
  }

  async refuse(recipient: RefusedRecipient): Promise<void> {
    await this.#batcher.add({ messages: [], refused: [recipient], left: false });
  }

  /** The answer to what was accepted could not be given: what is equal and comes soon is the same. `contentId`: what it was answered. */
  async unheard(messages: readonly AcceptedMessage[], contentId: string): Promise<void> {
    this.#note(messages, contentId);
    await this.#batcher.add({ messages: [], refused: [], left: false });
  }

  idle(): Promise<void> {
    return this.#batcher.idle();
  }

  #note(messages: readonly AcceptedMessage[], contentId: string): void {
    const digest = digestOf(messages);
    if (digest !== null && this.#unheard.length < UNHEARD_MAX)
      this.#unheard = [...this.#unheard, { digest, contentId }];
  }
}

/**
 * One round trip when all is as nearly always: inbound mail that nobody sent before. Whether that is so is found out by the
 * statements themselves: the first fails when it is not, and all is done again with a look in between.
 */
async function write(
  db: SystemDb,
  commits: readonly Commit[],
  unheard: readonly Unheard[],
  node: string,
): Promise<(Repeated | null)[]> {
  const claims = claimsOf(commits);
  const known = claims.filter((one) => one !== null);
  const isNew = new Set(known.map((one) => one.digest.toString('hex'))).size === known.length;
  const isInbound = commits.every((one) => one.messages.every(({ envelope }) => envelope.direction === 'inbound'));
  if (isNew && isInbound && unheard.length === 0) {
    try {
      await db.system((tx) => writeNew(tx, commits, known, node));
      return commits.map(() => null);
    } catch (error) {
      if (!isNotNew(error)) throw error;
    }
  }
  return db.system(async (tx) => {
    const repeats = await claimDigests(tx, claims, unheard);
    await writeMessages(
      tx,
      commits.filter((_, index) => repeats[index] === null).flatMap((one) => one.messages),
      node,
      refusedEvents(commits, tx.now, node),
    );
    return repeats;
  });
}

async function writeNew(
  tx: SystemTx,
  commits: readonly Commit[],
  claims: readonly Claim[],
  node: string,
): Promise<void> {
  const sent = [
    claimNew(tx, claims),
    ...sendMessages(
      tx,
      commits.flatMap((one) => one.messages),
      node,
      refusedEvents(commits, tx.now, node),
    ),
  ];
  tx.seal();
  await together(sent);
}

function refusedEvents(commits: readonly Commit[], now: Date, node: string): LedgerEvent[] {
  return commits.flatMap((one) => one.refused).map((one) => refusedEvent(one, now, node));
}

function claimsOf(commits: readonly Commit[]): (Claim | null)[] {
  return commits.map(({ messages, left }) => {
    const [first] = messages;
    const digest = digestOf(messages);
    if (first === undefined || digest === null) return null;
    const rejected = messages.every((one) => one.deliveries.every((delivery) => delivery.disposition === 'rejected'));
    return { digest, contentId: first.content.id, rejected, receivedAt: first.envelope.receivedAt, left };
  });
}

interface Row {
  readonly message: AcceptedMessage;
  readonly delivery: AcceptedDelivery;
}

/**
 * Messages, deliveries, queue rows and events (and `events` with them), in the caller's transaction. What is over an outbound
 * limit is held. All statements are sent at once and run in this order.
 */
export async function writeMessages(
  tx: SystemTx,
  given: readonly AcceptedMessage[],
  node: string,
  events: readonly LedgerEvent[] = [],
): Promise<void> {
  await together(sendMessages(tx, await holdOverLimits(tx, given), node, events));
}

function sendMessages(
  tx: SystemTx,
  messages: readonly AcceptedMessage[],
  node: string,
  events: readonly LedgerEvent[],
): Promise<unknown>[] {
  const rows = messages.flatMap((message) => message.deliveries.map((delivery) => ({ message, delivery })));
  const queued = rows.filter((row) => row.delivery.disposition === 'queued');
  const statements: Promise<unknown>[] = [];
  if (messages.length > 0) statements.push(insertMessages(tx, messages, node), insertDeliveries(tx, rows));
  if (queued.length > 0) statements.push(insertQueue(tx, queued));
  const traits = noteTraits(tx, messages);
  if (traits !== null) statements.push(traits);
  const history = noteHistory(tx, messages);
  if (history !== null) statements.push(history);
  statements.push(appendEvents(tx, [...rows.flatMap((row) => eventsOf(row, tx.now, node)), ...events]));
  if (queued.length > 0) statements.push(tx.run(sql`select pg_notify(${QUEUE_CHANNEL}, '')`));
  return statements;
}

function insertMessages(tx: SystemTx, messages: readonly AcceptedMessage[], node: string): Promise<number> {
  const pick = <T>(value: (one: AcceptedMessage) => T) => messages.map(value);
  return tx.run(sql`
    insert into messages (partner_id, id, content_id, direction, sender, remote_address, helo, tls, header_message_id,
                          from_address, from_name, subject, attachments, bytes, sha256, authentication_results, received_at, node,
                          dsn_ret, dsn_envid, smtp_utf8, campaign)
    select m.partner_id, m.id, m.content_id, m.direction, m.sender, m.remote_address, m.helo, m.tls, m.header_message_id,
           m.from_address, m.from_name, m.subject, m.attachments::jsonb, m.bytes, decode(m.sha256, 'hex'),
           m.authentication_results, m.received_at, ${node}, m.dsn_ret, m.dsn_envid, m.smtp_utf8, m.campaign
    from unnest(${pick((one) => one.partnerId)}::uuid[], ${pick((one) => one.id)}::uuid[],
                ${pick((one) => one.content.id)}::text[], ${pick((one) => one.envelope.direction)}::text[],
                ${pick((one) => storable(one.envelope.sender))}::text[], ${pick((one) => one.envelope.remoteAddress)}::text[],
                ${pick((one) => storable(one.envelope.helo))}::text[], ${pick((one) => one.envelope.tls)}::boolean[],
                ${pick((one) => storable(one.facts.messageId))}::text[], ${pick((one) => storable(one.facts.fromAddress))}::text[],
                ${pick((one) => storable(one.facts.fromName))}::text[], ${pick((one) => storable(one.facts.subject))}::text[],
                ${pick((one) => storableJson(one.facts.attachments))}::text[], ${pick((one) => one.content.bytes)}::bigint[],
                ${pick((one) => one.content.sha256)}::text[],
                ${pick((one) => (one.authenticationResults === null ? null : storable(one.authenticationResults)))}::text[],
                ${pick((one) => one.envelope.receivedAt)}::timestamptz[],
                ${pick((one) => one.envelope.dsn?.ret ?? null)}::text[],
                ${pick((one) => storable(one.envelope.dsn?.envid ?? '') || null)}::text[],
                ${pick((one) => one.envelope.smtpUtf8 === true)}::boolean[],
                ${pick((one) => storable(campaignOf(one.facts.subject)))}::text[])
      as m (partner_id, id, content_id, direction, sender, remote_address, helo, tls, header_message_id, from_address,
            from_name, subject, attachments, bytes, sha256, authentication_results, received_at, dsn_ret, dsn_envid, smtp_utf8,
            campaign)`);
}

function insertDeliveries(tx: SystemTx, rows: readonly Row[]): Promise<number> {
  const pick = <T>(value: (one: Row) => T) => rows.map(value);
  return tx.run(sql`
    insert into deliveries (partner_id, client_id, id, message_id, mailbox_id, recipient, domain, direction, verdict,
                            disposition, score, reasons, transform, accepted_at, ended_at, dsn_notify, dsn_orcpt)
    select d.partner_id, d.client_id, d.id, d.message_id, d.mailbox_id, d.recipient, d.domain, d.direction, d.verdict,
           d.disposition, d.score, d.reasons::jsonb, d.transform, ${tx.now},
           case when d.disposition <> 'queued' then ${tx.now}::timestamptz end, d.dsn_notify, d.dsn_orcpt
    from unnest(${pick(({ message }) => message.partnerId)}::uuid[],
                ${pick(({ delivery }) => delivery.context.clientId)}::uuid[], ${pick(({ delivery }) => delivery.id)}::uuid[],
                ${pick(({ message }) => message.id)}::uuid[], ${pick(({ delivery }) => delivery.context.mailboxId)}::uuid[],
                ${pick(({ delivery }) => delivery.context.recipient)}::text[],
                ${pick(({ delivery }) => delivery.context.domain)}::text[],
                ${pick(({ message }) => message.envelope.direction)}::text[],
                ${pick(({ delivery }) => delivery.decision.verdict)}::text[],
                ${pick(({ delivery }) => delivery.disposition)}::text[], ${pick(({ delivery }) => delivery.decision.score)}::real[],
                ${pick(({ delivery }) => storableJson(delivery.decision.reasons))}::text[],
                ${pick(({ delivery }) => delivery.transform)}::text[], ${pick((row) => wishOf(row)?.notify ?? null)}::text[],
                ${pick((row) => storable(wishOf(row)?.orcpt ?? '') || null)}::text[])
      as d (partner_id, client_id, id, message_id, mailbox_id, recipient, domain, direction, verdict, disposition, score,
            reasons, transform, dsn_notify, dsn_orcpt)`);
}

/** What the sender wants to be told of the recipient. */
function wishOf({ message, delivery }: Row): RecipientDsn | undefined {
  return message.envelope.dsn?.recipients.get(delivery.context.recipient);
}

/** Whether somebody is to be told when the delivery is late. */
function isNoticed(row: Row): boolean {
  const { kind, envelope } = row.message;
  const notify = wishOf(row)?.notify ?? 'DELAY';
  return kind === 'mail' && envelope.direction === 'outbound' && envelope.sender !== '' && notify.includes('DELAY');
}

function insertQueue(tx: SystemTx, rows: readonly Row[]): Promise<number> {
  const pick = <T>(value: (one: Row) => T) => rows.map(value);
  const expires = new Date(tx.now.getTime() + HOLD_DAYS * 86_400_000);
  const notice = new Date(tx.now.getTime() + NOTICE_HOURS * 3_600_000);
  return tx.run(sql`
    insert into queue (partner_id, delivery_id, client_id, message_id, content_id, sender, recipient, domain, kind,
                       queued_at, due_at, expires_at, held_at, held_reason, notice_due_at)
    select q.partner_id, q.delivery_id, q.client_id, q.message_id, q.content_id, q.sender, q.recipient, q.domain, q.kind,
           ${tx.now}, ${tx.now}, ${expires}, case when q.held is not null then ${tx.now}::timestamptz end, q.held,
           case when q.noticed and q.held is null then ${notice}::timestamptz end
    from unnest(${pick(({ message }) => message.partnerId)}::uuid[], ${pick(({ delivery }) => delivery.id)}::uuid[],
                ${pick(({ delivery }) => delivery.context.clientId)}::uuid[], ${pick(({ message }) => message.id)}::uuid[],
                ${pick(({ message }) => message.content.id)}::text[],
                ${pick(({ message }) => storable(message.envelope.sender))}::text[],
                ${pick(({ delivery }) => delivery.context.recipient)}::text[],
                ${pick(({ delivery }) => domainOf(delivery.context.recipient))}::text[],
                ${pick(({ message }) => message.kind)}::text[], ${pick(({ delivery }) => delivery.held)}::text[],
                ${pick(isNoticed)}::boolean[])
      as q (partner_id, delivery_id, client_id, message_id, content_id, sender, recipient, domain, kind, held, noticed)`);
}

function eventsOf({ message, delivery }: Row, now: Date, node: string): LedgerEvent[] {
  const { context, decision, disposition } = delivery;
  const base: LedgerEvent = {
    id: newId(),
    partnerId: message.partnerId,
    clientId: context.clientId,
    occurredAt: now,
    kind: disposition === 'rejected' ? 'rejected' : 'accepted',
    direction: message.envelope.direction,
    messageId: message.id,
    deliveryId: delivery.id,
    mailboxId: context.mailboxId,
    recipient: context.recipient,
    domain: context.domain,
    sender: message.envelope.sender,
    verdict: decision.verdict,
    disposition,
    reasons: [...new Set(decision.reasons.map((reason) => reason.code))],
    bytes: message.content.bytes,
    leads: delivery.leads,
    latencyMs: null,
    node,
  };
  if (disposition === 'queued' || disposition === 'rejected') return [base];
  return [base, { ...base, id: newId(), kind: disposition, leads: 0, latencyMs: 0 }];
}

function refusedEvent(refused: RefusedRecipient, now: Date, node: string): LedgerEvent {
  return {
    id: newId(),
    partnerId: refused.partnerId,
    clientId: refused.clientId,
    occurredAt: now,
    kind: 'refused',
    direction: 'inbound',
    messageId: null,
    deliveryId: null,
    mailboxId: null,
    recipient: refused.recipient,
    domain: refused.domain,
    sender: refused.sender,
    verdict: null,
    disposition: null,
    reasons: [refused.reason],
    bytes: 0,
    leads: 0,
    latencyMs: null,
    node,
  };
}

/** Without what PostgreSQL cannot store in text: NUL and halves of surrogate pairs. */
function storable(text: string): string {
  return text.replaceAll('\0', '\ufffd').toWellFormed();
}

function storableJson(value: unknown): string {
  return JSON.stringify(value, (_, part: unknown) => (typeof part === 'string' ? storable(part) : part));
}

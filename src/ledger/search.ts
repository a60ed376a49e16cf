import type { Disposition, Verdict } from '../core/verdict.ts';
import type { TenantTx } from '../db/db.ts';
import { allOf, planned, type Sql, sql } from '../db/sql.ts';
import type { DeliveryRow } from './read.ts';

/** What a delivery must be. Null and absent: anything. Fragments are of any length and case. */
export interface DeliveryFilter {
  readonly clientId?: string | null;
  /** A fragment of subject, sender or recipient. */
  readonly text?: string | null;
  /** A fragment of the subject. */
  readonly subject?: string | null;
  /** A fragment of the name of an attached file. */
  readonly attachment?: string | null;
  readonly recipient?: string | null;
  readonly sender?: string | null;
  /** The Message-ID header, with or without its angle brackets. */
  readonly messageId?: string | null;
  /** The IP address that it came from, as it is written in `messages`. */
  readonly remoteAddress?: string | null;
  readonly verdicts?: readonly Verdict[] | null;
  readonly dispositions?: readonly Disposition[] | null;
  readonly from?: Date | null;
  readonly to?: Date | null;
}

export interface Page<Cursor> {
  readonly first: number;
  readonly after: Cursor | null;
}

export interface TimeCursor {
  readonly at: Date;
  readonly id: string;
}

/** The newest deliveries that are looked through for a fragment before its index is asked. */
const WINDOW = 1_000;
/** A fragment that more messages hold is frequent: going through the mail, newest first, then finds a page sooner than the index. */
const CANDIDATES_MAX = 5_000;

/**
 * The message trace: deliveries, newest first, a page by its keys. What is matched whole is found by indexes, in the plan that the
 * values ask for. Fragments are looked for in the newest mail first, which is where frequent ones are; then by the index of
 * trigrams (migration 0019), which answers with few messages or not at all; then in all mail.
 */
export async function searchDeliveries(
  tx: TenantTx,
  filter: DeliveryFilter,
  page: Page<TimeCursor>,
): Promise<DeliveryRow[]> {
  const wholes = wholeConditions(tx, filter, page);
  const fragments = fragmentConditions(filter);
  const ofMessages = fragments.length > 0 || MESSAGE_FILTERS.some((name) => isGiven(filter[name]));
  const from = ofMessages
    ? planned`deliveries d join messages m on m.partner_id = d.partner_id and m.id = d.message_id`
    : planned`deliveries d`;
  if (fragments.length === 0) return find(tx, from, wholes, page.first);

  const newest = planned`(select d.* from ${from} where ${allOf(wholes)} order by d.accepted_at desc, d.id desc limit ${WINDOW}) as d
    join messages m on m.partner_id = d.partner_id and m.id = d.message_id`;
  const near = await find(tx, newest, fragments, page.first);
  if (near.length === page.first) return near;
  const candidates = await candidateMessages(tx, filter);
  if (candidates === null) return find(tx, from, [...wholes, ...fragments], page.first);
  if (candidates.length === 0) return [];
  const among = planned`d.message_id = any(${candidates}::uuid[])`;
  return find(tx, from, [among, ...wholes, ...fragments], page.first);
}

function find(tx: TenantTx, from: Sql, conditions: readonly Sql[], first: number): Promise<DeliveryRow[]> {
  return tx.rows<DeliveryRow>(planned`
    select d.id, d.client_id as "clientId", d.message_id as "messageId", d.mailbox_id as "mailboxId", d.recipient, d.direction,
           d.verdict, d.disposition, d.score, d.reasons, d.accepted_at as "acceptedAt", d.ended_at as "endedAt",
           d.released_at as "releasedAt", d.remote_reply as "remoteReply"
    from ${from}
    where ${allOf(conditions)}
    order by d.accepted_at desc, d.id desc
    limit ${first}`);
}

const MESSAGE_FILTERS = ['sender', 'messageId', 'remoteAddress'] as const;

function isGiven<T>(value: T | null | undefined): value is T {
  return value !== null && value !== undefined;
}

/** Conditions that an index answers by equality or order. */
function wholeConditions(tx: TenantTx, filter: DeliveryFilter, page: Page<TimeCursor>): Sql[] {
  const { clientId, recipient, sender, messageId, remoteAddress, verdicts, dispositions, from, to } = filter;
  const conditions = [sql`d.partner_id = ${tx.partnerId}`];
  if (isGiven(clientId)) conditions.push(sql`d.client_id = ${clientId}::uuid`);
  if (isGiven(recipient)) conditions.push(sql`d.recipient = ${recipient}`);
  if (isGiven(sender)) conditions.push(sql`m.partner_id = ${tx.partnerId} and m.sender = ${sender}`);
  if (isGiven(messageId)) {
    const bare = messageId.replace(/^<|>$/g, '');
    conditions.push(sql`m.partner_id = ${tx.partnerId} and m.header_message_id = any(${[bare, `<${bare}>`]}::text[])`);
  }
  if (isGiven(remoteAddress)) {
    conditions.push(sql`m.partner_id = ${tx.partnerId} and m.remote_address = ${remoteAddress}`);
  }
  if (isGiven(verdicts)) conditions.push(sql`d.verdict = any(${[...verdicts]}::text[])`);
  if (isGiven(dispositions)) conditions.push(...ofDispositions(tx, dispositions));
  if (isGiven(from)) conditions.push(sql`d.accepted_at >= ${from}`);
  if (isGiven(to)) conditions.push(sql`d.accepted_at < ${to}`);
  if (page.after !== null) conditions.push(sql`(d.accepted_at, d.id) < (${page.after.at}, ${page.after.id}::uuid)`);
  return conditions;
}

const UNDER_WAY: readonly Disposition[] = ['queued', 'deferred'];

/** What is still under way has a row in the queue (rule 2), which is short; deliveries have no index of it. */
function ofDispositions(tx: TenantTx, dispositions: readonly Disposition[]): Sql[] {
  const wanted = sql`d.disposition = any(${[...dispositions]}::text[])`;
  if (dispositions.some((one) => !UNDER_WAY.includes(one))) return [wanted];
  return [wanted, sql`d.id in (select q.delivery_id from queue q where q.partner_id = ${tx.partnerId})`];
}

function fragmentConditions({ text, subject, attachment }: DeliveryFilter): Sql[] {
  const conditions: Sql[] = [];
  if (hasText(text)) {
    const like = pattern(text);
    conditions.push(sql`(m.subject ilike ${like} or m.sender ilike ${like} or d.recipient ilike ${like})`);
  }
  if (hasText(subject)) conditions.push(sql`m.subject ilike ${pattern(subject)}`);
  if (hasText(attachment)) {
    conditions.push(
      sql`exists (select from jsonb_array_elements(m.attachments) as a where a ->> 'name' ilike ${pattern(attachment)})`,
    );
  }
  return conditions;
}

function hasText(text: string | null | undefined): text is string {
  return isGiven(text) && text !== '';
}

function pattern(text: string): string {
  return `%${text.replace(/[\\%_]/g, '\\$&')}%`;
}

/**
 * The messages that can hold the rarest of the fragments, by trigrams: a superset, since only ids leave the function that may use that
 * index. Null: no fragment is long enough, or too many messages hold each.
 */
async function candidateMessages(
  tx: TenantTx,
  { text, subject, attachment }: DeliveryFilter,
): Promise<string[] | null> {
  const asked = [
    { part: 'subject', fragment: subject, like: hasText(subject) ? pattern(subject) : '' },
    { part: 'text', fragment: text, like: hasText(text) ? pattern(text) : '' },
    // The index is over JSON, in which a name is written with escapes.
    {
      part: 'attachment',
      fragment: attachment,
      like: hasText(attachment) ? pattern(JSON.stringify(attachment).slice(1, -1)) : '',
    },
  ];
  let fewest: string[] | null = null;
  for (const { part, fragment, like } of asked) {
    if (!hasText(fragment) || !/[\p{L}\p{N}]{3}/u.test(fragment)) continue;
    const { ids } = await tx.one<{ ids: string[] | null }>(
      sql`select trace_candidates(${part}, ${like}, ${CANDIDATES_MAX + 1}) as ids`,
    );
    const found: string[] = ids ?? [];
    if (found.length <= CANDIDATES_MAX && (fewest === null || found.length < fewest.length)) fewest = found;
  }
  return fewest;
}

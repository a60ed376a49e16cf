import { createHash } from 'node:crypto';
import { countedLimitsOf, type LimitSubject, type RecipientLimits, subjectKey } from '../accounts/outbound-limits.ts';
import type { SystemTx } from '../db/db.ts';
import { sql } from '../db/sql.ts';
import { together } from '../db/together.ts';
import type { AcceptedDelivery, AcceptedMessage } from './acceptance.ts';

const BUCKET_MS = 300_000;
const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
/** Days after which a recipient that was not written to again is forgotten. */
export const KNOWN_DAYS = 90;

/** Days after its first mail in which a client's recipients are learned and, as far as nobody set a limit of its own, not limited. */
export const LEARN_DAYS = 7;

interface Used {
  recipients: number;
  firstTime: number;
}

/**
 * Counts the recipients of outbound mail that is to leave, and holds each message with which a limit of its mailbox, its
 * client or its partner would be passed; what is held is not counted. A partner's outbound mail is counted by one transaction
 * at a time on all nodes, so that no limit is ever passed. Answers the messages with what is held marked.
 *
 * The hour and the day slide in buckets of 5 minutes, of which the oldest counts whole.
 */
export async function holdOverLimits(
  tx: SystemTx,
  messages: readonly AcceptedMessage[],
): Promise<readonly AcceptedMessage[]> {
  const counted = messages.filter((one) => countable(one).length > 0);
  if (counted.length === 0) return messages;
  const subjects = [...new Map(counted.flatMap(subjectsOf).map((one) => [subjectKey(one), one])).values()];
  // Sent at once, run in this order: what is read was committed before the lock was had.
  const [, limits, used, known, starts] = await together([
    lockPartners(tx, [...new Set(counted.map((one) => one.partnerId))]),
    countedLimitsOf(tx, subjects),
    usedBy(tx, subjects),
    knownTo(tx, counted),
    startsOf(tx, counted.map(clientOf)),
  ] as const);
  const added = new Map<string, LimitSubject & Used>();
  const seen = new Map<string, { subject: LimitSubject; hash: Buffer }>();

  const held = new Map<string, string>();
  for (const message of counted) {
    const hashes = countable(message).map((one) => recipientHash(message.partnerId, one.context.recipient));
    const own = subjectsOf(message);
    const isFresh = (subject: LimitSubject, hash: Buffer) => {
      const key = knownKey(subject, hash);
      return !known.has(key) && !seen.has(key);
    };
    const freshFor = (subject: LimitSubject) => hashes.filter((hash) => isFresh(subject, hash)).length;
    const client = own.find((one) => one.scope === 'client');
    const since = starts.get(clientOf(message).id)?.getTime() ?? tx.now.getTime();
    const isLearning = tx.now.getTime() - since < LEARN_DAYS * DAY_MS;
    const wanted = own.map((subject) => ({
      subject,
      recipients: hashes.length,
      // A partner knows whom its clients know, each for itself. Who begins knows nobody, and that is no sign of anything.
      firstTime:
        isLearning && limits.get(subjectKey(subject))?.isOwn !== true
          ? 0
          : freshFor(subject.scope === 'partner' ? (client ?? subject) : subject),
    }));
    const reason = wanted
      .map(({ subject, ...more }) =>
        overLimit(subject, limits.get(subjectKey(subject)), used.get(subjectKey(subject)), more),
      )
      .find((one) => one !== null);
    if (reason !== undefined && reason !== null) {
      held.set(message.id, reason);
      continue;
    }
    for (const { subject, recipients, firstTime } of wanted) {
      const key = subjectKey(subject);
      const sum = used.get(key) ?? { recipients: 0, firstTime: 0 };
      used.set(key, { recipients: sum.recipients + recipients, firstTime: sum.firstTime + firstTime });
      const mine = added.get(key) ?? { ...subject, recipients: 0, firstTime: 0 };
      added.set(key, { ...mine, recipients: mine.recipients + recipients, firstTime: mine.firstTime + firstTime });
      if (subject.scope === 'partner') continue;
      for (const hash of hashes) seen.set(knownKey(subject, hash), { subject, hash });
    }
  }
  const begin = counted.filter((one) => !held.has(one.id) && !starts.has(clientOf(one).id)).map(clientOf);
  await together([
    writeCounts(tx, [...added.values()]),
    writeKnown(tx, [...seen.values()]),
    writeStarts(tx, begin),
  ] as const);
  return messages.map((message) => {
    const reason = held.get(message.id);
    return reason === undefined ? message : holdMessage(message, reason);
  });
}

function overLimit(
  { scope }: LimitSubject,
  limits: RecipientLimits | undefined,
  used: Used = { recipients: 0, firstTime: 0 },
  more: Used,
): string | null {
  if (limits === undefined) return null;
  if (used.recipients + more.recipients > limits.recipientsPerHour) return `hold.${scope}_recipients`;
  // Those who are known already may always be written to.
  if (more.firstTime > 0 && used.firstTime + more.firstTime > limits.firstTimeRecipientsPerDay)
    return `hold.${scope}_first_time`;
  return null;
}

/** The deliveries of a message that are about to leave for the world. Notifications of our own making are not counted. */
function countable(message: AcceptedMessage): readonly AcceptedDelivery[] {
  if (message.envelope.direction !== 'outbound' || (message.kind !== 'mail' && message.kind !== 'forward')) return [];
  return message.deliveries.filter((one) => one.disposition === 'queued' && one.held === null);
}

/** All deliveries of an outbound message have one client and one mailbox. */
function subjectsOf(message: AcceptedMessage): LimitSubject[] {
  const context = message.deliveries[0]?.context;
  if (context === undefined) return [];
  const { partnerId, clientId, mailboxId } = context;
  return [
    ...(mailboxId === null ? [] : [{ partnerId, scope: 'mailbox' as const, id: mailboxId }]),
    { partnerId, scope: 'client', id: clientId },
    { partnerId, scope: 'partner', id: partnerId },
  ];
}

interface SendingClient {
  readonly partnerId: string;
  readonly id: string;
}

const clientOf = (message: AcceptedMessage): SendingClient => ({
  partnerId: message.partnerId,
  id: message.deliveries[0]?.context.clientId ?? '',
});

/** When each client sent its first mail; of one that did not yet, nothing. */
async function startsOf(tx: SystemTx, clients: readonly SendingClient[]): Promise<Map<string, Date>> {
  const rows = await tx.rows<{ id: string; at: Date }>(sql`
    select s.client_id as id, s.started_at as at
    from unnest(${clients.map((one) => one.partnerId)}::uuid[], ${clients.map((one) => one.id)}::uuid[]) as c (partner_id, client_id)
    join outbound_starts s on s.partner_id = c.partner_id and s.client_id = c.client_id`);
  return new Map(rows.map((row) => [row.id, row.at]));
}

async function writeStarts(tx: SystemTx, clients: readonly SendingClient[]): Promise<void> {
  if (clients.length === 0) return;
  await tx.run(sql`
    insert into outbound_starts (partner_id, client_id, started_at)
    select c.partner_id, c.client_id, ${tx.now}
    from unnest(${clients.map((one) => one.partnerId)}::uuid[], ${clients.map((one) => one.id)}::uuid[]) as c (partner_id, client_id)
    on conflict (partner_id, client_id) do nothing`);
}

function holdMessage(message: AcceptedMessage, code: string): AcceptedMessage {
  const reason = { code, detail: 'the message waits until a person releases it' };
  return {
    ...message,
    deliveries: message.deliveries.map((delivery) =>
      delivery.disposition !== 'queued' || delivery.held !== null
        ? delivery
        : {
            ...delivery,
            held: code,
            decision: { ...delivery.decision, reasons: [...delivery.decision.reasons, reason] },
          },
    ),
  };
}

/** Hashes only, and salted with the partner: whom somebody writes to is not to be read from this table. */
function recipientHash(partnerId: string, recipient: string): Buffer {
  return createHash('sha256').update(`${partnerId} ${recipient}`).digest().subarray(0, 16);
}

const knownKey = (subject: LimitSubject, hash: Buffer) => `${subjectKey(subject)} ${hash.toString('hex')}`;

/** In one order on all nodes, so that two transactions never wait for each other. */
async function lockPartners(tx: SystemTx, partnerIds: readonly string[]): Promise<void> {
  await tx.run(sql`
    select pg_advisory_xact_lock(k.key)
    from (select distinct hashtextextended('outbound ' || p.id, 0) as key from unnest(${partnerIds}::text[]) as p (id)
          order by 1) k`);
}

async function usedBy(tx: SystemTx, subjects: readonly LimitSubject[]): Promise<Map<string, Used>> {
  const back = (ms: number) => new Date(tx.now.getTime() - ms - BUCKET_MS);
  const rows = await tx.rows<{ scope: LimitSubject['scope']; id: string } & Used>(sql`
    select s.scope, s.id, sum(c.recipients) filter (where c.bucket > ${back(HOUR_MS)})::bigint as recipients,
           sum(c.first_time)::bigint as "firstTime"
    from unnest(${subjects.map((one) => one.partnerId)}::uuid[], ${subjects.map((one) => one.scope)}::text[],
                ${subjects.map((one) => one.id)}::uuid[]) as s (partner_id, scope, id)
    join outbound_counts c on c.partner_id = s.partner_id and c.scope = s.scope and c.scope_id = s.id
                          and c.bucket > ${back(DAY_MS)}
    group by s.scope, s.id`);
  return new Map(
    rows.map((row) => [subjectKey(row), { recipients: row.recipients ?? 0, firstTime: row.firstTime ?? 0 }]),
  );
}

async function knownTo(tx: SystemTx, messages: readonly AcceptedMessage[]): Promise<Set<string>> {
  const pairs = messages.flatMap((message) =>
    subjectsOf(message)
      .filter((subject) => subject.scope !== 'partner')
      .flatMap((subject) =>
        countable(message).map((one) => ({
          subject,
          hash: recipientHash(message.partnerId, one.context.recipient),
        })),
      ),
  );
  const rows = await tx.rows<{ scope: LimitSubject['scope']; id: string; hash: Buffer }>(sql`
    select k.scope, k.scope_id as id, k.recipient as hash
    from unnest(${pairs.map((one) => one.subject.partnerId)}::uuid[], ${pairs.map((one) => one.subject.scope)}::text[],
                ${pairs.map((one) => one.subject.id)}::uuid[], ${pairs.map((one) => one.hash)}::bytea[])
      as p (partner_id, scope, id, hash)
    join outbound_known k on k.partner_id = p.partner_id and k.scope = p.scope and k.scope_id = p.id and k.recipient = p.hash
    where k.seen_on >= ${utcDay(tx.now.getTime() - KNOWN_DAYS * DAY_MS)}::date`);
  return new Set(rows.map((row) => `${subjectKey(row)} ${row.hash.toString('hex')}`));
}

async function writeCounts(tx: SystemTx, rows: readonly (LimitSubject & Used)[]): Promise<void> {
  if (rows.length === 0) return;
  const bucket = new Date(Math.floor(tx.now.getTime() / BUCKET_MS) * BUCKET_MS);
  await tx.run(sql`
    insert into outbound_counts as c (partner_id, scope, scope_id, bucket, recipients, first_time)
    select a.partner_id, a.scope, a.id, ${bucket}, a.recipients, a.first_time
    from unnest(${rows.map((one) => one.partnerId)}::uuid[], ${rows.map((one) => one.scope)}::text[],
                ${rows.map((one) => one.id)}::uuid[], ${rows.map((one) => one.recipients)}::bigint[],
                ${rows.map((one) => one.firstTime)}::bigint[]) as a (partner_id, scope, id, recipients, first_time)
    on conflict (partner_id, scope, scope_id, bucket) do update set
      recipients = c.recipients + excluded.recipients, first_time = c.first_time + excluded.first_time`);
}

async function writeKnown(tx: SystemTx, rows: readonly { subject: LimitSubject; hash: Buffer }[]): Promise<void> {
  if (rows.length === 0) return;
  await tx.run(sql`
    insert into outbound_known as k (partner_id, scope, scope_id, recipient, seen_on)
    select a.partner_id, a.scope, a.id, a.hash, ${utcDay(tx.now.getTime())}::date
    from unnest(${rows.map((one) => one.subject.partnerId)}::uuid[], ${rows.map((one) => one.subject.scope)}::text[],
                ${rows.map((one) => one.subject.id)}::uuid[], ${rows.map((one) => one.hash)}::bytea[])
      as a (partner_id, scope, id, hash)
    on conflict (partner_id, scope, scope_id, recipient) do update set seen_on = excluded.seen_on
      where k.seen_on < excluded.seen_on`);
}

const utcDay = (at: number) => new Date(at).toISOString().slice(0, 10);

/** Forgets counts that are older than a day, and recipients that were not written to for 90 days. Answers the rows that went. */
export async function forgetOldCounts(tx: SystemTx): Promise<number> {
  const counts = await tx.run(sql`
    delete from outbound_counts where bucket < ${new Date(tx.now.getTime() - DAY_MS - 2 * BUCKET_MS)}`);
  const known = await tx.run(sql`
    delete from outbound_known where seen_on < ${utcDay(tx.now.getTime() - KNOWN_DAYS * DAY_MS)}::date`);
  return counts + known;
}

import type { CorrespondentHistory, HistoryFacts } from '../core/filter.ts';
import type { SystemDb, SystemTx } from '../db/db.ts';
import { sql } from '../db/sql.ts';
import type { AcceptedDelivery, AcceptedMessage } from './acceptance.ts';

const DAY_MS = 86_400_000;
/** How long a correspondent is remembered without mail, and how long a sent Message-ID. */
export const HISTORY_KEPT_DAYS = Object.freeze({ correspondents: 180, sentIds: 30 });

const IDS_MAX = 250;

interface FactsRow {
  client_id: string;
  created_at: Date;
  received: number | null;
  sent: number | null;
  spam: number | null;
  is_reply: boolean;
}

/** The port by which the pipeline asks, once per message, in one statement. Addresses are in the database as hashes only. */
export function correspondentHistory(db: SystemDb): CorrespondentHistory {
  return {
    async look(clients, from, inReplyTo) {
      const rows = await db.system((tx) => factsOf(tx, clients, from, inReplyTo), {
        readOnly: true,
        perStatement: true,
      });
      return new Map(
        rows.map((row): [string, HistoryFacts] => [
          row.client_id,
          {
            clientSince: row.created_at,
            received: row.received ?? 0,
            sent: row.sent ?? 0,
            spam: row.spam ?? 0,
            isReply: row.is_reply,
          },
        ]),
      );
    },
  };
}

function factsOf(
  tx: SystemTx,
  clients: readonly { readonly partnerId: string; readonly clientId: string }[],
  from: string,
  inReplyTo: readonly string[],
): Promise<FactsRow[]> {
  const ids = inReplyTo.map((one) => storable(one.slice(0, IDS_MAX)));
  return tx.rows<FactsRow>(sql`
    select c.id as client_id, c.created_at, h.received, h.sent, h.spam,
           exists (select from unnest(${ids}::text[]) r (id)
                   join sent_message_ids s on s.partner_id = c.partner_id and s.client_id = c.id
                     and s.digest = sha256(c.salt || convert_to(r.id, 'UTF8'))) as is_reply
    from unnest(${clients.map((one) => one.partnerId)}::uuid[], ${clients.map((one) => one.clientId)}::uuid[]) q (partner_id, id)
    join clients c on c.partner_id = q.partner_id and c.id = q.id
    left join correspondents h on h.partner_id = c.partner_id and h.client_id = c.id
      and h.correspondent = sha256(c.salt || convert_to(${storable(from)}, 'UTF8'))`);
}

interface Seen {
  readonly partnerId: string;
  readonly clientId: string;
  readonly address: string;
  received: number;
  sent: number;
  spam: number;
}

const UNWANTED: ReadonlySet<string> = new Set(['spam', 'phish', 'spoof', 'malware']);

/**
 * What accepted messages say of correspondents, in the transaction that writes them; one statement, null when there is nothing
 * to say. Unwanted mail makes nobody known: it is counted for those who are. So the table grows with the client's real
 * correspondence, not with spam.
 */
export function noteHistory(tx: SystemTx, messages: readonly AcceptedMessage[]): Promise<number> | null {
  const seen = new Map<string, Seen>();
  const ids: { partnerId: string; clientId: string; id: string }[] = [];
  for (const message of messages) {
    if (message.kind !== 'mail') continue;
    const sentBy = new Set<string>();
    // A message to many of a client's people is one sign.
    const told = new Set<string>();
    for (const delivery of message.deliveries) {
      const { clientId } = delivery.context;
      const { direction } = message.envelope;
      const address = direction === 'outbound' ? delivery.context.recipient : message.facts.fromAddress;
      const sign = signOf(message, delivery);
      const key = `${clientId} ${address}`;
      if (address === '' || sign === null || told.has(`${key} ${sign}`)) continue;
      told.add(`${key} ${sign}`);
      const one = seen.get(key) ?? { partnerId: message.partnerId, clientId, address, received: 0, sent: 0, spam: 0 };
      one[sign] += 1;
      seen.set(key, one);
      if (sign === 'sent') sentBy.add(clientId);
    }
    const id = message.facts.messageId.slice(0, IDS_MAX);
    if (id !== '') for (const clientId of sentBy) ids.push({ partnerId: message.partnerId, clientId, id });
  }
  if (seen.size === 0) return null;
  return writeSeen(tx, [...seen.values()], ids);
}

/** Null: says nothing of the correspondent. What is held for a person to look at does not yet. */
function signOf({ envelope }: AcceptedMessage, { decision, disposition, held }: AcceptedDelivery): keyof Counts | null {
  const isClean = decision.verdict === 'clean' && held === null && PASSED.has(disposition);
  if (envelope.direction === 'outbound') return isClean ? 'sent' : null;
  if (UNWANTED.has(decision.verdict)) return 'spam';
  return isClean ? 'received' : null;
}

/** `delivered`: gone on to where the mailbox's mail is forwarded. */
const PASSED: ReadonlySet<string> = new Set(['queued', 'delivered']);

type Counts = Pick<Seen, 'received' | 'sent' | 'spam'>;

/** In the order of the keys: two batches must not wait crosswise. */
function writeSeen(
  tx: SystemTx,
  seen: readonly Seen[],
  ids: readonly { partnerId: string; clientId: string; id: string }[],
): Promise<number> {
  const pick = <T>(value: (one: Seen) => T) => seen.map(value);
  return tx.run(sql`
    with sent_ids as (
      insert into sent_message_ids (partner_id, client_id, digest, sent_at)
      select distinct c.partner_id, c.id, sha256(c.salt || convert_to(i.id, 'UTF8')) as digest, ${tx.now}::timestamptz
      from unnest(${ids.map((one) => one.partnerId)}::uuid[], ${ids.map((one) => one.clientId)}::uuid[],
                  ${ids.map((one) => storable(one.id))}::text[]) i (partner_id, client_id, id)
      join clients c on c.partner_id = i.partner_id and c.id = i.client_id
      order by 1, 2, 3
      on conflict (partner_id, client_id, digest) do nothing
    )
    insert into correspondents as h (partner_id, client_id, correspondent, first_seen, last_seen, received, sent, spam)
    select n.partner_id, n.client_id, n.correspondent, ${tx.now}, ${tx.now}, n.received, n.sent, n.spam
    from (
      select c.partner_id, c.id as client_id, sha256(c.salt || convert_to(s.address, 'UTF8')) as correspondent,
             sum(s.received) as received, sum(s.sent) as sent, sum(s.spam) as spam
      from unnest(${pick((one) => one.partnerId)}::uuid[], ${pick((one) => one.clientId)}::uuid[],
                  ${pick((one) => storable(one.address))}::text[], ${pick((one) => one.received)}::int[],
                  ${pick((one) => one.sent)}::int[], ${pick((one) => one.spam)}::int[])
        as s (partner_id, client_id, address, received, sent, spam)
      join clients c on c.partner_id = s.partner_id and c.id = s.client_id
      group by 1, 2, 3
    ) n
    where n.received + n.sent > 0 or exists (
      select from correspondents k where k.partner_id = n.partner_id and k.client_id = n.client_id
        and k.correspondent = n.correspondent)
    order by n.partner_id, n.client_id, n.correspondent
    on conflict (partner_id, client_id, correspondent) do update set last_seen = greatest(h.last_seen, excluded.last_seen),
      received = h.received + excluded.received, sent = h.sent + excluded.sent, spam = h.spam + excluded.spam`);
}

/** PostgreSQL stores no NUL in text, and half a surrogate pair is no UTF-8. */
function storable(text: string): string {
  return text.replaceAll('\0', '\ufffd').toWellFormed();
}

/** Forgets whom nothing was heard of for long. Answers how many rows went. */
export async function pruneHistory(db: SystemDb): Promise<number> {
  return db.system(async (tx) => {
    const before = (days: number) => new Date(tx.now.getTime() - days * DAY_MS);
    return (
      (await tx.run(sql`delete from correspondents where last_seen < ${before(HISTORY_KEPT_DAYS.correspondents)}`)) +
      (await tx.run(sql`delete from sent_message_ids where sent_at < ${before(HISTORY_KEPT_DAYS.sentIds)}`))
    );
  });
}

import type { SystemTx } from '../db/db.ts';
import { sql } from '../db/sql.ts';
import type { AcceptedMessage } from './acceptance.ts';

/** Verdicts of mail that campaigns are made of. */
const OF_CAMPAIGNS: ReadonlySet<string> = new Set(['spam', 'spoof', 'phish', 'policy', 'malware']);
const TRAITS_MAX = 16;

/** Notes what unwanted messages from outside may share with others; one statement, null when there is none among them. */
export function noteTraits(tx: SystemTx, messages: readonly AcceptedMessage[]): Promise<number> | null {
  const rows = messages.flatMap((message) => {
    const isUnwanted =
      message.kind === 'mail' &&
      message.envelope.direction === 'inbound' &&
      message.deliveries.some(({ decision }) => OF_CAMPAIGNS.has(decision.verdict));
    return isUnwanted ? (message.traits ?? []).slice(0, TRAITS_MAX).map((trait) => ({ message, trait })) : [];
  });
  if (rows.length === 0) return null;
  const pick = <T>(value: (one: (typeof rows)[number]) => T) => rows.map(value);
  return tx.run(sql`
    insert into threat_traits (partner_id, message_id, kind, digest, label, occurred_at)
    select t.partner_id, t.message_id, t.kind, decode(t.digest, 'hex'), t.label, ${tx.now}::timestamptz
    from unnest(${pick(({ message }) => message.partnerId)}::uuid[], ${pick(({ message }) => message.id)}::uuid[],
                ${pick(({ trait }) => trait.kind)}::text[], ${pick(({ trait }) => trait.digest)}::text[],
                ${pick(({ trait }) => storable(trait.label))}::text[]) as t (partner_id, message_id, kind, digest, label)`);
}

/** PostgreSQL stores no NUL in text, and half a surrogate pair is no UTF-8. It counts characters, not UTF-16 units. */
function storable(text: string): string {
  return text.replaceAll('\0', '\ufffd').toWellFormed().slice(0, 200).toWellFormed();
}

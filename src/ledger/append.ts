import type { LedgerEvent } from '../core/event.ts';
import type { Tx } from '../db/db.ts';
import { sql } from '../db/sql.ts';

/**
 * Longest texts kept, in UTF-16 units: more than RFC 5321 section 4.5.3.1 allows. They become keys of rollups, and a key that
 * is too long for an index would stop the roller for everybody.
 */
const ADDRESS_MAX = 320;
const REASON_MAX = 200;
const REASONS_MAX = 32;

/** What PostgreSQL can't store in text: NUL, and halves of surrogate pairs. One bad sender must not fail a whole batch. */
function storable(text: string, max = ADDRESS_MAX): string {
  return text.slice(0, max).replaceAll('\0', '\ufffd').toWellFormed();
}

function storableReasons(reasons: readonly string[]): string {
  // As JSON: arrays of arrays do not unnest row by row.
  return JSON.stringify(reasons.slice(0, REASONS_MAX).map((reason) => storable(reason, REASON_MAX)));
}

/**
 * Appends events: the only writer of the ledger (rule 12). An event that is there already (same id, same time) is left as it
 * is, so a repetition after an unclear commit counts once. Texts are cut to what an address may have, reasons to 32 of 200.
 */
export async function appendEvents(tx: Tx, events: readonly LedgerEvent[]): Promise<void> {
  if (events.length === 0) return;
  await tx.run(sql`
    insert into ledger (partner_id, id, client_id, occurred_at, kind, direction, message_id, delivery_id, mailbox_id,
                        recipient, domain, sender, verdict, disposition, reasons, bytes, leads, latency_ms, node)
    select e.partner_id, e.id, e.client_id, e.occurred_at, e.kind, e.direction, e.message_id, e.delivery_id, e.mailbox_id,
           e.recipient, e.domain, e.sender, e.verdict, e.disposition,
           array(select jsonb_array_elements_text(e.reasons::jsonb)), e.bytes, e.leads, e.latency_ms, e.node
    from unnest(${events.map((event) => event.partnerId)}::uuid[],
                ${events.map((event) => event.id)}::uuid[],
                ${events.map((event) => event.clientId)}::uuid[],
                ${events.map((event) => event.occurredAt)}::timestamptz[],
                ${events.map((event) => event.kind)}::text[],
                ${events.map((event) => event.direction)}::text[],
                ${events.map((event) => event.messageId)}::uuid[],
                ${events.map((event) => event.deliveryId)}::uuid[],
                ${events.map((event) => event.mailboxId)}::uuid[],
                ${events.map((event) => storable(event.recipient))}::text[],
                ${events.map((event) => storable(event.domain))}::text[],
                ${events.map((event) => storable(event.sender))}::text[],
                ${events.map((event) => event.verdict)}::text[],
                ${events.map((event) => event.disposition)}::text[],
                ${events.map((event) => storableReasons(event.reasons))}::text[],
                ${events.map((event) => event.bytes)}::bigint[],
                ${events.map((event) => event.leads)}::smallint[],
                ${events.map((event) => event.latencyMs)}::bigint[],
                ${events.map((event) => storable(event.node))}::text[])
      as e (partner_id, id, client_id, occurred_at, kind, direction, message_id, delivery_id, mailbox_id,
            recipient, domain, sender, verdict, disposition, reasons, bytes, leads, latency_ms, node)
    on conflict (partner_id, id, occurred_at) do nothing`);
}

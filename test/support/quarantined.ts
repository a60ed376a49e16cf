import { newId } from '../../src/core/id.ts';
import type { PartnerId } from '../../src/core/tenant.ts';
import type { Direction, Disposition, Reason, Verdict } from '../../src/core/verdict.ts';
import type { Database } from '../../src/db/db.ts';
import { sql } from '../../src/db/sql.ts';
import { appendEvents } from '../../src/ledger/append.ts';
import { makeEvent } from './events.ts';

export interface SeededDelivery {
  readonly recipient?: string;
  readonly subject?: string;
  readonly verdict?: Verdict;
  readonly mailboxId?: string;
  readonly reasons?: readonly Reason[];
  readonly disposition?: Disposition;
  readonly sender?: string;
  /** Of the body; the message's id unless given. */
  readonly contentId?: string;
  readonly direction?: Direction;
}

/** A message in quarantine, with the two events that brought it there. Answers with the delivery's id. */
export async function seedQuarantined(
  db: Database,
  partner: PartnerId,
  clientId: string,
  given: SeededDelivery = {},
): Promise<string> {
  const [messageId, deliveryId] = [newId(), newId()];
  const recipient = given.recipient ?? 'ann@acme.example';
  const verdict = given.verdict ?? 'spam';
  const sender = given.sender ?? 'bob@sender.example';
  const disposition = given.disposition ?? 'quarantined';
  const direction = given.direction ?? 'inbound';
  const reasons = given.reasons ?? [{ code: 'content.model', detail: '' }];
  await db.system(async (tx) => {
    await tx.run(sql`
      insert into messages (partner_id, id, content_id, direction, sender, remote_address, helo, tls, header_message_id,
                            from_address, from_name, subject, bytes, sha256, received_at, node)
      values (${partner}, ${messageId}, ${given.contentId ?? messageId}, ${direction}, ${sender}, '192.0.2.1', 'sender.example', true,
              '<1@sender.example>', ${sender}, 'Bob', ${given.subject ?? 'Hello'}, 1000, ${Buffer.alloc(32)},
              ${tx.now}, 'test')`);
    await tx.run(sql`
      insert into deliveries (partner_id, client_id, id, message_id, mailbox_id, recipient, domain, direction, verdict, disposition, score,
                              reasons, accepted_at, ended_at)
      values (${partner}, ${clientId}, ${deliveryId}, ${messageId}, ${given.mailboxId ?? null}, ${recipient}, 'acme.example',
              ${direction}, ${verdict}, ${disposition}, 7, ${JSON.stringify(reasons)}, ${tx.now}, ${tx.now})`);
    const base = {
      partnerId: partner,
      clientId,
      occurredAt: tx.now,
      messageId,
      deliveryId,
      recipient,
      verdict,
    } as const;
    await appendEvents(tx, [
      makeEvent({ ...base, disposition: 'quarantined' }),
      disposition === 'quarantined'
        ? makeEvent({ ...base, kind: 'quarantined', disposition: 'quarantined', leads: 0 })
        : makeEvent({ ...base, kind: 'delivered', disposition, leads: 0 }),
    ]);
  });
  return deliveryId;
}

/** What delivery writes when a queued message ends: for tests without a gateway. */
export async function endDelivery(
  db: Database,
  deliveryId: string,
  disposition: 'released' | 'bounced',
  reply: string,
): Promise<void> {
  await db.system(async (tx) => {
    await tx.run(sql`delete from queue where delivery_id = ${deliveryId}`);
    await tx.run(sql`
      update deliveries set disposition = ${disposition}, ended_at = ${tx.now}, remote_reply = ${reply}, release_due_at = null
      where id = ${deliveryId}`);
  });
}

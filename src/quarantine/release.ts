import { QUEUE_CHANNEL } from '../core/channels.ts';
import { AppError } from '../core/errors.ts';
import type { EventKind } from '../core/event.ts';
import { newId } from '../core/id.ts';
import type { Direction, Disposition, Verdict } from '../core/verdict.ts';
import type { TenantTx } from '../db/db.ts';
import { sql } from '../db/sql.ts';
import { appendEvents } from '../ledger/append.ts';

/** How long a released message may take to arrive before an alarm is raised. */
const RELEASE_LIMIT_MS = 10 * 60_000;
const QUEUE_LIFE_MS = 5 * 86_400_000;

interface HeldRow {
  id: string;
  client_id: string;
  message_id: string;
  mailbox_id: string | null;
  content_id: string;
  sender: string;
  recipient: string;
  domain: string;
  direction: Direction;
  verdict: Verdict;
  disposition: Disposition;
  bytes: number;
  accepted_at: Date;
  release_due_at: Date | null;
}

/** Locks the delivery, so that two who decide on it at once do so one after the other. */
async function lockDelivery(tx: TenantTx, id: string): Promise<HeldRow> {
  const row = await tx.maybe<HeldRow>(sql`
    select d.id, d.client_id, d.message_id, d.mailbox_id, m.content_id, m.sender, d.recipient, d.domain, d.direction, d.verdict,
           d.disposition, m.bytes, d.accepted_at, d.release_due_at
    from deliveries d join messages m on m.partner_id = d.partner_id and m.id = d.message_id
    where d.partner_id = ${tx.partnerId} and d.id = ${id} for update of d`);
  if (row === null) throw new AppError('not_found', 'no such delivery');
  return row;
}

/**
 * Sends a quarantined delivery on, unfiltered. Idempotent: a delivery that is on its way or was released answers
 * `released: false`. The release is done when its delivery event says so, not before: until then `release_due_at` stands,
 * and the monitor raises an alarm when it passes. Throws `not_found`; `conflict` when it was never in quarantine.
 */
export async function releaseDelivery(
  tx: TenantTx,
  id: string,
  actor: string,
  node: string,
): Promise<{ released: boolean }> {
  const row = await lockDelivery(tx, id);
  if (row.disposition === 'released' || row.release_due_at !== null) return { released: false };
  if (row.disposition !== 'quarantined') throw new AppError('conflict', 'the delivery is not in quarantine');
  await tx.run(sql`
    update deliveries set disposition = 'queued', ended_at = null, released_by = ${actor},
           release_due_at = ${new Date(tx.now.getTime() + RELEASE_LIMIT_MS)}
    where partner_id = ${tx.partnerId} and id = ${id}`);
  await tx.run(sql`
    insert into queue (partner_id, delivery_id, client_id, message_id, content_id, sender, recipient, domain, kind, queued_at,
                       due_at, expires_at)
    values (${tx.partnerId}, ${id}, ${row.client_id}, ${row.message_id}, ${row.content_id}, ${row.sender}, ${row.recipient},
            ${row.recipient.slice(row.recipient.lastIndexOf('@') + 1)}, 'release', ${tx.now}, ${tx.now},
            ${new Date(tx.now.getTime() + QUEUE_LIFE_MS)})`);
  await writeEvent(tx, row, 'release_requested', 'queued', node);
  await tx.run(sql`select pg_notify(${QUEUE_CHANNEL}, '')`);
  return { released: true };
}

/** Gives a quarantined delivery up. Idempotent. Throws `not_found`; `conflict` when it is not in quarantine. */
export async function discardDelivery(tx: TenantTx, id: string, node: string): Promise<{ discarded: boolean }> {
  const row = await lockDelivery(tx, id);
  if (row.disposition === 'discarded') return { discarded: false };
  if (row.disposition !== 'quarantined') throw new AppError('conflict', 'the delivery is not in quarantine');
  await tx.run(sql`
    update deliveries set disposition = 'discarded', ended_at = ${tx.now}
    where partner_id = ${tx.partnerId} and id = ${id}`);
  await writeEvent(tx, row, 'discarded', 'discarded', node);
  return { discarded: true };
}

async function writeEvent(
  tx: TenantTx,
  row: HeldRow,
  kind: EventKind,
  disposition: Disposition,
  node: string,
): Promise<void> {
  await appendEvents(tx, [
    {
      id: newId(),
      partnerId: tx.partnerId,
      clientId: row.client_id,
      occurredAt: tx.now,
      kind,
      direction: row.direction,
      messageId: row.message_id,
      deliveryId: row.id,
      mailboxId: row.mailbox_id,
      recipient: row.recipient,
      domain: row.domain,
      sender: row.sender,
      verdict: row.verdict,
      disposition,
      reasons: [],
      bytes: row.bytes,
      leads: 0,
      latencyMs: Math.max(0, tx.now.getTime() - row.accepted_at.getTime()),
      node,
    },
  ]);
}

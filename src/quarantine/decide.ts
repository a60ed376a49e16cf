import { recordAudit } from '../accounts/audit.ts';
import { domainOf } from '../core/address.ts';
import { QUEUE_CHANNEL } from '../core/channels.ts';
import { AppError } from '../core/errors.ts';
import type { EventKind, LedgerEvent } from '../core/event.ts';
import { newId } from '../core/id.ts';
import type { Direction, Disposition, Reason, Verdict } from '../core/verdict.ts';
import type { TenantTx } from '../db/db.ts';
import { sql } from '../db/sql.ts';
import { appendEvents } from '../ledger/append.ts';
import { settleRequest } from './request-rows.ts';
import { type QuarantineRole, requireRelease } from './rights.ts';

/** A release that has not arrived by then opens an incident (monitor/releases.ts). */
export const RELEASE_DUE_MS = 10 * 60_000;
/** What a delivery that was let out is, unless its delivery failed for good. */
const RELEASED: readonly Disposition[] = ['queued', 'deferred', 'released'];
/** How long delivery tries, as for any mail whose server may be down. */
const RELEASE_EXPIRES_MS = 14 * 86_400_000;
/** The node that events name which no gateway wrote. */
const NODE = 'api';

interface Quarantined {
  readonly clientId: string;
  readonly messageId: string;
  readonly contentId: string;
  readonly mailboxId: string | null;
  readonly recipient: string;
  readonly domain: string;
  readonly sender: string;
  readonly direction: Direction;
  readonly verdict: Verdict;
  readonly reasons: readonly Reason[];
  readonly disposition: Disposition;
  readonly acceptedAt: Date;
  readonly releasedBy: string | null;
  readonly bytes: number;
}

async function lock(tx: TenantTx, deliveryId: string): Promise<Quarantined> {
  const row = await tx.maybe<Quarantined>(sql`
    select d.client_id as "clientId", d.message_id as "messageId", m.content_id as "contentId", d.mailbox_id as "mailboxId",
           d.recipient, d.domain, m.sender, d.direction, d.verdict, d.reasons, d.disposition, d.accepted_at as "acceptedAt",
           d.released_by as "releasedBy", m.bytes
    from deliveries d
    join messages m on m.partner_id = d.partner_id and m.id = d.message_id
    where d.partner_id = ${tx.partnerId} and d.id = ${deliveryId} for update of d`);
  if (row === null) throw new AppError('not_found', 'no such delivery', { field: 'id' });
  return row;
}

/**
 * Lets a delivery out of quarantine: it is queued again, and its arrival is watched (rule 9). Once, however often it is asked:
 * `released` is false when it was let out before. An open request for it is approved by it. Throws `not_found`, `forbidden`
 * when the role may not let out this kind of mail (rights.ts), or `conflict` when it is not in quarantine.
 */
export async function releaseDelivery(
  tx: TenantTx,
  deliveryId: string,
  actor: string,
  role: QuarantineRole = 'user',
): Promise<{ released: boolean }> {
  const delivery = await lock(tx, deliveryId);
  requireRelease(role, delivery);
  if (delivery.disposition !== 'quarantined') {
    const isOnItsWay = RELEASED.some((disposition) => disposition === delivery.disposition);
    if (delivery.releasedBy !== null && isOnItsWay) return { released: false };
    throw new AppError('conflict', `the delivery is ${delivery.disposition}, not in quarantine`, { field: 'id' });
  }
  await tx.run(sql`
    update deliveries set disposition = 'queued', ended_at = null, released_at = ${tx.now}, released_by = ${actor},
      release_due_at = ${new Date(tx.now.getTime() + RELEASE_DUE_MS)}
    where partner_id = ${tx.partnerId} and id = ${deliveryId}`);
  await tx.run(sql`
    insert into queue (partner_id, delivery_id, client_id, message_id, content_id, sender, recipient, domain, kind, queued_at,
                       due_at, expires_at)
    values (${tx.partnerId}, ${deliveryId}, ${delivery.clientId}, ${delivery.messageId}, ${delivery.contentId},
            ${delivery.sender}, ${delivery.recipient}, ${domainOf(delivery.recipient)}, 'release', ${tx.now}, ${tx.now},
            ${new Date(tx.now.getTime() + RELEASE_EXPIRES_MS)})`);
  await appendEvents(tx, [eventOf(tx, deliveryId, delivery, 'release_requested', 'queued')]);
  await tx.run(sql`select pg_notify(${QUEUE_CHANNEL}, '')`);
  await settleRequest(tx, deliveryId, { state: 'approved', actor });
  await audit(tx, deliveryId, delivery, actor, 'quarantine.release');
  return { released: true };
}

/**
 * Throws a delivery away for good. Once: `discarded` is false when it was before. Throws `not_found`, or `conflict` when it is
 * not in quarantine.
 */
export async function discardDelivery(
  tx: TenantTx,
  deliveryId: string,
  actor: string,
): Promise<{ discarded: boolean }> {
  const delivery = await lock(tx, deliveryId);
  if (delivery.disposition === 'discarded') return { discarded: false };
  if (delivery.disposition !== 'quarantined') {
    throw new AppError('conflict', `the delivery is ${delivery.disposition}, not in quarantine`, { field: 'id' });
  }
  await tx.run(sql`
    update deliveries set disposition = 'discarded', ended_at = ${tx.now}
    where partner_id = ${tx.partnerId} and id = ${deliveryId}`);
  await appendEvents(tx, [eventOf(tx, deliveryId, delivery, 'discarded', 'discarded')]);
  await settleRequest(tx, deliveryId, { state: 'denied', actor });
  await audit(tx, deliveryId, delivery, actor, 'quarantine.discard');
  return { discarded: true };
}

function eventOf(
  tx: TenantTx,
  deliveryId: string,
  delivery: Quarantined,
  kind: EventKind,
  disposition: Disposition,
): LedgerEvent {
  return {
    id: newId(),
    partnerId: tx.partnerId,
    clientId: delivery.clientId,
    occurredAt: tx.now,
    kind,
    direction: delivery.direction,
    messageId: delivery.messageId,
    deliveryId,
    mailboxId: delivery.mailboxId,
    recipient: delivery.recipient,
    domain: delivery.domain,
    sender: delivery.sender,
    verdict: delivery.verdict,
    disposition,
    reasons: [],
    bytes: delivery.bytes,
    leads: 0,
    latencyMs: Math.max(0, tx.now.getTime() - delivery.acceptedAt.getTime()),
    node: NODE,
  };
}

function audit(tx: TenantTx, deliveryId: string, delivery: Quarantined, actor: string, action: string): Promise<void> {
  return recordAudit(tx, {
    partnerId: tx.partnerId,
    actor,
    action,
    subject: deliveryId,
    details: { recipient: delivery.recipient, sender: delivery.sender, verdict: delivery.verdict },
  });
}

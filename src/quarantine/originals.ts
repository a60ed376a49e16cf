import { recordAudit } from '../accounts/audit.ts';
import { domainOf } from '../core/address.ts';
import { QUEUE_CHANNEL } from '../core/channels.ts';
import { AppError } from '../core/errors.ts';
import { newId } from '../core/id.ts';
import type { SystemTx, TenantTx } from '../db/db.ts';
import { sql } from '../db/sql.ts';
import { appendEvents } from '../ledger/append.ts';
import { RELEASE_DUE_MS } from './decide.ts';
import { type HeldDelivery, reachDelivery } from './held.ts';
import { type QuarantineActor, requireRelease } from './rights.ts';

/**
 * The original of a message whose unwanted files were taken out. The delivery ended as `stripped`; the original is held beside it
 * for as long as the client keeps mail, and can be sent after it, whole, by those who may let out its class. The delivery stays
 * `stripped` whatever becomes of the original, so that it ends once and is counted once (rule 2).
 */
export type OriginalState = 'held' | 'requested' | 'released' | 'failed' | 'discarded';

/** What the ledger says of a release of an original. */
export const ORIGINAL_REASON = 'quarantine.original';
const EXPIRES_MS = 14 * 86_400_000;
const NODE = 'api';

export interface HeldOriginal {
  readonly id: string;
  readonly acceptedAt: Date;
}

/** A page of held originals whose body is still there, newest first: ids and keys, the rest is the delivery's. */
export async function listOriginals(
  tx: TenantTx,
  clientId: string | null,
  page: { readonly first: number; readonly after: { readonly at: Date; readonly id: string } | null },
): Promise<HeldOriginal[]> {
  return tx.rows<HeldOriginal>(sql`
    select d.id, d.accepted_at as "acceptedAt"
    from deliveries d
    join messages m on m.partner_id = d.partner_id and m.id = d.message_id
    where d.partner_id = ${tx.partnerId} and d.original_state = 'held' and m.content_removed_at is null
      and (${clientId}::uuid is null or d.client_id = ${clientId}::uuid)
      and (${page.after?.id ?? null}::uuid is null
           or (d.accepted_at, d.id) < (${page.after?.at ?? null}::timestamptz, ${page.after?.id ?? null}::uuid))
    order by d.accepted_at desc, d.id desc
    limit ${page.first}`);
}

/** States of those of the deliveries that have an original. */
export async function originalStates(
  tx: TenantTx,
  ids: readonly string[],
): Promise<{ readonly id: string; readonly state: OriginalState }[]> {
  return tx.rows<{ id: string; state: OriginalState }>(sql`
    select d.id, d.original_state as state from deliveries d
    where d.partner_id = ${tx.partnerId} and d.id = any(${[...ids]}::uuid[]) and d.original_state is not null`);
}

interface Locked {
  readonly state: OriginalState | null;
  readonly domain: string;
  readonly isRemoved: boolean;
}

async function lock(tx: TenantTx, id: string): Promise<Locked> {
  return tx.one<Locked>(sql`
    select d.original_state as state, d.domain, m.content_removed_at is not null as "isRemoved"
    from deliveries d
    join messages m on m.partner_id = d.partner_id and m.id = d.message_id
    where d.partner_id = ${tx.partnerId} and d.id = ${id} for update of d`);
}

/**
 * Sends the original after the stripped copy, once: `released` is false when that was asked for before and has not failed. Its
 * arrival is watched as that of any release (rule 9). Throws `not_found`, `forbidden` (rights.ts: a program is let out by
 * administrators), or `conflict` when there is no original, it was thrown away, or its body is no longer kept.
 */
export async function releaseOriginal(
  tx: TenantTx,
  actor: QuarantineActor,
  deliveryId: string,
): Promise<{ released: boolean }> {
  const delivery = await reachDelivery(tx, actor, deliveryId);
  requireRelease(actor.role, delivery);
  const { state, domain, isRemoved } = await lock(tx, deliveryId);
  if (state === 'requested' || state === 'released') return { released: false };
  if (state === null || state === 'discarded' || isRemoved) throw noOriginal();
  await tx.run(sql`
    update deliveries set original_state = 'requested', original_at = ${tx.now}, released_at = ${tx.now},
      released_by = ${actor.name}, release_due_at = ${new Date(tx.now.getTime() + RELEASE_DUE_MS)}
    where partner_id = ${tx.partnerId} and id = ${deliveryId}`);
  await tx.run(sql`
    insert into queue (partner_id, delivery_id, client_id, message_id, content_id, sender, recipient, domain, kind, queued_at,
                       due_at, expires_at)
    values (${tx.partnerId}, ${deliveryId}, ${delivery.clientId}, ${delivery.messageId}, ${delivery.contentId},
            ${delivery.sender}, ${delivery.recipient}, ${domainOf(delivery.recipient)}, 'original', ${tx.now}, ${tx.now},
            ${new Date(tx.now.getTime() + EXPIRES_MS)})`);
  await appendEvents(tx, [
    {
      id: newId(),
      partnerId: tx.partnerId,
      clientId: delivery.clientId,
      occurredAt: tx.now,
      kind: 'release_requested',
      direction: delivery.direction,
      messageId: delivery.messageId,
      deliveryId,
      mailboxId: delivery.mailboxId,
      recipient: delivery.recipient,
      domain,
      sender: delivery.sender,
      verdict: delivery.verdict,
      disposition: 'stripped',
      reasons: [ORIGINAL_REASON],
      bytes: delivery.bytes,
      leads: 0,
      latencyMs: Math.max(0, tx.now.getTime() - delivery.acceptedAt.getTime()),
      node: NODE,
    },
  ]);
  await tx.run(sql`select pg_notify(${QUEUE_CHANNEL}, '')`);
  await audit(tx, actor, delivery, 'quarantine.release_original');
  return { released: true };
}

/** Throws the original away for good; `discarded` is false when it was before. Throws `not_found`, or `conflict`. */
export async function discardOriginal(
  tx: TenantTx,
  actor: QuarantineActor,
  deliveryId: string,
): Promise<{ discarded: boolean }> {
  const delivery = await reachDelivery(tx, actor, deliveryId);
  const { state } = await lock(tx, deliveryId);
  if (state === 'discarded') return { discarded: false };
  if (state !== 'held' && state !== 'failed') throw noOriginal();
  await tx.run(sql`
    update deliveries set original_state = 'discarded', original_at = ${tx.now}
    where partner_id = ${tx.partnerId} and id = ${deliveryId}`);
  await audit(tx, actor, delivery, 'quarantine.discard_original');
  return { discarded: true };
}

function noOriginal(): AppError {
  return new AppError('conflict', 'no original of this delivery is held', { field: 'id' });
}

/** How a try to send an original ended, as delivery says it. */
export interface OriginalOutcome {
  readonly partnerId: string;
  readonly deliveryId: string;
  readonly arrived: boolean;
  readonly reply: string;
}

/** Writes how releases of originals ended. The deliveries stay `stripped`, and their end stays when it was. */
export async function settleOriginals(tx: SystemTx, ended: readonly OriginalOutcome[]): Promise<void> {
  if (ended.length === 0) return;
  await tx.run(sql`
    update deliveries d set
      original_state = case when e.arrived then 'released' else 'failed' end, original_at = ${tx.now}, release_due_at = null,
      released_at = case when e.arrived then ${tx.now}::timestamptz else d.released_at end, remote_reply = e.reply
    from unnest(${ended.map((one) => one.partnerId)}::uuid[], ${ended.map((one) => one.deliveryId)}::uuid[],
                ${ended.map((one) => one.arrived)}::boolean[], ${ended.map((one) => one.reply)}::text[])
      as e (partner_id, id, arrived, reply)
    where d.partner_id = e.partner_id and d.id = e.id`);
}

/** Deliveries that went out without their files leave the original behind. */
export async function holdOriginals(
  tx: SystemTx,
  stripped: readonly { readonly partnerId: string; readonly deliveryId: string }[],
): Promise<void> {
  if (stripped.length === 0) return;
  await tx.run(sql`
    update deliveries d set original_state = 'held', original_at = ${tx.now}
    from unnest(${stripped.map((one) => one.partnerId)}::uuid[], ${stripped.map((one) => one.deliveryId)}::uuid[])
      as e (partner_id, id)
    where d.partner_id = e.partner_id and d.id = e.id and d.disposition = 'stripped' and d.original_state is null`);
}

function audit(tx: TenantTx, actor: QuarantineActor, delivery: HeldDelivery, action: string): Promise<void> {
  return recordAudit(tx, {
    partnerId: tx.partnerId,
    actor: actor.name,
    action,
    subject: delivery.id,
    details: { recipient: delivery.recipient, sender: delivery.sender, verdict: delivery.verdict },
  });
}

import { recordAudit } from '../accounts/audit.ts';
import { AppError } from '../core/errors.ts';
import { newId } from '../core/id.ts';
import type { TenantTx } from '../db/db.ts';
import { sql } from '../db/sql.ts';
import { releaseDelivery } from './decide.ts';
import { reachDelivery } from './held.ts';
import { getRequests, openRequest, type ReleaseRequest, settleRequest } from './request-rows.ts';
import { mayRelease, type QuarantineActor, requireRelease } from './rights.ts';

const NOTE_MAX = 1_000;

/**
 * Asks for a message that the actor may not let out himself. One request is open per delivery: asking again, or by somebody
 * else, is answered with it and `created` false. Throws `not_found`, `invalid_input`, or `conflict` when the message is not in
 * quarantine or the actor may let it out himself.
 */
export async function requestRelease(
  tx: TenantTx,
  actor: QuarantineActor,
  deliveryId: string,
  note: string,
): Promise<{ request: ReleaseRequest; created: boolean }> {
  const text = requireNote(note);
  await reachDelivery(tx, actor, deliveryId);
  await lockDelivery(tx, deliveryId);
  const delivery = await reachDelivery(tx, actor, deliveryId);
  if (delivery.disposition !== 'quarantined') {
    throw new AppError('conflict', `the delivery is ${delivery.disposition}, not in quarantine`, { field: 'id' });
  }
  if (mayRelease(actor.role, delivery)) {
    throw new AppError('conflict', 'you may let this message out yourself', { field: 'id' });
  }
  const id = newId();
  const created = await tx.run(sql`
    insert into release_requests (partner_id, id, client_id, delivery_id, requested_by, requested_role, note, requested_at)
    values (${tx.partnerId}, ${id}, ${delivery.clientId}, ${deliveryId}, ${actor.name}, ${actor.role}, ${text}, ${tx.now})
    on conflict (partner_id, delivery_id) where state = 'open' do nothing`);
  const request = await openRequest(tx, deliveryId);
  if (request === null) throw new AppError('unavailable', 'the request was decided at the same moment');
  if (created === 0) return { request, created: false };
  await audit(tx, actor, 'quarantine.request', request);
  return { request, created: true };
}

/**
 * Lets the message out for the one who asked. Approving again changes nothing (`released` false). Throws `not_found`,
 * `forbidden` when the approver may not let it out himself, or `conflict` when the request was decided otherwise.
 */
export async function approveRequest(
  tx: TenantTx,
  actor: QuarantineActor,
  requestId: string,
): Promise<{ request: ReleaseRequest; released: boolean }> {
  const request = await lockRequest(tx, actor, requestId);
  if (request.state === 'approved') return { request, released: false };
  if (request.state !== 'open') throw decided(request);
  // The release itself settles the request.
  const { released } = await releaseDelivery(tx, request.deliveryId, actor.name, actor.role);
  await audit(tx, actor, 'quarantine.request.approve', request);
  return { request: await one(tx, requestId), released };
}

/** Refuses a request; the message stays in quarantine. Only who may let it out may refuse it. Denying again changes nothing. */
export async function denyRequest(
  tx: TenantTx,
  actor: QuarantineActor,
  requestId: string,
  note: string,
): Promise<{ request: ReleaseRequest; denied: boolean }> {
  const text = requireNote(note);
  const request = await lockRequest(tx, actor, requestId);
  if (request.state === 'denied') return { request, denied: false };
  if (request.state !== 'open') throw decided(request);
  requireRelease(actor.role, await reachDelivery(tx, actor, request.deliveryId));
  await settleRequest(tx, request.deliveryId, { state: 'denied', actor: actor.name, note: text });
  await audit(tx, actor, 'quarantine.request.deny', request);
  return { request: await one(tx, requestId), denied: true };
}

/** The delivery is locked first, as every decision on it does, so that no two wait for each other. */
async function lockDelivery(tx: TenantTx, deliveryId: string): Promise<void> {
  await tx.run(sql`select 1 from deliveries where partner_id = ${tx.partnerId} and id = ${deliveryId} for update`);
}

async function lockRequest(tx: TenantTx, actor: QuarantineActor, requestId: string): Promise<ReleaseRequest> {
  const request = await one(tx, requestId);
  await reachDelivery(tx, actor, request.deliveryId).catch((cause: unknown) => {
    throw new AppError('not_found', 'no such release request', { field: 'id', cause });
  });
  await lockDelivery(tx, request.deliveryId);
  return one(tx, requestId);
}

async function one(tx: TenantTx, requestId: string): Promise<ReleaseRequest> {
  const [request] = await getRequests(tx, [requestId]);
  if (request === undefined) throw new AppError('not_found', 'no such release request', { field: 'id' });
  return request;
}

function decided(request: ReleaseRequest): AppError {
  return new AppError('conflict', `the request is ${request.state} already`, { field: 'id' });
}

function requireNote(note: string): string {
  const text = note.trim();
  if (text.length > NOTE_MAX) {
    throw new AppError('invalid_input', `a note has at most ${NOTE_MAX} characters`, { field: 'note' });
  }
  return text;
}

function audit(tx: TenantTx, actor: QuarantineActor, action: string, request: ReleaseRequest): Promise<void> {
  return recordAudit(tx, {
    partnerId: tx.partnerId,
    actor: actor.name,
    action,
    subject: request.deliveryId,
    details: { request: request.id, requestedBy: request.requestedBy },
  });
}

import type { Direction, Disposition, Verdict } from '../core/verdict.ts';
import type { TenantTx, Tx } from '../db/db.ts';
import { sql } from '../db/sql.ts';
import type { QuarantineRole } from './rights.ts';

export type RequestState = 'open' | 'approved' | 'denied' | 'expired';

/** Somebody's wish for a message that he may not let out himself. */
export interface ReleaseRequest {
  readonly id: string;
  readonly clientId: string;
  readonly deliveryId: string;
  readonly state: RequestState;
  readonly requestedBy: string;
  readonly requestedRole: QuarantineRole;
  readonly note: string;
  readonly requestedAt: Date;
  readonly decidedBy: string | null;
  readonly decidedAt: Date | null;
  readonly decisionNote: string | null;
}

export interface RequestFilter {
  readonly clientId?: string | null;
  readonly state?: RequestState | null;
}

/** A page of requests, newest first. `after` is the last one's moment and id. */
export function listRequests(
  tx: TenantTx,
  filter: RequestFilter,
  page: { readonly first: number; readonly after: { readonly at: Date; readonly id: string } | null },
): Promise<ReleaseRequest[]> {
  return tx.rows<ReleaseRequest>(sql`
    select r.id, r.client_id as "clientId", r.delivery_id as "deliveryId", r.state, r.requested_by as "requestedBy",
           r.requested_role as "requestedRole", r.note, r.requested_at as "requestedAt", r.decided_by as "decidedBy",
           r.decided_at as "decidedAt", r.decision_note as "decisionNote"
    from release_requests r
    where r.partner_id = ${tx.partnerId}
      and (${filter.clientId ?? null}::uuid is null or r.client_id = ${filter.clientId ?? null}::uuid)
      and (${filter.state ?? null}::text is null or r.state = ${filter.state ?? null}::text)
      and (${page.after?.id ?? null}::uuid is null
           or (r.requested_at, r.id) < (${page.after?.at ?? null}::timestamptz, ${page.after?.id ?? null}::uuid))
    order by r.requested_at desc, r.id desc
    limit ${page.first}`);
}

/** Those of the ids that exist, in no special order. */
export function getRequests(tx: TenantTx, ids: readonly string[]): Promise<ReleaseRequest[]> {
  return tx.rows<ReleaseRequest>(sql`
    select r.id, r.client_id as "clientId", r.delivery_id as "deliveryId", r.state, r.requested_by as "requestedBy",
           r.requested_role as "requestedRole", r.note, r.requested_at as "requestedAt", r.decided_by as "decidedBy",
           r.decided_at as "decidedAt", r.decision_note as "decisionNote"
    from release_requests r where r.partner_id = ${tx.partnerId} and r.id = any(${[...ids]}::uuid[])`);
}

/** The open request for a delivery, if there is one. */
export function openRequest(tx: TenantTx, deliveryId: string): Promise<ReleaseRequest | null> {
  return tx.maybe<ReleaseRequest>(sql`
    select r.id, r.client_id as "clientId", r.delivery_id as "deliveryId", r.state, r.requested_by as "requestedBy",
           r.requested_role as "requestedRole", r.note, r.requested_at as "requestedAt", r.decided_by as "decidedBy",
           r.decided_at as "decidedAt", r.decision_note as "decisionNote"
    from release_requests r
    where r.partner_id = ${tx.partnerId} and r.delivery_id = ${deliveryId} and r.state = 'open'`);
}

/** Ends the open request for a delivery that was decided on, by whichever way. Answers whether there was one. */
export async function settleRequest(
  tx: TenantTx,
  deliveryId: string,
  decision: { readonly state: Exclude<RequestState, 'open'>; readonly actor: string; readonly note?: string },
): Promise<boolean> {
  const settled = await tx.run(sql`
    update release_requests set state = ${decision.state}, decided_by = ${decision.actor}, decided_at = ${tx.now},
      decision_note = ${decision.note ?? null}
    where partner_id = ${tx.partnerId} and delivery_id = ${deliveryId} and state = 'open'`);
  return settled > 0;
}

/** An open request as a technician is to see it, with what it is about. */
export interface WaitingRequest {
  readonly partnerId: string;
  readonly clientId: string;
  readonly id: string;
  readonly requestedBy: string;
  readonly note: string;
  readonly requestedAt: Date;
  readonly recipient: string;
  readonly sender: string;
  readonly subject: string;
  readonly verdict: Verdict;
  readonly disposition: Disposition;
  readonly direction: Direction;
}

/** Open requests of all partners, by id, 500 at a time; `after` is the last one's. */
export function waitingRequests(tx: Tx, after: string | null): Promise<WaitingRequest[]> {
  return tx.rows<WaitingRequest>(sql`
    select r.partner_id as "partnerId", r.client_id as "clientId", r.id, r.requested_by as "requestedBy", r.note,
           r.requested_at as "requestedAt", d.recipient, m.sender, m.subject, d.verdict, d.disposition, d.direction
    from release_requests r
    join deliveries d on d.partner_id = r.partner_id and d.id = r.delivery_id
    join messages m on m.partner_id = d.partner_id and m.id = d.message_id
    where r.state = 'open' and (${after}::uuid is null or r.id > ${after}::uuid)
    order by r.id limit 500`);
}

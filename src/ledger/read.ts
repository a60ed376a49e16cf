import type { Totals } from '../core/counts.ts';
import type { EventKind } from '../core/event.ts';
import type { Interval } from '../core/period.ts';
import type { Direction, Disposition, Reason, Verdict } from '../core/verdict.ts';
import type { TenantTx, Tx } from '../db/db.ts';
import { sql } from '../db/sql.ts';

/** One delivery as it stands now. */
export interface DeliveryRow {
  readonly id: string;
  readonly clientId: string;
  readonly messageId: string;
  readonly mailboxId: string | null;
  readonly recipient: string;
  readonly direction: Direction;
  readonly verdict: Verdict;
  readonly disposition: Disposition;
  readonly score: number;
  readonly reasons: readonly Reason[];
  readonly acceptedAt: Date;
  readonly endedAt: Date | null;
  readonly releasedAt: Date | null;
  readonly remoteReply: string | null;
}

/** Those of the ids that exist, in no special order. */
export async function getDeliveries(tx: TenantTx, ids: readonly string[]): Promise<DeliveryRow[]> {
  return tx.rows<DeliveryRow>(sql`
    select d.id, d.client_id as "clientId", d.message_id as "messageId", d.mailbox_id as "mailboxId", d.recipient, d.direction,
           d.verdict, d.disposition, d.score, d.reasons, d.accepted_at as "acceptedAt", d.ended_at as "endedAt",
           d.released_at as "releasedAt", d.remote_reply as "remoteReply"
    from deliveries d where d.partner_id = ${tx.partnerId} and d.id = any(${[...ids]}::uuid[])`);
}

export interface TraceEvent {
  readonly id: string;
  readonly deliveryId: string;
  readonly kind: EventKind;
  readonly occurredAt: Date;
  readonly disposition: Disposition | null;
  readonly reasons: readonly string[];
  readonly latencyMs: number | null;
  readonly node: string;
}

/** What happened to deliveries, in order. */
export async function deliveryEvents(tx: TenantTx, deliveryIds: readonly string[]): Promise<TraceEvent[]> {
  return tx.rows<TraceEvent>(sql`
    select e.id, e.delivery_id as "deliveryId", e.kind, e.occurred_at as "occurredAt", e.disposition, e.reasons,
           e.latency_ms as "latencyMs", e.node
    from ledger e
    where e.partner_id = ${tx.partnerId} and e.delivery_id = any(${[...deliveryIds]}::uuid[])
    order by e.occurred_at, e.id`);
}

export interface MessageRow {
  readonly id: string;
  readonly direction: Direction;
  readonly sender: string;
  readonly remoteAddress: string;
  readonly helo: string;
  readonly tls: boolean;
  readonly headerMessageId: string;
  readonly fromAddress: string;
  readonly fromName: string;
  readonly subject: string;
  readonly attachments: readonly { readonly name: string; readonly type: string; readonly bytes: number }[];
  readonly bytes: number;
  readonly authenticationResults: string | null;
  readonly receivedAt: Date;
}

export async function getMessages(tx: TenantTx, ids: readonly string[]): Promise<MessageRow[]> {
  return tx.rows<MessageRow>(sql`
    select m.id, m.direction, m.sender, m.remote_address as "remoteAddress", m.helo, m.tls,
           m.header_message_id as "headerMessageId", m.from_address as "fromAddress", m.from_name as "fromName", m.subject,
           m.attachments, m.bytes, m.authentication_results as "authenticationResults", m.received_at as "receivedAt"
    from messages m where m.partner_id = ${tx.partnerId} and m.id = any(${[...ids]}::uuid[])`);
}

interface RecountRow {
  kind: EventKind;
  verdict: Verdict | null;
  disposition: Disposition | null;
  deliveries: number;
  messages: number;
  bytes: number;
}

/** Sums of a client straight from the ledger: what rollups are checked against. Includes what is not rolled up yet. */
export async function recount(tx: Tx, partnerId: string, clientId: string, interval: Interval): Promise<Totals> {
  const rows = await tx.rows<RecountRow>(sql`
    select e.kind, e.verdict, e.disposition, count(*) as deliveries,
           count(*) filter (where e.leads & 2 <> 0) as messages,
           coalesce(sum(e.bytes) filter (where e.leads & 2 <> 0), 0)::bigint as bytes
    from ledger e
    where e.partner_id = ${partnerId} and e.client_id = ${clientId}
      and e.occurred_at >= ${interval.start} and e.occurred_at < ${interval.end}
    group by e.kind, e.verdict, e.disposition`);
  const byVerdict = new Map<Verdict, number>();
  const byDisposition = new Map<Disposition, number>();
  const sums = { messages: 0, deliveries: 0, refused: 0, bytes: 0 };
  for (const row of rows) {
    if (row.kind === 'refused') sums.refused += row.deliveries;
    if (row.kind === 'accepted' || row.kind === 'rejected') {
      sums.messages += row.messages;
      sums.deliveries += row.deliveries;
      sums.bytes += row.bytes;
      if (row.verdict !== null) byVerdict.set(row.verdict, (byVerdict.get(row.verdict) ?? 0) + row.deliveries);
    }
    if (row.disposition !== null && ENDING_KINDS.includes(row.kind)) {
      byDisposition.set(row.disposition, (byDisposition.get(row.disposition) ?? 0) + row.deliveries);
    }
  }
  return { ...sums, byVerdict, byDisposition };
}

/** Kinds of events that end a delivery. */
export const ENDING_KINDS: readonly EventKind[] = [
  'rejected',
  'quarantined',
  'delivered',
  'bounced',
  'expired',
  'discarded',
];

/** The moment from which on the trace is whole: older detail was removed by retention. Null: nothing was. */
export async function detailFrom(tx: Tx): Promise<Date | null> {
  const row = await tx.maybe<{ wholeFrom: Date }>(sql`select whole_from as "wholeFrom" from retention_floor`);
  return row?.wholeFrom ?? null;
}

export interface DeliveryBalance {
  /** Deliveries that were ever accepted or rejected after DATA. */
  readonly accepted: number;
  /** By current disposition; `queued` and `deferred` are those still under way. */
  readonly byDisposition: ReadonlyMap<Disposition, number>;
  /** Rows of the queue but for originals, whose deliveries have ended: must be the sum of `queued` and `deferred`. */
  readonly queued: number;
}

/**
 * Rule 2's equation for one client, at this moment: accepted = sum over the current dispositions, of the mail whose detail is
 * whole (`detailFrom`). One statement, since several would see several moments while mail flows.
 */
export async function deliveryBalance(tx: Tx, partnerId: string, clientId: string): Promise<DeliveryBalance> {
  const row = await tx.one<{ accepted: number; queued: number; states: Partial<Record<Disposition, number>> }>(sql`
    select (select count(*) from ledger e
            where e.partner_id = ${partnerId} and e.client_id = ${clientId} and e.kind in ('accepted', 'rejected')
              and e.occurred_at >= (select coalesce(max(f.whole_from), '-infinity') from retention_floor f)) as accepted,
           (select count(*) from queue q
            join deliveries o on o.partner_id = q.partner_id and o.id = q.delivery_id
            where q.partner_id = ${partnerId} and q.client_id = ${clientId} and q.kind <> 'original'
              and o.accepted_at >= (select coalesce(max(f.whole_from), '-infinity') from retention_floor f)) as queued,
           (select coalesce(jsonb_object_agg(s.disposition, s.n), '{}')
            from (select d.disposition, count(*) as n from deliveries d
                  where d.partner_id = ${partnerId} and d.client_id = ${clientId}
                    and d.accepted_at >= (select coalesce(max(f.whole_from), '-infinity') from retention_floor f)
                  group by d.disposition) s) as states`);
  return {
    accepted: row.accepted,
    byDisposition: new Map(Object.entries(row.states) as [Disposition, number][]),
    queued: row.queued,
  };
}

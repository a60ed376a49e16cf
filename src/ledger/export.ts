import type { EventKind } from '../core/event.ts';
import type { Direction, Disposition, Verdict } from '../core/verdict.ts';
import type { TenantTx, Tx } from '../db/db.ts';
import { sql } from '../db/sql.ts';

/** One event as it is exported. */
export interface ExportedEvent {
  readonly id: string;
  readonly occurredAt: Date;
  readonly kind: EventKind;
  readonly direction: Direction;
  readonly clientId: string;
  readonly messageId: string | null;
  readonly deliveryId: string | null;
  readonly mailboxId: string | null;
  readonly recipient: string;
  readonly domain: string;
  readonly sender: string;
  readonly verdict: Verdict | null;
  readonly disposition: Disposition | null;
  readonly reasons: readonly string[];
  readonly bytes: number;
  readonly latencyMs: number | null;
  readonly node: string;
}

/** The events that one pass over a range gives: those of the transactions from `low` on and below `high`. */
export interface ExportWindow {
  /** Transaction ids, decimal. */
  readonly low: string;
  readonly high: string;
}

/**
 * The oldest transaction that still runs, and the cluster whose transaction ids these are. Below it nothing can appear any more,
 * so what lies there can be read page by page and stays the same.
 */
export async function exportHorizon(tx: Tx): Promise<{ readonly xid: string; readonly cluster: string }> {
  return tx.one(sql`
    select pg_snapshot_xmin(pg_current_snapshot())::text as xid,
           (select system_identifier::text from pg_control_system()) as cluster`);
}

const NO_ID = '00000000-0000-0000-0000-000000000000';

/**
 * A page of the events of one UTC day, or of a part of it, in the order of their ids. `after` is the last one's id. The partition
 * of a day is walked by its primary key, or by client and time.
 */
export async function exportPage(
  tx: TenantTx,
  range: { readonly from: Date; readonly to: Date; readonly clientId: string | null },
  window: ExportWindow,
  page: { readonly first: number; readonly after: string | null },
): Promise<ExportedEvent[]> {
  const after = page.after ?? NO_ID;
  // Two statements, so that each has a plan of its own.
  if (range.clientId === null) {
    return tx.rows<ExportedEvent>(sql`
      select e.id, e.occurred_at as "occurredAt", e.kind, e.direction, e.client_id as "clientId", e.message_id as "messageId",
             e.delivery_id as "deliveryId", e.mailbox_id as "mailboxId", e.recipient, e.domain, e.sender, e.verdict, e.disposition,
             e.reasons, e.bytes, e.latency_ms as "latencyMs", e.node
      from ledger e
      where e.partner_id = ${tx.partnerId} and e.id > ${after}
        and e.occurred_at >= ${range.from} and e.occurred_at < ${range.to}
        and e.xid >= ${window.low}::xid8 and e.xid < ${window.high}::xid8
      order by e.id limit ${page.first}`);
  }
  return tx.rows<ExportedEvent>(sql`
    select e.id, e.occurred_at as "occurredAt", e.kind, e.direction, e.client_id as "clientId", e.message_id as "messageId",
           e.delivery_id as "deliveryId", e.mailbox_id as "mailboxId", e.recipient, e.domain, e.sender, e.verdict, e.disposition,
           e.reasons, e.bytes, e.latency_ms as "latencyMs", e.node
    from ledger e
    where e.partner_id = ${tx.partnerId} and e.client_id = ${range.clientId} and e.id > ${after}
      and e.occurred_at >= ${range.from} and e.occurred_at < ${range.to}
      and e.xid >= ${window.low}::xid8 and e.xid < ${window.high}::xid8
    order by e.id limit ${page.first}`);
}

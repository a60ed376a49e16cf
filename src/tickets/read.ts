import type { Interval } from '../core/period.ts';
import type { TenantTx } from '../db/db.ts';
import { sql } from '../db/sql.ts';

export type IncidentState = 'open' | 'resolved';
export type TicketState = 'wanted' | 'creating' | 'open' | 'resolving' | 'resolved' | 'held' | 'none';

/** An incident and how far its ticket in the PSA is. */
export interface IncidentRow {
  readonly id: string;
  readonly clientId: string;
  readonly rule: string;
  readonly subject: string;
  readonly state: IncidentState;
  readonly severity: 'low' | 'normal' | 'high' | 'critical';
  readonly title: string;
  readonly description: string;
  readonly resolution: string | null;
  readonly occurrences: number;
  readonly openedAt: Date;
  readonly lastSeenAt: Date;
  readonly resolvedAt: Date | null;
  readonly ticketState: TicketState;
  readonly ticketKey: string;
  readonly ticketNumber: string | null;
  readonly ticketNote: string | null;
}

export interface IncidentFilter {
  readonly clientId: string | null;
  readonly state: IncidentState | null;
}

/** A page of incidents, newest first. `after` is the last one's opening and id. */
export async function listIncidents(
  tx: TenantTx,
  filter: IncidentFilter,
  page: { readonly first: number; readonly after: { readonly at: Date; readonly id: string } | null },
): Promise<IncidentRow[]> {
  return tx.rows<IncidentRow>(sql`
    select i.id, i.client_id as "clientId", i.rule, i.subject, i.state, i.severity, i.title, i.description, i.resolution,
           i.occurrences, i.opened_at as "openedAt", i.last_seen_at as "lastSeenAt", i.resolved_at as "resolvedAt",
           i.ticket_state as "ticketState", i.ticket_key as "ticketKey", i.ticket_number as "ticketNumber",
           i.ticket_note as "ticketNote"
    from incidents i
    where i.partner_id = ${tx.partnerId}
      and (${filter.clientId}::uuid is null or i.client_id = ${filter.clientId}::uuid)
      and (${filter.state}::text is null or i.state = ${filter.state}::text)
      and (${page.after?.id ?? null}::uuid is null
           or (i.opened_at, i.id) < (${page.after?.at ?? null}::timestamptz, ${page.after?.id ?? null}::uuid))
    order by i.opened_at desc, i.id desc limit ${page.first}`);
}

/** Those of the ids that exist, in no special order. */
export async function getIncidents(tx: TenantTx, ids: readonly string[]): Promise<IncidentRow[]> {
  return tx.rows<IncidentRow>(sql`
    select i.id, i.client_id as "clientId", i.rule, i.subject, i.state, i.severity, i.title, i.description, i.resolution,
           i.occurrences, i.opened_at as "openedAt", i.last_seen_at as "lastSeenAt", i.resolved_at as "resolvedAt",
           i.ticket_state as "ticketState", i.ticket_key as "ticketKey", i.ticket_number as "ticketNumber",
           i.ticket_note as "ticketNote"
    from incidents i where i.partner_id = ${tx.partnerId} and i.id = any(${[...ids]}::uuid[])`);
}

/** Incidents of a client that were open at some time in a period, oldest first: for reports. At most 200. */
export async function incidentsBetween(tx: TenantTx, clientId: string, range: Interval): Promise<IncidentRow[]> {
  return tx.rows<IncidentRow>(sql`
    select i.id, i.client_id as "clientId", i.rule, i.subject, i.state, i.severity, i.title, i.description, i.resolution,
           i.occurrences, i.opened_at as "openedAt", i.last_seen_at as "lastSeenAt", i.resolved_at as "resolvedAt",
           i.ticket_state as "ticketState", i.ticket_key as "ticketKey", i.ticket_number as "ticketNumber",
           i.ticket_note as "ticketNote"
    from incidents i
    where i.partner_id = ${tx.partnerId} and i.client_id = ${clientId} and i.opened_at < ${range.end}
      and coalesce(i.resolved_at, 'infinity') >= ${range.start}
    order by i.opened_at, i.id limit 200`);
}

import type { Interval } from '../core/period.ts';
import type { TenantTx } from '../db/db.ts';
import { sql } from '../db/sql.ts';

/** A client as peers are compared: its zone, its mailboxes. */
export interface PeerRow {
  readonly id: string;
  readonly zone: string;
  readonly createdAt: Date;
  /** Active mailboxes of persons and shared ones. */
  readonly mailboxes: number;
}

/** All clients of the partner that take mail. */
export function peerRows(tx: TenantTx): Promise<PeerRow[]> {
  return tx.rows<PeerRow>(sql`
    select c.id, c.time_zone as zone, c.created_at as "createdAt", count(m.id)::int as mailboxes
    from clients c
    left join mailboxes m on m.partner_id = c.partner_id and m.client_id = c.id and m.status = 'active'
      and m.kind in ('user', 'shared')
    where c.partner_id = ${tx.partnerId} and c.status = 'active'
    group by c.id, c.time_zone, c.created_at order by c.id`);
}

/** Active mailboxes of one client, or of all. */
export async function mailboxCount(tx: TenantTx, clientId: string | null): Promise<number> {
  const row = await tx.one<{ count: number }>(sql`
    select count(*)::int as count from mailboxes m
    where m.partner_id = ${tx.partnerId} and (${clientId}::uuid is null or m.client_id = ${clientId}::uuid)
      and m.status = 'active' and m.kind in ('user', 'shared')`);
  return row.count;
}

/** When the partner's first client was made; null: it has none. */
export async function firstClientAt(tx: TenantTx): Promise<Date | null> {
  const row = await tx.one<{ at: Date | null }>(sql`
    select min(c.created_at) as at from clients c where c.partner_id = ${tx.partnerId}`);
  return row.at;
}

/** Open incidents by the two severities that count; anomalies are left out, since they are a part of the score of their own. */
export function openIncidents(tx: TenantTx, clientId: string | null): Promise<{ high: number; critical: number }> {
  return tx.one<{ high: number; critical: number }>(sql`
    select count(*) filter (where i.severity = 'high')::int as high,
           count(*) filter (where i.severity = 'critical')::int as critical
    from incidents i
    where i.partner_id = ${tx.partnerId} and (${clientId}::uuid is null or i.client_id = ${clientId}::uuid)
      and i.state = 'open' and i.rule <> 'traffic.anomaly'`);
}

export interface ServerSegmentRow {
  readonly clientId: string;
  readonly host: string;
  readonly port: number;
  readonly from: Date;
  readonly to: Date;
  readonly takesMail: boolean;
}

/** Known stretches of the servers of a client, or of all, in a period. */
export function serverSegments(tx: TenantTx, clientId: string | null, range: Interval): Promise<ServerSegmentRow[]> {
  return tx.rows<ServerSegmentRow>(sql`
    select s.client_id as "clientId", s.host, s.port, s.from_at as "from", s.to_at as "to",
           s.state in ('up', 'slow') as "takesMail"
    from server_states s
    where s.partner_id = ${tx.partnerId} and (${clientId}::uuid is null or s.client_id = ${clientId}::uuid)
      and s.to_at > ${range.start} and s.from_at < ${range.end}
    order by s.client_id, s.host, s.port, s.from_at`);
}

import { createHash } from 'node:crypto';
import { AppError } from '../core/errors.ts';
import { newId } from '../core/id.ts';
import type { TenantTx, Tx } from '../db/db.ts';
import { sql } from '../db/sql.ts';

/** What an incident is about; at most one is open per such key (rule 8). */
export interface IncidentKey {
  readonly partnerId: string;
  readonly clientId: string;
  /** Stable machine name, `server.down`. */
  readonly rule: string;
  /** What it happened to: `mail.client.example:25`, a delivery's id. */
  readonly subject: string;
}

export interface IncidentInput extends IncidentKey {
  readonly severity: 'low' | 'normal' | 'high' | 'critical';
  readonly title: string;
  readonly description: string;
}

/**
 * The text that a PSA keeps as its external reference: the same for all of an incident's life, another one for its
 * recurrence, at most 50 characters (Autotask's `externalID`), safe in every query language.
 */
export function ticketKey(key: IncidentKey, incidentId: string): string {
  const text = [key.partnerId, key.clientId, key.rule, key.subject, incidentId].join('\n');
  return `tollgate-${createHash('sha256').update(text).digest('hex').slice(0, 32)}`;
}

/**
 * Opens an incident, or counts an occurrence of the one that is open. Many may do so at once: one row comes of it. A
 * recurrence after the end is a new incident and gets a new ticket, which names the old one.
 */
export async function openIncident(tx: Tx, input: IncidentInput): Promise<{ id: string; opened: boolean }> {
  const id = newId();
  const row = await tx.one<{ id: string }>(sql`
    insert into incidents as i (partner_id, id, client_id, rule, subject, state, severity, title, description, opened_at,
                                last_seen_at, ticket_key, ticket_next_at, ticket_note)
    values (${input.partnerId}, ${id}, ${input.clientId}, ${input.rule}, ${input.subject}, 'open', ${input.severity},
            ${input.title}, ${input.description}, ${tx.now}, ${tx.now}, ${ticketKey(input, id)}, ${tx.now},
            (select 'Seen before: ticket ' || o.ticket_number from incidents o
             where o.partner_id = ${input.partnerId} and o.client_id = ${input.clientId} and o.rule = ${input.rule}
               and o.subject = ${input.subject} and o.ticket_number is not null
             order by o.opened_at desc limit 1))
    on conflict (partner_id, client_id, rule, subject) where state = 'open' do update
    set occurrences = i.occurrences + 1, last_seen_at = ${tx.now}, ticket_next_at = coalesce(i.ticket_next_at, ${tx.now})
    returning i.id`);
  return { id: row.id, opened: row.id === id };
}

/** Ends what is open under the key; answers whether there was something. Its ticket is closed by the next sync. */
export async function resolveIncident(tx: Tx, key: IncidentKey, resolution: string): Promise<boolean> {
  const rows = await tx.run(sql`
    update incidents set state = 'resolved', resolution = ${resolution}, resolved_at = ${tx.now}, ticket_next_at = ${tx.now}
    where partner_id = ${key.partnerId} and client_id = ${key.clientId} and rule = ${key.rule} and subject = ${key.subject}
      and state = 'open'`);
  return rows > 0;
}

/** Ends one incident by a person's decision; one that is resolved stays as it is. Throws `not_found`. */
export async function resolveById(tx: TenantTx, id: string, resolution: string): Promise<void> {
  const rows = await tx.run(sql`
    update incidents set state = 'resolved', resolution = coalesce(resolution, ${resolution}),
           resolved_at = coalesce(resolved_at, ${tx.now}),
           ticket_next_at = case when state = 'open' then ${tx.now}::timestamptz else ticket_next_at end
    where partner_id = ${tx.partnerId} and id = ${id}`);
  if (rows === 0) throw new AppError('not_found', 'no such incident');
}

import { recordAudit } from '../accounts/audit.ts';
import { AppError } from '../core/errors.ts';
import { newId } from '../core/id.ts';
import type { TenantTx, Tx } from '../db/db.ts';
import { sql } from '../db/sql.ts';
import { type TicketSubject, ticketKey } from './key.ts';
import { NOTE_EVERY_MS } from './state.ts';

export interface IncidentInput extends TicketSubject {
  readonly severity: 'low' | 'normal' | 'high' | 'critical';
  readonly title: string;
  readonly description: string;
  /** False: an alarm for the partner's own eyes, that opens no ticket. */
  readonly ticket?: boolean;
  /** How often it was seen; 1 unless said. */
  readonly occurrences?: number;
}

const TITLE_MAX = 255;
const DESCRIPTION_MAX = 8_000;

/** Titles and descriptions quote what strangers sent (subjects, host names). Line ends stay in descriptions. */
function clean(text: string, max: number, lineEnds: boolean): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is replaced here
  const pattern = lineEnds ? /[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/g : /[\u0000-\u001f\u007f-\u009f\u2028\u2029]/g;
  const points = [...text.toWellFormed().replace(pattern, '\ufffd')];
  return points.length > max ? `${points.slice(0, max - 1).join('')}…` : points.join('');
}

/**
 * Opens an incident, or counts one more occurrence of the open one with the same (partner, client, rule, subject): there is
 * at most one, whoever else calls this at the same moment. The ticket follows by itself (syncTickets). The first title and
 * description stay; the severity only grows.
 */
export async function openIncident(tx: Tx, input: IncidentInput): Promise<{ id: string; opened: boolean }> {
  const id = newId();
  const wanted = input.ticket !== false;
  return tx.one<{ id: string; opened: boolean }>(sql`
    insert into incidents as i (partner_id, id, client_id, rule, subject, state, severity, title, description, occurrences,
                                noted_occurrences, opened_at, last_seen_at, ticket_state, ticket_key, ticket_next_at)
    values (${input.partnerId}, ${id}, ${input.clientId}, ${input.rule}, ${input.subject}, 'open', ${input.severity},
            ${clean(input.title, TITLE_MAX, false)}, ${clean(input.description, DESCRIPTION_MAX, true)},
            ${input.occurrences ?? 1}, ${input.occurrences ?? 1}, ${tx.now}, ${tx.now}, ${wanted ? 'wanted' : 'none'},
            ${ticketKey(input, id)}, ${wanted ? tx.now : null})
    on conflict (partner_id, client_id, rule, subject) where state = 'open' do update set
      occurrences = i.occurrences + excluded.occurrences,
      last_seen_at = greatest(i.last_seen_at, excluded.last_seen_at),
      severity = case when array_position(array['low', 'normal', 'high', 'critical'], excluded.severity)
                         > array_position(array['low', 'normal', 'high', 'critical'], i.severity)
                      then excluded.severity else i.severity end,
      ticket_next_at = case when i.ticket_state = 'open' then
          least(i.ticket_next_at, greatest(${tx.now}::timestamptz,
                i.ticket_intent_at + ${NOTE_EVERY_MS}::int * interval '1 millisecond'))
        else i.ticket_next_at end
    returning i.id, (i.id = ${id}::uuid) as opened`);
}

/**
 * Ends the open incident of a key; its ticket is resolved by itself. False: none is open. A ticket that was still held for
 * want of a mapping is not made any more.
 */
export async function resolveIncident(
  tx: Tx,
  input: TicketSubject & { readonly resolution: string },
): Promise<boolean> {
  const resolved = await tx.run(sql`
    update incidents set state = 'resolved', resolved_at = ${tx.now},
      resolution = ${clean(input.resolution, DESCRIPTION_MAX, true)},
      ticket_state = case ticket_state when 'open' then 'resolving' when 'held' then 'none' else ticket_state end,
      ticket_next_at = case when ticket_state = 'open' then ${tx.now}::timestamptz else ticket_next_at end
    where partner_id = ${input.partnerId} and client_id = ${input.clientId} and rule = ${input.rule}
      and subject = ${input.subject} and state = 'open'`);
  return resolved > 0;
}

/**
 * Ends an incident by a person's word. One that is resolved stays as it is. Throws `not_found`, for another tenant's
 * incident too.
 */
export async function resolveIncidentById(tx: TenantTx, id: string, resolution: string, actor: string): Promise<void> {
  const incident = await tx.maybe<{ client_id: string; rule: string; subject: string }>(sql`
    select client_id, rule, subject from incidents where partner_id = ${tx.partnerId} and id = ${id} for update`);
  if (incident === null) throw new AppError('not_found', 'no such incident', { field: 'id' });
  const resolved = await tx.run(sql`
    update incidents set state = 'resolved', resolved_at = ${tx.now},
      resolution = ${clean(resolution, DESCRIPTION_MAX, true)},
      ticket_state = case ticket_state when 'open' then 'resolving' when 'held' then 'none' else ticket_state end,
      ticket_next_at = case when ticket_state = 'open' then ${tx.now}::timestamptz else ticket_next_at end
    where partner_id = ${tx.partnerId} and id = ${id} and state = 'open'`);
  if (resolved === 0) return;
  await recordAudit(tx, {
    partnerId: tx.partnerId,
    actor,
    action: 'incident.resolve',
    subject: id,
    details: { rule: incident.rule, subject: incident.subject },
  });
}

/** A PSA's callback about a ticket: it is looked at soon. Says nothing of what the callback claims; that is read anew. */
export async function ticketChanged(
  tx: Tx,
  ticket: { readonly partnerId: string; readonly connectionId: string; readonly ticketId: string },
): Promise<boolean> {
  const woken = await tx.run(sql`
    update incidents set ticket_next_at = ${tx.now}
    where partner_id = ${ticket.partnerId} and ticket_connection_id = ${ticket.connectionId}
      and ticket_id = ${ticket.ticketId} and ticket_state = 'open'`);
  return woken > 0;
}

import type { SystemTx } from '../db/db.ts';
import { sql } from '../db/sql.ts';
import type { IncidentState, TicketState } from './read.ts';

/** An incident whose ticket has something to be done. */
export interface TicketWork {
  readonly partnerId: string;
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
  readonly notedOccurrences: number;
  readonly ticketState: TicketState;
  readonly ticketKey: string;
  readonly ticketId: string | null;
  readonly ticketNumber: string | null;
  readonly ticketConnectionId: string | null;
  readonly ticketNote: string | null;
  readonly attempts: number;
  readonly intentAt: Date | null;
}

/** Longer than any request to a PSA may take, retries included: nobody else works on the row meanwhile. */
const LEASE_MS = 180_000;

/** Takes incidents whose ticket work is due. Taken rows are due again when the lease ends: a worker that dies loses nothing. */
export async function takeWork(tx: SystemTx, limit: number): Promise<TicketWork[]> {
  return tx.rows<TicketWork>(sql`
    update incidents i set ticket_next_at = ${new Date(tx.now.getTime() + LEASE_MS)}
    from (select w.partner_id, w.id from incidents w where w.ticket_next_at <= ${tx.now}
          order by w.ticket_next_at limit ${limit} for update skip locked) as d
    where i.partner_id = d.partner_id and i.id = d.id
    returning i.partner_id as "partnerId", i.id, i.client_id as "clientId", i.rule, i.subject, i.state, i.severity, i.title,
              i.description, i.resolution, i.occurrences, i.noted_occurrences as "notedOccurrences",
              i.ticket_state as "ticketState", i.ticket_key as "ticketKey", i.ticket_id as "ticketId",
              i.ticket_number as "ticketNumber", i.ticket_connection_id as "ticketConnectionId", i.ticket_note as "ticketNote",
              i.ticket_attempts as attempts, i.ticket_intent_at as "intentAt"`);
}

/** What a step leaves behind. */
export interface Step {
  readonly ticketState: TicketState;
  /** Null: nothing to do until something happens. */
  readonly nextAt: Date | null;
  readonly note?: string | null;
  readonly ticket?: { readonly id: string; readonly number: string; readonly connectionId: string };
  readonly intentAt?: Date | null;
  readonly attempts?: number;
  readonly noted?: number;
}

/**
 * Writes a step. `from` fences it: a row that another worker has moved on meanwhile is left alone, and the answer is false.
 * An incident that ended or recurred while we worked is due again at once.
 */
export async function writeStep(tx: SystemTx, work: TicketWork, from: TicketState, step: Step): Promise<boolean> {
  const rows = await tx.run(sql`
    update incidents i set
      ticket_state = ${step.ticketState},
      ticket_next_at = case when i.state <> ${work.state} or i.occurrences <> ${work.occurrences} then ${tx.now}::timestamptz
                            else ${step.nextAt}::timestamptz end,
      ticket_note = ${step.note === undefined ? work.ticketNote : step.note},
      ticket_id = ${step.ticket?.id ?? work.ticketId}, ticket_number = ${step.ticket?.number ?? work.ticketNumber},
      ticket_connection_id = ${step.ticket?.connectionId ?? work.ticketConnectionId}::uuid,
      ticket_intent_at = ${step.intentAt === undefined ? work.intentAt : step.intentAt}::timestamptz,
      ticket_attempts = ${step.attempts ?? 0},
      noted_occurrences = ${step.noted ?? work.notedOccurrences}
    where i.partner_id = ${work.partnerId} and i.id = ${work.id} and i.ticket_state = ${from}
      and i.ticket_intent_at is not distinct from ${work.intentAt}::timestamptz`);
  return rows > 0;
}

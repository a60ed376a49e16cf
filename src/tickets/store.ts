import type { SystemDb, SystemTx } from '../db/db.ts';
import { sql } from '../db/sql.ts';
import { openIncident } from './incidents.ts';
import { LostLease, type TicketStore } from './protocol.ts';
import { LEASE_MS, patched, type TicketPatch, type TicketWork } from './state.ts';

/** Where due work is: a partner's PSA, or no PSA (unmapped clients). */
export interface DueConnection {
  readonly partnerId: string;
  readonly connectionId: string | null;
}

/** The alarm of a client whose tickets are held; it opens no ticket itself. */
export const UNMAPPED_RULE = 'psa.unmapped';

/** A ticket that exists, or may exist, is looked after where it is; one that is wanted goes where the client is mapped. */
export async function dueConnections(tx: SystemTx): Promise<DueConnection[]> {
  return tx.rows<DueConnection>(sql`
    select distinct i.partner_id as "partnerId",
           case when i.ticket_state = 'wanted' then m.connection_id else i.ticket_connection_id end as "connectionId"
    from incidents i
    left join psa_mappings m on m.partner_id = i.partner_id and m.client_id = i.client_id and m.state = 'ok'
    where i.ticket_next_at <= ${tx.now} and (i.ticket_lease_until is null or i.ticket_lease_until <= ${tx.now})`);
}

/** Takes the longest due incident of a connection: leased, and its epoch raised, so that an earlier taker is fenced off. */
export async function claim(tx: SystemTx, due: DueConnection): Promise<TicketWork | null> {
  return tx.maybe<TicketWork>(sql`
    update incidents as u set ticket_epoch = u.ticket_epoch + 1,
      ticket_lease_until = ${tx.now}::timestamptz + ${LEASE_MS}::int * interval '1 millisecond'
    where (u.partner_id, u.id) = (
      select i.partner_id, i.id from incidents i
      left join psa_mappings m on m.partner_id = i.partner_id and m.client_id = i.client_id and m.state = 'ok'
      where i.partner_id = ${due.partnerId} and i.ticket_next_at <= ${tx.now}
        and (i.ticket_lease_until is null or i.ticket_lease_until <= ${tx.now})
        and case when i.ticket_state = 'wanted' then m.connection_id else i.ticket_connection_id end
            is not distinct from ${due.connectionId}::uuid
      order by i.ticket_next_at, i.id limit 1 for update of i skip locked)
    returning u.partner_id as "partnerId", u.id, u.client_id as "clientId", u.rule, u.subject, u.state, u.severity, u.title,
      u.description, u.resolution, u.occurrences, u.opened_at as "openedAt", u.last_seen_at as "lastSeenAt",
      u.ticket_state as "ticketState", u.ticket_key as "ticketKey", u.ticket_id as "ticketId",
      u.ticket_number as "ticketNumber", u.ticket_connection_id as "connectionId", u.ticket_attempts as attempts,
      u.ticket_intent_at as "intentAt", u.ticket_note as note, u.noted_occurrences as "notedOccurrences",
      u.ticket_epoch as epoch`);
}

async function current(tx: SystemTx, work: TicketWork): Promise<TicketWork> {
  const row = await tx.maybe<TicketWork>(sql`
    select i.partner_id as "partnerId", i.id, i.client_id as "clientId", i.rule, i.subject, i.state, i.severity, i.title,
      i.description, i.resolution, i.occurrences, i.opened_at as "openedAt", i.last_seen_at as "lastSeenAt",
      i.ticket_state as "ticketState", i.ticket_key as "ticketKey", i.ticket_id as "ticketId",
      i.ticket_number as "ticketNumber", i.ticket_connection_id as "connectionId", i.ticket_attempts as attempts,
      i.ticket_intent_at as "intentAt", i.ticket_note as note, i.noted_occurrences as "notedOccurrences",
      i.ticket_epoch as epoch
    from incidents i where i.partner_id = ${work.partnerId} and i.id = ${work.id} and i.ticket_epoch = ${work.epoch}
    for update`);
  if (row === null) throw new LostLease(`incident ${work.id} is another worker's now`);
  return row;
}

async function write(tx: SystemTx, work: TicketWork, patch: TicketPatch, keepLease: boolean): Promise<TicketWork> {
  const { work: next, nextAt } = patched(await current(tx, work), patch, tx.now);
  const lease = keepLease ? new Date(tx.now.getTime() + LEASE_MS) : null;
  await tx.run(sql`
    update incidents set ticket_state = ${next.ticketState}, ticket_id = ${next.ticketId},
      ticket_number = ${next.ticketNumber}, ticket_connection_id = ${next.connectionId},
      ticket_attempts = ${next.attempts}, ticket_intent_at = ${next.intentAt}, ticket_note = ${next.note},
      noted_occurrences = ${next.notedOccurrences}, ticket_next_at = ${nextAt}, ticket_lease_until = ${lease}
    where partner_id = ${next.partnerId} and id = ${next.id} and ticket_epoch = ${next.epoch}`);
  return next;
}

async function hold(tx: SystemTx, work: TicketWork, reason: string): Promise<void> {
  const next = await write(
    tx,
    work,
    { ticketState: 'held', connectionId: null, intentAt: null, attempts: 0, note: reason },
    false,
  );
  if (next.ticketState !== 'held') return;
  await openIncident(tx, {
    partnerId: work.partnerId,
    clientId: work.clientId,
    rule: UNMAPPED_RULE,
    subject: 'tickets',
    severity: 'high',
    title: 'Tickets of this client are held: it is mapped to no company in the PSA',
    description:
      'Map the client to its company, or confirm a mapping that needs attention. What is held is filed then, and nowhere else.',
    ticket: false,
  });
}

async function closedByTechnician(tx: SystemTx, work: TicketWork, patch: TicketPatch): Promise<void> {
  const before = await write(tx, work, { ...patch, attempts: 0, note: null }, false);
  if (before.state !== 'open') return;
  await tx.run(sql`
    update incidents set state = 'resolved', resolved_at = ${tx.now},
      resolution = ${`Ticket ${before.ticketNumber ?? ''} was closed in the PSA`}
    where partner_id = ${work.partnerId} and id = ${work.id}`);
  const untold = before.occurrences - before.notedOccurrences;
  if (untold > 0) await openIncident(tx, { ...before, occurrences: untold });
}

/** The protocol's store on PostgreSQL; each call is one transaction. */
export function ticketStore(db: SystemDb, now: () => Date): TicketStore {
  return {
    now,
    announce: (work, patch) => db.system((tx) => write(tx, work, patch, true)),
    finish: (work, patch) =>
      db.system(async (tx) => {
        await write(tx, work, patch, false);
      }),
    hold: (work, reason) => db.system((tx) => hold(tx, work, reason)),
    closedByTechnician: (work, patch) => db.system((tx) => closedByTechnician(tx, work, patch)),
    earlierNumber: (work) =>
      db.system(async (tx) => {
        const row = await tx.maybe<{ number: string }>(sql`
          select i.ticket_number as number from incidents i
          where i.partner_id = ${work.partnerId} and i.client_id = ${work.clientId} and i.rule = ${work.rule}
            and i.subject = ${work.subject} and i.id <> ${work.id} and i.ticket_number is not null
          order by i.opened_at desc limit 1`);
        return row?.number ?? null;
      }),
  };
}

/** Held tickets whose client has a sound mapping by now are wanted again, and the alarm about them ends. */
export async function wakeHeld(tx: SystemTx): Promise<void> {
  await tx.run(sql`
    update incidents as i set ticket_state = 'wanted', ticket_next_at = ${tx.now}, ticket_note = null
    from psa_mappings m
    where m.partner_id = i.partner_id and m.client_id = i.client_id and m.state = 'ok' and i.ticket_state = 'held'`);
  await tx.run(sql`
    update incidents as i set state = 'resolved', resolved_at = ${tx.now},
      resolution = 'The client is mapped; what was held is filed now.'
    from psa_mappings m
    where m.partner_id = i.partner_id and m.client_id = i.client_id and m.state = 'ok'
      and i.rule = ${UNMAPPED_RULE} and i.state = 'open'`);
}

import { z } from 'zod';
import { AppError } from '../../src/core/errors.ts';
import type { PsaTicket, TicketInput, TicketNote } from '../../src/core/psa.ts';
import { cut } from '../redact.ts';
import { numericId, requireNumericId } from '../settings.ts';
import type { AutotaskClient } from './client.ts';
import { COMPLETE, DUE_HOURS, type FieldMaps, LENGTHS, priorityOf } from './map.ts';

const ticketSchema = z.object({
  id: z.number(),
  ticketNumber: z.string().nullish(),
  externalID: z.string().nullish(),
  companyID: z.number().nullish(),
  title: z.string(),
  status: z.number(),
});
type Row = z.infer<typeof ticketSchema>;

/** `publish`: 1 everyone, 2 internal users; system values (developer help). */
const PUBLISH = { everyone: 1, internal: 2 } as const;
const HOUR_MS = 3_600_000;

export async function findTickets(client: AutotaskClient, key: string): Promise<PsaTicket[]> {
  if (key === '' || key.length > (LENGTHS['Tickets.externalID'] ?? 50)) return [];
  const rows = await client.query('Tickets', ticketSchema, [{ op: 'eq', field: 'externalID', value: key }]);
  return rows
    .filter((row) => row.externalID === key)
    .sort((a, b) => b.id - a.id)
    .map((row) => ticket(client, row));
}

export async function getTicket(client: AutotaskClient, id: string): Promise<PsaTicket | null> {
  const number = numericId(id);
  const row = number === null ? null : await client.get(`/Tickets/${number}`, ticketSchema);
  return row === null ? null : ticket(client, row);
}

/**
 * Sent once. Autotask answers a create with an id alone; should reading the rest fail, the ticket is made nevertheless,
 * and what was sent is answered.
 */
export async function createTicket(client: AutotaskClient, maps: FieldMaps, input: TicketInput): Promise<PsaTicket> {
  const companyID = requireNumericId(input.companyId, 'company');
  const fields = await maps.of('Tickets');
  if (input.key.length > fields.length('externalID')) {
    throw new AppError('invalid_input', 'the ticket key is longer than Autotask keeps', { field: 'key' });
  }
  const title = cut(input.title, fields.length('title'));
  const description = title === input.title ? input.description : `${input.title}\n\n${input.description}`;
  const queueID = client.settings.queueId ?? fields.defaultOf('queueID');
  const priority = priorityOf(client, fields, input.priority);
  const due = new Date(client.deps.clock.now().getTime() + DUE_HOURS[input.priority] * HOUR_MS);
  const json = {
    companyID,
    title,
    description: cut(description, fields.length('description')),
    externalID: input.key,
    status: client.settings.newStatus ?? fields.defaultOf('status') ?? 1,
    dueDateTime: due.toISOString(),
    ...(priority === null ? {} : { priority }),
    ...(queueID === null ? {} : { queueID }),
  };
  const id = await client.create('/Tickets', json, input.sendBy);
  try {
    const made = await getTicket(client, String(id));
    if (made !== null) return made;
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
  }
  return { id: String(id), number: String(id), key: input.key, companyId: input.companyId, title, open: true };
}

export async function addNote(
  client: AutotaskClient,
  maps: FieldMaps,
  ticketId: string,
  note: TicketNote,
): Promise<void> {
  const id = requireNumericId(ticketId, 'ticket');
  const fields = await maps.of('TicketNotes');
  const noteType = client.settings.noteType ?? fields.defaultOf('noteType') ?? fields.picklist('noteType')[0]?.id ?? 1;
  await client.create(`/Tickets/${id}/Notes`, {
    title: cut(note.title, fields.length('title')),
    description: cut(note.text, fields.length('description')),
    noteType,
    publish: note.internal ? PUBLISH.internal : PUBLISH.everyone,
  });
}

/** Status and resolution go in one update, so that there is no half of it. */
export async function resolveTicket(
  client: AutotaskClient,
  maps: FieldMaps,
  ticketId: string,
  resolution: string,
): Promise<PsaTicket> {
  const before = await getTicket(client, ticketId);
  if (before === null) throw new AppError('upstream_rejected', 'Autotask has no such ticket any more');
  if (!before.open) return before;
  const fields = await maps.of('Tickets');
  const status = client.settings.completeStatus ?? COMPLETE;
  await client.update('/Tickets', {
    id: Number(before.id),
    status,
    resolution: cut(resolution, fields.length('resolution')),
  });
  return { ...before, open: false };
}

function ticket(client: AutotaskClient, row: Row): PsaTicket {
  return {
    id: String(row.id),
    number: row.ticketNumber ?? String(row.id),
    key: row.externalID ?? '',
    companyId: row.companyID === null || row.companyID === undefined ? '' : String(row.companyID),
    title: row.title,
    open: row.status !== COMPLETE && row.status !== client.settings.completeStatus,
  };
}

import { z } from 'zod';
import { AppError } from '../../src/core/errors.ts';
import type { PsaTicket, TicketInput, TicketNote } from '../../src/core/psa.ts';
import { cut } from '../redact.ts';
import { numericId, requireNumericId } from '../settings.ts';
import type { ConnectWiseClient } from './client.ts';
import { equals } from './conditions.ts';
import { LENGTHS, priorityId } from './map.ts';

const reference = z.object({ id: z.number() });
const ticketSchema = z.object({
  id: z.number(),
  summary: z.string(),
  externalXRef: z.string().nullish(),
  company: reference.nullish(),
  board: reference.nullish(),
  closedFlag: z.boolean().nullish(),
  mergedParentTicket: reference.nullish(),
});
type Row = z.infer<typeof ticketSchema>;
const noteSchema = z.object({ id: z.number(), text: z.string().nullish(), resolutionFlag: z.boolean().nullish() });
const statusSchema = z.object({
  id: z.number(),
  inactive: z.boolean().nullish(),
  closedStatus: z.boolean().nullish(),
  sortOrder: z.number().nullish(),
});

const MAX_MERGES = 10;

export async function findTickets(client: ConnectWiseClient, key: string): Promise<PsaTicket[]> {
  const conditions = equals('externalXRef', key);
  if (conditions === null || key.length > LENGTHS.externalXRef) return [];
  const rows = (await client.all('/service/tickets', ticketSchema, { conditions })) ?? [];
  return rows
    .filter((row) => row.externalXRef === key)
    .sort((a, b) => b.id - a.id)
    .map(ticket);
}

export async function getTicket(client: ConnectWiseClient, id: string): Promise<PsaTicket | null> {
  const row = await surviving(client, id);
  return row === null ? null : ticket(row);
}

/** `processNotifications` and `skipCallback` are left at their defaults: a new ticket is to be noticed. */
export async function createTicket(client: ConnectWiseClient, input: TicketInput): Promise<PsaTicket> {
  const companyId = requireNumericId(input.companyId, 'company');
  const priority = await priorityId(client, input.priority);
  const title = cut(input.title, LENGTHS.summary);
  const fields = {
    summary: title,
    company: { id: companyId },
    initialDescription: title === input.title ? input.description : `${input.title}\n\n${input.description}`,
    externalXRef: input.key,
    ...(client.settings.boardId === undefined ? {} : { board: { id: client.settings.boardId } }),
    ...(priority === null ? {} : { priority: { id: priority } }),
  };
  return ticket(await client.post('/service/tickets', ticketSchema, fields, input.sendBy));
}

/** The note goes to the ticket that a merged one lives on in. No workflow mail: the customer is not to be told. */
export async function addNote(client: ConnectWiseClient, ticketId: string, note: TicketNote): Promise<void> {
  const row = await required(client, ticketId);
  await client.post(`/service/tickets/${row.id}/notes`, noteSchema, {
    text: `${note.title}\n\n${note.text}`,
    detailDescriptionFlag: !note.internal,
    internalAnalysisFlag: note.internal,
    resolutionFlag: false,
    processNotifications: false,
  });
}

/**
 * Resolution note first, then the board's closed status (known by `closedStatus`, never by its name). The note is read
 * before it is written, so that a repetition after a lost answer does not write it twice.
 */
export async function resolveTicket(
  client: ConnectWiseClient,
  ticketId: string,
  resolution: string,
): Promise<PsaTicket> {
  const row = await required(client, ticketId);
  if (row.closedFlag === true) return ticket(row);
  const status = await closedStatus(client, row);
  const notes = (await client.all(`/service/tickets/${row.id}/notes`, noteSchema)) ?? [];
  if (!notes.some((note) => note.resolutionFlag === true && note.text === resolution)) {
    await client.post(`/service/tickets/${row.id}/notes`, noteSchema, {
      text: resolution,
      detailDescriptionFlag: false,
      internalAnalysisFlag: false,
      resolutionFlag: true,
      processNotifications: false,
    });
  }
  const closed = await client.patch(`/service/tickets/${row.id}`, ticketSchema, [
    { op: 'replace', path: 'status', value: { id: status } },
  ]);
  return ticket(closed);
}

async function closedStatus(client: ConnectWiseClient, row: Row): Promise<number> {
  if (row.board === null || row.board === undefined) {
    throw new AppError('upstream_rejected', `ConnectWise ticket ${row.id} is on no board, so it has no closed status`);
  }
  const rows = (await client.all(`/service/boards/${row.board.id}/statuses`, statusSchema)) ?? [];
  const closed = rows
    .filter((status) => status.closedStatus === true && status.inactive !== true)
    .sort((a, b) => (a.sortOrder ?? 0) - (b.sortOrder ?? 0) || a.id - b.id);
  const chosen = closed.find((status) => status.id === client.settings.closedStatusId) ?? closed[0];
  if (chosen === undefined) throw new AppError('upstream_rejected', 'the ConnectWise board has no closed status');
  return chosen.id;
}

async function required(client: ConnectWiseClient, id: string): Promise<Row> {
  const row = await surviving(client, id);
  if (row === null) throw new AppError('upstream_rejected', 'ConnectWise has no such ticket any more');
  return row;
}

/** The ticket, or the one that it was merged into, however often; a circle of merges ends with the last one seen. */
async function surviving(client: ConnectWiseClient, id: string): Promise<Row | null> {
  const number = numericId(id);
  let row = number === null ? null : await client.get(`/service/tickets/${number}`, ticketSchema);
  const seen = new Set<number>();
  while (row !== null && seen.size < MAX_MERGES) {
    seen.add(row.id);
    const parent = row.mergedParentTicket?.id;
    if (parent === undefined || seen.has(parent)) return row;
    row = await client.get(`/service/tickets/${parent}`, ticketSchema);
  }
  return row;
}

function ticket(row: Row): PsaTicket {
  return {
    id: String(row.id),
    number: String(row.id),
    key: row.externalXRef ?? '',
    companyId: row.company === null || row.company === undefined ? '' : String(row.company.id),
    title: row.summary,
    open: row.closedFlag !== true,
  };
}

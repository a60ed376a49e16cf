import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import { accept, idOf, invalid, list, notFound, operations, refuse } from './lists.ts';
import type { ConnectWiseState, CwTicket } from './state.ts';

const reference = z.union([
  z.strictObject({ id: z.number().int() }),
  z.strictObject({ id: z.number().int(), name: z.string() }),
]);

/** Fields of the 2022.1 specification that a create may hold; anything else is refused. */
const ticketSchema = z.strictObject({
  summary: z.string().min(1).max(100),
  company: reference,
  board: reference.optional(),
  status: reference.optional(),
  priority: reference.optional(),
  externalXRef: z.string().max(100).optional(),
  poNumber: z.string().max(50).optional(),
  initialDescription: z.string().optional(),
  initialInternalAnalysis: z.string().optional(),
  initialResolution: z.string().optional(),
  severity: z.enum(['Low', 'Medium', 'High']).optional(),
  impact: z.enum(['Low', 'Medium', 'High']).optional(),
  integratorTags: z.array(z.string()).optional(),
  processNotifications: z.boolean().optional(),
  skipCallback: z.boolean().optional(),
  customFields: z.array(z.unknown()).optional(),
});

const noteSchema = z.strictObject({
  text: z.string().min(1),
  detailDescriptionFlag: z.boolean().default(false),
  internalAnalysisFlag: z.boolean().default(false),
  resolutionFlag: z.boolean().default(false),
  processNotifications: z.boolean().optional(),
  customerUpdatedFlag: z.boolean().optional(),
});

const FIELDS = ['id', 'summary', 'externalXRef', 'company/id', 'board/id', 'status/id', 'closedFlag', 'lastUpdated'];
const PATCHABLE = ['summary', 'status', 'board', 'company', 'priority', 'externalXRef', 'skipCallback'];

/** /service: tickets with their notes and merges, boards with their statuses, priorities. */
export function serviceRoutes(app: FastifyInstance, state: ConnectWiseState): void {
  const ticketOf = (id: number): CwTicket => {
    const ticket = state.tickets.get(id);
    if (ticket === undefined) throw notFound('Ticket', id);
    return ticket;
  };

  app.get('/service/tickets', (request, reply) => list(request, reply, state.tickets.values(), FIELDS));
  app.post('/service/tickets/search', (request, reply) => {
    const { conditions } = accept(z.strictObject({ conditions: z.string() }), request.body, 'search');
    return list(request, reply, state.tickets.values(), FIELDS, conditions);
  });
  app.get('/service/tickets/count', (request, reply) => ({
    count: list(request, reply, state.tickets.values(), FIELDS).length,
  }));
  app.get('/service/tickets/:id', (request) => ticketOf(idOf(request)));
  app.post('/service/tickets', (request, reply) => {
    const ticket = createTicket(state, request.body);
    return reply.code(201).send(ticket);
  });
  app.patch('/service/tickets/:id', (request) => {
    const ticket = ticketOf(idOf(request));
    const changes = operations(request.body, 'ticket', PATCHABLE, state.requireCustomFieldsOperation);
    updateTicket(state, ticket, changes);
    if (changes.get('skipCallback') !== true) state.changed('ticket', ticket.id, 'updated', ticket, true);
    return ticket;
  });
  app.delete('/service/tickets/:id', (request, reply) => {
    state.deleteTicket(ticketOf(idOf(request)).id);
    return reply.code(204).send();
  });
  app.post('/service/tickets/:id/merge', (request, reply) => {
    const parent = ticketOf(idOf(request));
    const body = z.strictObject({ mergeTicketIds: z.array(z.number().int()), status: reference.optional() });
    for (const id of accept(body, request.body, 'merge').mergeTicketIds) state.mergeTicket(ticketOf(id).id, parent.id);
    return reply.code(201).send(parent);
  });
  app.get('/service/tickets/:id/notes', (request, reply) => {
    const { id } = ticketOf(idOf(request));
    const notes = state.notes.filter((note) => note.ticketId === id);
    return list(request, reply, notes, ['id', 'text', 'resolutionFlag']);
  });
  app.post('/service/tickets/:id/notes', (request, reply) => {
    const ticket = ticketOf(idOf(request));
    if (ticket.mergedParentTicket !== null) throw refuse(400, 'InvalidObject', 'The ticket is merged.');
    const { processNotifications: _p, customerUpdatedFlag: _c, ...body } = accept(noteSchema, request.body, 'note');
    const note = { id: state.nextId(), ticketId: ticket.id, ...body };
    state.notes.push(note);
    return reply.code(201).send(note);
  });
  app.get('/service/boards', (request, reply) => list(request, reply, state.boards, ['id', 'name', 'inactiveFlag']));
  app.get('/service/boards/:id/statuses', (request, reply) => {
    const id = idOf(request);
    if (!state.boards.some((board) => board.id === id)) throw notFound('Board', id);
    const statuses = state.statuses.filter((status) => status.boardId === id);
    return list(request, reply, statuses, ['id', 'name', 'closedStatus', 'inactive']);
  });
  app.get('/service/priorities', (request, reply) => list(request, reply, state.priorities, ['id', 'name']));
}

function createTicket(state: ConnectWiseState, body: unknown): CwTicket {
  const input = accept(ticketSchema, body, 'ticket');
  const company = state.companies.get(input.company.id);
  const board = state.boards.find((b) => b.id === (input.board?.id ?? 1));
  const statuses = state.statuses.filter((s) => s.boardId === board?.id);
  const status = statuses.find((s) => (input.status === undefined ? s.defaultFlag : s.id === input.status.id));
  const priority = state.priorities.find((p) =>
    input.priority === undefined ? p.defaultFlag : p.id === input.priority.id,
  );
  const wrong = (field: string, message: string) => invalid('ticket', [{ code: 'InvalidField', message, field }]);
  if (company === undefined || company.deletedFlag) throw wrong('company', 'The company is not valid.');
  if (company.status.id === 2) throw wrong('company', `The status of company ${company.name} disallows saving.`);
  if (board === undefined) throw wrong('board', 'The board is not valid.');
  if (status === undefined) throw wrong('status', 'The status is not valid for the board.');
  if (priority === undefined) throw wrong('priority', 'The priority is not valid.');
  const ticket: CwTicket = {
    id: state.nextId(),
    summary: input.summary,
    board: { id: board.id, name: board.name },
    status: { id: status.id, name: status.name },
    company: { id: company.id, name: company.name },
    priority: { id: priority.id, name: priority.name },
    externalXRef: input.externalXRef ?? '',
    closedFlag: status.closedStatus,
    closedDate: status.closedStatus ? state.now() : null,
    mergedParentTicket: null,
    hasMergedChildTicketFlag: false,
    customFields: [],
    lastUpdated: state.now(),
  };
  state.tickets.set(ticket.id, ticket);
  for (const [text, flag] of [
    [input.initialDescription, 'detailDescriptionFlag'],
    [input.initialInternalAnalysis, 'internalAnalysisFlag'],
    [input.initialResolution, 'resolutionFlag'],
  ] as const) {
    if (text === undefined) continue;
    const flags = { detailDescriptionFlag: false, internalAnalysisFlag: false, resolutionFlag: false };
    state.notes.push({ id: state.nextId(), ticketId: ticket.id, text, ...flags, [flag]: true });
  }
  if (input.skipCallback !== true) state.changed('ticket', ticket.id, 'added', ticket, true);
  return ticket;
}

function updateTicket(state: ConnectWiseState, ticket: CwTicket, changes: ReadonlyMap<string, unknown>): void {
  const wrong = (field: string, message: string) => invalid('ticket', [{ code: 'InvalidField', message, field }]);
  const id = (value: unknown) => (reference.safeParse(value).success ? (value as { id: number }).id : -1);
  if (changes.has('summary')) {
    ticket.summary = accept(
      ticketSchema.pick({ summary: true }),
      { summary: changes.get('summary') },
      'ticket',
    ).summary;
  }
  if (changes.has('externalXRef')) ticket.externalXRef = String(changes.get('externalXRef') ?? '');
  if (changes.has('company')) {
    const company = state.companies.get(id(changes.get('company')));
    if (company === undefined) throw wrong('company', 'The company is not valid.');
    ticket.company = { id: company.id, name: company.name };
  }
  if (changes.has('status')) {
    const wanted = id(changes.get('status'));
    const status = state.statuses.find((s) => s.id === wanted && s.boardId === ticket.board.id && !s.inactive);
    if (status === undefined) throw wrong('status', 'The status is not valid for the board.');
    state.setTicketStatus(ticket, status);
  }
  ticket.lastUpdated = state.now();
}

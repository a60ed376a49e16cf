import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import { Refusal } from '../server.ts';
import { refuse } from './filter.ts';
import { type AtTicket, type AutotaskState, PICKLISTS } from './state.ts';

const shared = {
  companyID: z.number().int(),
  title: z.string(),
  description: z.string(),
  status: z.number().int(),
  priority: z.number().int(),
  queueID: z.number().int(),
  assignedResourceID: z.number().int(),
  assignedResourceRoleID: z.number().int(),
  dueDateTime: z.string(),
  externalID: z.string(),
  resolution: z.string(),
  source: z.number().int(),
  ticketType: z.number().int(),
  ticketCategory: z.number().int(),
};
const createSchema = z.strictObject(shared).partial();
const updateSchema = z
  .strictObject({ id: z.number().int(), ...shared })
  .partial()
  .required({ id: true });
const noteSchema = z.strictObject({
  title: z.string(),
  description: z.string(),
  noteType: z.number().int(),
  publish: z.number().int(),
});
const attachmentSchema = z.strictObject({
  attachmentType: z.literal('FILE_ATTACHMENT'),
  fullPath: z.string(),
  title: z.string(),
  data: z.string(),
  publish: z.number().int(),
  contentType: z.string().optional(),
});

const LENGTHS = { title: 255, description: 8000, resolution: 32_000, externalID: 50 } as const;
const NOTE_LENGTHS = { title: 250, description: 32_000 } as const;
const MAX_FILE = 7_000_000;
const MAX_WINDOW = 10_000_000;
const WINDOW_MS = 300_000;

/** Unknown fields and wrong types in Autotask's words. */
export function accept<T>(schema: z.ZodType<T>, body: unknown, entity: string): T {
  const parsed = schema.safeParse(body, { reportInput: true });
  if (parsed.success) return parsed.data;
  throw refuse(
    ...parsed.error.issues.map((issue) => {
      if (issue.code === 'unrecognized_keys') {
        return `Unable to find ${issue.keys.join(', ')} in the ${entity} Entity.; on record number [0].`;
      }
      const field = issue.path.join('.');
      return issue.code === 'invalid_type' && issue.input === undefined
        ? `${field} is required.; on record number [0].`
        : `The value of ${field} is not valid.; on record number [0].`;
    }),
  );
}

function checkLengths(input: object, lengths: Readonly<Record<string, number>>): void {
  for (const [field, value] of Object.entries(input)) {
    const limit = lengths[field];
    if (typeof value === 'string' && limit !== undefined && value.length > limit) {
      throw refuse(
        `String value exceeds maximum length (field:${field}). | Error updating entity for record number [1].`,
      );
    }
  }
}

function checkPicklists(input: Readonly<Record<string, unknown>>): void {
  for (const field of ['status', 'priority', 'queueID', 'noteType'] as const) {
    const value = input[field];
    if (value === undefined) continue;
    const entry = PICKLISTS[field].find((candidate) => candidate.value === String(value));
    if (entry === undefined || !entry.isActive) {
      throw refuse(`The value of ${field} is not in its picklist.; on record number [0].`);
    }
  }
}

/** Tickets (no delete in the API), their notes, company attachments. */
export function ticketRoutes(app: FastifyInstance, state: AutotaskState): void {
  const sent: { at: number; bytes: number }[] = [];

  app.post('/Tickets', (request) => {
    const input = accept(createSchema, request.body, 'Tickets');
    const required = ['companyID', 'title', 'status', 'priority', 'dueDateTime'] as const;
    const missing = required.filter((field) => input[field] === undefined);
    if (missing.length > 0) throw refuse(...missing.map((field) => `${field} is required.; on record number [0].`));
    checkRules(state, input);
    const id = state.nextId();
    const ticket: AtTicket = {
      id,
      ticketNumber: `T${state.today().replaceAll('-', '')}.${String(state.tickets.size + 1).padStart(4, '0')}`,
      companyID: input.companyID ?? 0,
      title: input.title ?? '',
      description: input.description ?? '',
      status: input.status ?? 1,
      priority: input.priority ?? 2,
      queueID: input.queueID ?? null,
      externalID: input.externalID ?? '',
      resolution: '',
      dueDateTime: input.dueDateTime ?? '',
      completedDate: null,
      lastTrackedModificationDateTime: state.now().toISOString(),
    };
    state.tickets.set(id, ticket);
    state.changed('Ticket', id, 'Create', ticket, true);
    return { itemId: id };
  });
  app.patch('/Tickets', (request) => {
    const input = accept(updateSchema, request.body, 'Tickets');
    const ticket = state.tickets.get(input.id);
    if (ticket === undefined) throw refuse('No matching records found');
    checkLengths({ ...ticket, ...input }, LENGTHS);
    checkPicklists(input);
    Object.assign(ticket, input);
    ticket.completedDate = ticket.status === 5 ? state.now().toISOString() : null;
    ticket.lastTrackedModificationDateTime = state.now().toISOString();
    state.changed('Ticket', ticket.id, 'Update', ticket, true);
    return { itemId: ticket.id };
  });
  for (const path of ['/Tickets/:id', '/Companies/:id'] as const) {
    app.route({
      method: ['PATCH', 'PUT', 'DELETE'],
      url: path,
      handler: () => {
        throw new Refusal(405, { Message: "The requested resource does not support http method 'PATCH'." });
      },
    });
  }
  app.post('/Tickets/:id/Notes', (request) => {
    const ticketID = Number((request.params as { id: string }).id);
    const input = accept(noteSchema, request.body, 'TicketNotes');
    if (!state.tickets.has(ticketID)) throw refuse('No matching records found');
    checkLengths(input, NOTE_LENGTHS);
    checkPicklists({ noteType: input.noteType });
    const note = { id: state.nextId(), ticketID, ...input };
    state.notes.set(note.id, note);
    return { itemId: note.id };
  });
  app.post('/Companies/:id/Attachments', (request) => {
    const parentID = Number((request.params as { id: string }).id);
    const input = accept(attachmentSchema, request.body, 'CompanyAttachments');
    if (!state.companies.has(parentID)) throw refuse('No matching records found');
    const bytes = Buffer.from(input.data, 'base64').length;
    if (bytes > MAX_FILE) throw refuse('The attachment exceeds the maximum size of 7 MB.');
    const now = state.now().getTime();
    const recent = sent.filter((entry) => entry.at > now - WINDOW_MS);
    if (recent.reduce((sum, entry) => sum + entry.bytes, bytes) > MAX_WINDOW) {
      throw refuse('The attachment threshold of 10000000 bytes in 5 minutes is exceeded.');
    }
    sent.push({ at: now, bytes });
    const { title, fullPath, data } = input;
    const attachment = { id: state.nextId(), parentID, title, fullPath, fileSize: bytes, data };
    state.attachments.set(attachment.id, attachment);
    return { itemId: attachment.id };
  });
  app.get('/Companies/:id/Attachments', (request) => {
    const parentID = Number((request.params as { id: string }).id);
    return { items: [...state.attachments.values()].filter((entry) => entry.parentID === parentID) };
  });
}

function checkRules(state: AutotaskState, input: z.infer<typeof createSchema>): void {
  checkLengths(input, LENGTHS);
  checkPicklists(input);
  const [resource, role] = [input.assignedResourceID, input.assignedResourceRoleID];
  if ((resource === undefined) !== (role === undefined)) {
    throw refuse('When assigning a Resource, you must assign both a assignedResourceID and assignedResourceRoleID.');
  }
  if (input.queueID === undefined && resource === undefined) {
    throw refuse(
      'Data violation: AssignedResourceID, AssignedResourceRoleID, and QueueID cannot all be empty. Supply a QueueID or both an AssignedResourceID and AssignedResourceRoleID.',
    );
  }
  const company = state.companies.get(input.companyID ?? -1);
  if (company === undefined) throw refuse('companyID is not valid.; on record number [0].');
  if (!company.isActive) throw refuse('The company is inactive.; on record number [0].');
}

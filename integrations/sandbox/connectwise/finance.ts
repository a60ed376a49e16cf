import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import { accept, idOf, invalid, list, notFound, operations, refuse } from './lists.ts';
import type { ConnectWiseState, CwAddition, CwDocument } from './state.ts';

const additionSchema = z.strictObject({
  product: z.union([z.strictObject({ id: z.number().int() }), z.strictObject({ identifier: z.string() })]),
  quantity: z.number().min(0).default(1),
  unitPrice: z.number().optional(),
  unitCost: z.number().optional(),
  lessIncluded: z.number().optional(),
  billCustomer: z.enum(['Billable', 'DoNotBill', 'NoCharge']),
  effectiveDate: z.string().optional(),
  cancelledDate: z.string().optional(),
  taxableFlag: z.boolean().optional(),
  serialNumber: z.string().max(50).optional(),
  invoiceDescription: z.string().max(6000).optional(),
  customFields: z.array(z.unknown()).optional(),
});
const AGREEMENT_FIELDS = ['id', 'name', 'company/id', 'cancelledFlag', 'agreementStatus', 'lastUpdated'];
const ADDITION_FIELDS = ['id', 'product/identifier', 'quantity', 'cancelledDate', 'effectiveDate'];
const PATCHABLE = ['quantity', 'unitPrice', 'cancelledDate', 'effectiveDate', 'billCustomer', 'invoiceDescription'];

/** /finance (agreements and their additions) and /company. */
export function financeRoutes(app: FastifyInstance, state: ConnectWiseState): void {
  const agreementOf = (id: number) => {
    const agreement = state.agreements.get(id);
    if (agreement === undefined) throw notFound('Agreement', id);
    return agreement;
  };
  const additionsOf = (id: number) => [...state.additions.values()].filter((a) => a.agreementId === agreementOf(id).id);
  const additionOf = (agreementId: number, id: number): CwAddition => {
    const addition = additionsOf(agreementId).find((a) => a.id === id);
    if (addition === undefined) throw notFound('Addition', id);
    return addition;
  };
  const path = '/finance/agreements/:id/additions';

  app.get('/company/companies', (request, reply) =>
    list(request, reply, state.companies.values(), [
      'id',
      'identifier',
      'name',
      'status/id',
      'deletedFlag',
      'lastUpdated',
    ]),
  );
  app.get('/company/companies/statuses', (request, reply) =>
    list(request, reply, state.companyStatuses, ['id', 'name', 'inactiveFlag']),
  );
  app.get('/company/companies/:id', (request) => {
    const company = state.companies.get(idOf(request));
    if (company === undefined) throw notFound('Company', idOf(request));
    return company;
  });
  app.get('/finance/agreements', (request, reply) => list(request, reply, state.agreements.values(), AGREEMENT_FIELDS));
  app.get('/finance/agreements/:id', (request) => agreementOf(idOf(request)));
  app.get(path, (request, reply) => list(request, reply, additionsOf(idOf(request)), ADDITION_FIELDS));
  app.get(`${path}/count`, (request) => ({ count: additionsOf(idOf(request)).length }));
  app.get(`${path}/:addition`, (request) => additionOf(idOf(request), idOf(request, 'addition')));
  app.post(path, (request, reply) => {
    const agreement = agreementOf(idOf(request));
    const input = accept(additionSchema, request.body, 'addition');
    if (agreement.cancelledFlag) throw refuse(400, 'InvalidObject', 'The agreement is cancelled.');
    const name = 'identifier' in input.product ? input.product.identifier : `Product ${input.product.id}`;
    const addition = state.addAddition(agreement.id, {
      name,
      quantity: input.quantity,
      ...(input.unitPrice === undefined ? {} : { unitPrice: input.unitPrice }),
    });
    state.changed('agreement', agreement.id, 'updated', agreement, true);
    return reply.code(201).send(addition);
  });
  app.patch(`${path}/:addition`, (request) => {
    const agreement = agreementOf(idOf(request));
    const addition = additionOf(agreement.id, idOf(request, 'addition'));
    const changes = operations(request.body, 'addition', PATCHABLE, state.requireCustomFieldsOperation);
    const quantity = changes.get('quantity');
    if (changes.has('quantity')) {
      if (typeof quantity !== 'number' || quantity < 0) {
        throw invalid('addition', [{ code: 'InvalidField', message: 'The quantity is not valid.', field: 'quantity' }]);
      }
      addition.quantity = quantity;
      addition.extPrice = quantity * addition.unitPrice;
    }
    if (changes.has('cancelledDate')) addition.cancelledDate = String(changes.get('cancelledDate'));
    if (changes.has('effectiveDate')) addition.effectiveDate = String(changes.get('effectiveDate'));
    state.changed('agreement', agreement.id, 'updated', agreement, true);
    return addition;
  });
  app.delete(`${path}/:addition`, (request, reply) => {
    state.additions.delete(additionOf(idOf(request), idOf(request, 'addition')).id);
    return reply.code(204).send();
  });
}

/** /system/documents: multipart only; a document sent as JSON is answered 415. */
export function documentRoutes(app: FastifyInstance, state: ConnectWiseState): void {
  const shown = ({ data: _, ...document }: CwDocument) => document;
  const recordKnown = (type: string, id: number) =>
    ({ Company: state.companies, Ticket: state.tickets, Agreement: state.agreements })[type]?.has(id) === true;

  app.get('/system/documents', (request, reply) => {
    const query = request.query as { recordType?: string; recordId?: string };
    if (query.recordType === undefined || query.recordId === undefined) {
      throw refuse(400, 'InvalidParameter', 'recordType and recordId are required.');
    }
    const found = [...state.documents.values()].filter(
      (d) => d.recordType === query.recordType && String(d.recordId) === query.recordId,
    );
    return list(request, reply, found.map(shown), ['id', 'title', 'fileName']);
  });
  app.get('/system/documents/:id/download', (request, reply) => {
    const document = state.documents.get(idOf(request));
    if (document === undefined) throw notFound('Document', idOf(request));
    return reply.type('application/octet-stream').send(document.data);
  });
  app.post('/system/documents', async (request, reply) => {
    if (!request.isMultipart()) throw refuse(415, 'UnsupportedMediaType', 'The document must be sent as multipart.');
    const fields = new Map<string, string>();
    let file: { name: string; data: Buffer } | undefined;
    for await (const part of request.parts()) {
      if (part.type === 'file') file = { name: part.filename, data: await part.toBuffer() };
      else fields.set(part.fieldname, String(part.value));
    }
    const known = ['recordType', 'recordId', 'title', 'url', 'privateFlag', 'readOnlyFlag', 'isAvatar'];
    const unknown = [...fields.keys()].filter((name) => !known.includes(name));
    if (unknown.length > 0) throw refuse(400, 'InvalidObject', `unknown fields ${unknown.join(', ')}`);
    const recordType = fields.get('recordType') ?? '';
    const recordId = Number(fields.get('recordId'));
    if (!recordKnown(recordType, recordId)) throw refuse(400, 'InvalidObject', 'The record is not valid.');
    if (file === undefined) throw refuse(400, 'InvalidObject', 'The file field is required.');
    const document: CwDocument = {
      id: state.nextId(),
      title: fields.get('title') ?? file.name,
      fileName: file.name,
      size: file.data.length,
      recordType,
      recordId,
      data: file.data,
    };
    state.documents.set(document.id, document);
    return reply.code(201).send(shown(document));
  });
}

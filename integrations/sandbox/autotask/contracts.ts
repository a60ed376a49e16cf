import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import { refuse } from './filter.ts';
import type { AutotaskState } from './state.ts';
import { accept } from './tickets.ts';
import { dayOf } from './units.ts';

const adjustmentSchema = z.strictObject({
  contractID: z.number().int(),
  contractServiceID: z.number().int().optional(),
  serviceID: z.number().int().optional(),
  effectiveDate: z.string(),
  unitChange: z.number().int(),
  adjustedUnitPrice: z.number().optional(),
  adjustedUnitCost: z.number().optional(),
  allowRepeatService: z.boolean().optional(),
});
const lineSchema = z.strictObject({ contractID: z.number().int(), serviceID: z.number().int() });

/** Contract services, and adjustments: additive, without a key, not readable, not deletable. */
export function contractRoutes(app: FastifyInstance, state: AutotaskState): void {
  const contractOf = (id: number) => {
    const contract = state.contracts.get(id);
    if (contract === undefined) throw refuse('No matching records found');
    if (contract.contractType !== 7) throw refuse('The contract is not a recurring service contract.');
    return contract;
  };
  const adjust = (body: unknown) => {
    const input = accept(adjustmentSchema, body, 'ContractServiceAdjustments');
    const contract = contractOf(input.contractID);
    if (contract.status !== 1) throw refuse('The contract is not active.');
    let line = [...state.lines.values()].find(
      (l) =>
        l.contractID === contract.id &&
        (input.contractServiceID === undefined ? l.serviceID === input.serviceID : l.id === input.contractServiceID),
    );
    if (line === undefined) {
      // The trap of this entity: it creates the contract service that it does not find (developer help).
      const service = state.services.get(input.serviceID ?? -1);
      if (service === undefined) throw refuse('serviceID is required.; on record number [0].');
      line = state.addLine(contract, service, 0);
    }
    const day = dayOf(input.effectiveDate);
    const inPosted = state.units.some(
      (row) =>
        row.contractServiceID === line.id &&
        row.approveAndPostDate !== null &&
        dayOf(row.startDate) <= day &&
        day <= dayOf(row.endDate),
    );
    if (inPosted) throw refuse('The effective date is in a period that is already approved and posted.');
    if (!state.adjust(line, day, input.unitChange)) throw refuse('The effective date or the unit change is not valid.');
    return { itemId: state.nextId() };
  };
  app.post('/ContractServiceAdjustments', (request) => adjust(request.body));
  app.post('/Contracts/:id/ServiceAdjustments', (request) => adjust(request.body));
  app.post('/Contracts/:id/Services', (request) => {
    const input = accept(lineSchema, request.body, 'ContractServices');
    const service = state.services.get(input.serviceID);
    if (service === undefined) throw refuse('serviceID is not valid.; on record number [0].');
    return { itemId: state.addLine(contractOf(input.contractID), service, 0).id };
  });
}

import { z } from 'zod';
import type { Psa, PsaConnection } from '../../src/core/psa.ts';
import type { Gates } from '../gate.ts';
import type { PsaDeps } from '../http.ts';
import * as billing from './billing.ts';
import { AutotaskClient } from './client.ts';
import * as companies from './companies.ts';
import * as documents from './documents.ts';
import { FieldMaps } from './map.ts';
import * as tickets from './tickets.ts';

const versionSchema = z.object({ apiVersions: z.array(z.string()) });
const anyRecord = z.object({ id: z.number() });

/** Autotask as the port. Facts and their sources: README.md beside this file. */
export function autotask(connection: PsaConnection, deps: PsaDeps, gates: Gates): Psa {
  const client = new AutotaskClient(connection, deps, gates);
  const maps = new FieldMaps(client);
  const today = () => deps.clock.now().toISOString().slice(0, 10);
  return {
    kind: 'autotask',
    async check() {
      const { apiVersions } = await client.describe('/VersionInformation', versionSchema);
      const { used, of } = await client.threshold();
      const fields = await maps.of('Tickets');
      for (const entity of ['Companies', 'Contracts']) {
        await client.query(entity, anyRecord, [{ op: 'eq', field: 'id', value: 0 }]);
      }
      const notes = [`${used} of ${of} requests of this hour are used, by all integrations together`];
      if (client.settings.queueId === undefined && fields.defaultOf('queueID') === null) {
        notes.push('no default queue: set queueId, or Autotask refuses tickets');
      }
      return { version: apiVersions.join(', '), notes };
    },
    findCompanies: (text) => companies.findCompanies(client, text),
    getCompany: (id) => companies.getCompany(client, id),
    findTickets: (key) => tickets.findTickets(client, key),
    getTicket: (id) => tickets.getTicket(client, id),
    createTicket: (input) => tickets.createTicket(client, maps, input),
    addNote: (ticketId, note) => tickets.addNote(client, maps, ticketId, note),
    resolveTicket: (ticketId, resolution) => tickets.resolveTicket(client, maps, ticketId, resolution),
    attachToCompany: (companyId, document) => documents.attachToCompany(client, companyId, document),
    listCompanyDocuments: (companyId) => documents.listCompanyDocuments(client, companyId),
    listSubscriptions: (companyId) => billing.listSubscriptions(client, companyId, today()),
    readSubscription: (ref, onDate) => billing.readSubscription(client, ref, onDate, today()),
    writeQuantity: (ref, change) => billing.writeQuantity(client, ref, change),
  };
}

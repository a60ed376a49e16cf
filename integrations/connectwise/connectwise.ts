import { z } from 'zod';
import type { Psa, PsaConnection } from '../../src/core/psa.ts';
import type { Gates } from '../gate.ts';
import type { PsaDeps } from '../http.ts';
import * as billing from './billing.ts';
import { ConnectWiseClient } from './client.ts';
import * as companies from './companies.ts';
import * as documents from './documents.ts';
import * as tickets from './tickets.ts';

const infoSchema = z.object({ version: z.string() });
const anyRecord = z.object({ id: z.number() });

/** What the API member must be able to read; a missing right shows here and not in the middle of a sync. */
const RIGHTS = ['/company/companies', '/service/tickets', '/finance/agreements', '/service/boards'] as const;

/** ConnectWise PSA as the port. Facts and their sources: README.md beside this file. */
export function connectWise(connection: PsaConnection, deps: PsaDeps, gates: Gates): Psa {
  const client = new ConnectWiseClient(connection, deps, gates);
  const today = () => deps.clock.now().toISOString().slice(0, 10);
  return {
    kind: 'connectwise',
    async check() {
      const info = await client.get('/system/info', infoSchema);
      for (const path of RIGHTS) await client.get(path, z.array(anyRecord), { pageSize: '1' });
      const board = client.settings.boardId;
      const notes =
        board === undefined ? ['tickets go to the default service board'] : [`tickets go to board ${board}`];
      return { version: info?.version ?? 'unknown', notes };
    },
    findCompanies: (text) => companies.findCompanies(client, text),
    getCompany: (id) => companies.getCompany(client, id),
    findTickets: (key) => tickets.findTickets(client, key),
    getTicket: (id) => tickets.getTicket(client, id),
    createTicket: (input) => tickets.createTicket(client, input),
    addNote: (ticketId, note) => tickets.addNote(client, ticketId, note),
    resolveTicket: (ticketId, resolution) => tickets.resolveTicket(client, ticketId, resolution),
    attachToCompany: (companyId, document) => documents.attachToCompany(client, companyId, document),
    listCompanyDocuments: (companyId) => documents.listCompanyDocuments(client, companyId),
    listSubscriptions: (companyId) => billing.listSubscriptions(client, companyId, today()),
    readSubscription: (ref, onDate) => billing.readSubscription(client, ref, onDate, today()),
    writeQuantity: (ref, change) => billing.writeQuantity(client, ref, change, today()),
  };
}

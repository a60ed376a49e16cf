import { listRuns } from '../../reports/run-list.ts';
import { getClients, listClients, listDomains, requireClient } from '../accounts/clients.ts';
import { listConnections, mappingOf } from '../accounts/connections.ts';
import { listKeys } from '../accounts/keys.ts';
import { aliasesOf, listMailboxes } from '../accounts/mailboxes.ts';
import { getPartner, listPartners } from '../accounts/partners.ts';
import { listRoutes } from '../accounts/routes.ts';
import { AppError } from '../core/errors.ts';
import { type PartnerId, partnerId } from '../core/tenant.ts';
import type { TenantTx } from '../db/db.ts';
import { listIncidents } from '../tickets/read.ts';
import type { Command, CommandContext, Values } from './command.ts';
import { ownerOf } from './owner.ts';
import { minute } from './story.ts';
import { optional, requiredId } from './values.ts';

/** Rows that a list shows at most. */
const LIST_MAX = 1_000;
const text = { type: 'string' } as const;

/** Reads as the partner that `--partner` names, or that owns the client that `--client` names. */
export async function reading<T>(
  { store }: CommandContext,
  values: Values,
  work: (tx: TenantTx, clientId: string | null) => Promise<T>,
): Promise<T> {
  const { partner, clientId } = await meant({ store }, values);
  return store.db.tenant(partner, (tx) => work(tx, clientId), { readOnly: true });
}

/** Whose things are meant: a client's, or all of a partner. Throws `invalid_input` when neither is named. */
export async function meant(
  { store }: Pick<CommandContext, 'store'>,
  values: Values,
): Promise<{ partner: PartnerId; clientId: string | null }> {
  if (optional(values, 'client') === null) {
    if (optional(values, 'partner') === null)
      throw new AppError('invalid_input', '--client or --partner is missing', { field: 'client' });
    return { partner: partnerId(requiredId(values, 'partner')), clientId: null };
  }
  const clientId = requiredId(values, 'client');
  return { partner: await store.db.system((tx) => ownerOf(tx, 'clients', clientId), { readOnly: true }), clientId };
}

const partnerList: Command = {
  name: 'partner list',
  usage: '',
  summary: 'the partners and their ids',
  options: {},
  run: async ({ store }) => ({ output: { partners: await store.db.system(listPartners, { readOnly: true }) } }),
};

const partnerShow: Command = {
  name: 'partner show',
  usage: '--partner ID',
  summary: 'a partner with its clients, keys and PSA connections',
  options: { partner: text },
  run: (context, values) =>
    reading(context, { ...values, client: undefined }, async (tx) => ({
      output: {
        ...(await getPartner(tx)),
        clients: await clientsOf(tx),
        keys: await listKeys(tx),
        connections: await listConnections(tx),
      },
    })),
};

async function clientsOf(tx: TenantTx) {
  const clients = await listClients(tx, { first: LIST_MAX, after: null });
  const domains = await listDomains(
    tx,
    clients.map((one) => one.id),
  );
  return clients.map(({ id, name, timeZone, status }) => ({
    id,
    name,
    timeZone,
    status,
    domains: domains.filter((one) => one.clientId === id).map((one) => one.name),
  }));
}

const clientList: Command = {
  name: 'client list',
  usage: '--partner ID',
  summary: 'the clients of a partner, their ids and domains',
  options: { partner: text },
  run: (context, values) => reading(context, values, async (tx) => ({ output: { clients: await clientsOf(tx) } })),
};

const clientShow: Command = {
  name: 'client show',
  usage: '--client ID',
  summary: 'a client with its domains, mail servers and company in the PSA',
  options: { client: text },
  async run(context, values) {
    const clientId = requiredId(values, 'client');
    return reading(context, values, async (tx) => ({
      output: {
        ...(await requireClient(tx, clientId)),
        domains: (await listDomains(tx, [clientId])).map((one) => one.name),
        company: await mappingOf(tx, tx.partnerId, clientId),
        routes: (await listRoutes(tx, [clientId])).map(({ clientId: _, ...route }) => route),
      },
    }));
  },
};

const mailboxList: Command = {
  name: 'mailbox list',
  usage: '--client ID',
  summary: 'the directory of a client: mailboxes, groups and contacts by address, with their aliases',
  options: { client: text },
  async run(context, values) {
    const clientId = requiredId(values, 'client');
    return reading(context, values, async (tx) => {
      const found = await listMailboxes(tx, clientId, { first: 100_000, after: null });
      const aliases = await aliasesOf(
        tx,
        found.map((one) => one.id),
      );
      const mailboxes = found.map(({ clientId: _, ...mailbox }) => ({
        ...mailbox,
        aliases: aliases.get(mailbox.id) ?? [],
      }));
      return {
        output: { mailboxes },
        forPeople: {
          mailboxes: mailboxes.map(({ id, address, name, kind, status, forwardTo, aliases: also }) => ({
            ...{ id, address, name, kind: status === 'active' ? kind : `${kind}, ${status}`, forwardTo, aliases: also },
          })),
        },
      };
    });
  },
};

const keyList: Command = {
  name: 'key list',
  usage: '--partner ID',
  summary: 'the API keys of a partner, revoked ones too; the keys themselves are not kept',
  options: { partner: text },
  run: (context, values) => reading(context, values, async (tx) => ({ output: { keys: await listKeys(tx) } })),
};

const psaList: Command = {
  name: 'psa list',
  usage: '--partner ID',
  summary: 'the PSA connections of a partner',
  options: { partner: text },
  run: (context, values) =>
    reading(context, values, async (tx) => ({ output: { connections: await listConnections(tx) } })),
};

const reportList: Command = {
  name: 'report list',
  usage: '--client ID | --partner ID',
  summary: 'the reports that were asked for and issued, newest first',
  options: { client: text, partner: text },
  run: (context, values) =>
    reading(context, values, async (tx, clientId) => {
      const reports = (await listRuns(tx, clientId, { first: LIST_MAX, after: null })).map(
        ({ id, clientId: client, report, from, to, version, state, complete, issuedAt, error }) => ({
          ...{ id, clientId: client, report, from, to, version, state, complete, issuedAt, error },
        }),
      );
      const names = await namesOf(tx, reports);
      return {
        output: { reports },
        forPeople: {
          reports: reports.map(({ id, clientId: client, report, from, to, version, state, complete, error }) => ({
            ...{
              id,
              client: names.get(client) ?? '',
              report,
              period: `${from}..${to}`,
              version,
              state,
              complete,
              error,
            },
          })),
        },
      };
    }),
};

const incidentList: Command = {
  name: 'incident list',
  usage: '--client ID | --partner ID [--open]',
  summary: 'what a technician should know, and its ticket, newest first',
  options: { client: text, partner: text, open: { type: 'boolean' } },
  run: (context, values) =>
    reading(context, values, async (tx, clientId) => {
      const state = values['open'] === true ? ('open' as const) : null;
      const incidents = (await listIncidents(tx, { clientId, state }, { first: LIST_MAX, after: null })).map(
        ({
          id,
          clientId: client,
          rule,
          subject,
          state: now,
          severity,
          title,
          openedAt,
          ticketState,
          ticketNumber,
        }) => ({
          ...{ id, clientId: client, rule, subject, state: now, severity, title, openedAt, ticketState, ticketNumber },
        }),
      );
      return {
        output: { incidents },
        forPeople: {
          incidents: incidents.map(({ id, openedAt, severity, state: now, title, ticketState, ticketNumber }) => ({
            ...{ id, 'opened (UTC)': minute(openedAt), what: `${severity} ${now}` },
            ...{ ticket: ticketNumber ?? ticketState, title },
          })),
        },
      };
    }),
};

async function namesOf(tx: TenantTx, rows: readonly { readonly clientId: string }[]): Promise<Map<string, string>> {
  const clients = await getClients(tx, [...new Set(rows.map((row) => row.clientId))]);
  return new Map(clients.map(({ id, name }) => [id, name]));
}

export const showCommands: readonly Command[] = [
  partnerList,
  partnerShow,
  clientList,
  clientShow,
  mailboxList,
  keyList,
  psaList,
  reportList,
  incidentList,
];

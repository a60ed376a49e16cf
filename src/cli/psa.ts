import { z } from 'zod';
import { createPsaFactory } from '../../integrations/index.ts';
import { partnerOfClient } from '../accounts/clients.ts';
import { addConnection, getConnection, mapClient } from '../accounts/connections.ts';
import { AppError } from '../core/errors.ts';
import { PSA_KINDS, type Psa, type PsaKind } from '../core/psa.ts';
import { partnerId } from '../core/tenant.ts';
import { readInput } from './accounts.ts';
import type { Command, CommandContext } from './command.ts';
import { oneOf, optional, required, requiredId } from './values.ts';

const ACTOR = 'cli';

/** Connectors by the id of the connection and of its partner. */
export function psaOf(context: CommandContext): (connection: string, partner: string) => Promise<Psa> {
  const { store, secrets, clock, logger, config } = context;
  const factory = createPsaFactory({ clock, logger, allowPrivateHosts: config.allowPrivateHosts });
  return async (connection, partner) =>
    factory(await store.db.system((tx) => getConnection(tx, partner, connection, secrets.sealKey), { readOnly: true }));
}

const credentialsFile = z.record(z.string(), z.string());

const psaConnect: Command = {
  name: 'psa connect',
  usage: `--partner ID --kind ${PSA_KINDS.join('|')} --url URL --credentials FILE.json [--settings FILE.json]`,
  summary: 'connect a PSA; its credentials are tried before they are stored',
  notes: [
    'The credentials file is a JSON object of texts, all of these keys and no others:',
    '',
    '  connectwise  {"companyId":"...","publicKey":"...","privateKey":"...","clientId":"..."}',
    '               companyId: the name typed at login; clientId: from developer.connectwise.com',
    '  autotask     {"userName":"...","secret":"...","integrationCode":"..."}',
    '               of an API user; integrationCode: its tracking identifier',
    '',
    'Delete the file afterwards: what is stored is sealed.',
  ].join('\n'),
  example: '--partner ID --kind connectwise --url https://na.myconnectwise.net --credentials cw.json',
  options: {
    partner: { type: 'string' },
    kind: { type: 'string', check: oneOf(PSA_KINDS) },
    url: { type: 'string' },
    credentials: { type: 'string' },
    settings: { type: 'string' },
  },
  async run(context, values) {
    const { store, secrets, clock, logger, config } = context;
    const partner = partnerId(requiredId(values, 'partner'));
    const kind = required(values, 'kind');
    if (!PSA_KINDS.some((one) => one === kind)) {
      throw new AppError('invalid_input', `--kind is ${PSA_KINDS.join(' or ')}`, { field: 'kind' });
    }
    const parsed = credentialsFile.safeParse(parseJson(await readInput(required(values, 'credentials'))));
    if (!parsed.success)
      throw new AppError('invalid_input', 'the credentials file is not an object of texts', { field: 'credentials' });
    const settingsFile = optional(values, 'settings');
    const settings =
      settingsFile === null ? {} : z.record(z.string(), z.unknown()).parse(parseJson(await readInput(settingsFile)));
    const input = {
      kind: kind as PsaKind,
      url: required(values, 'url'),
      credentials: parsed.data,
      settings,
      actor: ACTOR,
    };
    const factory = createPsaFactory({ clock, logger, allowPrivateHosts: config.allowPrivateHosts });
    let psa: Psa;
    try {
      psa = factory({ ...input, id: partner, partnerId: partner });
    } catch (cause) {
      // Of a connection that is stored it is a fault of the configuration; of a file that was just given, of the input.
      if (!(cause instanceof AppError) || cause.code !== 'config_invalid') throw cause;
      throw new AppError('invalid_input', `${cause.message}; tollgate help psa connect says what the files hold`, {
        cause,
      });
    }
    const found = await psa.check();
    const made = await store.db.tenant(partner, (tx) => addConnection(tx, input, secrets.sealKey));
    return { output: { ...made, version: found.version, notes: found.notes } };
  },
};

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new AppError('invalid_input', 'the file is not JSON', { field: 'file', cause });
  }
}

const psaMap: Command = {
  name: 'psa map',
  usage: '--client ID --connection ID --company ID',
  summary: 'say which company of the PSA a client is',
  options: { client: { type: 'string' }, connection: { type: 'string' }, company: { type: 'string' } },
  async run(context, values) {
    const { store } = context;
    const clientId = requiredId(values, 'client');
    const connectionId = requiredId(values, 'connection');
    const partner = await store.db.system((tx) => partnerOfClient(tx, clientId));
    const psa = await psaOf(context)(connectionId, partner);
    const company = await psa.getCompany(required(values, 'company'));
    if (company === null) throw new AppError('not_found', 'the PSA has no such company');
    if (!company.active) throw new AppError('conflict', `${company.name} is inactive in the PSA`);
    await store.db.tenant(partnerId(partner), (tx) =>
      mapClient(tx, { clientId, connectionId, companyId: company.id, companyName: company.name, actor: ACTOR }),
    );
    return { output: { companyId: company.id, companyName: company.name } };
  },
};

export const psaCommands: readonly Command[] = [psaConnect, psaMap];

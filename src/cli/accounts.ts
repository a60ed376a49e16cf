import { readFile } from 'node:fs/promises';
import { createClient, partnerOfClient } from '../accounts/clients.ts';
import { createCredential } from '../accounts/credentials.ts';
import { readDirectoryCsv } from '../accounts/csv.ts';
import { createKey, listKeys, revokeKey, SCOPES, type Scope } from '../accounts/keys.ts';
import { importMailboxes, MAILBOX_KINDS, mailboxByAddress } from '../accounts/mailboxes.ts';
import { createPartner } from '../accounts/partners.ts';
import { parseRelay } from '../accounts/routes.ts';
import { AppError } from '../core/errors.ts';
import { partnerId } from '../core/tenant.ts';
import type { Command } from './command.ts';
import { relayWarnings } from './relays.ts';
import { oneOf, optional, required, requiredId, requiredList } from './values.ts';

const ACTOR = 'cli';

const partnerCreate: Command = {
  name: 'partner create',
  usage: '--name NAME',
  summary: 'make a partner and its first API key',
  notes: 'The key is shown this once. It may do everything; key create makes others.',
  example: '--name "My MSP"',
  options: { name: { type: 'string' } },
  async run({ store }, values) {
    const made = await store.db.system((tx) => createPartner(tx, { name: required(values, 'name'), actor: ACTOR }));
    return { output: { ...made } };
  },
};

const keyCreate: Command = {
  name: 'key create',
  usage: `--partner ID --label TEXT [--scope ${SCOPES.join('|')} ...] [--documents-only]`,
  summary: 'make another API key',
  options: {
    partner: { type: 'string' },
    label: { type: 'string' },
    scope: {
      ...{ type: 'string', multiple: true, check: oneOf(SCOPES) },
      help: 'what it may do; unless given, all of it; may be given more than once',
    },
    'documents-only': { type: 'boolean' },
  },
  async run({ store }, values) {
    const partner = partnerId(requiredId(values, 'partner'));
    const scopes = values['scope'] === undefined ? SCOPES : (requiredList(values, 'scope') as Scope[]);
    const label = required(values, 'label');
    const documentsOnly = values['documents-only'] === true;
    const made = await store.db.tenant(partner, (tx) =>
      createKey(tx, { partnerId: partner, label, scopes, documentsOnly, actor: ACTOR }),
    );
    return { output: { id: made.id, apiKey: made.token } };
  },
};

const keyRevoke: Command = {
  name: 'key revoke',
  usage: '--partner ID --key ID',
  summary: 'refuse an API key from now on',
  options: { partner: { type: 'string' }, key: { type: 'string' } },
  async run({ store }, values) {
    const partner = partnerId(requiredId(values, 'partner'));
    const keyId = requiredId(values, 'key');
    const revoked = await store.db.tenant(partner, (tx) => revokeKey(tx, { partnerId: partner, keyId, actor: ACTOR }));
    if (revoked) return { output: { revoked } };
    const known = await store.db.tenant(partner, (tx) => listKeys(tx));
    if (!known.some((one) => one.id === keyId))
      throw new AppError('not_found', `the partner has no key ${keyId}`, { field: 'key' });
    return { output: { revoked }, words: ['it was revoked before'] };
  },
};

const clientCreate: Command = {
  name: 'client create',
  usage: '--partner ID --name NAME --zone ZONE --domain DOMAIN ... --relay HOST:PORT ...',
  summary: 'make a client with its domains and mail servers',
  notes: [
    'A relay on a private address has to be listed in TOLLGATE_ALLOW_PRIVATE_HOSTS when the service starts, else its mail waits.',
    'The command warns when the setting that it sees itself does not list it, and of a name that is in no DNS.',
  ].join('\n'),
  example:
    '--partner ID --name "First client" --zone Europe/London --domain client.example --relay mail.client.example:25',
  options: {
    partner: { type: 'string' },
    name: { type: 'string' },
    zone: { type: 'string' },
    domain: { type: 'string', multiple: true, help: 'a domain of the client; may be given more than once' },
    relay: { type: 'string', multiple: true, check: (given, name) => parseRelay(required(given, name)) },
  },
  async run({ store, config }, values) {
    const input = {
      name: required(values, 'name'),
      timeZone: required(values, 'zone'),
      domains: requiredList(values, 'domain'),
      relays: requiredList(values, 'relay').map(parseRelay),
      actor: ACTOR,
    };
    const made = await store.db.tenant(partnerId(requiredId(values, 'partner')), (tx) => createClient(tx, input));
    const hosts = input.relays.map((relay) => relay.host);
    return { output: { ...made }, warnings: await relayWarnings({ config }, hosts) };
  },
};

const mailboxImport: Command = {
  name: 'mailbox import',
  usage: '--client ID FILE.csv',
  summary: 'bring in mailboxes, groups and aliases (columns address,name,kind)',
  notes: [
    'The file is CSV in UTF-8 with the columns address, name and kind, in any order:',
    '',
    '  address,name,kind',
    '  ann@client.example,Ann Archer,user',
    '  sales@client.example,Sales,shared',
    '  a.archer@client.example,ann@client.example,alias',
    '',
    `kind is ${MAILBOX_KINDS.join(', ')} or alias; empty: user. Users are billed, the others are free; a contact is known but`,
    'gets no mail here. Of an alias `name` is the address of the mailbox that gets its mail. All lines are taken or none.',
  ].join('\n'),
  example: '--client 0199f3a1-7c55-7d2b-9a44-0a4b6f1f2c11 mailboxes.csv',
  options: { client: { type: 'string' } },
  positionals: ['FILE.csv'],
  async run({ store }, values, [file]) {
    const clientId = requiredId(values, 'client');
    const rows = readDirectoryCsv(await readInput(file ?? ''));
    const partner = await store.db.system((tx) => partnerOfClient(tx, clientId));
    const result = await store.db.tenant(partnerId(partner), (tx) => importMailboxes(tx, clientId, rows, ACTOR));
    return { output: { ...result } };
  },
};

const credentialCreate: Command = {
  name: 'credential create',
  usage: '--client ID [--mailbox ADDRESS] --username NAME --password-file FILE',
  summary: 'let a client, or one mailbox of it, submit outbound mail with SMTP AUTH',
  options: {
    client: { type: 'string' },
    mailbox: { type: 'string' },
    username: { type: 'string' },
    'password-file': { type: 'string' },
  },
  async run({ store }, values) {
    const clientId = requiredId(values, 'client');
    const username = required(values, 'username');
    const password = (await readInput(required(values, 'password-file'))).trimEnd();
    const partner = await store.db.system((tx) => partnerOfClient(tx, clientId));
    const address = optional(values, 'mailbox');
    const made = await store.db.tenant(partnerId(partner), async (tx) => {
      const mailboxId = address === null ? null : (await mailboxByAddress(tx, clientId, address)).id;
      return createCredential(tx, { clientId, mailboxId, username, password, actor: ACTOR });
    });
    return { output: { ...made } };
  },
};

export async function readInput(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (cause) {
    throw new AppError('invalid_input', `the file ${file} can't be read`, { field: 'file', cause });
  }
}

export const accountCommands: readonly Command[] = [
  partnerCreate,
  keyCreate,
  keyRevoke,
  clientCreate,
  mailboxImport,
  credentialCreate,
];

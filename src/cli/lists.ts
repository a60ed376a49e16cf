import { partnerOfClient } from '../accounts/clients.ts';
import { readListCsv } from '../accounts/list-csv.ts';
import {
  addListEntry,
  addMasterEntries,
  importListLines,
  listEntries,
  masterEntries,
  removeListEntry,
  removeMasterEntry,
} from '../accounts/lists.ts';
import { AppError } from '../core/errors.ts';
import type { ListEntry } from '../core/message.ts';
import { type PartnerId, partnerId } from '../core/tenant.ts';
import type { TenantTx } from '../db/db.ts';
import { sql } from '../db/sql.ts';
import { readInput } from './accounts.ts';
import type { Command, CommandContext, Values } from './command.ts';
import { oneOf, optional, required, requiredId } from './values.ts';

const ACTOR = 'cli';
const SCOPES = ['mailbox', 'client', 'partner', 'master'] as const;
const WHOSE = '--scope master | --scope partner --partner ID | --scope client|mailbox --client ID [--mailbox ADDRESS]';

const whose = {
  scope: { type: 'string', check: oneOf(SCOPES), help: 'whose list it is' },
  partner: { type: 'string' },
  client: { type: 'string' },
  mailbox: { type: 'string' },
} satisfies Command['options'];

/** What the scope needs beside it. */
const needs = (values: Values, ...also: string[]): string[][] => {
  const of = { master: [], partner: ['partner'], client: ['client'], mailbox: ['client', 'mailbox'] };
  const scope = SCOPES.find((one) => one === values['scope']);
  return [['scope'], ...(scope === undefined ? [] : of[scope]).map((one) => [one]), ...also.map((one) => [one])];
};

/** Whose list is meant; null: the operator's. */
interface Owner {
  readonly partner: PartnerId;
  readonly clientId: string | null;
  readonly mailbox: string | null;
}

async function ownerOf({ store }: CommandContext, values: Values): Promise<Owner | null> {
  const scope = required(values, 'scope');
  if (!SCOPES.some((one) => one === scope)) {
    throw new AppError('invalid_input', `--scope is ${SCOPES.join(', ')}`, { field: 'scope' });
  }
  if (scope === 'master') return null;
  if (scope === 'partner') return { partner: partnerId(requiredId(values, 'partner')), clientId: null, mailbox: null };
  const clientId = requiredId(values, 'client');
  const partner = partnerId(await store.db.system((tx) => partnerOfClient(tx, clientId)));
  return {
    partner,
    clientId,
    mailbox: scope === 'mailbox' ? required(values, 'mailbox') : optional(values, 'mailbox'),
  };
}

async function mailboxOf(tx: TenantTx, clientId: string | null, address: string | null): Promise<string | null> {
  if (address === null) return null;
  const row = await tx.maybe<{ mailbox_id: string }>(sql`
    select a.mailbox_id from addresses a
    where a.partner_id = ${tx.partnerId} and a.client_id = ${clientId}::uuid and a.address = ${address.toLowerCase()}`);
  if (row === null) throw new AppError('not_found', 'the client has no such mailbox', { field: 'mailbox' });
  return row.mailbox_id;
}

const listAdd: Command = {
  name: 'list add',
  usage: `${WHOSE} --kind allow|block PATTERN`,
  summary: 'add an address, a domain, .domain or (partner, master) a network to an allow or block list',
  options: { ...whose, kind: { type: 'string', check: oneOf(['allow', 'block']) } },
  needs: (values) => needs(values, 'kind'),
  positionals: ['PATTERN'],
  async run(context, values, [pattern = '']) {
    const { store } = context;
    const kind = required(values, 'kind');
    if (kind !== 'allow' && kind !== 'block') {
      throw new AppError('invalid_input', '--kind is allow or block', { field: 'kind' });
    }
    const owner = await ownerOf(context, values);
    if (owner === null) {
      const { entries } = await store.db.system((tx) => addMasterEntries(tx, [{ kind, pattern }]));
      return { output: { ...entries[0] } };
    }
    const entry = await store.db.tenant(owner.partner, async (tx) => {
      const mailboxId = await mailboxOf(tx, owner.clientId, owner.mailbox);
      return addListEntry(tx, { clientId: owner.clientId, mailboxId, kind, pattern, actor: ACTOR });
    });
    return { output: { ...entry } };
  },
};

const listRemove: Command = {
  name: 'list remove',
  usage: '--scope master|partner|client|mailbox [--partner ID|--client ID] --entry ID',
  summary: 'take an entry off its list',
  options: {
    ...{ scope: whose.scope, partner: { type: 'string' }, client: { type: 'string' } },
    entry: { type: 'string' },
  },
  // The entry says which mailbox it is for.
  needs: (values) => needs(values['scope'] === 'mailbox' ? { ...values, scope: 'client' } : values, 'entry'),
  async run(context, values) {
    const { store } = context;
    const id = requiredId(values, 'entry');
    const scope = required(values, 'scope');
    // The entry says which mailbox it is for.
    const owner = await ownerOf(context, scope === 'mailbox' ? { ...values, scope: 'client' } : values);
    const removed = await (owner === null
      ? store.db.system((tx) => removeMasterEntry(tx, id))
      : store.db.tenant(owner.partner, (tx) => removeListEntry(tx, id, ACTOR)));
    if (!removed) throw new AppError('not_found', 'no such list entry');
    return { output: { removed } };
  },
};

const listShow: Command = {
  name: 'list show',
  usage: WHOSE,
  summary: 'print the entries of a list; of a client also those of its mailboxes',
  options: whose,
  needs,
  async run(context, values) {
    const { store } = context;
    const owner = await ownerOf(context, values);
    if (owner === null) return { output: { entries: await store.db.system((tx) => masterEntries(tx)) } };
    const entries = await store.db.tenant(owner.partner, async (tx) => {
      const mailboxId = await mailboxOf(tx, owner.clientId, owner.mailbox);
      const all = await listEntries(tx, owner.clientId);
      return all
        .filter((one) => one.clientId === owner.clientId && (mailboxId === null || one.mailboxId === mailboxId))
        .map(({ id, scope, kind, pattern }): ListEntry => ({ id, scope, kind, pattern }));
    });
    return { output: { entries } };
  },
};

const listImport: Command = {
  name: 'list import',
  usage: '--scope master|partner|client [--partner ID|--client ID] FILE.csv',
  summary: 'add many entries, all or none (columns kind,pattern[,mailbox])',
  options: { scope: whose.scope, partner: { type: 'string' }, client: { type: 'string' } },
  needs,
  positionals: ['FILE.csv'],
  async run(context, values, [file]) {
    const { store } = context;
    const lines = readListCsv(await readInput(file ?? ''));
    const owner = await ownerOf(context, values);
    if (owner === null) {
      const named = lines.findIndex((line) => line.mailbox !== '');
      if (named >= 0) {
        throw new AppError('invalid_input', `line ${named + 2}: the master list has no mailboxes`, { field: 'file' });
      }
      const { created, unchanged } = await store.db.system((tx) => addMasterEntries(tx, lines));
      return { output: { created, unchanged } };
    }
    const result = await store.db.tenant(owner.partner, (tx) => importListLines(tx, owner.clientId, lines, ACTOR));
    return { output: { ...result } };
  },
};

export const listCommands: readonly Command[] = [listAdd, listRemove, listShow, listImport];

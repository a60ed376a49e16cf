import { type Client, getClients, listDomains } from '../accounts/clients.ts';
import { getListEntries } from '../accounts/lists.ts';
import { getMailboxes, type Mailbox } from '../accounts/mailboxes.ts';
import type { ListEntry } from '../core/message.ts';
import type { TenantTx } from '../db/db.ts';
import { byKey, groupBy, Loader } from './loaders.ts';

type Read = <T>(work: (tx: TenantTx) => Promise<T>) => Promise<T>;

/** Everything that is fetched by id, each kind in one statement per level of the query. */
export interface Loaders {
  readonly client: Loader<string, Client>;
  readonly mailbox: Loader<string, Mailbox>;
  readonly listEntry: Loader<string, ListEntry>;
  readonly domains: Loader<string, { readonly clientId: string; readonly name: string }[]>;
}

export function createLoaders(read: Read): Loaders {
  return {
    client: new Loader(async (ids) => byKey(await read((tx) => getClients(tx, ids)), (row) => row.id)),
    mailbox: new Loader(async (ids) => byKey(await read((tx) => getMailboxes(tx, ids)), (row) => row.id)),
    listEntry: new Loader(async (ids) => byKey(await read((tx) => getListEntries(tx, ids)), (row) => row.id)),
    domains: new Loader(async (ids) => groupBy(await read((tx) => listDomains(tx, ids)), (row) => row.clientId)),
  };
}

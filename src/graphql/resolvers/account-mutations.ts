import { type Client, createClient, requireClient } from '../../accounts/clients.ts';
import { addListEntry, importListLines, removeListEntry } from '../../accounts/lists.ts';
import { type DirectoryRow, getMailboxes, importMailboxes } from '../../accounts/mailboxes.ts';
import { AppError } from '../../core/errors.ts';
import type { ListEntry } from '../../core/message.ts';
import type { Context } from '../context.ts';
import { requireId } from '../ids.ts';
import { payload } from '../payload.ts';
import type { Resolvers } from './types.ts';

type Input<T> = { readonly input: T };

interface CreateClientInput {
  readonly name: string;
  readonly timeZone: string;
  readonly domains: readonly string[];
  readonly relays: readonly { readonly host: string; readonly port?: number | null }[];
}

interface RowInput {
  readonly address: string;
  readonly name: string;
  readonly kind?: DirectoryRow['kind'] | null;
}

interface ListEntryInput {
  readonly clientId?: string | null;
  readonly mailboxId?: string | null;
  readonly kind: 'allow' | 'block';
  readonly pattern: string;
}

interface ListImportInput {
  readonly clientId?: string | null;
  readonly rows: readonly {
    readonly kind: 'allow' | 'block';
    readonly pattern: string;
    readonly mailbox?: string | null;
  }[];
}

/** Lines of one import; larger directories come in several, or through the command line. */
const ROWS_MAX = 1_000;
const DOMAINS_MAX = 100;
const SMTP_PORT = 25;

export const accountMutations: Resolvers = {
  Mutation: {
    createClient: (_: unknown, { input }: Input<CreateClientInput>, context: Context) =>
      payload<{ client: Client | null }>({ client: null }, () => {
        atMost(input.domains, DOMAINS_MAX, 'domains');
        return context.write(async (tx) => {
          const relays = input.relays.map(({ host, port }) => ({ host, port: port ?? SMTP_PORT }));
          const { id } = await createClient(tx, { ...input, relays, actor: context.caller.actor });
          return { client: await requireClient(tx, id) };
        });
      }),

    importMailboxes: (
      _: unknown,
      { input }: Input<{ clientId: string; rows: readonly RowInput[] }>,
      context: Context,
    ) =>
      payload<{ client: Client | null; created: number; updated: number; unchanged: number }>(
        { client: null, created: 0, updated: 0, unchanged: 0 },
        () => {
          atMost(input.rows, ROWS_MAX, 'rows');
          const clientId = requireId('Client', input.clientId, 'clientId');
          return context.write(async (tx) => {
            const client = await requireClient(tx, clientId);
            const rows = input.rows.map((row): DirectoryRow => ({ ...row, kind: row.kind ?? 'user' }));
            return { client, ...(await importMailboxes(tx, clientId, rows, context.caller.actor)) };
          });
        },
      ),

    addListEntry: (_: unknown, { input }: Input<ListEntryInput>, context: Context) =>
      payload<{ entry: ListEntry | null }>({ entry: null }, () => {
        const clientId = input.clientId == null ? null : requireId('Client', input.clientId, 'clientId');
        const mailboxId = input.mailboxId == null ? null : requireId('Mailbox', input.mailboxId, 'mailboxId');
        return context.write(async (tx) => {
          if (clientId !== null) await requireClient(tx, clientId);
          if (mailboxId !== null) {
            const [mailbox] = await getMailboxes(tx, [mailboxId]);
            if (mailbox === undefined || mailbox.clientId !== clientId) {
              throw new AppError('not_found', 'the client has no such mailbox', { field: 'mailboxId' });
            }
          }
          const { kind, pattern } = input;
          return { entry: await addListEntry(tx, { clientId, mailboxId, kind, pattern, actor: context.caller.actor }) };
        });
      }),

    importListEntries: (_: unknown, { input }: Input<ListImportInput>, context: Context) =>
      payload<{ created: number; unchanged: number }>({ created: 0, unchanged: 0 }, () => {
        atMost(input.rows, ROWS_MAX, 'rows');
        const clientId = input.clientId == null ? null : requireId('Client', input.clientId, 'clientId');
        const rows = input.rows.map((row) => ({ ...row, mailbox: row.mailbox ?? '' }));
        return context.write((tx) => importListLines(tx, clientId, rows, context.caller.actor));
      }),

    removeListEntry: (_: unknown, { input }: Input<{ id: string }>, context: Context) =>
      payload<{ removedId: string | null }>({ removedId: null }, () => {
        const id = requireId('ListEntry', input.id, 'id');
        return context.write(async (tx) => {
          const removed = await removeListEntry(tx, id, context.caller.actor);
          if (!removed) throw new AppError('not_found', 'no such list entry', { field: 'id' });
          return { removedId: input.id };
        });
      }),
  },
};

function atMost(rows: readonly unknown[], limit: number, field: string): void {
  if (rows.length > limit) throw new AppError('invalid_input', `at most ${limit} at once`, { field });
}

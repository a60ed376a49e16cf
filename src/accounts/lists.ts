import { normalizeAddress, normalizeDomain, printable } from '../core/address.ts';
import { AppError } from '../core/errors.ts';
import { newId } from '../core/id.ts';
import type { ListEntry } from '../core/message.ts';
import type { SystemTx, TenantTx } from '../db/db.ts';
import { isForeignKeyViolation } from '../db/errors.ts';
import { sql } from '../db/sql.ts';
import { recordAudit } from './audit.ts';
import type { KnownRecipient } from './directory.ts';

interface ListRow {
  partner_id: string;
  id: string;
  client_id: string | null;
  mailbox_id: string | null;
  kind: 'allow' | 'block';
  pattern: string;
}

function toEntry(row: ListRow): ListEntry {
  const scope = row.mailbox_id !== null ? 'mailbox' : row.client_id !== null ? 'client' : 'partner';
  return { id: row.id, scope, kind: row.kind, pattern: row.pattern };
}

/** The entries that apply to each recipient: its mailbox's, its client's and its partner's. In the order given. */
export async function listsForRecipients(
  tx: SystemTx,
  known: readonly (Pick<KnownRecipient, 'partnerId' | 'clientId'> & { readonly mailboxId: string | null })[],
): Promise<ListEntry[][]> {
  const rows = await tx.rows<ListRow>(sql`
    select l.partner_id, l.id, l.client_id, l.mailbox_id, l.kind, l.pattern
    from list_entries l
    where l.partner_id = any(${[...new Set(known.map((one) => one.partnerId))]}::uuid[])
      and (l.client_id is null or l.client_id = any(${[...new Set(known.map((one) => one.clientId))]}::uuid[]))`);
  return known.map((one) =>
    rows
      .filter((row) => row.partner_id === one.partnerId)
      .filter((row) => row.client_id === null || row.client_id === one.clientId)
      .filter((row) => row.mailbox_id === null || row.mailbox_id === one.mailboxId)
      .map(toEntry),
  );
}

export interface ListInput {
  /** Null: for all clients of the partner. */
  readonly clientId: string | null;
  readonly mailboxId: string | null;
  readonly kind: 'allow' | 'block';
  readonly pattern: string;
  readonly actor: string;
}

/** The canonical pattern: an address, a domain, or `.domain` for its subdomains too. Throws `invalid_input`. */
export function normalizePattern(pattern: string): string {
  const text = pattern.trim();
  const dotted = text.startsWith('.');
  const normal = text.includes('@') ? normalizeAddress(text) : normalizeDomain(dotted ? text.slice(1) : text);
  if (normal === null) {
    throw new AppError('invalid_input', `"${printable(text)}" is neither an address nor a domain`, {
      field: 'pattern',
    });
  }
  return dotted && !text.includes('@') ? `.${normal}` : normal;
}

/** Adds an entry; one that is already there answers with its own id. */
export async function addListEntry(tx: TenantTx, input: ListInput): Promise<ListEntry> {
  const pattern = normalizePattern(input.pattern);
  const id = newId();
  try {
    const row = await tx.one<ListRow>(sql`
      insert into list_entries as l (partner_id, id, client_id, mailbox_id, kind, pattern, created_at)
      values (${tx.partnerId}, ${id}, ${input.clientId}, ${input.mailboxId}, ${input.kind}, ${pattern}, ${tx.now})
      on conflict (partner_id, client_id, mailbox_id, kind, pattern) do update set pattern = excluded.pattern
      returning l.partner_id, l.id, l.client_id, l.mailbox_id, l.kind, l.pattern`);
    if (row.id === id) {
      await recordAudit(tx, {
        partnerId: tx.partnerId,
        actor: input.actor,
        action: `list.${input.kind}.add`,
        subject: pattern,
      });
    }
    return toEntry(row);
  } catch (error) {
    if (isForeignKeyViolation(error)) throw new AppError('not_found', 'no such client or mailbox', { cause: error });
    throw error;
  }
}

/** Answers whether there was such an entry. */
export async function removeListEntry(tx: TenantTx, id: string, actor: string): Promise<boolean> {
  const row = await tx.maybe<{ kind: string; pattern: string }>(sql`
    delete from list_entries where partner_id = ${tx.partnerId} and id = ${id} returning kind, pattern`);
  if (row === null) return false;
  await recordAudit(tx, { partnerId: tx.partnerId, actor, action: `list.${row.kind}.remove`, subject: row.pattern });
  return true;
}

/** All entries of a client and those of the partner that apply to it; `clientId` null: the partner's own only. */
export async function listEntries(tx: TenantTx, clientId: string | null): Promise<ListEntry[]> {
  const rows = await tx.rows<ListRow>(sql`
    select partner_id, id, client_id, mailbox_id, kind, pattern from list_entries
    where partner_id = ${tx.partnerId} and (client_id is null or client_id = ${clientId}::uuid)
    order by pattern, id`);
  return rows.map(toEntry);
}

/** Those of the ids that exist, in no special order. */
export async function getListEntries(tx: TenantTx, ids: readonly string[]): Promise<ListEntry[]> {
  const rows = await tx.rows<ListRow>(sql`
    select partner_id, id, client_id, mailbox_id, kind, pattern from list_entries
    where partner_id = ${tx.partnerId} and id = any(${[...ids]}::uuid[])`);
  return rows.map(toEntry);
}

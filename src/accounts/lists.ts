import { normalizeAddress, normalizeDomain, printable } from '../core/address.ts';
import { AppError } from '../core/errors.ts';
import { newId } from '../core/id.ts';
import type { ListEntry } from '../core/message.ts';
import { isNetwork, normalizeNetwork } from '../core/networks.ts';
import type { SystemTx, TenantTx, Tx } from '../db/db.ts';
import { isForeignKeyViolation } from '../db/errors.ts';
import { sql } from '../db/sql.ts';
import { recordAudit } from './audit.ts';
import { requireClient } from './clients.ts';

/** Entries that one mailbox, client or partner, or the operator, may have. */
export const LIST_LIMITS: Readonly<Record<ListEntry['scope'], number>> = Object.freeze({
  mailbox: 500,
  client: 5_000,
  partner: 10_000,
  master: 20_000,
});

interface ListRow {
  id: string;
  client_id: string | null;
  mailbox_id: string | null;
  kind: 'allow' | 'block';
  pattern: string;
}

/** An entry of a partner, with whose it is. */
export interface OwnedEntry extends ListEntry {
  readonly clientId: string | null;
  readonly mailboxId: string | null;
}

function toEntry(row: ListRow): ListEntry {
  const scope = row.mailbox_id !== null ? 'mailbox' : row.client_id !== null ? 'client' : 'partner';
  return { id: row.id, scope, kind: row.kind, pattern: row.pattern };
}

/** Every entry that may apply to mail for the clients: their mailboxes', their own, their partners'. */
export async function entriesOfClients(
  tx: SystemTx,
  clients: readonly { readonly partnerId: string; readonly clientId: string }[],
): Promise<(OwnedEntry & { readonly partnerId: string })[]> {
  const rows = await tx.rows<ListRow & { partner_id: string }>(sql`
    select l.partner_id, l.id, l.client_id, l.mailbox_id, l.kind, l.pattern
    from list_entries l
    where l.partner_id = any(${[...new Set(clients.map((one) => one.partnerId))]}::uuid[])
      and (l.client_id is null or l.client_id = any(${[...new Set(clients.map((one) => one.clientId))]}::uuid[]))`);
  return rows.map((row) => ({
    ...toEntry(row),
    partnerId: row.partner_id,
    clientId: row.client_id,
    mailboxId: row.mailbox_id,
  }));
}

export interface ListInput {
  /** Null: for all clients of the partner. */
  readonly clientId: string | null;
  readonly mailboxId: string | null;
  readonly kind: 'allow' | 'block';
  readonly pattern: string;
  readonly actor: string;
}

/**
 * The canonical pattern: an address, a domain, `.domain` for its subdomains too, or a network as `192.0.2.0/24`. Domains may
 * be given as U-labels (RFC 5890) and become A-labels. Throws `invalid_input`.
 */
export function normalizePattern(pattern: string): string {
  const text = pattern.trim();
  if (text.length > 400) throw new AppError('invalid_input', 'the pattern is too long', { field: 'pattern' });
  const network = text.includes('@') ? null : normalizeNetwork(text);
  if (network !== null) return network;
  const dotted = text.startsWith('.');
  const normal = text.includes('@') ? normalizeAddress(text) : normalizeDomain(dotted ? text.slice(1) : text);
  // All digits at the end is a mistyped network, never a domain (RFC 3696 section 2).
  if (normal === null || /\.\d+$/.test(normal)) {
    throw new AppError('invalid_input', `"${printable(text)}" is neither an address nor a domain nor a network`, {
      field: 'pattern',
    });
  }
  return dotted && !text.includes('@') ? `.${normal}` : normal;
}

/** Networks are looked at before a recipient is known, so only wide scopes have them. */
function patternFor(scope: ListEntry['scope'], text: string): string {
  const pattern = normalizePattern(text);
  if (isNetwork(pattern) && (scope === 'mailbox' || scope === 'client')) {
    throw new AppError('invalid_input', `${pattern} is a network: only the scopes partner and master have networks`, {
      field: 'pattern',
    });
  }
  return pattern;
}

const scopeOf = (input: Pick<ListInput, 'clientId' | 'mailboxId'>): ListEntry['scope'] =>
  input.mailboxId !== null ? 'mailbox' : input.clientId !== null ? 'client' : 'partner';

/** Adds an entry; one that is already there answers with its own id. Throws `limit_exceeded` when the scope is full. */
export async function addListEntry(tx: TenantTx, input: ListInput): Promise<ListEntry> {
  const { entries } = await addListEntries(tx, [input], input.actor);
  const [entry] = entries;
  if (entry === undefined) throw new AppError('internal', 'the entry was not written');
  return entry;
}

/**
 * Adds entries, all or none. Those that are there already answer with their own ids and count as `unchanged`. The limits of
 * the scopes hold whoever else adds at the same moment.
 */
export async function addListEntries(
  tx: TenantTx,
  inputs: readonly Omit<ListInput, 'actor'>[],
  actor: string,
): Promise<{ entries: ListEntry[]; created: number; unchanged: number }> {
  const wanted = inputs.map((input) => ({ ...input, pattern: patternFor(scopeOf(input), input.pattern), id: newId() }));
  const pick = <T>(value: (one: (typeof wanted)[number]) => T) => wanted.map(value);
  await lockLists(tx, tx.partnerId);
  try {
    const rows = await tx.rows<ListRow>(sql`
      insert into list_entries as l (partner_id, id, client_id, mailbox_id, kind, pattern, created_at)
      select ${tx.partnerId}, min(w.id::text)::uuid, w.client_id, w.mailbox_id, w.kind, w.pattern, ${tx.now}
      from unnest(${pick((one) => one.id)}::uuid[], ${pick((one) => one.clientId)}::uuid[],
                  ${pick((one) => one.mailboxId)}::uuid[], ${pick((one) => one.kind)}::text[],
                  ${pick((one) => one.pattern)}::text[]) as w (id, client_id, mailbox_id, kind, pattern)
      group by w.client_id, w.mailbox_id, w.kind, w.pattern
      on conflict (partner_id, client_id, mailbox_id, kind, pattern) do update set pattern = excluded.pattern
      returning l.id, l.client_id, l.mailbox_id, l.kind, l.pattern`);
    await requireRoom(tx, wanted);
    const fresh = new Set(wanted.map((one) => one.id));
    const made = rows.filter((row) => fresh.has(row.id));
    for (const row of made.slice(0, AUDITED_MAX)) {
      const action = `list.${row.kind}.add`;
      await recordAudit(tx, { partnerId: tx.partnerId, actor, action, subject: row.pattern });
    }
    if (made.length > AUDITED_MAX) {
      const details = { created: made.length };
      await recordAudit(tx, { partnerId: tx.partnerId, actor, action: 'list.import', subject: 'list', details });
    }
    return { entries: rows.map(toEntry), created: made.length, unchanged: inputs.length - made.length };
  } catch (error) {
    if (isForeignKeyViolation(error)) throw new AppError('not_found', 'no such client or mailbox', { cause: error });
    throw error;
  }
}

/**
 * Adds an entry and takes away the opposite one of the same scope and pattern, which would decide against it: a block wins at
 * a tie. `added` is false when it was there before.
 */
export async function setListEntry(tx: TenantTx, input: ListInput): Promise<{ entry: ListEntry; added: boolean }> {
  const pattern = normalizePattern(input.pattern);
  await lockLists(tx, tx.partnerId);
  const rows = await tx.rows<ListRow>(sql`
    select partner_id, id, client_id, mailbox_id, kind, pattern from list_entries
    where partner_id = ${tx.partnerId} and client_id is not distinct from ${input.clientId}::uuid
      and mailbox_id is not distinct from ${input.mailboxId}::uuid and pattern = ${pattern}`);
  for (const row of rows) if (row.kind !== input.kind) await removeListEntry(tx, row.id, input.actor);
  const known = rows.find((row) => row.kind === input.kind);
  if (known !== undefined) return { entry: toEntry(known), added: false };
  return { entry: await addListEntry(tx, { ...input, pattern }), added: true };
}

/** Of an import with more entries than this only the number is in the audit. */
const AUDITED_MAX = 20;

/** Until the end of the transaction: two that count and add at once would both find room. */
async function lockLists(tx: Tx, owner: string): Promise<void> {
  await tx.rows(sql`select pg_advisory_xact_lock(hashtextextended(${`lists ${owner}`}, 0))`);
}

async function requireRoom(tx: TenantTx, wanted: readonly Pick<ListInput, 'clientId' | 'mailboxId'>[]): Promise<void> {
  const pick = <T>(value: (one: Pick<ListInput, 'clientId' | 'mailboxId'>) => T) => wanted.map(value);
  const rows = await tx.rows<{ client_id: string | null; mailbox_id: string | null; entries: number }>(sql`
    select l.client_id, l.mailbox_id, count(*) as entries from list_entries l
    where l.partner_id = ${tx.partnerId}
      and exists (select from unnest(${pick((one) => one.clientId)}::uuid[], ${pick((one) => one.mailboxId)}::uuid[]) as w (c, m)
                  where w.c is not distinct from l.client_id and w.m is not distinct from l.mailbox_id)
    group by l.client_id, l.mailbox_id`);
  for (const row of rows) {
    const scope = scopeOf({ clientId: row.client_id, mailboxId: row.mailbox_id });
    if (row.entries > LIST_LIMITS[scope]) throw full(scope);
  }
}

function full(scope: ListEntry['scope']): AppError {
  return new AppError('limit_exceeded', `a ${scope} has at most ${LIST_LIMITS[scope]} list entries`, {
    field: 'pattern',
  });
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
export async function listEntries(tx: TenantTx, clientId: string | null): Promise<OwnedEntry[]> {
  const rows = await tx.rows<ListRow>(sql`
    select id, client_id, mailbox_id, kind, pattern from list_entries
    where partner_id = ${tx.partnerId} and (client_id is null or client_id = ${clientId}::uuid)
    order by pattern, id`);
  return rows.map((row) => ({ ...toEntry(row), clientId: row.client_id, mailboxId: row.mailbox_id }));
}

/** Those of the ids that exist, in no special order. */
export async function getListEntries(tx: TenantTx, ids: readonly string[]): Promise<ListEntry[]> {
  const rows = await tx.rows<ListRow>(sql`
    select id, client_id, mailbox_id, kind, pattern from list_entries
    where partner_id = ${tx.partnerId} and id = any(${[...ids]}::uuid[])`);
  return rows.map(toEntry);
}

interface MasterRow {
  id: string;
  kind: 'allow' | 'block';
  pattern: string;
}

const toMaster = (row: MasterRow): ListEntry => ({ ...row, scope: 'master' });

/** The operator's entries, by pattern. */
export async function masterEntries(tx: SystemTx): Promise<ListEntry[]> {
  const rows = await tx.rows<MasterRow>(sql`
    select id, kind, pattern from master_list_entries order by pattern, kind`);
  return rows.map(toMaster);
}

/** Adds entries for all clients of all partners, all or none. Throws `limit_exceeded`. */
export async function addMasterEntries(
  tx: SystemTx,
  inputs: readonly { readonly kind: 'allow' | 'block'; readonly pattern: string }[],
): Promise<{ entries: ListEntry[]; created: number; unchanged: number }> {
  const wanted = inputs.map(({ kind, pattern }) => ({ id: newId(), kind, pattern: patternFor('master', pattern) }));
  await lockLists(tx, 'master');
  const rows = await tx.rows<MasterRow>(sql`
    insert into master_list_entries as l (id, kind, pattern, created_at)
    select min(w.id::text)::uuid, w.kind, w.pattern, ${tx.now}
    from unnest(${wanted.map((one) => one.id)}::uuid[], ${wanted.map((one) => one.kind)}::text[],
                ${wanted.map((one) => one.pattern)}::text[]) as w (id, kind, pattern)
    group by w.kind, w.pattern
    on conflict (kind, pattern) do update set pattern = excluded.pattern
    returning l.id, l.kind, l.pattern`);
  const { entries } = await tx.one<{ entries: number }>(sql`select count(*) as entries from master_list_entries`);
  if (entries > LIST_LIMITS.master) throw full('master');
  const fresh = new Set(wanted.map((one) => one.id));
  const created = rows.filter((row) => fresh.has(row.id)).length;
  return { entries: rows.map(toMaster), created, unchanged: inputs.length - created };
}

export async function removeMasterEntry(tx: SystemTx, id: string): Promise<boolean> {
  return (await tx.run(sql`delete from master_list_entries where id = ${id}`)) > 0;
}

/**
 * Brings in lines for a client, or for the partner when `clientId` is null, all or none. A line may name a mailbox of the
 * client by its address. Throws `invalid_input` that names the line, `not_found`, `limit_exceeded`.
 */
export async function importListLines(
  tx: TenantTx,
  clientId: string | null,
  lines: readonly { readonly kind: 'allow' | 'block'; readonly pattern: string; readonly mailbox: string }[],
  actor: string,
): Promise<{ created: number; unchanged: number }> {
  if (clientId !== null) await requireClient(tx, clientId);
  const addresses = lines.map((line) => normalizeAddress(line.mailbox) ?? '').filter((address) => address !== '');
  const rows = await tx.rows<{ id: string; address: string }>(sql`
    select m.id, m.address from mailboxes m
    where m.partner_id = ${tx.partnerId} and m.client_id = ${clientId}::uuid and m.status <> 'deleted'
      and m.address = any(${addresses}::text[])`);
  const mailboxes = new Map(rows.map((row) => [row.address, row.id]));
  const inputs = lines.map((line, index) => {
    const mailboxId = line.mailbox === '' ? null : (mailboxes.get(normalizeAddress(line.mailbox) ?? '') ?? undefined);
    if (mailboxId === undefined) throw atLine(index, `the client has no mailbox ${printable(line.mailbox)}`);
    const input = { clientId, mailboxId, kind: line.kind, pattern: line.pattern };
    try {
      return { ...input, pattern: patternFor(scopeOf(input), line.pattern) };
    } catch (error) {
      throw error instanceof AppError ? atLine(index, error.message) : error;
    }
  });
  const { created, unchanged } = await addListEntries(tx, inputs, actor);
  return { created, unchanged };
}

function atLine(index: number, why: string): AppError {
  return new AppError('invalid_input', `line ${index + 2}: ${why}`, { field: 'file' });
}

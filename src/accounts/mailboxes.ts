import { domainOf, normalizeAddress, printable } from '../core/address.ts';
import { AppError } from '../core/errors.ts';
import { newId } from '../core/id.ts';
import type { TenantTx } from '../db/db.ts';
import { sql } from '../db/sql.ts';
import { recordAudit } from './audit.ts';
import { requireClient } from './clients.ts';

export const MAILBOX_KINDS = ['user', 'shared', 'resource', 'group', 'contact'] as const;
export type MailboxKind = (typeof MAILBOX_KINDS)[number];

export interface Mailbox {
  readonly id: string;
  readonly clientId: string;
  readonly address: string;
  readonly name: string;
  readonly kind: MailboxKind;
  readonly status: 'active' | 'blocked' | 'deleted';
  /** Where its mail is forwarded to; null: nowhere. */
  readonly forwardTo: string | null;
  /** Whether the mailbox gets what is forwarded too. */
  readonly forwardKeep: boolean;
}

/** One line of a directory import. Kind `alias`: `name` is the address of the mailbox that it belongs to. */
export interface DirectoryRow {
  readonly address: string;
  readonly name: string;
  readonly kind: MailboxKind | 'alias';
}

export interface ImportResult {
  readonly created: number;
  readonly updated: number;
  readonly unchanged: number;
}

interface MailboxRow {
  id: string;
  client_id: string;
  address: string;
  name: string;
  kind: MailboxKind;
  status: 'active' | 'blocked' | 'deleted';
  forward_to: string | null;
  forward_keep: boolean;
}

function toMailbox(row: MailboxRow): Mailbox {
  return {
    id: row.id,
    clientId: row.client_id,
    address: row.address,
    name: row.name,
    kind: row.kind,
    status: row.status,
    forwardTo: row.forward_to,
    forwardKeep: row.forward_keep,
  };
}

/**
 * Brings in mailboxes and aliases. All or nothing: one bad line refuses the file and names the line. A mailbox that the
 * file does not hold stays as it is; importing the same file again changes nothing.
 */
export async function importMailboxes(
  tx: TenantTx,
  clientId: string,
  rows: readonly DirectoryRow[],
  actor: string,
): Promise<ImportResult> {
  await requireClient(tx, clientId);
  const checked = await checkRows(tx, clientId, rows);
  const boxes = checked.filter((row) => row.kind !== 'alias');
  const aliases = checked.filter((row) => row.kind === 'alias');
  const first = await upsertMailboxes(tx, clientId, boxes);
  const second = await upsertAliases(tx, clientId, aliases);
  const result = {
    created: first.created + second.created,
    updated: first.updated + second.updated,
    unchanged: rows.length - first.created - first.updated - second.created - second.updated,
  };
  await recordAudit(tx, {
    partnerId: tx.partnerId,
    actor,
    action: 'mailbox.import',
    subject: clientId,
    details: { ...result },
  });
  return result;
}

async function checkRows(tx: TenantTx, clientId: string, rows: readonly DirectoryRow[]): Promise<DirectoryRow[]> {
  const domains = new Set(
    (
      await tx.rows<{ name: string }>(
        sql`select name from domains where partner_id = ${tx.partnerId} and client_id = ${clientId}`,
      )
    ).map((row) => row.name),
  );
  const seen = new Set<string>();
  return rows.map((row, index) => {
    const fail = (why: string): never => {
      throw new AppError('invalid_input', `line ${index + 2}: ${why}`, { field: 'file' });
    };
    const address = normalizeAddress(row.address) ?? fail(`"${printable(row.address)}" is not a mail address`);
    if (row.kind !== 'contact' && !domains.has(domainOf(address)))
      fail(`${domainOf(address)} is not a domain of this client`);
    if (seen.has(address)) fail(`${address} stands twice in the file`);
    seen.add(address);
    if (row.kind !== 'alias') return { address, name: row.name.normalize('NFC').trim().slice(0, 200), kind: row.kind };
    const target = normalizeAddress(row.name) ?? fail('an alias names its mailbox by address in the column "name"');
    return { address, name: target, kind: row.kind };
  });
}

async function upsertMailboxes(tx: TenantTx, clientId: string, rows: readonly DirectoryRow[]) {
  const existing = await tx.rows<Omit<MailboxRow, 'forward_to' | 'forward_keep'>>(sql`
    select m.id, m.client_id, m.address, m.name, m.kind, m.status from mailboxes m
    where m.partner_id = ${tx.partnerId} and m.client_id = ${clientId} and m.address = any(${rows.map((row) => row.address)})`);
  const known = new Map(existing.map((row) => [row.address, row]));
  const fresh = rows.filter((row) => !known.has(row.address));
  const changed = rows.filter((row) => {
    const old = known.get(row.address);
    return old !== undefined && (old.name !== row.name || old.kind !== row.kind || old.status === 'deleted');
  });
  const ids = fresh.map(() => newId());
  await tx.run(sql`
    insert into mailboxes (partner_id, client_id, id, address, name, kind, created_at, updated_at)
    select ${tx.partnerId}, ${clientId}, f.id, f.address, f.name, f.kind, ${tx.now}, ${tx.now}
    from unnest(${ids}::uuid[], ${fresh.map((row) => row.address)}::text[], ${fresh.map((row) => row.name)}::text[],
                ${fresh.map((row) => row.kind)}::text[]) as f (id, address, name, kind)`);
  // A contact is somebody else's mailbox: known to the directory, never a recipient here.
  const reachable = fresh.flatMap((row, index) =>
    row.kind === 'contact' ? [] : [{ address: row.address, id: ids[index] ?? '' }],
  );
  const added = await tx.run(sql`
    insert into addresses (partner_id, client_id, address, mailbox_id, kind, created_at)
    select ${tx.partnerId}, ${clientId}, f.address, f.id, 'primary', ${tx.now}
    from unnest(${reachable.map((row) => row.id)}::uuid[], ${reachable.map((row) => row.address)}::text[]) as f (id, address)
    on conflict (partner_id, address) do nothing`);
  if (added !== reachable.length) {
    throw new AppError('conflict', 'an address of the file is an alias already; remove the alias first', {
      field: 'file',
    });
  }
  await tx.run(sql`
    update mailboxes m set name = f.name, kind = f.kind, updated_at = ${tx.now},
           status = case when m.status = 'deleted' then 'active' else m.status end
    from unnest(${changed.map((row) => row.address)}::text[], ${changed.map((row) => row.name)}::text[],
                ${changed.map((row) => row.kind)}::text[]) as f (address, name, kind)
    where m.partner_id = ${tx.partnerId} and m.client_id = ${clientId} and m.address = f.address`);
  return { created: fresh.length, updated: changed.length };
}

async function upsertAliases(tx: TenantTx, clientId: string, rows: readonly DirectoryRow[]) {
  const targets = await tx.rows<{ address: string; id: string }>(sql`
    select address, id from mailboxes where partner_id = ${tx.partnerId} and client_id = ${clientId}
      and kind <> 'contact' and address = any(${rows.map((row) => row.name)})`);
  const byAddress = new Map(targets.map((row) => [row.address, row.id]));
  const missing = rows.find((row) => !byAddress.has(row.name));
  if (missing !== undefined) {
    throw new AppError('invalid_input', `alias ${missing.address}: there is no mailbox ${missing.name}`, {
      field: 'file',
    });
  }
  const existing = await tx.rows<{ address: string; mailbox_id: string; kind: string }>(sql`
    select address, mailbox_id, kind from addresses
    where partner_id = ${tx.partnerId} and address = any(${rows.map((row) => row.address)})`);
  const known = new Map(existing.map((row) => [row.address, row]));
  const clash = existing.find((row) => row.kind === 'primary');
  if (clash !== undefined) {
    throw new AppError('conflict', `${clash.address} is a mailbox and can't be an alias too`, { field: 'file' });
  }
  const changed = rows.filter((row) => {
    const old = known.get(row.address);
    return old !== undefined && old.mailbox_id !== byAddress.get(row.name);
  });
  const fresh = rows.filter((row) => !known.has(row.address));
  const write = [...fresh, ...changed];
  await tx.run(sql`
    insert into addresses (partner_id, client_id, address, mailbox_id, kind, created_at)
    select ${tx.partnerId}, ${clientId}, f.address, f.id, 'alias', ${tx.now}
    from unnest(${write.map((row) => byAddress.get(row.name) ?? null)}::uuid[], ${write.map((row) => row.address)}::text[]) as f (id, address)
    on conflict (partner_id, address) do update set mailbox_id = excluded.mailbox_id`);
  return { created: fresh.length, updated: changed.length };
}

/** A page of a client's directory by address. */
export async function listMailboxes(
  tx: TenantTx,
  clientId: string,
  page: { first: number; after: string | null },
): Promise<Mailbox[]> {
  const rows = await tx.rows<MailboxRow>(sql`
    select m.id, m.client_id, m.address, m.name, m.kind, m.status, m.forward_to, m.forward_keep from mailboxes m
    where m.partner_id = ${tx.partnerId} and m.client_id = ${clientId} and m.status <> 'deleted'
      and m.address > ${page.after ?? ''}
    order by m.address limit ${page.first}`);
  return rows.map(toMailbox);
}

/** The aliases of mailboxes, by the mailbox's id, in order; a mailbox without one is not in it. */
export async function aliasesOf(tx: TenantTx, mailboxIds: readonly string[]): Promise<Map<string, string[]>> {
  const rows = await tx.rows<{ id: string; aliases: string[] }>(sql`
    select a.mailbox_id as id, array_agg(a.address order by a.address) as aliases from addresses a
    where a.partner_id = ${tx.partnerId} and a.kind = 'alias' and a.mailbox_id = any(${[...mailboxIds]}::uuid[])
    group by a.mailbox_id`);
  return new Map(rows.map((row) => [row.id, row.aliases]));
}

export async function getMailboxes(tx: TenantTx, ids: readonly string[]): Promise<Mailbox[]> {
  const rows = await tx.rows<MailboxRow>(sql`
    select m.id, m.client_id, m.address, m.name, m.kind, m.status, m.forward_to, m.forward_keep from mailboxes m
    where m.partner_id = ${tx.partnerId} and m.id = any(${[...ids]}::uuid[])`);
  return rows.map(toMailbox);
}

/** The mailbox that an address belongs to, its own or an alias. Throws `not_found`. */
export async function mailboxByAddress(tx: TenantTx, clientId: string, text: string): Promise<Mailbox> {
  const row = await tx.maybe<{ id: string }>(sql`
    select a.mailbox_id as id from addresses a
    where a.partner_id = ${tx.partnerId} and a.client_id = ${clientId} and a.address = ${normalizeAddress(text) ?? ''}`);
  const [mailbox] = row === null ? [] : await getMailboxes(tx, [row.id]);
  if (mailbox === undefined || mailbox.status === 'deleted')
    throw new AppError('not_found', 'the client has no such mailbox', { field: 'mailbox' });
  return mailbox;
}

/** Puts mailboxes into a group; members that are already in it stay. Throws `invalid_input` for an unknown address. */
export async function setGroupMembers(
  tx: TenantTx,
  clientId: string,
  group: string,
  members: readonly string[],
): Promise<void> {
  const rows = await tx.rows<{ id: string; address: string; kind: string }>(sql`
    select id, address, kind from mailboxes
    where partner_id = ${tx.partnerId} and client_id = ${clientId} and address = any(${[group, ...members]})`);
  const groupRow = rows.find((row) => row.address === group && row.kind === 'group');
  const found = rows.filter((row) => members.includes(row.address));
  if (groupRow === undefined || found.length !== new Set(members).size) {
    throw new AppError('invalid_input', 'the group or one of its members is not in the directory', {
      field: 'members',
    });
  }
  await tx.run(sql`
    insert into group_members (partner_id, group_id, mailbox_id)
    select ${tx.partnerId}, ${groupRow.id}, m from unnest(${found.map((row) => row.id)}::uuid[]) as m
    on conflict do nothing`);
}

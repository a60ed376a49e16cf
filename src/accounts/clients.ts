import { normalizeDomain, printable } from '../core/address.ts';
import { AppError } from '../core/errors.ts';
import { newId } from '../core/id.ts';
import { requireTimeZone } from '../core/period.ts';
import type { SystemTx, TenantTx } from '../db/db.ts';
import { isUniqueViolation } from '../db/errors.ts';
import { sql } from '../db/sql.ts';
import { recordAudit } from './audit.ts';
import { requireName } from './names.ts';
import { type RouteInput, replaceRoutes } from './routes.ts';

export interface Client {
  readonly id: string;
  readonly partnerId: string;
  readonly name: string;
  readonly timeZone: string;
  readonly status: 'active' | 'suspended';
  readonly createdAt: Date;
}

export interface ClientInput {
  readonly name: string;
  readonly timeZone: string;
  readonly domains: readonly string[];
  /** In order of preference. */
  readonly relays: readonly RouteInput[];
  readonly actor: string;
}

interface ClientRow {
  id: string;
  partner_id: string;
  name: string;
  time_zone: string;
  status: 'active' | 'suspended';
  created_at: Date;
}

function toClient(row: ClientRow): Client {
  return {
    id: row.id,
    partnerId: row.partner_id,
    name: row.name,
    timeZone: row.time_zone,
    status: row.status,
    createdAt: row.created_at,
  };
}

/** Makes a client with its domains and relays. Throws `invalid_input` or `conflict` (name or domain taken). */
export async function createClient(tx: TenantTx, input: ClientInput): Promise<{ id: string }> {
  const name = requireName(input.name, 'name');
  const zone = requireTimeZone(input.timeZone, 'timeZone');
  const domains = [...new Set(input.domains.map(requireDomain))];
  if (domains.length === 0)
    throw new AppError('invalid_input', 'a client has at least one domain', { field: 'domains' });
  const id = newId();
  try {
    await tx.run(sql`
      insert into clients (partner_id, id, name, time_zone, created_at)
      values (${tx.partnerId}, ${id}, ${name}, ${zone}, ${tx.now})`);
  } catch (error) {
    if (isUniqueViolation(error))
      throw new AppError('conflict', `there is a client named ${name}`, { field: 'name', cause: error });
    throw error;
  }
  for (const domain of domains) await addDomain(tx, id, domain);
  await replaceRoutes(tx, id, input.relays);
  await recordAudit(tx, {
    partnerId: tx.partnerId,
    actor: input.actor,
    action: 'client.create',
    subject: name,
    details: { id, domains },
  });
  return { id };
}

async function addDomain(tx: TenantTx, clientId: string, domain: string): Promise<void> {
  try {
    await tx.run(sql`
      insert into domains (partner_id, client_id, name, created_at)
      values (${tx.partnerId}, ${clientId}, ${domain}, ${tx.now})`);
  } catch (error) {
    // One owner per domain on the whole gateway; whose it is, is not said.
    if (isUniqueViolation(error))
      throw new AppError('conflict', `${domain} is in use already`, { field: 'domains', cause: error });
    throw error;
  }
}

function requireDomain(text: string): string {
  const domain = normalizeDomain(text);
  if (domain === null)
    throw new AppError('invalid_input', `"${printable(text)}" is not a domain`, { field: 'domains' });
  return domain;
}

/** A page of clients by name. `after` is the last one's name and id. */
export async function listClients(
  tx: TenantTx,
  page: { first: number; after: { name: string; id: string } | null },
): Promise<Client[]> {
  const rows = await tx.rows<ClientRow>(sql`
    select c.id, c.partner_id, c.name, c.time_zone, c.status, c.created_at from clients c
    where c.partner_id = ${tx.partnerId}
      and (${page.after?.id ?? null}::uuid is null or (c.name, c.id) > (${page.after?.name ?? ''}, ${page.after?.id ?? null}::uuid))
    order by c.name, c.id limit ${page.first}`);
  return rows.map(toClient);
}

/** Those of the ids that exist, in no special order. */
export async function getClients(tx: TenantTx, ids: readonly string[]): Promise<Client[]> {
  const rows = await tx.rows<ClientRow>(sql`
    select c.id, c.partner_id, c.name, c.time_zone, c.status, c.created_at from clients c
    where c.partner_id = ${tx.partnerId} and c.id = any(${[...ids]}::uuid[])`);
  return rows.map(toClient);
}

/** Throws `not_found`, for an unknown id and another tenant's alike. */
export async function requireClient(tx: TenantTx, id: string): Promise<Client> {
  const [client] = await getClients(tx, [id]);
  if (client === undefined) throw new AppError('not_found', 'no such client');
  return client;
}

/** Which partner a client belongs to: for commands of the operator, who names clients only. */
export async function partnerOfClient(tx: SystemTx, id: string): Promise<string> {
  const row = await tx.maybe<{ partner_id: string }>(sql`select partner_id from clients where id = ${id}`);
  if (row === null) throw new AppError('not_found', 'no such client');
  return row.partner_id;
}

export async function listDomains(
  tx: TenantTx,
  clientIds: readonly string[],
): Promise<{ clientId: string; name: string }[]> {
  const rows = await tx.rows<{ client_id: string; name: string }>(sql`
    select client_id, name from domains
    where partner_id = ${tx.partnerId} and client_id = any(${[...clientIds]}::uuid[]) order by name`);
  return rows.map((row) => ({ clientId: row.client_id, name: row.name }));
}

/** The client that owns a domain; null: no client of the partner does. */
export async function clientOfDomain(tx: TenantTx, domain: string): Promise<string | null> {
  const row = await tx.maybe<{ id: string }>(sql`
    select client_id as id from domains where partner_id = ${tx.partnerId} and name = ${domain}`);
  return row?.id ?? null;
}

/** The stored form of a domain of the client. Throws `invalid_input` for what is none, `not_found` for another's alike. */
export async function requireOwnDomain(tx: TenantTx, clientId: string, text: string): Promise<string> {
  const name = normalizeDomain(text);
  if (name === null) throw new AppError('invalid_input', `"${printable(text)}" is not a domain`, { field: 'domain' });
  const own = await tx.maybe(sql`
    select 1 as yes from domains where partner_id = ${tx.partnerId} and client_id = ${clientId} and name = ${name}`);
  if (own === null) throw new AppError('not_found', 'the client has no such domain', { field: 'domain' });
  return name;
}

import { AppError } from '../core/errors.ts';
import { newId } from '../core/id.ts';
import type { PsaConnection, PsaKind } from '../core/psa.ts';
import { seal, unseal } from '../core/seal.ts';
import type { TenantTx, Tx } from '../db/db.ts';
import { sql } from '../db/sql.ts';
import { recordAudit } from './audit.ts';
import { requireClient } from './clients.ts';

export interface Mapping {
  readonly clientId: string;
  readonly connectionId: string;
  readonly companyId: string;
  readonly companyName: string;
  readonly state: 'ok' | 'needs_attention';
}

interface ConnectionRow {
  partner_id: string;
  id: string;
  kind: PsaKind;
  url: string;
  credentials: Buffer;
  settings: Record<string, unknown>;
}

const sealContext = (partnerId: string, id: string) => `psa_connections|${partnerId}|${id}|credentials`;

export interface ConnectionInput {
  readonly kind: PsaKind;
  readonly url: string;
  readonly credentials: Readonly<Record<string, string>>;
  readonly settings: Readonly<Record<string, unknown>>;
  readonly actor: string;
}

/** Stores a connection; its credentials are sealed with a key that is outside the database. */
export async function addConnection(tx: TenantTx, input: ConnectionInput, sealKey: Buffer): Promise<{ id: string }> {
  const id = newId();
  const sealed = seal(sealKey, sealContext(tx.partnerId, id), Buffer.from(JSON.stringify(input.credentials)));
  await tx.run(sql`
    insert into psa_connections (partner_id, id, kind, url, credentials, settings, created_at)
    values (${tx.partnerId}, ${id}, ${input.kind}, ${input.url}, ${sealed}, ${JSON.stringify(input.settings)}, ${tx.now})`);
  await recordAudit(tx, {
    partnerId: tx.partnerId,
    actor: input.actor,
    action: 'psa.connect',
    subject: input.url,
    details: { kind: input.kind },
  });
  return { id };
}

/** A connection with its credentials opened. Throws `not_found`. */
export async function getConnection(tx: Tx, partnerId: string, id: string, sealKey: Buffer): Promise<PsaConnection> {
  const row = await tx.maybe<ConnectionRow>(sql`
    select partner_id, id, kind, url, credentials, settings from psa_connections
    where partner_id = ${partnerId} and id = ${id}`);
  if (row === null) throw new AppError('not_found', 'no such PSA connection');
  const plain = unseal(sealKey, sealContext(row.partner_id, row.id), row.credentials).toString();
  return {
    id: row.id,
    partnerId: row.partner_id,
    kind: row.kind,
    url: row.url,
    credentials: JSON.parse(plain) as Record<string, string>,
    settings: row.settings,
  };
}

export interface MapInput {
  readonly clientId: string;
  readonly connectionId: string;
  readonly companyId: string;
  readonly companyName: string;
  readonly actor: string;
}

/** Says which company a client is. A person decides this; names are only ever proposals (rule 8). */
export async function mapClient(tx: TenantTx, input: MapInput): Promise<void> {
  await requireClient(tx, input.clientId);
  await tx.run(sql`
    insert into psa_mappings (partner_id, client_id, connection_id, company_id, company_name, checked_at)
    values (${tx.partnerId}, ${input.clientId}, ${input.connectionId}, ${input.companyId}, ${input.companyName}, ${tx.now})
    on conflict (partner_id, client_id) do update set connection_id = excluded.connection_id,
      company_id = excluded.company_id, company_name = excluded.company_name, state = 'ok', checked_at = excluded.checked_at`);
  await recordAudit(tx, {
    partnerId: tx.partnerId,
    actor: input.actor,
    action: 'psa.map',
    subject: input.clientId,
    details: { companyId: input.companyId, companyName: input.companyName },
  });
}

/** Null: the client is not mapped, and what is meant for its company is held. */
export async function mappingOf(tx: Tx, partnerId: string, clientId: string): Promise<Mapping | null> {
  const row = await tx.maybe<{
    client_id: string;
    connection_id: string;
    company_id: string;
    company_name: string;
    state: Mapping['state'];
  }>(sql`
    select client_id, connection_id, company_id, company_name, state from psa_mappings
    where partner_id = ${partnerId} and client_id = ${clientId}`);
  if (row === null) return null;
  return {
    clientId: row.client_id,
    connectionId: row.connection_id,
    companyId: row.company_id,
    companyName: row.company_name,
    state: row.state,
  };
}

/** Marks a mapping whose company was renamed, made inactive or merged: billing stops for it until a person looks. */
export async function flagMapping(tx: Tx, partnerId: string, clientId: string): Promise<void> {
  await tx.run(sql`
    update psa_mappings set state = 'needs_attention', checked_at = ${tx.now}
    where partner_id = ${partnerId} and client_id = ${clientId}`);
}

/** The mappings of those of the clients that have one. */
export async function mappingsOf(tx: TenantTx, clientIds: readonly string[]): Promise<Mapping[]> {
  return tx.rows<Mapping>(sql`
    select m.client_id as "clientId", m.connection_id as "connectionId", m.company_id as "companyId",
           m.company_name as "companyName", m.state
    from psa_mappings m
    where m.partner_id = ${tx.partnerId} and m.client_id = any(${[...clientIds]}::uuid[])`);
}

/** A connection as people may see it: never its credentials. */
export interface ConnectionSummary {
  readonly id: string;
  readonly kind: PsaConnection['kind'];
  readonly url: string;
  readonly createdAt: Date;
}

/** The partner's PSA connections, oldest first. */
export function listConnections(tx: TenantTx): Promise<ConnectionSummary[]> {
  return tx.rows<ConnectionSummary>(sql`
    select c.id, c.kind, c.url, c.created_at as "createdAt" from psa_connections c
    where c.partner_id = ${tx.partnerId} order by c.id`);
}

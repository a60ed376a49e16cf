import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import { AppError } from '../core/errors.ts';
import { isId, newId } from '../core/id.ts';
import { type PartnerId, partnerId } from '../core/tenant.ts';
import type { SystemDb, TenantTx, Tx } from '../db/db.ts';
import { sql } from '../db/sql.ts';
import { recordAudit } from './audit.ts';

/** What a key may do. `admin` includes releasing malware and changing clients. */
export const SCOPES = ['read', 'write', 'quarantine', 'billing', 'admin'] as const;
export type Scope = (typeof SCOPES)[number];

export interface ApiCaller {
  readonly partnerId: PartnerId;
  readonly keyId: string;
  /** For the audit. */
  readonly actor: string;
  readonly scopes: readonly Scope[];
  /** Runs registered documents and nothing else; absent: no. */
  readonly documentsOnly?: boolean;
}

export interface KeyInput {
  readonly partnerId: string;
  readonly label: string;
  readonly scopes: readonly Scope[];
  readonly expiresAt?: Date | null;
  /** A key that runs registered documents only (accounts/documents.ts). */
  readonly documentsOnly?: boolean;
  readonly actor: string;
}

const PREFIX = 'tg_live_';

function hashSecret(secret: Buffer): Buffer {
  return createHash('sha256').update(secret).digest();
}

/** Makes a key. The token is shown this once and can't be read back: only its hash is stored. */
export async function createKey(tx: Tx, input: KeyInput): Promise<{ id: string; token: string }> {
  const unknown = input.scopes.filter((scope) => !SCOPES.includes(scope));
  if (unknown.length > 0 || input.scopes.length === 0) {
    throw new AppError('invalid_input', `scopes are among ${SCOPES.join(', ')}`, { field: 'scopes' });
  }
  const id = newId();
  const secret = randomBytes(32);
  await tx.run(sql`
    insert into api_keys (partner_id, id, label, secret_hash, scopes, created_at, expires_at, documents_only)
    values (${input.partnerId}, ${id}, ${input.label}, ${hashSecret(secret)}, ${[...input.scopes]}, ${tx.now},
            ${input.expiresAt ?? null}, ${input.documentsOnly ?? false})`);
  await recordAudit(tx, { partnerId: input.partnerId, actor: input.actor, action: 'key.create', subject: input.label });
  const idPart = Buffer.from(id.replaceAll('-', ''), 'hex').toString('base64url');
  return { id, token: `${PREFIX}${idPart}_${secret.toString('base64url')}` };
}

/** Answers whether the key was live. It is refused from the next request on. */
export async function revokeKey(tx: Tx, input: { partnerId: string; keyId: string; actor: string }): Promise<boolean> {
  const revoked = await tx.run(sql`
    update api_keys set revoked_at = ${tx.now}
    where partner_id = ${input.partnerId} and id = ${input.keyId} and revoked_at is null`);
  if (revoked === 0) return false;
  await recordAudit(tx, { partnerId: input.partnerId, actor: input.actor, action: 'key.revoke', subject: input.keyId });
  return true;
}

interface SecretRow {
  partner_id: string;
  label: string;
  secret_hash: Buffer;
  scopes: Scope[];
  documents_only: boolean;
}

/** The caller that a bearer token stands for, or null for anything that is not a live key. Asked anew at every request. */
export async function authenticateKey(db: SystemDb, token: string, now: Date): Promise<ApiCaller | null> {
  const parts = parseToken(token);
  if (parts === null) return null;
  const row = await db.system(
    (tx) =>
      tx.maybe<SecretRow>(sql`
        select k.partner_id, k.label, k.secret_hash, k.scopes, k.documents_only from api_keys k
        where k.id = ${parts.id} and k.revoked_at is null and (k.expires_at is null or k.expires_at > ${now})`),
    // At every request: one statement needs no transaction around it.
    { readOnly: true, perStatement: true },
  );
  if (row === null || !timingSafeEqual(row.secret_hash, hashSecret(parts.secret))) return null;
  return {
    partnerId: partnerId(row.partner_id),
    keyId: parts.id,
    actor: `key:${row.label}`,
    scopes: row.scopes,
    documentsOnly: row.documents_only,
  };
}

/** Those of the keys that are live: for streams, which outlast the request that was checked. */
export async function liveKeys(db: SystemDb, ids: readonly string[], now: Date): Promise<Set<string>> {
  const rows = await db.system(
    (tx) =>
      tx.rows<{ id: string }>(sql`
        select k.id from api_keys k
        where k.id = any(${[...ids]}::uuid[]) and k.revoked_at is null and (k.expires_at is null or k.expires_at > ${now})`),
    { readOnly: true, perStatement: true },
  );
  return new Set(rows.map((row) => row.id));
}

function parseToken(token: string): { id: string; secret: Buffer } | null {
  const match = /^tg_live_([\w-]{22})_([\w-]{43})$/.exec(token);
  if (match?.[1] === undefined || match[2] === undefined) return null;
  const hex = Buffer.from(match[1], 'base64url').toString('hex');
  const id = [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
  return isId(id) ? { id, secret: Buffer.from(match[2], 'base64url') } : null;
}

/** An API key as people may see it: never its secret. */
export interface KeyRow {
  readonly id: string;
  readonly label: string;
  readonly scopes: readonly Scope[];
  readonly createdAt: Date;
  readonly expiresAt: Date | null;
  readonly revokedAt: Date | null;
}

/** All keys of the partner, the newest last; revoked ones stay in the list. */
export function listKeys(tx: TenantTx): Promise<KeyRow[]> {
  return tx.rows<KeyRow>(sql`
    select k.id, k.label, k.scopes, k.created_at as "createdAt", k.expires_at as "expiresAt", k.revoked_at as "revokedAt"
    from api_keys k where k.partner_id = ${tx.partnerId} order by k.created_at, k.id`);
}

import { createPrivateKey, type KeyObject } from 'node:crypto';
import { normalizeDomain } from '../core/address.ts';
import { AppError } from '../core/errors.ts';
import { newId } from '../core/id.ts';
import { seal, unseal } from '../core/seal.ts';
import type { SystemTx, TenantTx } from '../db/db.ts';
import { isUniqueViolation } from '../db/errors.ts';
import { sql } from '../db/sql.ts';
import { recordAudit } from './audit.ts';

export type DkimAlgorithm = 'rsa-sha256' | 'ed25519-sha256';

/** A key that signs, or is to sign, a domain's outbound mail. Its private half never leaves this file in the open but to sign. */
export interface DkimKey {
  readonly id: string;
  readonly clientId: string;
  readonly domain: string;
  readonly selector: string;
  readonly algorithm: DkimAlgorithm;
  /** Base64, as it stands in the DNS. */
  readonly publicKey: string;
  readonly createdAt: Date;
  readonly activatedAt: Date | null;
  readonly retiredAt: Date | null;
}

const sealContext = (partnerId: string, id: string) => `dkim_keys|${partnerId}|${id}|private_key`;

export interface DkimInput {
  readonly domain: string;
  /** Null: one is made of the day. */
  readonly selector: string | null;
  readonly algorithm: DkimAlgorithm;
  /** PKCS#8, DER. */
  readonly privateKey: Buffer;
  readonly publicKey: string;
  readonly actor: string;
}

/** Stores a new key, which does not sign yet. Throws `invalid_input`, `not_found` (domain) or `conflict` (selector). */
export async function addDkimKey(tx: TenantTx, input: DkimInput, sealKey: Buffer): Promise<DkimKey> {
  const domain = normalizeDomain(input.domain) ?? '';
  const owner = await tx.maybe<{ clientId: string }>(sql`
    select client_id as "clientId" from domains where partner_id = ${tx.partnerId} and name = ${domain}`);
  if (owner === null) throw new AppError('not_found', 'no such domain', { field: 'domain' });
  const selector = input.selector?.trim().toLowerCase() ?? (await freeSelector(tx, domain));
  if (!/^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?){0,3}$/.test(selector))
    throw new AppError('invalid_input', 'that is no selector (RFC 6376 section 3.1)', { field: 'selector' });
  const id = newId();
  const sealed = seal(sealKey, sealContext(tx.partnerId, id), input.privateKey);
  try {
    await tx.run(sql`
      insert into dkim_keys (partner_id, client_id, id, domain, selector, algorithm, private_key, public_key, created_at)
      values (${tx.partnerId}, ${owner.clientId}, ${id}, ${domain}, ${selector}, ${input.algorithm}, ${sealed},
              ${input.publicKey}, ${tx.now})`);
  } catch (error) {
    if (isUniqueViolation(error))
      throw new AppError('conflict', `the selector ${selector} was used for ${domain}; take another one`, {
        field: 'selector',
        cause: error,
      });
    throw error;
  }
  await audit(tx, 'dkim.create', input.actor, { id, domain, selector });
  return getDkimKey(tx, id);
}

/** `tg20261014`, with a letter behind it when that was used: a selector never comes back with another key. */
async function freeSelector(tx: TenantTx, domain: string): Promise<string> {
  const base = `tg${tx.now.toISOString().slice(0, 10).replaceAll('-', '')}`;
  const used = new Set((await listDkimKeys(tx, domain)).map((key) => key.selector));
  const free = ['', ...'bcdefghijklmnopqrstuvwxyz'].map((letter) => `${base}${letter}`).find((name) => !used.has(name));
  if (free === undefined)
    throw new AppError('conflict', 'too many keys were made for the domain today', { field: 'selector' });
  return free;
}

/** All keys of a domain, the newest first. */
export function listDkimKeys(tx: TenantTx, domain: string): Promise<DkimKey[]> {
  return tx.rows<DkimKey>(sql`
    select k.id, k.client_id as "clientId", k.domain, k.selector, k.algorithm, k.public_key as "publicKey",
           k.created_at as "createdAt", k.activated_at as "activatedAt", k.retired_at as "retiredAt"
    from dkim_keys k where k.partner_id = ${tx.partnerId} and k.domain = ${domain}
    order by k.created_at desc, k.id desc`);
}

export function getDkimKeys(tx: TenantTx, ids: readonly string[]): Promise<DkimKey[]> {
  return tx.rows<DkimKey>(sql`
    select k.id, k.client_id as "clientId", k.domain, k.selector, k.algorithm, k.public_key as "publicKey",
           k.created_at as "createdAt", k.activated_at as "activatedAt", k.retired_at as "retiredAt"
    from dkim_keys k where k.partner_id = ${tx.partnerId} and k.id = any(${[...ids]}::uuid[])`);
}

/** Throws `not_found`. */
export async function getDkimKey(tx: TenantTx, id: string): Promise<DkimKey> {
  const [key] = await getDkimKeys(tx, [id]);
  if (key === undefined) throw new AppError('not_found', 'no such DKIM key', { field: 'id' });
  return key;
}

/** Keys of a domain change one after the other: of two that activate at once, one would retire what the other has just done. */
async function lockedKey(tx: TenantTx, id: string): Promise<DkimKey> {
  const { domain } = await getDkimKey(tx, id);
  await tx.rows(sql`
    select k.id from dkim_keys k where k.partner_id = ${tx.partnerId} and k.domain = ${domain} order by k.id for update`);
  return getDkimKey(tx, id);
}

/**
 * From now on this key signs, and the one of its kind that signed before does no more; its DNS record must stay for some days,
 * since mail that it signed is still under way. `isForced` is for the audit. Throws `not_found` or `conflict` (retired).
 */
export async function activateDkimKey(tx: TenantTx, id: string, actor: string, isForced: boolean): Promise<DkimKey> {
  const key = await lockedKey(tx, id);
  if (key.retiredAt !== null) throw new AppError('conflict', 'the key was retired; make a new one', { field: 'id' });
  if (key.activatedAt !== null) return key;
  await tx.run(sql`
    update dkim_keys set retired_at = ${tx.now}
    where partner_id = ${tx.partnerId} and domain = ${key.domain} and algorithm = ${key.algorithm}
      and activated_at is not null and retired_at is null`);
  await tx.run(sql`
    update dkim_keys set activated_at = ${tx.now} where partner_id = ${tx.partnerId} and id = ${id}`);
  await audit(tx, 'dkim.activate', actor, { id, domain: key.domain, selector: key.selector, isForced });
  return getDkimKey(tx, id);
}

/** The key signs no more, and never again. Throws `not_found`. */
export async function retireDkimKey(tx: TenantTx, id: string, actor: string): Promise<DkimKey> {
  const key = await lockedKey(tx, id);
  if (key.retiredAt !== null) return key;
  await tx.run(sql`update dkim_keys set retired_at = ${tx.now} where partner_id = ${tx.partnerId} and id = ${id}`);
  await audit(tx, 'dkim.retire', actor, { id, domain: key.domain, selector: key.selector });
  return getDkimKey(tx, id);
}

function audit(
  tx: TenantTx,
  action: string,
  actor: string,
  { domain, ...details }: { id: string; domain: string; selector: string; isForced?: boolean },
): Promise<void> {
  return recordAudit(tx, { partnerId: tx.partnerId, actor, action, subject: domain, details });
}

/** The active keys for an outbound message, opened: those of its From domain, else those of its envelope sender's. */
export async function signingKeys(
  tx: SystemTx,
  message: { readonly partnerId: string; readonly clientId: string; readonly messageId: string },
  sealKey: Buffer,
): Promise<{ domain: string; selector: string; algorithm: DkimAlgorithm; privateKey: KeyObject }[]> {
  const rows = await tx.rows<{
    id: string;
    domain: string;
    selector: string;
    algorithm: DkimAlgorithm;
    sealed: Buffer;
    isFrom: boolean;
  }>(sql`
    select k.id, k.domain, k.selector, k.algorithm, k.private_key as sealed,
           k.domain = substring(m.from_address from '[^@]*$') as "isFrom"
    from messages m
    join dkim_keys k on k.partner_id = m.partner_id and k.client_id = ${message.clientId}
      and k.activated_at is not null and k.retired_at is null
      and k.domain in (substring(m.from_address from '[^@]*$'), substring(m.sender from '[^@]*$'))
    where m.partner_id = ${message.partnerId} and m.id = ${message.messageId}
    order by k.algorithm desc`);
  const ofFrom = rows.filter((row) => row.isFrom);
  return (ofFrom.length > 0 ? ofFrom : rows).map(({ id, domain, selector, algorithm, sealed }) => ({
    domain,
    selector,
    algorithm,
    privateKey: createPrivateKey({
      key: unseal(sealKey, sealContext(message.partnerId, id), sealed),
      format: 'der',
      type: 'pkcs8',
    }),
  }));
}

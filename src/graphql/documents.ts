import { createHash } from 'node:crypto';
import { recordAudit } from '../accounts/audit.ts';
import { AppError } from '../core/errors.ts';
import type { TenantTx } from '../db/db.ts';
import { sql } from '../db/sql.ts';

/** Documents that one partner may have registered. */
export const DOCUMENTS_MAX = 1_000;

/** A registered document. `sha256` is hex, lower case. */
export interface PersistedDocument {
  readonly sha256: string;
  readonly document: string;
  readonly createdAt: Date;
  readonly createdBy: string;
}

/** The checksum that names a document: SHA-256 of its text in UTF-8, hex. */
export function documentSha256(document: string): string {
  return createHash('sha256').update(document, 'utf8').digest('hex');
}

/** The checksum in an id of a document, `sha256:` and 64 hex digits or the digits alone; null when it is none. */
export function parseDocumentId(id: string): string | null {
  return /^(?:sha256:)?([0-9a-f]{64})$/i.exec(id)?.[1]?.toLowerCase() ?? null;
}

/** The text that was registered under a checksum. */
export async function findDocument(tx: TenantTx, sha256: string): Promise<string | null> {
  const row = await tx.maybe<{ document: string }>(sql`
    select d.document from persisted_documents d
    where d.partner_id = ${tx.partnerId} and d.sha256 = ${Buffer.from(sha256, 'hex')}`);
  return row?.document ?? null;
}

/**
 * Registers a document that was checked before; the same again changes nothing. Throws `limit_exceeded` when the partner has
 * as many as it may have.
 */
export async function registerDocument(tx: TenantTx, document: string, actor: string): Promise<PersistedDocument> {
  const sha256 = documentSha256(document);
  const bytes = Buffer.from(sha256, 'hex');
  // One at a time per partner, so that the limit holds for registrations side by side too.
  await tx.rows(sql`select pg_advisory_xact_lock(7461017, hashtext(${tx.partnerId}))`);
  const added = await tx.run(sql`
    insert into persisted_documents (partner_id, sha256, document, created_at, created_by)
    select ${tx.partnerId}, ${bytes}, ${document}, ${tx.now}, ${actor}
    where (select count(*) from persisted_documents d where d.partner_id = ${tx.partnerId}) < ${DOCUMENTS_MAX}
    on conflict do nothing`);
  const row = await documentBy(tx, bytes);
  if (row === null) {
    throw new AppError('limit_exceeded', `at most ${DOCUMENTS_MAX} documents are registered; remove some`, {
      field: 'document',
    });
  }
  if (added === 1) {
    await recordAudit(tx, { partnerId: tx.partnerId, actor, action: 'document.register', subject: sha256 });
  }
  return row;
}

/** Answers whether it was there. */
export async function removeDocument(tx: TenantTx, sha256: string, actor: string): Promise<boolean> {
  const removed = await tx.run(sql`
    delete from persisted_documents
    where partner_id = ${tx.partnerId} and sha256 = ${Buffer.from(sha256, 'hex')}`);
  if (removed === 0) return false;
  await recordAudit(tx, { partnerId: tx.partnerId, actor, action: 'document.remove', subject: sha256 });
  return true;
}

async function documentBy(tx: TenantTx, sha256: Buffer): Promise<PersistedDocument | null> {
  return tx.maybe<PersistedDocument>(sql`
    select encode(d.sha256, 'hex') as sha256, d.document, d.created_at as "createdAt", d.created_by as "createdBy"
    from persisted_documents d where d.partner_id = ${tx.partnerId} and d.sha256 = ${sha256}`);
}

/** A page of the partner's documents by checksum; `after` is the last one's. */
export async function listDocuments(
  tx: TenantTx,
  page: { readonly first: number; readonly after: string | null },
): Promise<PersistedDocument[]> {
  const after = page.after === null ? null : Buffer.from(page.after, 'hex');
  return tx.rows<PersistedDocument>(sql`
    select encode(d.sha256, 'hex') as sha256, d.document, d.created_at as "createdAt", d.created_by as "createdBy"
    from persisted_documents d
    where d.partner_id = ${tx.partnerId} and (${after}::bytea is null or d.sha256 > ${after}::bytea)
    order by d.sha256 limit ${page.first}`);
}

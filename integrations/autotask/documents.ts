import { z } from 'zod';
import { AppError } from '../../src/core/errors.ts';
import type { DocumentInput, PsaDocument } from '../../src/core/psa.ts';
import { numericId, requireNumericId } from '../settings.ts';
import type { AutotaskClient } from './client.ts';

/** Bytes; the developer help says 6 to 7 MB for one file. */
const MAX_FILE = 6_000_000;

const attachmentSchema = z.object({
  id: z.number(),
  title: z.string().nullish(),
  fullPath: z.string().nullish(),
  fileSize: z.number().nullish(),
});

export async function attachToCompany(
  client: AutotaskClient,
  companyId: string,
  document: DocumentInput,
): Promise<PsaDocument> {
  const id = requireNumericId(companyId, 'company');
  const bytes = document.data.byteLength;
  if (bytes > MAX_FILE) {
    throw new AppError('upstream_rejected', `the file has ${bytes} bytes; Autotask takes ${MAX_FILE}`);
  }
  const made = await client.create(`/Companies/${id}/Attachments`, {
    attachmentType: 'FILE_ATTACHMENT',
    fullPath: document.fileName,
    title: document.title,
    contentType: document.contentType,
    data: Buffer.from(document.data).toString('base64'),
    publish: 1,
  });
  return { id: String(made), title: document.title, fileName: document.fileName, bytes };
}

/** Through the query, which leaves out the contents; the parent's list would send them all. */
export async function listCompanyDocuments(client: AutotaskClient, companyId: string): Promise<PsaDocument[]> {
  const id = numericId(companyId);
  if (id === null) return [];
  const rows = await client.query('CompanyAttachments', attachmentSchema, [{ op: 'eq', field: 'parentID', value: id }]);
  return rows.map((row) => ({
    id: String(row.id),
    title: row.title ?? '',
    fileName: row.fullPath ?? '',
    bytes: row.fileSize ?? null,
  }));
}

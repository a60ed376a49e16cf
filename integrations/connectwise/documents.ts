import { z } from 'zod';
import type { DocumentInput, PsaDocument } from '../../src/core/psa.ts';
import { numericId, requireNumericId } from '../settings.ts';
import type { ConnectWiseClient } from './client.ts';

const documentSchema = z.object({
  id: z.number(),
  title: z.string().nullish(),
  fileName: z.string().nullish(),
  size: z.number().nullish(),
});

/** Multipart only: a document that is sent as JSON is answered 415 (developer guide). Sent once. */
export async function attachToCompany(
  client: ConnectWiseClient,
  companyId: string,
  document: DocumentInput,
): Promise<PsaDocument> {
  const form = new FormData();
  form.set('recordType', 'Company');
  form.set('recordId', String(requireNumericId(companyId, 'company')));
  form.set('title', document.title);
  form.set('file', new Blob([new Uint8Array(document.data)], { type: document.contentType }), document.fileName);
  return describe(await client.upload('/system/documents', documentSchema, form));
}

export async function listCompanyDocuments(client: ConnectWiseClient, companyId: string): Promise<PsaDocument[]> {
  const recordId = numericId(companyId);
  if (recordId === null) return [];
  const rows = await client.all('/system/documents', documentSchema, {
    recordType: 'Company',
    recordId: String(recordId),
  });
  return (rows ?? []).map(describe);
}

function describe(row: z.infer<typeof documentSchema>): PsaDocument {
  return { id: String(row.id), title: row.title ?? '', fileName: row.fileName ?? '', bytes: row.size ?? null };
}

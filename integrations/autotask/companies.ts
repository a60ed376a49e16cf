import { z } from 'zod';
import type { PsaCompany } from '../../src/core/psa.ts';
import { numericId } from '../settings.ts';
import type { AutotaskClient } from './client.ts';
import { LENGTHS } from './map.ts';

const companySchema = z.object({ id: z.number(), companyName: z.string(), isActive: z.boolean() });

/** Companies whose name holds the text. The filter is JSON: no text can leave its place in it. */
export async function findCompanies(client: AutotaskClient, text: string): Promise<PsaCompany[]> {
  if (text.length > (LENGTHS['Companies.companyName'] ?? 100)) return [];
  const filter =
    text === ''
      ? ({ op: 'exist', field: 'id' } as const)
      : ({ op: 'contains', field: 'companyName', value: text } as const);
  const rows = await client.query('Companies', companySchema, [filter]);
  const wanted = text.toLowerCase();
  return rows.filter((row) => row.companyName.toLowerCase().includes(wanted)).map(company);
}

export async function getCompany(client: AutotaskClient, id: string): Promise<PsaCompany | null> {
  const number = numericId(id);
  const row = number === null ? null : await client.get(`/Companies/${number}`, companySchema);
  return row === null ? null : company(row);
}

function company(row: z.infer<typeof companySchema>): PsaCompany {
  return { id: String(row.id), name: row.companyName, active: row.isActive };
}

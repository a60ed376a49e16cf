import { z } from 'zod';
import type { PsaCompany } from '../../src/core/psa.ts';
import { numericId } from '../settings.ts';
import type { ConnectWiseClient } from './client.ts';
import { contains } from './conditions.ts';
import { LENGTHS } from './map.ts';

const companySchema = z.object({
  id: z.number(),
  name: z.string(),
  status: z.object({ id: z.number() }).nullish(),
  deletedFlag: z.boolean().nullish(),
});
const statusSchema = z.object({ id: z.number(), inactiveFlag: z.boolean().nullish() });
type Row = z.infer<typeof companySchema>;

/** Companies whose name holds the text, in any case; deleted ones are not among them. Compared here, see `contains`. */
export async function findCompanies(client: ConnectWiseClient, text: string): Promise<PsaCompany[]> {
  if (text.length > LENGTHS.companyName) return [];
  const conditions = text === '' ? null : contains('name', text);
  const rows = (await client.all('/company/companies', companySchema, conditions === null ? {} : { conditions })) ?? [];
  const inactive = await inactiveStatuses(client);
  const wanted = text.toLowerCase();
  return rows
    .filter((row) => row.deletedFlag !== true && row.name.toLowerCase().includes(wanted))
    .map((row) => company(row, inactive));
}

/** Null: no such company. A deleted one is there and inactive, so that a mapping to it is noticed. */
export async function getCompany(client: ConnectWiseClient, id: string): Promise<PsaCompany | null> {
  const number = numericId(id);
  const row = number === null ? null : await client.get(`/company/companies/${number}`, companySchema);
  return row === null ? null : company(row, await inactiveStatuses(client));
}

/** Statuses are the MSP's own; `inactiveFlag` says which of them mean that the company is no customer any more. */
async function inactiveStatuses(client: ConnectWiseClient): Promise<ReadonlySet<number>> {
  const rows = (await client.all('/company/companies/statuses', statusSchema)) ?? [];
  return new Set(rows.filter((row) => row.inactiveFlag === true).map((row) => row.id));
}

function company(row: Row, inactive: ReadonlySet<number>): PsaCompany {
  const status = row.status?.id;
  const active = row.deletedFlag !== true && (status === undefined || !inactive.has(status));
  return { id: String(row.id), name: row.name, active };
}

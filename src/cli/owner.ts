import { AppError } from '../core/errors.ts';
import { type PartnerId, partnerId } from '../core/tenant.ts';
import type { SystemTx } from '../db/db.ts';
import { sql } from '../db/sql.ts';

/** Which partner owns a row: the operator names things only. Throws `not_found`. */
export async function ownerOf(
  tx: SystemTx,
  table: 'clients' | 'domains' | 'submission_credentials' | 'submission_networks',
  id: string,
): Promise<PartnerId> {
  const owners = {
    clients: sql`select partner_id as id from clients where id::text = ${id}`,
    domains: sql`select partner_id as id from domains where name = ${id}`,
    submission_credentials: sql`select partner_id as id from submission_credentials where id::text = ${id}`,
    submission_networks: sql`select partner_id as id from submission_networks where id::text = ${id}`,
  };
  const row = await tx.maybe<{ id: string }>(owners[table]);
  if (row === null) throw new AppError('not_found', unknown(table, id), { field: 'id' });
  return partnerId(row.id);
}

function unknown(table: Parameters<typeof ownerOf>[1], id: string): string {
  if (table === 'domains') return `no client has the domain ${id}`;
  const nouns = { clients: 'client', submission_credentials: 'login', submission_networks: 'network' };
  return `there is no ${nouns[table]} ${id}`;
}

import { AppError } from '../core/errors.ts';
import { newId } from '../core/id.ts';
import type { SystemTx, TenantTx } from '../db/db.ts';
import { sql } from '../db/sql.ts';
import { createKey, SCOPES } from './keys.ts';
import { requireName } from './names.ts';

export interface Partner {
  readonly id: string;
  readonly name: string;
}

/** Makes a partner and its first key, which may do everything. */
export async function createPartner(
  tx: SystemTx,
  input: { name: string; actor?: string },
): Promise<{ id: string; apiKey: string }> {
  const name = requireName(input.name, 'name');
  const id = newId();
  await tx.run(sql`insert into partners (id, name, created_at) values (${id}, ${name}, ${tx.now})`);
  const actor = input.actor ?? 'cli';
  const key = await createKey(tx, { partnerId: id, label: 'first key', scopes: SCOPES, actor });
  return { id, apiKey: key.token };
}

export async function getPartner(tx: TenantTx): Promise<Partner> {
  const row = await tx.maybe<Partner>(sql`select id, name from partners where id = ${tx.partnerId}`);
  if (row === null) throw new AppError('not_found', 'no such partner');
  return row;
}

/** All partners: for jobs that go over every tenant. */
export async function listPartners(tx: SystemTx): Promise<Partner[]> {
  return tx.rows<Partner>(sql`select id, name from partners order by id`);
}

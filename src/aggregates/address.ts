import type { SystemTx } from '../db/db.ts';
import { sql } from '../db/sql.ts';

/** Whose address for reports a local part is. */
export interface ReportBox {
  readonly partnerId: string;
  readonly clientId: string;
  readonly domain: string;
}

const TOKEN = /^[0-9a-f]{32}$/;

/** Null: no domain has this address. */
export async function boxOf(tx: SystemTx, localPart: string): Promise<ReportBox | null> {
  const token = localPart.toLowerCase();
  if (!TOKEN.test(token)) return null;
  return tx.maybe<ReportBox>(sql`
    select partner_id as "partnerId", client_id as "clientId", name as domain from domains where report_token = ${token}`);
}

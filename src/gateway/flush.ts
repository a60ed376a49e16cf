import { recordAudit } from '../accounts/audit.ts';
import { requireClient } from '../accounts/clients.ts';
import { QUEUE_CHANNEL } from '../core/channels.ts';
import type { TenantTx, Tx } from '../db/db.ts';
import { sql } from '../db/sql.ts';
import { probeNow } from './backoff.ts';
import { makeDue } from './queue.ts';

/** Makes a client's waiting mail due now; answers how many deliveries that is. Throws `not_found`. */
export async function flushClient(tx: TenantTx, clientId: string, actor: string): Promise<number> {
  await requireClient(tx, clientId);
  const deliveries = await hurry(tx, clientId);
  await recordAudit(tx, {
    partnerId: tx.partnerId,
    actor,
    action: 'queue.flush',
    subject: clientId,
    details: { deliveries },
  });
  await wakeDelivery(tx);
  return deliveries;
}

/** Makes waiting mail due now, all of it or a client's, and its destinations to be tried whatever they were found to be. */
export async function hurry(tx: Tx, clientId: string | null): Promise<number> {
  await probeNow(tx, clientId);
  return makeDue(tx, clientId);
}

/** Makes mail to some domains of a client due now. `underWay`: rows that were due before. */
export async function flushDomains(
  tx: Tx,
  partnerId: string,
  clientId: string,
  domains: readonly string[],
): Promise<{ readonly flushed: number; readonly underWay: number }> {
  const { count } = await tx.one<{ count: number }>(sql`
    select count(*) as count from queue q
    where q.partner_id = ${partnerId} and q.client_id = ${clientId} and q.domain = any(${[...domains]}::text[])`);
  await probeNow(tx, clientId, domains);
  const flushed = await tx.run(sql`
    update queue set due_at = ${tx.now}
    where partner_id = ${partnerId} and client_id = ${clientId} and domain = any(${[...domains]}::text[])
      and due_at > ${tx.now} and held_at is null`);
  if (flushed > 0) await wakeDelivery(tx);
  return { flushed, underWay: Math.max(0, Number(count) - flushed) };
}

/** Workers look when the transaction has ended. */
async function wakeDelivery(tx: Tx): Promise<void> {
  await tx.run(sql`select pg_notify(${QUEUE_CHANNEL}, '')`);
}

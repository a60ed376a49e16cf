import { localDate } from '../core/period.ts';
import type { SystemDb, SystemTx } from '../db/db.ts';
import { sql } from '../db/sql.ts';

/** The one product so far: what a user mailbox behind the gateway is billed as. */
export const MAILBOX_PROTECTION = 'mailbox-protection';

/**
 * Takes today's usage of every client, "today" being the day in the client's own zone; `day` takes another one. What counts:
 * active mailboxes of the kind `user`; shared mailboxes, groups, resources, contacts and aliases are free. The addresses are
 * kept as evidence. A day that has its snapshot keeps it: billing never changes what was counted. Answers with the new ones.
 */
export async function takeSnapshots(db: SystemDb, options: { day?: string } = {}): Promise<number> {
  return db.system(async (tx) => {
    const clients = await tx.rows<{ partner_id: string; id: string; time_zone: string }>(sql`
      select c.partner_id, c.id, c.time_zone from clients c where c.status = 'active'`);
    let taken = 0;
    for (const client of clients) {
      taken += await takeSnapshot(tx, client, options.day ?? localDate(tx.now, client.time_zone));
    }
    return taken;
  });
}

function takeSnapshot(tx: SystemTx, client: { partner_id: string; id: string }, day: string): Promise<number> {
  return tx.run(sql`
    insert into usage_snapshots (partner_id, client_id, product, day, quantity, addresses, taken_at)
    select ${client.partner_id}, ${client.id}, ${MAILBOX_PROTECTION}, ${day}, count(*)::int,
           coalesce(array_agg(m.address order by m.address), '{}'), ${tx.now}
    from mailboxes m
    where m.partner_id = ${client.partner_id} and m.client_id = ${client.id} and m.kind = 'user' and m.status = 'active'
    on conflict (partner_id, client_id, product, day) do nothing`);
}

import { localDate } from '../core/period.ts';
import type { SystemDb, SystemTx } from '../db/db.ts';
import { sql } from '../db/sql.ts';

/** The one product so far: a user mailbox that the gateway protects. */
export const MAILBOX_PROTECTION = 'mailbox-protection';

interface ClientDay {
  readonly partnerId: string;
  readonly clientId: string;
  readonly day: string;
}

const PAGE = 500;

/**
 * Takes the usage of every active client for its own present day, unless that day has been taken: the addresses of its
 * active user mailboxes, as evidence beside their number. A day that was taken is never rewritten, and a day that is over is
 * never made up: a missing snapshot holds the billing line (rule 4). Shared, resource, group and contact rows and blocked or
 * deleted mailboxes are free. `day` (`YYYY-MM-DD`): only clients whose day it is. Answers with the number of snapshots taken.
 */
export async function takeSnapshot(db: SystemDb, day?: string): Promise<number> {
  let taken = 0;
  let after: string | null = null;
  for (;;) {
    const page: { readonly taken: number; readonly last: string | null } = await db.system((tx) =>
      takePage(tx, after, day),
    );
    taken += page.taken;
    if (page.last === null) return taken;
    after = page.last;
  }
}

async function takePage(
  tx: SystemTx,
  after: string | null,
  wanted: string | undefined,
): Promise<{ taken: number; last: string | null }> {
  const clients = await tx.rows<{ partner_id: string; id: string; time_zone: string }>(sql`
    select c.partner_id, c.id, c.time_zone from clients c
    where c.status = 'active' and (${after}::uuid is null or c.id > ${after}::uuid)
    order by c.id limit ${PAGE}`);
  const days: ClientDay[] = clients
    .map((client) => ({
      partnerId: client.partner_id,
      clientId: client.id,
      day: localDate(tx.now, client.time_zone),
    }))
    .filter((one) => wanted === undefined || one.day === wanted);
  const taken = await tx.run(sql`
    insert into usage_snapshots (partner_id, client_id, product, day, quantity, addresses, taken_at)
    select d.partner_id, d.client_id, ${MAILBOX_PROTECTION}, d.day, cardinality(u.addresses), u.addresses, ${tx.now}
    from unnest(${days.map((one) => one.partnerId)}::uuid[], ${days.map((one) => one.clientId)}::uuid[],
                ${days.map((one) => one.day)}::date[]) as d (partner_id, client_id, day)
    cross join lateral (
      select array(select distinct m.address from mailboxes m
                   where m.partner_id = d.partner_id and m.client_id = d.client_id
                     and m.kind = 'user' and m.status = 'active' order by m.address) as addresses) as u
    on conflict (partner_id, client_id, product, day) do nothing`);
  const last = clients.length < PAGE ? null : (clients.at(-1)?.id ?? null);
  return { taken, last };
}

import type { Clock } from '../core/clock.ts';
import type { SystemDb, SystemTx } from '../db/db.ts';
import { sql } from '../db/sql.ts';
import { openIncident, resolveIncident } from '../tickets/incidents.ts';

const RULE = 'queue.stuck';
const SUBJECT = 'delivery';

/** A client's mail that is due, by how long nobody has taken it up. */
export interface QueueAge {
  readonly partnerId: string;
  readonly clientId: string;
  /** Messages that are due and that no worker holds. */
  readonly due: number;
  /** Since when the longest of them is due; null: none is. */
  readonly oldestDueAt: Date | null;
  readonly isOpen: boolean;
}

export function decideQueue(queue: QueueAge, now: Date, stuckSeconds: number): 'open' | 'resolve' | null {
  const isStuck = queue.oldestDueAt !== null && now.getTime() - queue.oldestDueAt.getTime() >= stuckSeconds * 1_000;
  if (isStuck === queue.isOpen) return null;
  return isStuck ? 'open' : 'resolve';
}

/**
 * Opens an incident `queue.stuck` for each client whose mail has been due for `stuckSeconds` and was not even tried: our own
 * delivery does not keep up, or does not run. Ends it when the mail is taken up. Answers with the number of changes.
 */
export async function watchQueue(db: SystemDb, clock: Clock, stuckSeconds: number): Promise<number> {
  return db.system(async (tx) => {
    let changes = 0;
    for (const queue of await readQueues(tx)) {
      const decision = decideQueue(queue, clock.now(), stuckSeconds);
      if (decision === null) continue;
      const key = { partnerId: queue.partnerId, clientId: queue.clientId, rule: RULE, subject: SUBJECT };
      if (decision === 'resolve') {
        await resolveIncident(tx, { ...key, resolution: 'The mail was taken up.' });
      } else {
        await openIncident(tx, {
          ...key,
          severity: 'critical',
          title: 'Mail is due and is not being delivered',
          description: `${queue.due} messages are due, the first since ${queue.oldestDueAt?.toISOString() ?? ''}, and no delivery worker has taken them up.`,
        });
      }
      changes += 1;
    }
    return changes;
  });
}

async function readQueues(tx: SystemTx): Promise<QueueAge[]> {
  return tx.rows<QueueAge>(sql`
    select coalesce(q.partner_id, i.partner_id) as "partnerId", coalesce(q.client_id, i.client_id) as "clientId",
           coalesce(q.due, 0) as due, q.oldest as "oldestDueAt", i.id is not null as "isOpen"
    from (select w.partner_id, w.client_id, count(*) as due, min(w.due_at) as oldest
          from (select r.partner_id, r.client_id, r.due_at from queue r
                where not r.waiting and r.lease_until is null and r.held_at is null and r.due_at <= ${tx.now}
                union all
                select r.partner_id, r.client_id, r.due_at from queue r
                where (r.waiting or r.lease_until is not null) and coalesce(r.lease_until, r.due_at) <= ${tx.now}
                  and r.held_at is null) as w
          group by w.partner_id, w.client_id) as q
    full join (select n.partner_id, n.client_id, n.id from incidents n
               where n.rule = ${RULE} and n.subject = ${SUBJECT} and n.state = 'open') as i
      on i.partner_id = q.partner_id and i.client_id = q.client_id`);
}

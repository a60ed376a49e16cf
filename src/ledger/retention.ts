import type { SystemDb } from '../db/db.ts';
import { sql } from '../db/sql.ts';
import { dropPartitions, type RunAsOwner } from './partitions.ts';
import { detailFrom } from './read.ts';

const BATCH = 500;
const DAY_MS = 86_400_000;

/**
 * Removes the detail of mail that is older than `days`: first the ledger's days, which fails and changes nothing while the
 * roller has not counted them, then messages with their deliveries. What is queued or in quarantine stays, however old, and so
 * do all counts (rule 3). Answers the number of messages that went; their bodies are orphans from then on (Spool.sweep).
 */
export async function retainDetail(db: SystemDb, run: RunAsOwner, now: Date, days: number): Promise<number> {
  await dropPartitions(run, new Date(now.getTime() - days * DAY_MS));
  const floor = await db.system(detailFrom, { readOnly: true });
  if (floor === null) return 0;
  let removed = 0;
  for (;;) {
    const gone = await db.system((tx) =>
      tx.run(sql`
        delete from messages m
        using (select o.partner_id, o.id from messages o
               where o.received_at < ${floor}
                 and not exists (select from deliveries d
                                 where d.partner_id = o.partner_id and d.message_id = o.id
                                   and (d.ended_at is null or d.disposition = 'quarantined' or d.ended_at >= ${floor}))
                 and not exists (select from queue q where q.partner_id = o.partner_id and q.message_id = o.id)
               order by o.received_at limit ${BATCH} for update skip locked) as old
        where m.partner_id = old.partner_id and m.id = old.id`),
    );
    removed += gone;
    if (gone < BATCH) return removed;
  }
}

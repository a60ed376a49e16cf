import type { ContentStore } from '../core/content.ts';
import type { SystemDb } from '../db/db.ts';
import { sql } from '../db/sql.ts';

/** Days: bodies of mails with reports; mails, refused reports; reports that count, by their day (13 months and a little). */
export const KEPT = { bodies: 30, mails: 90, reports: 400 } as const;
const BATCH = 500;

/** Removes what is older than it is kept, in batches. Files first: after a crash between the two they are removed again. */
export async function retainAggregates(db: SystemDb, store: ContentStore): Promise<number> {
  const before = (now: Date, days: number) => new Date(now.getTime() - days * 86_400_000);
  let removed = 0;
  for (;;) {
    const old = await db.system(
      (tx) =>
        tx.rows<{ contentId: string }>(sql`
          select content_id as "contentId" from aggregate_mails
          where state <> 'waiting' and content_removed_at is null and received_at < ${before(tx.now, KEPT.bodies)}
          order by received_at limit ${BATCH}`),
      { readOnly: true },
    );
    const ids = old.map((one) => one.contentId);
    for (const id of ids) await store.remove(id);
    if (ids.length > 0) {
      await db.system((tx) =>
        tx.run(sql`update aggregate_mails set content_removed_at = ${tx.now} where content_id = any(${ids}::text[])`),
      );
    }
    removed += ids.length;
    if (ids.length < BATCH) break;
  }
  removed += await db.system((tx) =>
    tx.run(sql`
      delete from aggregate_mails
      where content_removed_at is not null and received_at < ${before(tx.now, KEPT.mails)}`),
  );
  removed += await db.system((tx) =>
    tx.run(sql`
      delete from aggregate_reports
      where day < ${before(tx.now, KEPT.reports)}::timestamptz::date
         or (state = 'refused' and received_at < ${before(tx.now, KEPT.mails)})`),
  );
  return removed;
}

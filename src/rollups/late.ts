import { BUCKET_MS, isTimeZone, localDate, startOfDay } from '../core/period.ts';
import type { SystemTx } from '../db/db.ts';
import { sql } from '../db/sql.ts';
import type { BucketKey, ChangedBucket } from './recompute.ts';

const DAY_MS = 86_400_000;

/**
 * Records the buckets that changed after they were closed (rule 5), from which reports learn that they must be restated: those
 * of a local day of the client that is over, and those that had been told to be complete. `said`: through which moment the
 * rollups were complete before this change.
 */
export async function recordLate(tx: SystemTx, changed: readonly ChangedBucket[], said: Date | null): Promise<void> {
  const now = tx.now.getTime();
  // Most events fall into the bucket of this moment, which no zone has closed: they need no look at zones.
  const old = changed.filter((key) => key.bucket.getTime() + BUCKET_MS <= now);
  if (old.length === 0) return;
  const today = await startsOfToday(tx, old);
  const late = old.filter((key) => {
    const closed = today.get(key.client_id) ?? now - DAY_MS;
    return key.bucket.getTime() < closed || (said !== null && key.bucket.getTime() + BUCKET_MS <= said.getTime());
  });
  if (late.length === 0) return;
  await tx.run(sql`
    insert into rollup_late (partner_id, client_id, bucket, noticed_at, events)
    select l.partner_id, l.client_id, l.bucket, ${tx.now}, l.events
    from unnest(${late.map((key) => key.partner_id)}::uuid[], ${late.map((key) => key.client_id)}::uuid[],
                ${late.map((key) => key.bucket)}::timestamptz[], ${late.map((key) => key.events)}::bigint[])
      as l (partner_id, client_id, bucket, events)
    on conflict (partner_id, client_id, bucket, noticed_at) do update set events = rollup_late.events + excluded.events`);
}

/** When the day of `now` began in a zone. Null: nobody knows that zone. */
function startOf(now: Date, zone: string): number | null {
  return isTimeZone(zone) ? startOfDay(localDate(now, zone), zone).getTime() : null;
}

/** When the present day of each client began. A client that is gone has none, and so has one whose zone nobody knows. */
async function startsOfToday(tx: SystemTx, keys: readonly BucketKey[]): Promise<Map<string, number>> {
  const clients = await tx.rows<{ id: string; zone: string }>(sql`
    select c.id, c.time_zone as zone from clients c
    where c.partner_id = any(${[...new Set(keys.map((key) => key.partner_id))]}::uuid[])
      and c.id = any(${[...new Set(keys.map((key) => key.client_id))]}::uuid[])`);
  const starts = new Map<string, number | null>();
  const result = new Map<string, number>();
  for (const { id, zone } of clients) {
    const start = starts.get(zone) ?? startOf(tx.now, zone);
    starts.set(zone, start);
    if (start !== null) result.set(id, start);
  }
  return result;
}

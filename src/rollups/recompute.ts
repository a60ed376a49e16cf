import type { SystemTx } from '../db/db.ts';
import { sql } from '../db/sql.ts';

/** A 15-minute bucket of one client. */
export interface BucketKey {
  readonly partner_id: string;
  readonly client_id: string;
  readonly bucket: Date;
}

/** A bucket whose numbers have changed, by so many events. */
export interface ChangedBucket extends BucketKey {
  readonly events: number;
}

/** Which events are counted: those of transactions in `[from, to)`. */
export interface Counting {
  readonly from: string;
  readonly to: string;
  /** Added to what is there, instead of replacing it: only for buckets whose earlier events retention has dropped. */
  readonly add: boolean;
}

/** So many buckets a statement: a backlog of any size goes through in statements of bounded time. */
const KEYS_MAX = 1_000;
const BUCKET = 15 * 60_000;

/**
 * Counts buckets from the ledger. Counting anew, never adding, is what makes a repetition harmless (rule 3). The ledger only
 * grows, so a group that is there never has to go.
 */
export async function countBuckets(tx: SystemTx, keys: readonly BucketKey[], counting: Counting): Promise<void> {
  // In the order of time: the bounds of a slice then name the few partitions that it needs.
  const sorted = [...keys].sort((a, b) => a.bucket.getTime() - b.bucket.getTime());
  for (let at = 0; at < sorted.length; at += KEYS_MAX) {
    const slice = sliceOf(sorted.slice(at, at + KEYS_MAX));
    await countTraffic(tx, slice, counting);
    await countMailboxes(tx, slice, counting);
    await countSenders(tx, slice, counting);
    await countReasons(tx, slice, counting);
  }
}

interface Slice {
  readonly partners: readonly string[];
  readonly clients: readonly string[];
  readonly buckets: readonly Date[];
  readonly start: Date;
  readonly end: Date;
}

function sliceOf(keys: readonly BucketKey[]): Slice {
  const buckets = keys.map((key) => key.bucket);
  return {
    partners: keys.map((key) => key.partner_id),
    clients: keys.map((key) => key.client_id),
    buckets,
    start: buckets[0] ?? new Date(0),
    end: new Date((buckets.at(-1)?.getTime() ?? 0) + BUCKET),
  };
}

async function countTraffic(tx: SystemTx, slice: Slice, counting: Counting): Promise<void> {
  await tx.run(sql`
    insert into rollup_traffic as r (partner_id, client_id, bucket, domain, direction, kind, verdict, disposition, deliveries,
                                     messages, domain_messages, partner_messages, bytes, partner_bytes)
    select k.partner_id, k.client_id, k.bucket, e.domain, e.direction, e.kind, coalesce(e.verdict, ''),
           coalesce(e.disposition, ''), count(*), count(*) filter (where e.leads & 2 <> 0),
           count(*) filter (where e.leads & 4 <> 0), count(*) filter (where e.leads & 1 <> 0),
           coalesce(sum(e.bytes) filter (where e.leads & 2 <> 0), 0), coalesce(sum(e.bytes) filter (where e.leads & 1 <> 0), 0)
    from unnest(${slice.partners}::uuid[], ${slice.clients}::uuid[], ${slice.buckets}::timestamptz[])
      as k (partner_id, client_id, bucket)
    join ledger e on e.partner_id = k.partner_id and e.client_id = k.client_id
                 and e.occurred_at >= k.bucket and e.occurred_at < k.bucket + interval '15 minutes'
    where e.occurred_at >= ${slice.start} and e.occurred_at < ${slice.end}
      and e.xid >= ${counting.from}::xid8 and e.xid < ${counting.to}::xid8
    group by 1, 2, 3, 4, 5, 6, 7, 8
    on conflict (partner_id, client_id, bucket, domain, direction, kind, verdict, disposition) do update
    set deliveries = excluded.deliveries + case when ${counting.add} then r.deliveries else 0 end,
        messages = excluded.messages + case when ${counting.add} then r.messages else 0 end,
        domain_messages = excluded.domain_messages + case when ${counting.add} then r.domain_messages else 0 end,
        partner_messages = excluded.partner_messages + case when ${counting.add} then r.partner_messages else 0 end,
        bytes = excluded.bytes + case when ${counting.add} then r.bytes else 0 end,
        partner_bytes = excluded.partner_bytes + case when ${counting.add} then r.partner_bytes else 0 end`);
}

async function countMailboxes(tx: SystemTx, slice: Slice, counting: Counting): Promise<void> {
  await tx.run(sql`
    insert into rollup_mailboxes as r (partner_id, client_id, bucket, mailbox_id, direction, verdict, deliveries, messages, bytes)
    select k.partner_id, k.client_id, k.bucket, e.mailbox_id, e.direction, coalesce(e.verdict, ''), count(*),
           count(*) filter (where e.leads & 8 <> 0), coalesce(sum(e.bytes) filter (where e.leads & 8 <> 0), 0)
    from unnest(${slice.partners}::uuid[], ${slice.clients}::uuid[], ${slice.buckets}::timestamptz[])
      as k (partner_id, client_id, bucket)
    join ledger e on e.partner_id = k.partner_id and e.client_id = k.client_id
                 and e.occurred_at >= k.bucket and e.occurred_at < k.bucket + interval '15 minutes'
    where e.occurred_at >= ${slice.start} and e.occurred_at < ${slice.end}
      and e.xid >= ${counting.from}::xid8 and e.xid < ${counting.to}::xid8
      and e.kind in ('accepted', 'rejected') and e.mailbox_id is not null
    group by 1, 2, 3, 4, 5, 6
    on conflict (partner_id, client_id, bucket, mailbox_id, direction, verdict) do update
    set deliveries = excluded.deliveries + case when ${counting.add} then r.deliveries else 0 end,
        messages = excluded.messages + case when ${counting.add} then r.messages else 0 end,
        bytes = excluded.bytes + case when ${counting.add} then r.bytes else 0 end`);
}

async function countSenders(tx: SystemTx, slice: Slice, counting: Counting): Promise<void> {
  await tx.run(sql`
    insert into rollup_senders as r (partner_id, client_id, bucket, sender, direction, verdict, deliveries, messages, bytes)
    select k.partner_id, k.client_id, k.bucket, e.sender, e.direction, coalesce(e.verdict, ''), count(*),
           count(*) filter (where e.leads & 2 <> 0), coalesce(sum(e.bytes) filter (where e.leads & 2 <> 0), 0)
    from unnest(${slice.partners}::uuid[], ${slice.clients}::uuid[], ${slice.buckets}::timestamptz[])
      as k (partner_id, client_id, bucket)
    join ledger e on e.partner_id = k.partner_id and e.client_id = k.client_id
                 and e.occurred_at >= k.bucket and e.occurred_at < k.bucket + interval '15 minutes'
    where e.occurred_at >= ${slice.start} and e.occurred_at < ${slice.end}
      and e.xid >= ${counting.from}::xid8 and e.xid < ${counting.to}::xid8 and e.kind in ('accepted', 'rejected')
    group by 1, 2, 3, 4, 5, 6
    on conflict (partner_id, client_id, bucket, sender, direction, verdict) do update
    set deliveries = excluded.deliveries + case when ${counting.add} then r.deliveries else 0 end,
        messages = excluded.messages + case when ${counting.add} then r.messages else 0 end,
        bytes = excluded.bytes + case when ${counting.add} then r.bytes else 0 end`);
}

async function countReasons(tx: SystemTx, slice: Slice, counting: Counting): Promise<void> {
  await tx.run(sql`
    insert into rollup_reasons as r (partner_id, client_id, bucket, direction, reason, deliveries)
    select k.partner_id, k.client_id, k.bucket, e.direction, x.reason, count(*)
    from unnest(${slice.partners}::uuid[], ${slice.clients}::uuid[], ${slice.buckets}::timestamptz[])
      as k (partner_id, client_id, bucket)
    join ledger e on e.partner_id = k.partner_id and e.client_id = k.client_id
                 and e.occurred_at >= k.bucket and e.occurred_at < k.bucket + interval '15 minutes'
    cross join lateral (select distinct u.reason from unnest(e.reasons) as u (reason)) as x
    where e.occurred_at >= ${slice.start} and e.occurred_at < ${slice.end}
      and e.xid >= ${counting.from}::xid8 and e.xid < ${counting.to}::xid8
      and e.kind in ('accepted', 'rejected', 'refused')
    group by 1, 2, 3, 4, 5
    on conflict (partner_id, client_id, bucket, direction, reason) do update
    set deliveries = excluded.deliveries + case when ${counting.add} then r.deliveries else 0 end`);
}

/** The buckets that hold events of the transactions in `[from, to)`, and how many of them. */
export async function touchedBuckets(tx: SystemTx, from: string, to: string): Promise<ChangedBucket[]> {
  return tx.rows<ChangedBucket>(sql`
    select e.partner_id, e.client_id, date_bin('15 minutes', e.occurred_at, timestamptz '2000-01-01 00:00Z') as bucket,
           count(*) as events
    from ledger e where e.xid >= ${from}::xid8 and e.xid < ${to}::xid8
    group by 1, 2, 3`);
}

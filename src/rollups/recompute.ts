import type { SystemTx } from '../db/db.ts';
import { sql } from '../db/sql.ts';
import { mendFolds } from './fold.ts';
import { mendDimensions } from './mend-dimensions.ts';

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

/** A stretch of time, in whole buckets, and the transaction id below which events are counted. */
export interface Counting {
  readonly from: Date;
  readonly to: Date;
  readonly below: string;
}

export interface Recounted {
  /** Events of that time. */
  readonly events: number;
  /** Buckets that got another number, each with all the events that it has. */
  readonly changed: readonly ChangedBucket[];
}

/**
 * Counts a stretch of time anew from the ledger and writes what differs from the rollups, which is nothing when they are right.
 * For rebuilding and repair; the roller adds (absorb.ts).
 */
export async function recount(tx: SystemTx, counting: Counting): Promise<Recounted> {
  const mended = [
    ...(await mendTraffic(tx, counting)),
    ...(await mendMailboxes(tx, counting)),
    ...(await mendSenders(tx, counting)),
    ...(await mendReasons(tx, counting)),
    ...(await mendDimensions(tx, counting)),
    ...(await mendFolds(tx, counting)),
  ];
  const held = await heldBy(tx, counting);
  const keyOf = (key: BucketKey) => `${key.partner_id} ${key.client_id} ${key.bucket.getTime()}`;
  const events = new Map(held.map((bucket) => [keyOf(bucket), bucket.events]));
  return {
    events: held.reduce((sum, bucket) => sum + bucket.events, 0),
    changed: [...new Map(mended.map((key) => [keyOf(key), { ...key, events: events.get(keyOf(key)) ?? 0 }])).values()],
  };
}

/** The buckets of that time and how many events each has. Every event is in the traffic, once. */
async function heldBy(tx: SystemTx, { from, to }: Counting): Promise<ChangedBucket[]> {
  return tx.rows<ChangedBucket>(sql`
    select r.partner_id, r.client_id, r.bucket, sum(r.deliveries)::bigint as events
    from rollup_traffic r where r.bucket >= ${from} and r.bucket < ${to} group by 1, 2, 3`);
}

/** Both at once, the rows that are too many and those that are missing or wrong: a group is in one of the two only. */
async function mendTraffic(tx: SystemTx, { from, to, below }: Counting): Promise<BucketKey[]> {
  return tx.rows<BucketKey>(sql`
    with counted as materialized (
      select e.partner_id, e.client_id, date_bin('15 minutes', e.occurred_at, timestamptz '2000-01-01 00:00Z') as bucket,
             e.domain, e.direction, e.kind, coalesce(e.verdict, '') as verdict, coalesce(e.disposition, '') as disposition,
             count(*) as deliveries, count(*) filter (where e.leads & 2 <> 0) as messages,
             count(*) filter (where e.leads & 4 <> 0) as domain_messages,
             count(*) filter (where e.leads & 1 <> 0) as partner_messages,
             coalesce(sum(e.bytes) filter (where e.leads & 2 <> 0), 0)::bigint as bytes,
             coalesce(sum(e.bytes) filter (where e.leads & 1 <> 0), 0)::bigint as partner_bytes
      from ledger e where e.occurred_at >= ${from} and e.occurred_at < ${to} and e.xid < ${below}::xid8
      group by 1, 2, 3, 4, 5, 6, 7, 8),
    kept as materialized (select r.* from rollup_traffic r where r.bucket >= ${from} and r.bucket < ${to}),
    gone as (
      delete from rollup_traffic r
      using (select k.* from kept k left join counted c using (partner_id, client_id, bucket, domain, direction, kind, verdict, disposition)
             where c.partner_id is null) as g
      where r.partner_id = g.partner_id and r.client_id = g.client_id and r.bucket = g.bucket and r.domain = g.domain
        and r.direction = g.direction and r.kind = g.kind and r.verdict = g.verdict and r.disposition = g.disposition
      returning r.partner_id, r.client_id, r.bucket),
    mended as (
      insert into rollup_traffic as r (partner_id, client_id, bucket, domain, direction, kind, verdict, disposition, deliveries,
                                       messages, domain_messages, partner_messages, bytes, partner_bytes)
      select c.*
      from counted c left join kept k using (partner_id, client_id, bucket, domain, direction, kind, verdict, disposition)
      where (k.deliveries, k.messages, k.domain_messages, k.partner_messages, k.bytes, k.partner_bytes) is distinct from
            (c.deliveries, c.messages, c.domain_messages, c.partner_messages, c.bytes, c.partner_bytes)
      order by c.partner_id, c.client_id, c.bucket
      on conflict (partner_id, client_id, bucket, domain, direction, kind, verdict, disposition) do update
      set deliveries = excluded.deliveries, messages = excluded.messages, domain_messages = excluded.domain_messages,
          partner_messages = excluded.partner_messages, bytes = excluded.bytes, partner_bytes = excluded.partner_bytes
      returning r.partner_id, r.client_id, r.bucket)
    select partner_id, client_id, bucket from gone union select partner_id, client_id, bucket from mended`);
}

async function mendMailboxes(tx: SystemTx, { from, to, below }: Counting): Promise<BucketKey[]> {
  return tx.rows<BucketKey>(sql`
    with counted as materialized (
      select e.partner_id, e.client_id, date_bin('15 minutes', e.occurred_at, timestamptz '2000-01-01 00:00Z') as bucket,
             e.mailbox_id, e.direction, coalesce(e.verdict, '') as verdict, count(*) as deliveries,
             count(*) filter (where e.leads & 8 <> 0) as messages,
             coalesce(sum(e.bytes) filter (where e.leads & 8 <> 0), 0)::bigint as bytes
      from ledger e
      where e.occurred_at >= ${from} and e.occurred_at < ${to} and e.xid < ${below}::xid8
        and e.kind in ('accepted', 'rejected') and e.mailbox_id is not null
      group by 1, 2, 3, 4, 5, 6),
    kept as materialized (select r.* from rollup_mailboxes r where r.bucket >= ${from} and r.bucket < ${to}),
    gone as (
      delete from rollup_mailboxes r
      using (select k.* from kept k left join counted c using (partner_id, client_id, bucket, mailbox_id, direction, verdict)
             where c.partner_id is null) as g
      where r.partner_id = g.partner_id and r.client_id = g.client_id and r.bucket = g.bucket and r.mailbox_id = g.mailbox_id
        and r.direction = g.direction and r.verdict = g.verdict
      returning r.partner_id, r.client_id, r.bucket),
    mended as (
      insert into rollup_mailboxes as r (partner_id, client_id, bucket, mailbox_id, direction, verdict, deliveries, messages, bytes)
      select c.*
      from counted c left join kept k using (partner_id, client_id, bucket, mailbox_id, direction, verdict)
      where (k.deliveries, k.messages, k.bytes) is distinct from (c.deliveries, c.messages, c.bytes)
      order by c.partner_id, c.client_id, c.bucket
      on conflict (partner_id, client_id, bucket, mailbox_id, direction, verdict) do update
      set deliveries = excluded.deliveries, messages = excluded.messages, bytes = excluded.bytes
      returning r.partner_id, r.client_id, r.bucket)
    select partner_id, client_id, bucket from gone union select partner_id, client_id, bucket from mended`);
}

/** Without the days that are folded: those are mended whole (fold.ts). */
async function mendSenders(tx: SystemTx, { from, to, below }: Counting): Promise<BucketKey[]> {
  return tx.rows<BucketKey>(sql`
    with counted as materialized (
      select e.partner_id, e.client_id, date_bin('15 minutes', e.occurred_at, timestamptz '2000-01-01 00:00Z') as bucket,
             e.sender, e.direction, coalesce(e.verdict, '') as verdict, count(*) as deliveries,
             count(*) filter (where e.leads & 2 <> 0) as messages,
             coalesce(sum(e.bytes) filter (where e.leads & 2 <> 0), 0)::bigint as bytes
      from ledger e
      where e.occurred_at >= ${from} and e.occurred_at < ${to} and e.xid < ${below}::xid8 and e.kind in ('accepted', 'rejected')
        and not exists (select from rollup_folds f
                        where f.partner_id = e.partner_id and f.client_id = e.client_id and f.dimension = 'sender'
                          and f.direction = e.direction and f.starts <= e.occurred_at and f.ends > e.occurred_at
                          and f.starts < ${to} and f.ends > ${from} and f.starts > ${from}::timestamptz - interval '3 days')
      group by 1, 2, 3, 4, 5, 6),
    kept as materialized (select r.* from rollup_senders r where r.bucket >= ${from} and r.bucket < ${to}),
    gone as (
      delete from rollup_senders r
      using (select k.* from kept k left join counted c using (partner_id, client_id, bucket, sender, direction, verdict)
             where c.partner_id is null) as g
      where r.partner_id = g.partner_id and r.client_id = g.client_id and r.bucket = g.bucket and r.sender = g.sender
        and r.direction = g.direction and r.verdict = g.verdict
      returning r.partner_id, r.client_id, r.bucket),
    mended as (
      insert into rollup_senders as r (partner_id, client_id, bucket, sender, direction, verdict, deliveries, messages, bytes)
      select c.*
      from counted c left join kept k using (partner_id, client_id, bucket, sender, direction, verdict)
      where (k.deliveries, k.messages, k.bytes) is distinct from (c.deliveries, c.messages, c.bytes)
      order by c.partner_id, c.client_id, c.bucket
      on conflict (partner_id, client_id, bucket, sender, direction, verdict) do update
      set deliveries = excluded.deliveries, messages = excluded.messages, bytes = excluded.bytes
      returning r.partner_id, r.client_id, r.bucket)
    select partner_id, client_id, bucket from gone union select partner_id, client_id, bucket from mended`);
}

async function mendReasons(tx: SystemTx, { from, to, below }: Counting): Promise<BucketKey[]> {
  return tx.rows<BucketKey>(sql`
    with counted as materialized (
      select e.partner_id, e.client_id, date_bin('15 minutes', e.occurred_at, timestamptz '2000-01-01 00:00Z') as bucket,
             e.direction, x.reason, count(*) as deliveries
      from ledger e cross join lateral (select distinct u.reason from unnest(e.reasons) as u (reason)) as x
      where e.occurred_at >= ${from} and e.occurred_at < ${to} and e.xid < ${below}::xid8
        and e.kind in ('accepted', 'rejected', 'refused')
      group by 1, 2, 3, 4, 5),
    kept as materialized (select r.* from rollup_reasons r where r.bucket >= ${from} and r.bucket < ${to}),
    gone as (
      delete from rollup_reasons r
      using (select k.* from kept k left join counted c using (partner_id, client_id, bucket, direction, reason)
             where c.partner_id is null) as g
      where r.partner_id = g.partner_id and r.client_id = g.client_id and r.bucket = g.bucket and r.direction = g.direction
        and r.reason = g.reason
      returning r.partner_id, r.client_id, r.bucket),
    mended as (
      insert into rollup_reasons as r (partner_id, client_id, bucket, direction, reason, deliveries)
      select c.* from counted c left join kept k using (partner_id, client_id, bucket, direction, reason)
      where k.deliveries is distinct from c.deliveries
      order by c.partner_id, c.client_id, c.bucket
      on conflict (partner_id, client_id, bucket, direction, reason) do update set deliveries = excluded.deliveries
      returning r.partner_id, r.client_id, r.bucket)
    select partner_id, client_id, bucket from gone union select partner_id, client_id, bucket from mended`);
}

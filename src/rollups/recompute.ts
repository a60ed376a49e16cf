import type { SystemTx } from '../db/db.ts';
import { sql } from '../db/sql.ts';

/** A 15-minute bucket of one client. */
export interface BucketKey {
  readonly partner_id: string;
  readonly client_id: string;
  readonly bucket: Date;
}

/**
 * Counts buckets anew from the ledger, taking only rows of transactions below `horizon`. Counting anew, never adding, is what
 * makes a repetition harmless (rule 3). The ledger only grows, so a group that is there never has to go.
 */
export async function recomputeBuckets(tx: SystemTx, keys: readonly BucketKey[], horizon: string): Promise<void> {
  if (keys.length === 0) return;
  const columns: KeyColumns = [
    keys.map((key) => key.partner_id),
    keys.map((key) => key.client_id),
    keys.map((key) => key.bucket),
  ];
  await recomputeTraffic(tx, columns, horizon);
  await recomputeMailboxes(tx, columns, horizon);
  await recomputeSenders(tx, columns, horizon);
  await recomputeReasons(tx, columns, horizon);
}

type KeyColumns = readonly [partners: readonly string[], clients: readonly string[], buckets: readonly Date[]];

async function recomputeTraffic(
  tx: SystemTx,
  [partners, clients, buckets]: KeyColumns,
  horizon: string,
): Promise<void> {
  await tx.run(sql`
    insert into rollup_traffic as r (partner_id, client_id, bucket, domain, direction, kind, verdict, disposition, deliveries,
                                     messages, domain_messages, partner_messages, bytes, partner_bytes)
    select k.partner_id, k.client_id, k.bucket, e.domain, e.direction, e.kind, coalesce(e.verdict, ''),
           coalesce(e.disposition, ''), count(*), count(*) filter (where e.leads & 2 <> 0),
           count(*) filter (where e.leads & 4 <> 0), count(*) filter (where e.leads & 1 <> 0),
           coalesce(sum(e.bytes) filter (where e.leads & 2 <> 0), 0), coalesce(sum(e.bytes) filter (where e.leads & 1 <> 0), 0)
    from unnest(${partners}::uuid[], ${clients}::uuid[], ${buckets}::timestamptz[]) as k (partner_id, client_id, bucket)
    join ledger e on e.partner_id = k.partner_id and e.client_id = k.client_id
                 and e.occurred_at >= k.bucket and e.occurred_at < k.bucket + interval '15 minutes'
    where e.xid < ${horizon}::xid8
    group by 1, 2, 3, 4, 5, 6, 7, 8
    on conflict (partner_id, client_id, bucket, domain, direction, kind, verdict, disposition) do update
    set deliveries = excluded.deliveries, messages = excluded.messages, domain_messages = excluded.domain_messages,
        partner_messages = excluded.partner_messages, bytes = excluded.bytes, partner_bytes = excluded.partner_bytes`);
}

async function recomputeMailboxes(
  tx: SystemTx,
  [partners, clients, buckets]: KeyColumns,
  horizon: string,
): Promise<void> {
  await tx.run(sql`
    insert into rollup_mailboxes as r (partner_id, client_id, bucket, mailbox_id, direction, verdict, deliveries, messages, bytes)
    select k.partner_id, k.client_id, k.bucket, e.mailbox_id, e.direction, e.verdict, count(*),
           count(*) filter (where e.leads & 8 <> 0), coalesce(sum(e.bytes) filter (where e.leads & 8 <> 0), 0)
    from unnest(${partners}::uuid[], ${clients}::uuid[], ${buckets}::timestamptz[]) as k (partner_id, client_id, bucket)
    join ledger e on e.partner_id = k.partner_id and e.client_id = k.client_id
                 and e.occurred_at >= k.bucket and e.occurred_at < k.bucket + interval '15 minutes'
    where e.xid < ${horizon}::xid8 and e.kind in ('accepted', 'rejected') and e.mailbox_id is not null
    group by 1, 2, 3, 4, 5, 6
    on conflict (partner_id, client_id, bucket, mailbox_id, direction, verdict) do update
    set deliveries = excluded.deliveries, messages = excluded.messages, bytes = excluded.bytes`);
}

async function recomputeSenders(
  tx: SystemTx,
  [partners, clients, buckets]: KeyColumns,
  horizon: string,
): Promise<void> {
  await tx.run(sql`
    insert into rollup_senders as r (partner_id, client_id, bucket, sender, direction, verdict, deliveries, messages, bytes)
    select k.partner_id, k.client_id, k.bucket, e.sender, e.direction, e.verdict, count(*),
           count(*) filter (where e.leads & 2 <> 0), coalesce(sum(e.bytes) filter (where e.leads & 2 <> 0), 0)
    from unnest(${partners}::uuid[], ${clients}::uuid[], ${buckets}::timestamptz[]) as k (partner_id, client_id, bucket)
    join ledger e on e.partner_id = k.partner_id and e.client_id = k.client_id
                 and e.occurred_at >= k.bucket and e.occurred_at < k.bucket + interval '15 minutes'
    where e.xid < ${horizon}::xid8 and e.kind in ('accepted', 'rejected')
    group by 1, 2, 3, 4, 5, 6
    on conflict (partner_id, client_id, bucket, sender, direction, verdict) do update
    set deliveries = excluded.deliveries, messages = excluded.messages, bytes = excluded.bytes`);
}

async function recomputeReasons(
  tx: SystemTx,
  [partners, clients, buckets]: KeyColumns,
  horizon: string,
): Promise<void> {
  await tx.run(sql`
    insert into rollup_reasons as r (partner_id, client_id, bucket, direction, reason, deliveries)
    select k.partner_id, k.client_id, k.bucket, e.direction, x.reason, count(*)
    from unnest(${partners}::uuid[], ${clients}::uuid[], ${buckets}::timestamptz[]) as k (partner_id, client_id, bucket)
    join ledger e on e.partner_id = k.partner_id and e.client_id = k.client_id
                 and e.occurred_at >= k.bucket and e.occurred_at < k.bucket + interval '15 minutes'
    cross join lateral (select distinct r.reason from unnest(e.reasons) as r (reason)) as x
    where e.xid < ${horizon}::xid8 and e.kind in ('accepted', 'rejected', 'refused')
    group by 1, 2, 3, 4, 5
    on conflict (partner_id, client_id, bucket, direction, reason) do update set deliveries = excluded.deliveries`);
}

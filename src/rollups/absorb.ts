import type { SystemTx } from '../db/db.ts';
import { sql } from '../db/sql.ts';
import type { ChangedBucket } from './recompute.ts';
import { datesAround, zoneTable } from './zones.ts';

/**
 * So many events a round at most, but for the rest of the last one's transaction: a backlog is taken in transactions of
 * well under a second each.
 */
export const SLICE_EVENTS = 20_000;

/** The events of the transactions in `[from, to)`. */
export interface Slice {
  readonly from: string;
  readonly to: string;
  /** The UTC days in which the events lie, as their first moments. */
  readonly days: readonly Date[];
  /** Whether there is more between `to` and the horizon. */
  readonly behind: boolean;
}

interface Look {
  readonly events: number;
  readonly first: string | null;
  readonly last: string | null;
  readonly days: readonly Date[] | null;
}

/** The next slice between cursor and horizon. Null: there is no event. */
export async function nextSlice(
  tx: SystemTx,
  cursor: string,
  horizon: string,
  events = SLICE_EVENTS,
): Promise<Slice | null> {
  // One more than a slice holds tells whether there is more.
  const seen = await look(tx, cursor, horizon, events + 1);
  if (seen.first === null || seen.last === null) return null;
  if (seen.events <= events) return { from: cursor, to: horizon, days: seen.days ?? [], behind: false };
  // A transaction is taken whole or not at all: up to the last one, or that one alone when it is all there is.
  if (seen.first !== seen.last) return { from: cursor, to: seen.last, days: seen.days ?? [], behind: true };
  const after = String(BigInt(seen.last) + 1n);
  const whole = await look(tx, seen.first, after, null);
  return { from: cursor, to: after, days: whole.days ?? [], behind: true };
}

function look(tx: SystemTx, from: string, to: string, limit: number | null): Promise<Look> {
  return tx.one<Look>(sql`
    select count(*) as events, min(e.xid)::text as first, max(e.xid)::text as last,
           array_agg(distinct date_bin('1 day', e.occurred_at, timestamptz '2000-01-01 00:00Z')) as days
    from (select l.xid, l.occurred_at from ledger l where l.xid >= ${from}::xid8 and l.xid < ${to}::xid8
          order by l.xid limit ${limit}::bigint) as e`);
}

/** What of a slice is taken. */
export interface Absorbing {
  /** Events before this moment only; null: all. */
  readonly before: Date | null;
}

/**
 * Adds the events of a slice to every rollup and every tier, in one statement over one reading of the ledger, and answers with
 * the buckets that they touched. Adding is exact because the cursor moves past the slice in the same transaction, and an event
 * is one row of the ledger whatever was repeated (docs/adr/0005-adding-at-the-cursor.md).
 */
export async function absorb(
  tx: SystemTx,
  slice: Slice,
  { before }: Absorbing = { before: null },
): Promise<ChangedBucket[]> {
  const known = await tx.rows<{ zone: string }>(sql`select distinct z.time_zone as zone from rollup_zones z`);
  const zones = zoneTable(
    known.map((row) => row.zone),
    datesAround(slice.days),
  );
  return tx.rows<ChangedBucket>(sql`
    with slice as materialized (
      select e.partner_id, e.client_id, date_bin('15 minutes', e.occurred_at, timestamptz '2000-01-01 00:00Z') as bucket,
             e.domain, e.direction, e.kind, coalesce(e.verdict, '') as verdict, coalesce(e.disposition, '') as disposition,
             e.mailbox_id, e.sender, e.reasons, e.bytes, e.leads
      from ledger e
      where e.xid >= ${slice.from}::xid8 and e.xid < ${slice.to}::xid8
        and (${before}::timestamptz is null or e.occurred_at < ${before}::timestamptz)),
    groups as materialized (
      select s.partner_id, s.client_id, s.bucket, s.domain, s.direction, s.kind, s.verdict, s.disposition,
             count(*) as deliveries, count(*) filter (where s.leads & 2 <> 0) as messages,
             count(*) filter (where s.leads & 4 <> 0) as domain_messages,
             count(*) filter (where s.leads & 1 <> 0) as partner_messages,
             coalesce(sum(s.bytes) filter (where s.leads & 2 <> 0), 0)::bigint as bytes,
             coalesce(sum(s.bytes) filter (where s.leads & 1 <> 0), 0)::bigint as partner_bytes
      from slice s group by 1, 2, 3, 4, 5, 6, 7, 8),
    traffic as (
      insert into rollup_traffic as r (partner_id, client_id, bucket, domain, direction, kind, verdict, disposition, deliveries,
                                       messages, domain_messages, partner_messages, bytes, partner_bytes)
      select * from groups g order by g.partner_id, g.client_id, g.bucket
      on conflict (partner_id, client_id, bucket, domain, direction, kind, verdict, disposition) do update
      set deliveries = r.deliveries + excluded.deliveries, messages = r.messages + excluded.messages,
          domain_messages = r.domain_messages + excluded.domain_messages,
          partner_messages = r.partner_messages + excluded.partner_messages,
          bytes = r.bytes + excluded.bytes, partner_bytes = r.partner_bytes + excluded.partner_bytes),
    mailboxes as (
      insert into rollup_mailboxes as r (partner_id, client_id, bucket, mailbox_id, direction, verdict, deliveries, messages, bytes)
      select s.partner_id, s.client_id, s.bucket, s.mailbox_id, s.direction, s.verdict, count(*),
             count(*) filter (where s.leads & 8 <> 0), coalesce(sum(s.bytes) filter (where s.leads & 8 <> 0), 0)
      from slice s where s.kind in ('accepted', 'rejected') and s.mailbox_id is not null
      group by 1, 2, 3, 4, 5, 6 order by 1, 2, 3, 4
      on conflict (partner_id, client_id, bucket, mailbox_id, direction, verdict) do update
      set deliveries = r.deliveries + excluded.deliveries, messages = r.messages + excluded.messages,
          bytes = r.bytes + excluded.bytes),
    senders as (
      insert into rollup_senders as r (partner_id, client_id, bucket, sender, direction, verdict, deliveries, messages, bytes)
      select s.partner_id, s.client_id, s.bucket, s.sender, s.direction, s.verdict, count(*),
             count(*) filter (where s.leads & 2 <> 0), coalesce(sum(s.bytes) filter (where s.leads & 2 <> 0), 0)
      from slice s where s.kind in ('accepted', 'rejected')
      group by 1, 2, 3, 4, 5, 6 order by 1, 2, 3
      on conflict (partner_id, client_id, bucket, sender, direction, verdict) do update
      set deliveries = r.deliveries + excluded.deliveries, messages = r.messages + excluded.messages,
          bytes = r.bytes + excluded.bytes),
    reasons as (
      insert into rollup_reasons as r (partner_id, client_id, bucket, direction, reason, deliveries)
      select s.partner_id, s.client_id, s.bucket, s.direction, x.reason, count(*)
      from slice s cross join lateral (select distinct u.reason from unnest(s.reasons) as u (reason)) as x
      where s.kind in ('accepted', 'rejected', 'refused')
      group by 1, 2, 3, 4, 5 order by 1, 2, 3
      on conflict (partner_id, client_id, bucket, direction, reason) do update
      set deliveries = r.deliveries + excluded.deliveries),
    zones as materialized (
      select z.zone, z.starts::timestamptz[] as starts, z.days::date[] as days
      from unnest(${zones.zones}::text[], ${zones.starts}::text[], ${zones.days}::text[]) as z (zone, starts, days)),
    counted as materialized (
      select g.partner_id, z.days[width_bucket(g.bucket, z.starts)] as day, g.client_id, g.direction,
             coalesce(sum(g.messages) filter (where g.kind in ('accepted', 'rejected')), 0) as messages,
             coalesce(sum(g.partner_messages) filter (where g.kind in ('accepted', 'rejected')), 0) as partner_messages,
             coalesce(sum(g.deliveries) filter (where g.kind in ('accepted', 'rejected')), 0) as deliveries,
             coalesce(sum(g.deliveries) filter (where g.kind = 'refused'), 0) as refused,
             coalesce(sum(g.bytes) filter (where g.kind in ('accepted', 'rejected')), 0) as bytes,
             coalesce(sum(g.partner_bytes) filter (where g.kind in ('accepted', 'rejected')), 0) as partner_bytes,
             coalesce(sum(g.deliveries) filter (where g.kind in ('accepted', 'rejected') and g.verdict = 'clean'), 0) as verdict_clean,
             coalesce(sum(g.deliveries) filter (where g.kind in ('accepted', 'rejected') and g.verdict = 'bulk'), 0) as verdict_bulk,
             coalesce(sum(g.deliveries) filter (where g.kind in ('accepted', 'rejected') and g.verdict = 'spam'), 0) as verdict_spam,
             coalesce(sum(g.deliveries) filter (where g.kind in ('accepted', 'rejected') and g.verdict = 'spoof'), 0) as verdict_spoof,
             coalesce(sum(g.deliveries) filter (where g.kind in ('accepted', 'rejected') and g.verdict = 'phish'), 0) as verdict_phish,
             coalesce(sum(g.deliveries) filter (where g.kind in ('accepted', 'rejected') and g.verdict = 'policy'), 0) as verdict_policy,
             coalesce(sum(g.deliveries) filter (where g.kind in ('accepted', 'rejected') and g.verdict = 'unscannable'), 0)
               as verdict_unscannable,
             coalesce(sum(g.deliveries) filter (where g.kind in ('accepted', 'rejected') and g.verdict = 'malware'), 0)
               as verdict_malware,
             coalesce(sum(g.deliveries) filter (where g.ends and g.disposition = 'queued'), 0) as ended_queued,
             coalesce(sum(g.deliveries) filter (where g.ends and g.disposition = 'deferred'), 0) as ended_deferred,
             coalesce(sum(g.deliveries) filter (where g.ends and g.disposition = 'delivered'), 0) as ended_delivered,
             coalesce(sum(g.deliveries) filter (where g.ends and g.disposition = 'tagged'), 0) as ended_tagged,
             coalesce(sum(g.deliveries) filter (where g.ends and g.disposition = 'stripped'), 0) as ended_stripped,
             coalesce(sum(g.deliveries) filter (where g.ends and g.disposition = 'quarantined'), 0) as ended_quarantined,
             coalesce(sum(g.deliveries) filter (where g.ends and g.disposition = 'rejected'), 0) as ended_rejected,
             coalesce(sum(g.deliveries) filter (where g.ends and g.disposition = 'bounced'), 0) as ended_bounced,
             coalesce(sum(g.deliveries) filter (where g.ends and g.disposition = 'expired'), 0) as ended_expired,
             coalesce(sum(g.deliveries) filter (where g.ends and g.disposition = 'discarded'), 0) as ended_discarded,
             coalesce(sum(g.deliveries) filter (where g.ends and g.disposition = 'released'), 0) as ended_released
      from (select d.*, d.kind in ('rejected', 'quarantined', 'delivered', 'bounced', 'expired', 'discarded') as ends
            from groups d) as g
      join rollup_zones c on c.partner_id = g.partner_id and c.client_id = g.client_id
      join zones z on z.zone = c.time_zone
      group by 1, 2, 3, 4),
    days as (
      insert into rollup_days as r
      select * from counted n where n.day is not null order by n.partner_id, n.day, n.client_id
      on conflict (partner_id, day, client_id, direction) do update
      set messages = r.messages + excluded.messages, partner_messages = r.partner_messages + excluded.partner_messages,
          deliveries = r.deliveries + excluded.deliveries, refused = r.refused + excluded.refused,
          bytes = r.bytes + excluded.bytes, partner_bytes = r.partner_bytes + excluded.partner_bytes,
          verdict_clean = r.verdict_clean + excluded.verdict_clean, verdict_bulk = r.verdict_bulk + excluded.verdict_bulk,
          verdict_spam = r.verdict_spam + excluded.verdict_spam, verdict_spoof = r.verdict_spoof + excluded.verdict_spoof,
          verdict_phish = r.verdict_phish + excluded.verdict_phish, verdict_policy = r.verdict_policy + excluded.verdict_policy,
          verdict_unscannable = r.verdict_unscannable + excluded.verdict_unscannable,
          verdict_malware = r.verdict_malware + excluded.verdict_malware,
          ended_queued = r.ended_queued + excluded.ended_queued, ended_deferred = r.ended_deferred + excluded.ended_deferred,
          ended_delivered = r.ended_delivered + excluded.ended_delivered, ended_tagged = r.ended_tagged + excluded.ended_tagged,
          ended_stripped = r.ended_stripped + excluded.ended_stripped,
          ended_quarantined = r.ended_quarantined + excluded.ended_quarantined,
          ended_rejected = r.ended_rejected + excluded.ended_rejected, ended_bounced = r.ended_bounced + excluded.ended_bounced,
          ended_expired = r.ended_expired + excluded.ended_expired, ended_discarded = r.ended_discarded + excluded.ended_discarded,
          ended_released = r.ended_released + excluded.ended_released),
    months as (
      insert into rollup_months as r
      select n.partner_id, date_trunc('month', n.day::timestamp)::date as month, n.client_id, n.direction, sum(n.messages),
             sum(n.partner_messages), sum(n.deliveries), sum(n.refused), sum(n.bytes), sum(n.partner_bytes), sum(n.verdict_clean),
             sum(n.verdict_bulk), sum(n.verdict_spam), sum(n.verdict_spoof), sum(n.verdict_phish), sum(n.verdict_policy),
             sum(n.verdict_unscannable), sum(n.verdict_malware), sum(n.ended_queued), sum(n.ended_deferred), sum(n.ended_delivered),
             sum(n.ended_tagged), sum(n.ended_stripped), sum(n.ended_quarantined), sum(n.ended_rejected), sum(n.ended_bounced),
             sum(n.ended_expired), sum(n.ended_discarded), sum(n.ended_released)
      from counted n where n.day is not null group by 1, 2, 3, 4 order by 1, 2, 3
      on conflict (partner_id, day, client_id, direction) do update
      set messages = r.messages + excluded.messages, partner_messages = r.partner_messages + excluded.partner_messages,
          deliveries = r.deliveries + excluded.deliveries, refused = r.refused + excluded.refused,
          bytes = r.bytes + excluded.bytes, partner_bytes = r.partner_bytes + excluded.partner_bytes,
          verdict_clean = r.verdict_clean + excluded.verdict_clean, verdict_bulk = r.verdict_bulk + excluded.verdict_bulk,
          verdict_spam = r.verdict_spam + excluded.verdict_spam, verdict_spoof = r.verdict_spoof + excluded.verdict_spoof,
          verdict_phish = r.verdict_phish + excluded.verdict_phish, verdict_policy = r.verdict_policy + excluded.verdict_policy,
          verdict_unscannable = r.verdict_unscannable + excluded.verdict_unscannable,
          verdict_malware = r.verdict_malware + excluded.verdict_malware,
          ended_queued = r.ended_queued + excluded.ended_queued, ended_deferred = r.ended_deferred + excluded.ended_deferred,
          ended_delivered = r.ended_delivered + excluded.ended_delivered, ended_tagged = r.ended_tagged + excluded.ended_tagged,
          ended_stripped = r.ended_stripped + excluded.ended_stripped,
          ended_quarantined = r.ended_quarantined + excluded.ended_quarantined,
          ended_rejected = r.ended_rejected + excluded.ended_rejected, ended_bounced = r.ended_bounced + excluded.ended_bounced,
          ended_expired = r.ended_expired + excluded.ended_expired, ended_discarded = r.ended_discarded + excluded.ended_discarded,
          ended_released = r.ended_released + excluded.ended_released)
    select g.partner_id, g.client_id, g.bucket, sum(g.deliveries)::bigint as events from groups g group by 1, 2, 3`);
}

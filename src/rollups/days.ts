import { addDays, isTimeZone, localDate } from '../core/period.ts';
import type { SystemTx } from '../db/db.ts';
import { sql } from '../db/sql.ts';
import type { ChangedBucket } from './recompute.ts';
import { datesAround, zoneTable } from './zones.ts';

/** A client and the zone in which its days are counted. */
export interface ZoneKey {
  readonly partner_id: string;
  readonly client_id: string;
  readonly zone: string;
}

/** So many local days a statement: some million quarter hours at most, of a thousand clients too. */
const DATES_MAX = 7;
/** Of more clients than these it is quicker to ask for the days of all. */
const FEW = 50;
/** So many months a statement: some hundred thousand days at most. */
const MONTHS_MAX = 12;

/**
 * Makes the zones of the tiers those of the clients: a new client gets one, and of a client whose zone has changed, or that has
 * traffic from before there were tiers, all days and months are counted anew from the quarter hours. At most `limit` clients;
 * null: all. Until then readers take such a client's numbers from the quarter hours. Answers with those clients.
 */
export async function syncZones(tx: SystemTx, limit: number | null): Promise<ZoneKey[]> {
  const rows = await tx.rows<ZoneKey>(sql`
    select c.partner_id, c.id as client_id, c.time_zone as zone
    from clients c left join rollup_zones z on z.partner_id = c.partner_id and z.client_id = c.id
    where z.time_zone is distinct from c.time_zone`);
  // Bounded after the zones that nobody knows are left out: they stay, and must not take the places of others.
  const changed = rows.filter((row) => isTimeZone(row.zone)).slice(0, limit ?? rows.length);
  if (changed.length === 0) return [];
  await tx.run(sql`
    insert into rollup_zones (partner_id, client_id, time_zone)
    select k.partner_id, k.client_id, k.zone
    from unnest(${changed.map((key) => key.partner_id)}::uuid[], ${changed.map((key) => key.client_id)}::uuid[],
                ${changed.map((key) => key.zone)}::text[]) as k (partner_id, client_id, zone)
    on conflict (partner_id, client_id) do update set time_zone = excluded.time_zone`);
  await mend(tx, changed, changed.length > FEW ? await allDates(tx) : await datesOf(tx, changed));
  return changed;
}

/**
 * Fills days and months of all clients from the quarter hours, for whoever has written those without the roller (a seed). `range`:
 * only the local days that reach into it; without it all. What is right already is left as it is.
 */
export async function fillDays(tx: SystemTx, range?: { readonly from: Date; readonly to: Date }): Promise<void> {
  await syncZones(tx, null);
  const keys = await zoneKeys(tx);
  await mend(tx, keys, range === undefined ? await allDates(tx) : datesWithin(range.from, range.to));
}

/**
 * Counts all days and months anew from the quarter hours and writes what differs. Answers with the first moment of each day that
 * got other numbers.
 */
export async function mendDays(tx: SystemTx): Promise<ChangedBucket[]> {
  return mend(tx, await zoneKeys(tx), await allDates(tx));
}

/** All clients that have days. */
export function zoneKeys(tx: SystemTx): Promise<ZoneKey[]> {
  return tx.rows<ZoneKey>(sql`select z.partner_id, z.client_id, z.time_zone as zone from rollup_zones z`);
}

/** The local days, in order, that reach into this time anywhere on earth. */
function datesWithin(from: Date, to: Date): string[] {
  const first = addDays(localDate(from, 'UTC'), -1);
  const last = addDays(localDate(to, 'UTC'), 1);
  const dates: string[] = [];
  for (let date = first; date <= last; date = addDays(date, 1)) dates.push(date);
  return dates;
}

/** The local days of which these clients have quarter hours or days; `range`: of the time that reaches into it alone. */
export async function datesOf(tx: SystemTx, keys: readonly ZoneKey[], range: Stretch = ALL): Promise<string[]> {
  const rows = await tx.rows<{ day: Date }>(sql`
    with keys as materialized (
      select k.partner_id, k.client_id
      from unnest(${keys.map((key) => key.partner_id)}::uuid[], ${keys.map((key) => key.client_id)}::uuid[])
        as k (partner_id, client_id))
    select date_bin('1 day', r.bucket, timestamptz '2000-01-01 00:00Z') as day
    from rollup_traffic r join keys k using (partner_id, client_id)
    where r.bucket >= coalesce(${range.from}::timestamptz, '-infinity') and r.bucket < coalesce(${range.to}::timestamptz, 'infinity')
    group by 1
    union
    select r.day::timestamp at time zone 'UTC' from rollup_days r join keys k using (partner_id, client_id) group by 1`);
  return datesWithinReach(rows, range);
}

/**
 * The local days of which any client has quarter hours or rows in a tier. The quarter hours are gone through without a look at
 * whose they are, which PostgreSQL does many times faster; rows that no quarter hour stands behind are found by the tiers.
 */
export async function allDates(tx: SystemTx, range: Stretch = ALL): Promise<string[]> {
  const quarterHours = await tx.rows<{ day: Date }>(sql`
    select date_bin('1 day', r.bucket, timestamptz '2000-01-01 00:00Z') as day from rollup_traffic r
    where r.bucket >= coalesce(${range.from}::timestamptz, '-infinity') and r.bucket < coalesce(${range.to}::timestamptz, 'infinity')
    group by 1`);
  const tiers = await tx.rows<{ day: Date }>(sql`
    with recursive of_mailboxes as (
      select p.id as partner_id, (select min(r.day) from rollup_mailbox_days r where r.partner_id = p.id) as day from partners p
      union all
      select o.partner_id, (select min(r.day) from rollup_mailbox_days r where r.partner_id = o.partner_id and r.day > o.day)
      from of_mailboxes o where o.day is not null)
    select x.day::timestamp at time zone 'UTC' as day
    from (select r.day from rollup_days r group by 1 union select r.day from rollup_months r group by 1
          union select o.day from of_mailboxes o where o.day is not null) as x`);
  return datesWithinReach([...quarterHours, ...tiers], range);
}

/** A time, in moments; null: without an end. */
interface Stretch {
  readonly from: Date | null;
  readonly to: Date | null;
}

const ALL: Stretch = { from: null, to: null };

function datesWithinReach(rows: readonly { readonly day: Date }[], { from, to }: Stretch): string[] {
  const first = from === null ? '' : addDays(localDate(from, 'UTC'), -1);
  const last = to === null ? '9999' : addDays(localDate(to, 'UTC'), 1);
  return datesAround(rows.map((row) => row.day)).filter((date) => date >= first && date <= last);
}

async function mend(tx: SystemTx, keys: readonly ZoneKey[], dates: readonly string[]): Promise<ChangedBucket[]> {
  const changed: ChangedBucket[] = [];
  for (let at = 0; at < dates.length; at += DATES_MAX) {
    changed.push(...(await mendSome(tx, keys, dates.slice(at, at + DATES_MAX))));
  }
  const months = [...new Set(dates.map((date) => `${date.slice(0, 7)}-01`))];
  for (let at = 0; at < months.length; at += MONTHS_MAX) {
    await mendMonths(tx, keys, months.slice(at, at + MONTHS_MAX));
  }
  return changed;
}

async function mendSome(tx: SystemTx, keys: readonly ZoneKey[], dates: readonly string[]): Promise<ChangedBucket[]> {
  const zones = zoneTable([...new Set(keys.map((key) => key.zone))], dates);
  return tx.rows<ChangedBucket>(sql`
    with zones as materialized (
      select z.zone, z.starts::timestamptz[] as starts, z.days::date[] as days
      from unnest(${zones.zones}::text[], ${zones.starts}::text[], ${zones.days}::text[]) as z (zone, starts, days)),
    keys as materialized (
      select k.partner_id, k.client_id, z.starts, z.days
      from unnest(${keys.map((key) => key.partner_id)}::uuid[], ${keys.map((key) => key.client_id)}::uuid[],
                  ${keys.map((key) => key.zone)}::text[]) as k (partner_id, client_id, zone)
      join zones z on z.zone = k.zone),
    counted as materialized (
      select g.partner_id, g.day, g.client_id, g.direction,
             coalesce(sum(g.messages) filter (where g.kind in ('accepted', 'rejected')), 0)::integer as messages,
             coalesce(sum(g.partner_messages) filter (where g.kind in ('accepted', 'rejected')), 0)::integer as partner_messages,
             coalesce(sum(g.deliveries) filter (where g.kind in ('accepted', 'rejected')), 0)::integer as deliveries,
             coalesce(sum(g.deliveries) filter (where g.kind = 'refused'), 0)::integer as refused,
             coalesce(sum(g.bytes) filter (where g.kind in ('accepted', 'rejected')), 0)::bigint as bytes,
             coalesce(sum(g.partner_bytes) filter (where g.kind in ('accepted', 'rejected')), 0)::bigint as partner_bytes,
             coalesce(sum(g.deliveries) filter (where g.kind in ('accepted', 'rejected') and g.verdict = 'clean'), 0)::integer as verdict_clean,
             coalesce(sum(g.deliveries) filter (where g.kind in ('accepted', 'rejected') and g.verdict = 'bulk'), 0)::integer as verdict_bulk,
             coalesce(sum(g.deliveries) filter (where g.kind in ('accepted', 'rejected') and g.verdict = 'spam'), 0)::integer as verdict_spam,
             coalesce(sum(g.deliveries) filter (where g.kind in ('accepted', 'rejected') and g.verdict = 'spoof'), 0)::integer as verdict_spoof,
             coalesce(sum(g.deliveries) filter (where g.kind in ('accepted', 'rejected') and g.verdict = 'phish'), 0)::integer as verdict_phish,
             coalesce(sum(g.deliveries) filter (where g.kind in ('accepted', 'rejected') and g.verdict = 'policy'), 0)::integer as verdict_policy,
             coalesce(sum(g.deliveries) filter (where g.kind in ('accepted', 'rejected') and g.verdict = 'unscannable'), 0)::integer as verdict_unscannable,
             coalesce(sum(g.deliveries) filter (where g.kind in ('accepted', 'rejected') and g.verdict = 'malware'), 0)::integer as verdict_malware,
             coalesce(sum(g.deliveries) filter (where g.ends and g.disposition = 'queued'), 0)::integer as ended_queued,
             coalesce(sum(g.deliveries) filter (where g.ends and g.disposition = 'deferred'), 0)::integer as ended_deferred,
             coalesce(sum(g.deliveries) filter (where g.ends and g.disposition = 'delivered'), 0)::integer as ended_delivered,
             coalesce(sum(g.deliveries) filter (where g.ends and g.disposition = 'tagged'), 0)::integer as ended_tagged,
             coalesce(sum(g.deliveries) filter (where g.ends and g.disposition = 'stripped'), 0)::integer as ended_stripped,
             coalesce(sum(g.deliveries) filter (where g.ends and g.disposition = 'quarantined'), 0)::integer as ended_quarantined,
             coalesce(sum(g.deliveries) filter (where g.ends and g.disposition = 'rejected'), 0)::integer as ended_rejected,
             coalesce(sum(g.deliveries) filter (where g.ends and g.disposition = 'bounced'), 0)::integer as ended_bounced,
             coalesce(sum(g.deliveries) filter (where g.ends and g.disposition = 'expired'), 0)::integer as ended_expired,
             coalesce(sum(g.deliveries) filter (where g.ends and g.disposition = 'discarded'), 0)::integer as ended_discarded,
             coalesce(sum(g.deliveries) filter (where g.ends and g.disposition = 'released'), 0)::integer as ended_released
      from (select r.*, k.days[width_bucket(r.bucket, k.starts)] as day,
                   r.kind in ('rejected', 'quarantined', 'delivered', 'bounced', 'expired', 'discarded') as ends
            from rollup_traffic r join keys k using (partner_id, client_id)
            where r.bucket >= ${zones.from} and r.bucket < ${zones.to}) as g
      where g.day is not null
      group by 1, 2, 3, 4),
    kept as materialized (
      select r.* from rollup_days r join keys k using (partner_id, client_id) where r.day = any(${dates}::date[])),
    gone as (
      delete from rollup_days r
      using (select k.* from kept k left join counted c using (partner_id, day, client_id, direction) where c.partner_id is null) as g
      where r.partner_id = g.partner_id and r.day = g.day and r.client_id = g.client_id and r.direction = g.direction
      returning r.partner_id, r.client_id, r.day),
    mended as (
      insert into rollup_days as r
      select c.* from counted c left join kept k using (partner_id, day, client_id, direction)
      where k is distinct from c
      order by c.partner_id, c.day, c.client_id
      on conflict (partner_id, day, client_id, direction) do update
      set (messages, partner_messages, deliveries, refused, bytes, partner_bytes, verdict_clean, verdict_bulk, verdict_spam,
       verdict_spoof, verdict_phish, verdict_policy, verdict_unscannable, verdict_malware, ended_queued, ended_deferred,
       ended_delivered, ended_tagged, ended_stripped, ended_quarantined, ended_rejected, ended_bounced, ended_expired,
       ended_discarded, ended_released)
      = (excluded.messages, excluded.partner_messages, excluded.deliveries, excluded.refused, excluded.bytes,
         excluded.partner_bytes, excluded.verdict_clean, excluded.verdict_bulk, excluded.verdict_spam, excluded.verdict_spoof,
         excluded.verdict_phish, excluded.verdict_policy, excluded.verdict_unscannable, excluded.verdict_malware,
         excluded.ended_queued, excluded.ended_deferred, excluded.ended_delivered, excluded.ended_tagged,
         excluded.ended_stripped, excluded.ended_quarantined, excluded.ended_rejected, excluded.ended_bounced,
         excluded.ended_expired, excluded.ended_discarded, excluded.ended_released)
      returning r.partner_id, r.client_id, r.day)
    select m.partner_id, m.client_id, k.starts[array_position(k.days, m.day)] as bucket, 0 as events
    from (select * from gone union select * from mended) as m join keys k using (partner_id, client_id)`);
}

async function mendMonths(tx: SystemTx, keys: readonly ZoneKey[], months: readonly string[]): Promise<void> {
  await tx.run(sql`
    with keys as materialized (
      select k.partner_id, k.client_id
      from unnest(${keys.map((key) => key.partner_id)}::uuid[], ${keys.map((key) => key.client_id)}::uuid[])
        as k (partner_id, client_id)),
    months as (select m.day, (m.day + interval '1 month')::date as next from unnest(${months}::date[]) as m (day)),
    counted as materialized (
      select d.partner_id, m.day, d.client_id, d.direction,
             sum(d.messages)::integer as messages, sum(d.partner_messages)::integer as partner_messages,
             sum(d.deliveries)::integer as deliveries, sum(d.refused)::integer as refused, sum(d.bytes)::bigint as bytes,
             sum(d.partner_bytes)::bigint as partner_bytes, sum(d.verdict_clean)::integer as verdict_clean,
             sum(d.verdict_bulk)::integer as verdict_bulk, sum(d.verdict_spam)::integer as verdict_spam,
             sum(d.verdict_spoof)::integer as verdict_spoof, sum(d.verdict_phish)::integer as verdict_phish,
             sum(d.verdict_policy)::integer as verdict_policy, sum(d.verdict_unscannable)::integer as verdict_unscannable,
             sum(d.verdict_malware)::integer as verdict_malware, sum(d.ended_queued)::integer as ended_queued,
             sum(d.ended_deferred)::integer as ended_deferred, sum(d.ended_delivered)::integer as ended_delivered,
             sum(d.ended_tagged)::integer as ended_tagged, sum(d.ended_stripped)::integer as ended_stripped,
             sum(d.ended_quarantined)::integer as ended_quarantined, sum(d.ended_rejected)::integer as ended_rejected,
             sum(d.ended_bounced)::integer as ended_bounced, sum(d.ended_expired)::integer as ended_expired,
             sum(d.ended_discarded)::integer as ended_discarded, sum(d.ended_released)::integer as ended_released
      from rollup_days d
      join keys k using (partner_id, client_id)
      join months m on d.day >= m.day and d.day < m.next
      where d.day >= (select min(f.day) from months f) and d.day < (select max(l.next) from months l)
      group by 1, 2, 3, 4),
    kept as materialized (
      select r.* from rollup_months r join keys k using (partner_id, client_id) where r.day = any(${months}::date[])),
    gone as (
      delete from rollup_months r
      using (select k.* from kept k left join counted c using (partner_id, day, client_id, direction) where c.partner_id is null) as g
      where r.partner_id = g.partner_id and r.day = g.day and r.client_id = g.client_id and r.direction = g.direction)
    insert into rollup_months as r
    select c.* from counted c left join kept k using (partner_id, day, client_id, direction)
    where k is distinct from c
    order by c.partner_id, c.day, c.client_id
    on conflict (partner_id, day, client_id, direction) do update
    set (messages, partner_messages, deliveries, refused, bytes, partner_bytes, verdict_clean, verdict_bulk, verdict_spam,
     verdict_spoof, verdict_phish, verdict_policy, verdict_unscannable, verdict_malware, ended_queued, ended_deferred,
     ended_delivered, ended_tagged, ended_stripped, ended_quarantined, ended_rejected, ended_bounced, ended_expired,
     ended_discarded, ended_released)
    = (excluded.messages, excluded.partner_messages, excluded.deliveries, excluded.refused, excluded.bytes,
       excluded.partner_bytes, excluded.verdict_clean, excluded.verdict_bulk, excluded.verdict_spam, excluded.verdict_spoof,
       excluded.verdict_phish, excluded.verdict_policy, excluded.verdict_unscannable, excluded.verdict_malware,
       excluded.ended_queued, excluded.ended_deferred, excluded.ended_delivered, excluded.ended_tagged, excluded.ended_stripped,
       excluded.ended_quarantined, excluded.ended_rejected, excluded.ended_bounced, excluded.ended_expired,
       excluded.ended_discarded, excluded.ended_released)`);
}

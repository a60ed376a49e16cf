import type { SystemTx } from '../db/db.ts';
import { sql } from '../db/sql.ts';
import { allDates, datesOf, type ZoneKey, zoneKeys } from './days.ts';
import type { Found } from './verify.ts';
import { zoneTable } from './zones.ts';

const SHOWN = 100;
const DATES_MAX = 7;
const MONTHS_MAX = 12;

/** Which days: those that reach into the range, of all clients or of some. */
interface TierRange {
  readonly from: Date | null;
  readonly to: Date | null;
  readonly clients: readonly string[] | null;
}

/**
 * Compares days with the quarter hours that they are made of, and months with the days. A client whose zone changes meanwhile
 * is left out.
 */
export async function compareTiers(
  tx: SystemTx,
  { from, to, clients }: TierRange,
  take: (table: 'days' | 'months', rows: readonly Found[]) => void,
): Promise<void> {
  const all = await zoneKeys(tx);
  const keys = clients === null ? all : all.filter((key) => clients.includes(key.client_id));
  const dates = clients === null ? await allDates(tx, { from, to }) : await datesOf(tx, keys, { from, to });
  for (let at = 0; at < dates.length; at += DATES_MAX) {
    take('days', await compareDays(tx, keys, dates.slice(at, at + DATES_MAX)));
  }
  const months = [...new Set(dates.map((date) => `${date.slice(0, 7)}-01`))];
  for (let at = 0; at < months.length; at += MONTHS_MAX) {
    take('months', await compareMonths(tx, keys, months.slice(at, at + MONTHS_MAX)));
  }
}

function compareDays(tx: SystemTx, keys: readonly ZoneKey[], dates: readonly string[]): Promise<Found[]> {
  const zones = zoneTable([...new Set(keys.map((key) => key.zone))], dates);
  return tx.rows<Found>(sql`
    with zones as materialized (
      select z.zone, z.starts::timestamptz[] as starts, z.days::date[] as days
      from unnest(${zones.zones}::text[], ${zones.starts}::text[], ${zones.days}::text[]) as z (zone, starts, days)),
    keys as materialized (
      select k.partner_id, k.client_id, z.starts, z.days
      from unnest(${keys.map((key) => key.partner_id)}::uuid[], ${keys.map((key) => key.client_id)}::uuid[],
                  ${keys.map((key) => key.zone)}::text[]) as k (partner_id, client_id, zone)
      join rollup_zones c on c.partner_id = k.partner_id and c.client_id = k.client_id and c.time_zone = k.zone
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
    joined as materialized (
      select partner_id, day, client_id, direction, to_jsonb(c) as c, to_jsonb(k) as k, c is distinct from k as differs
      from counted c full join kept k using (partner_id, day, client_id, direction)),
    differing as (
      select j.partner_id, j.client_id, w.starts[array_position(w.days, j.day)] as bucket, j.direction, m.measure,
             coalesce((j.c ->> m.measure)::bigint, 0) as ledger, coalesce((j.k ->> m.measure)::bigint, 0) as rollup
      from joined j
      join keys w using (partner_id, client_id)
      cross join lateral jsonb_object_keys(coalesce(j.c, j.k) - '{partner_id,day,client_id,direction}'::text[]) as m (measure)
      where j.differs and coalesce((j.c ->> m.measure)::bigint, 0) <> coalesce((j.k ->> m.measure)::bigint, 0)
      order by j.day limit ${SHOWN})
    select t.groups, d.partner_id as "partnerId", d.client_id as "clientId", d.bucket,
           jsonb_build_array(d.direction)::text as "group", d.measure, d.ledger, d.rollup
    from (select count(*) as groups from joined) t left join differing d on true`);
}

function compareMonths(tx: SystemTx, keys: readonly ZoneKey[], months: readonly string[]): Promise<Found[]> {
  return tx.rows<Found>(sql`
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
    joined as materialized (
      select partner_id, day, client_id, direction, to_jsonb(c) as c, to_jsonb(k) as k, c is distinct from k as differs
      from counted c full join kept k using (partner_id, day, client_id, direction)),
    differing as (
      select j.partner_id, j.client_id, j.day, j.direction, m.measure,
             coalesce((j.c ->> m.measure)::bigint, 0) as ledger, coalesce((j.k ->> m.measure)::bigint, 0) as rollup
      from joined j
      cross join lateral jsonb_object_keys(coalesce(j.c, j.k) - '{partner_id,day,client_id,direction}'::text[]) as m (measure)
      where j.differs and coalesce((j.c ->> m.measure)::bigint, 0) <> coalesce((j.k ->> m.measure)::bigint, 0)
      order by j.day limit ${SHOWN})
    select t.groups, d.partner_id as "partnerId", d.client_id as "clientId", d.day::timestamp at time zone 'UTC' as bucket,
           jsonb_build_array(d.direction)::text as "group", d.measure, d.ledger, d.rollup
    from (select count(*) as groups from joined) t left join differing d on true`);
}

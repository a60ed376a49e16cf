import type { Completeness, Totals } from '../core/counts.ts';
import { addDays, startOfDay } from '../core/period.ts';
import type { TenantTx } from '../db/db.ts';
import { sql } from '../db/sql.ts';
import { readReach } from './reach.ts';
import { fewestPieces } from './spans.ts';
import { type Count, Sum } from './totals.ts';

/** Part of the one reader of the rollups (read.ts, which exports it): numbers of all clients of a partner at once. */

interface ClientTotals {
  readonly clientId: string;
  readonly totals: Totals;
}

export interface ClientsOverview extends Completeness {
  /** Clients with traffic in the period, in no special order. */
  readonly clients: readonly ClientTotals[];
  /** As the partner's: a message to two clients counts once. */
  readonly totals: Totals;
}

type Row = Count & { readonly client_id: string; readonly partner_messages: number; readonly partner_bytes: number };

/**
 * Counts of all clients over local days (`YYYY-MM-DD`, both included), each in its own zone: from days and whole months, with what
 * is committed and not yet rolled. Complete when the last day is over and told in the zone that is furthest behind.
 */
export async function readClientsOverview(
  tx: TenantTx,
  period: { readonly from: string; readonly to: string },
): Promise<ClientsOverview> {
  const end = addDays(period.to, 1);
  const { months, plus, minus } = fewestPieces({ from: period.from, to: end });
  const reach = await readReach(tx);
  const zones = (
    await tx.rows<{ zone: string }>(sql`
      select distinct z.time_zone as zone from rollup_zones z where z.partner_id = ${tx.partnerId}`)
  ).map((row) => row.zone);
  const starts = zones.map((zone) => startOfDay(period.from, zone));
  const ends = zones.map((zone) => startOfDay(end, zone));
  const earliest = (moments: readonly Date[]) =>
    moments.reduce<Date | null>((a, b) => (a === null || b < a ? b : a), null);
  const latest = (moments: readonly Date[]) =>
    moments.reduce<Date | null>((a, b) => (a === null || b > a ? b : a), null);
  const rows = await tx.rows<Row>(sql`
    with spans as (
      select p.sign, p.low, p.high from unnest(array[1, 1, -1, -1], ${[...plus, ...minus].map((one) => one.from)}::date[],
        ${[...plus, ...minus].map((one) => one.to)}::date[]) as p (sign, low, high) where p.low < p.high),
    days as (
      select p.sign, d.* from spans p
      join rollup_days d on d.partner_id = ${tx.partnerId} and d.day >= p.low and d.day < p.high
      union all
      select 1, d.* from rollup_months d
      where d.partner_id = ${tx.partnerId} and d.day >= ${months.from}::date and d.day < ${months.to}::date),
    zones as materialized (
      select z.zone, z.low, z.high from unnest(${zones}::text[], ${starts}::timestamptz[], ${ends}::timestamptz[])
        as z (zone, low, high))
    select d.client_id, null as kind, null as verdict, null as disposition, 0::bigint as deliveries, 0::bigint as messages,
           0::bigint as bytes, sum(d.sign * d.partner_messages)::bigint as partner_messages, sum(d.sign * d.partner_bytes)::bigint as partner_bytes,
           json_build_array(sum(d.sign * d.messages), sum(d.sign * d.deliveries), sum(d.sign * d.refused), sum(d.sign * d.bytes),
             sum(d.sign * d.verdict_clean), sum(d.sign * d.verdict_bulk), sum(d.sign * d.verdict_spam), sum(d.sign * d.verdict_spoof), sum(d.sign * d.verdict_phish), sum(d.sign * d.verdict_policy), sum(d.sign * d.verdict_unscannable), sum(d.sign * d.verdict_malware),
             sum(d.sign * d.ended_queued), sum(d.sign * d.ended_deferred), sum(d.sign * d.ended_delivered), sum(d.sign * d.ended_tagged), sum(d.sign * d.ended_stripped), sum(d.sign * d.ended_quarantined), sum(d.sign * d.ended_rejected), sum(d.sign * d.ended_bounced), sum(d.sign * d.ended_expired), sum(d.sign * d.ended_discarded), sum(d.sign * d.ended_released)) as wide
    from days d group by 1
    union all
    select e.client_id, e.kind, coalesce(e.verdict, ''), coalesce(e.disposition, ''), count(*),
           count(*) filter (where e.leads & 2 <> 0), coalesce(sum(e.bytes) filter (where e.leads & 2 <> 0), 0)::bigint,
           count(*) filter (where e.leads & 1 <> 0 and e.kind in ('accepted', 'rejected')),
           coalesce(sum(e.bytes) filter (where e.leads & 1 <> 0 and e.kind in ('accepted', 'rejected')), 0)::bigint, null
    from (
      select l.* from ledger l
      where ${reach.tail}::boolean
        and l.xid >= (select coalesce(max(s.cursor::text::bigint), 3)::text::xid8 from rollup_state s)
        and l.xid < pg_snapshot_xmax(pg_current_snapshot()) and l.partner_id = ${tx.partnerId}
        and l.occurred_at >= ${earliest(starts)} and l.occurred_at < ${latest(ends)}
      offset 0) as e
    join rollup_zones c on c.partner_id = e.partner_id and c.client_id = e.client_id
    join zones z on z.zone = c.time_zone
    where e.partner_id = ${tx.partnerId} and e.occurred_at >= z.low and e.occurred_at < z.high
    group by 1, 2, 3, 4`);
  const sums = new Map<string, Sum>();
  const whole = new Sum();
  let messages = 0;
  let bytes = 0;
  for (const row of rows) {
    const own = sums.get(row.client_id) ?? new Sum();
    sums.set(row.client_id, own);
    own.add(row);
    whole.add(row);
    messages += row.partner_messages;
    bytes += row.partner_bytes;
  }
  const through = reach.completeThrough?.getTime() ?? Number.NEGATIVE_INFINITY;
  const last = Math.max(startOfDay(end, 'UTC').getTime(), ...ends.map((at) => at.getTime()));
  return {
    complete: through >= last,
    completeThrough: reach.completeThrough,
    clients: [...sums]
      .map(([clientId, sum]) => ({ clientId, totals: sum.totals() }))
      .filter(({ totals }) => hasTraffic(totals)),
    totals: { ...whole.totals(), messages, bytes },
  };
}

/** A month that was taken off again leaves zeros. */
function hasTraffic({ messages, deliveries, refused, byDisposition }: Totals): boolean {
  return messages > 0 || deliveries > 0 || refused > 0 || byDisposition.size > 0;
}

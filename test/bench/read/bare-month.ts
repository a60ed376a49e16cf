import { buckets, type Interval, type LocalPeriod } from '../../../src/core/period.ts';
import { DISPOSITIONS, VERDICTS } from '../../../src/core/verdict.ts';

/** The month by day by hand: one statement over the same table, the completeness in it, added up into the product's answer. */
export interface MonthRow {
  readonly slot: number | null;
  readonly kind: string;
  readonly verdict: string;
  readonly disposition: string;
  readonly deliveries: string;
  readonly messages: string;
  readonly bytes: string;
  readonly through: Date | null;
}

export interface Cuts {
  readonly days: readonly Interval[];
  readonly starts: readonly string[];
  readonly ends: readonly string[];
}

const known = new Map<string, Cuts>();

/** The days of a period, worked out once per zone. */
export function monthCuts(period: LocalPeriod): Cuts {
  const key = `${period.zone} ${period.from} ${period.to}`;
  const cut = known.get(key);
  if (cut !== undefined) return cut;
  const days = buckets(period, 'DAY');
  const starts = days.map((day) => day.start.toISOString());
  const made = { days, starts, ends: days.map((day) => day.end.toISOString()) };
  known.set(key, made);
  return made;
}

export function monthStatement(partnerId: string, clientId: string, cuts: Cuts) {
  return {
    name: 'month',
    text: `
      select c.slot, c.kind, c.verdict, c.disposition, c.deliveries, c.messages, c.bytes, w.through
      from (select coalesce(min(w.complete_through) filter (where w.state = 'alive' and n.state is distinct from 'retired'),
                            max(w.complete_through)) as through
            from rollup_watermarks w left join nodes n on n.id = w.node) as w
      left join (
        select width_bucket(r.bucket, $3::timestamptz[]) - 1 as slot, r.kind, r.verdict, r.disposition,
               sum(r.deliveries)::bigint as deliveries, sum(r.messages)::bigint as messages, sum(r.bytes)::bigint as bytes
        from rollup_traffic r
        where r.partner_id = $1 and r.client_id = $2 and r.bucket >= $4 and r.bucket < $5
        group by 1, 2, 3, 4) as c on true`,
    values: [partnerId, clientId, cuts.starts, cuts.starts[0], cuts.ends.at(-1)],
  };
}

class Sum {
  messages = 0;
  deliveries = 0;
  bytes = 0;
  readonly verdicts = new Map<string, number>();
  readonly dispositions = new Map<string, number>();

  add(row: MonthRow): void {
    const deliveries = Number(row.deliveries);
    if (row.kind === 'accepted' || row.kind === 'rejected') {
      this.messages += Number(row.messages);
      this.deliveries += deliveries;
      this.bytes += Number(row.bytes);
      this.verdicts.set(row.verdict, (this.verdicts.get(row.verdict) ?? 0) + deliveries);
    }
    if (row.kind !== 'accepted' && row.kind !== 'refused' && row.kind !== 'deferred' && row.disposition !== '') {
      this.dispositions.set(row.disposition, (this.dispositions.get(row.disposition) ?? 0) + deliveries);
    }
  }
}

const verdictsOf = (sum: Sum) =>
  VERDICTS.flatMap((verdict) => {
    const deliveries = sum.verdicts.get(verdict);
    return deliveries === undefined ? [] : [{ verdict: verdict.toUpperCase(), deliveries }];
  });

const dispositionsOf = (sum: Sum) =>
  DISPOSITIONS.flatMap((disposition) => {
    const deliveries = sum.dispositions.get(disposition);
    return deliveries === undefined ? [] : [{ disposition: disposition.toUpperCase(), deliveries }];
  });

export function monthAnswer(cuts: Cuts, rows: readonly MonthRow[]): object {
  const total = new Sum();
  const sums = cuts.days.map(() => new Sum());
  for (const row of rows) {
    if (row.slot === null) continue;
    total.add(row);
    sums[row.slot]?.add(row);
  }
  const through = rows[0]?.through ?? null;
  const time = through?.getTime() ?? 0;
  return {
    data: {
      client: {
        statistics: {
          complete: time >= (cuts.days.at(-1)?.end.getTime() ?? 0),
          completeThrough: through,
          totals: {
            messages: total.messages,
            deliveries: total.deliveries,
            bytes: total.bytes,
            byVerdict: verdictsOf(total),
            byDisposition: dispositionsOf(total),
          },
          buckets: sums.map((sum, index) => ({
            start: cuts.starts[index],
            end: cuts.ends[index],
            complete: time >= (cuts.days[index]?.end.getTime() ?? 0),
            messages: sum.messages,
            deliveries: sum.deliveries,
            byVerdict: verdictsOf(sum),
          })),
        },
      },
    },
  };
}

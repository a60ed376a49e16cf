import { buckets, type Interval, type LocalPeriod } from '../../../src/core/period.ts';
import { DISPOSITIONS, VERDICTS } from '../../../src/core/verdict.ts';

/** The month by day by hand: one statement over the same table, the completeness in it, put together as the product's answer. */
export interface MonthRow {
  readonly slot: number | null;
  readonly counts: readonly number[] | null;
  readonly through: Date | null;
}

export interface Cuts {
  readonly period: LocalPeriod;
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
  const made = { period, days, starts, ends: days.map((day) => day.end.toISOString()) };
  known.set(key, made);
  return made;
}

const COLUMNS = [
  'messages',
  'deliveries',
  'bytes',
  ...VERDICTS.map((verdict) => `verdict_${verdict}`),
  ...DISPOSITIONS.map((disposition) => `ended_${disposition}`),
];

const TEXT = `
  select c.slot, c.counts, w.through
  from (select coalesce(min(w.complete_through) filter (where w.state = 'alive' and n.state is distinct from 'retired'),
                        max(w.complete_through)) as through
        from rollup_watermarks w left join nodes n on n.id = w.node) as w
  left join (
    select d.day - $3::date as slot, json_build_array(${COLUMNS.map((column) => `sum(d.${column})`).join(', ')}) as counts
    from rollup_days d
    where d.partner_id = $1 and d.client_id = $2 and d.day between $3::date and $4::date
    group by 1) as c on true`;

export function monthStatement(partnerId: string, clientId: string, { period }: Cuts) {
  return { name: 'month', text: TEXT, values: [partnerId, clientId, period.from, period.to] };
}

const VERDICT_NAMES = VERDICTS.map((verdict) => verdict.toUpperCase());
const DISPOSITION_NAMES = DISPOSITIONS.map((disposition) => disposition.toUpperCase());
const NONE: readonly number[] = COLUMNS.map(() => 0);

function verdictsOf(counts: readonly number[]): object[] {
  const found: object[] = [];
  VERDICT_NAMES.forEach((verdict, index) => {
    const deliveries = counts[3 + index] ?? 0;
    if (deliveries !== 0) found.push({ verdict, deliveries });
  });
  return found;
}

function dispositionsOf(counts: readonly number[]): object[] {
  const found: object[] = [];
  DISPOSITION_NAMES.forEach((disposition, index) => {
    const deliveries = counts[3 + VERDICTS.length + index] ?? 0;
    if (deliveries !== 0) found.push({ disposition, deliveries });
  });
  return found;
}

export function monthAnswer(cuts: Cuts, rows: readonly MonthRow[]): object {
  const total = [...NONE];
  const days = cuts.days.map(() => NONE);
  for (const { slot, counts } of rows) {
    if (slot === null || counts === null) continue;
    days[slot] = counts;
    for (let index = 0; index < total.length; index += 1) total[index] = (total[index] ?? 0) + (counts[index] ?? 0);
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
            messages: total[0],
            deliveries: total[1],
            bytes: total[2],
            byVerdict: verdictsOf(total),
            byDisposition: dispositionsOf(total),
          },
          buckets: days.map((counts, index) => ({
            start: cuts.starts[index],
            end: cuts.ends[index],
            complete: time >= (cuts.days[index]?.end.getTime() ?? 0),
            messages: counts[0],
            deliveries: counts[1],
            byVerdict: verdictsOf(counts),
          })),
        },
      },
    },
  };
}

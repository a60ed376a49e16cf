import { interval, type LocalPeriod, localDate } from '../core/period.ts';
import type { TenantTx } from '../db/db.ts';
import { readStatisticsOf } from '../rollups/read.ts';
import { PEERS_MIN, type SizeClass, type Standing, sizeClassOf, standing } from './benchmark.ts';
import { countOf } from './history.ts';
import { type PeerRow, peerRows } from './rows.ts';

export const BENCHMARKS = ['unwanted_share', 'threats_per_mailbox'] as const;
export type BenchmarkMetric = (typeof BENCHMARKS)[number];

/** Why there is no comparison. */
export type HiddenBenchmark = 'too_few_clients' | 'no_mailboxes' | 'incomplete' | 'no_mail';

export interface Benchmark {
  readonly metric: BenchmarkMetric;
  /** Null: the client has no mailbox. */
  readonly size: SizeClass | null;
  readonly standing: Standing | null;
  /** Null: it is there. */
  readonly hidden: HiddenBenchmark | null;
}

/**
 * A client against the other clients of its partner and size. Never against another partner's: what their clients are like is
 * theirs. A client counts that was there from the period's first day on and had mail. Throws nothing.
 */
export async function benchmarks(tx: TenantTx, clientId: string, period: LocalPeriod): Promise<Benchmark[]> {
  const all = await peerRows(tx);
  const own = all.find((row) => row.id === clientId);
  const size = sizeClassOf(own?.mailboxes ?? 0);
  const hidden = (reason: HiddenBenchmark) =>
    BENCHMARKS.map((metric): Benchmark => ({ metric, size, standing: null, hidden: reason }));
  if (own === undefined || size === null) return hidden('no_mailboxes');
  const peers = all.filter(
    (row) =>
      sizeClassOf(row.mailboxes) === size && (row.id === clientId || localDate(row.createdAt, row.zone) <= period.from),
  );
  if (peers.length < PEERS_MIN) return hidden('too_few_clients');
  const numbers = await readNumbers(tx, peers, period);
  const mine = numbers.get(clientId);
  if (mine === undefined || mine === 'incomplete') return hidden(mine ?? 'no_mail');
  return BENCHMARKS.map((metric): Benchmark => {
    const others = [...numbers].flatMap(([id, one]) => (id === clientId || one === 'incomplete' ? [] : [one[metric]]));
    const found = standing(mine[metric], others);
    return { metric, size, standing: found, hidden: found === null ? 'too_few_clients' : null };
  });
}

type Numbers = Readonly<Record<BenchmarkMetric, number>>;

/** Days are each client's own, so that clients of one zone are read together. */
async function readNumbers(
  tx: TenantTx,
  peers: readonly PeerRow[],
  period: LocalPeriod,
): Promise<Map<string, Numbers | 'incomplete'>> {
  const result = new Map<string, Numbers | 'incomplete'>();
  for (const zone of new Set(peers.map((row) => row.zone))) {
    const own = peers.filter((row) => row.zone === zone);
    const local = { from: period.from, to: period.to, zone };
    const range = interval(local);
    const days = (range.end.getTime() - range.start.getTime()) / 86_400_000;
    const found = await readStatisticsOf(tx, {
      clientIds: own.map((row) => row.id),
      period: local,
      granularity: 'MONTH',
    });
    for (const { id, mailboxes } of own) {
      const statistics = found.get(id);
      if (statistics === undefined) continue;
      const { totals, complete } = statistics;
      if (!complete) result.set(id, 'incomplete');
      else if (totals.deliveries > 0) {
        result.set(id, {
          unwanted_share: countOf(totals, 'unwanted') / totals.deliveries,
          threats_per_mailbox: ((countOf(totals, 'threats') / mailboxes) * 30) / days,
        });
      }
    }
  }
  return result;
}

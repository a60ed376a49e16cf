/** One measurement, beside those of its peers in the same run. */
export interface Row {
  readonly bench: string;
  readonly measured: string;
  readonly unit: string;
  readonly ours: number;
  readonly peers: readonly PeerFigure[];
}

export interface PeerFigure {
  readonly name: string;
  /** Null: it could not be measured, `skipped` says why. */
  readonly value: number | null;
  readonly skipped?: string;
}

export interface BenchOptions {
  /** Repetitions of what is short; the median counts. */
  readonly runs: number;
  /** Seconds of what runs for a time. */
  readonly seconds: number;
  /** Of the seeded database that questions are asked of. */
  readonly clients: number;
}

export type Bench = (options: BenchOptions) => Promise<readonly Row[]>;

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1 ? (sorted[middle] ?? 0) : ((sorted[middle - 1] ?? 0) + (sorted[middle] ?? 0)) / 2;
}

export function percentile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
}

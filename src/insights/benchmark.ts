/** Sizes of clients by mailboxes, as `[from, to]`, both included; the last has no end. */
export const SIZE_CLASSES = [
  [1, 9],
  [10, 24],
  [25, 49],
  [50, 99],
  [100, 249],
  [250, 999],
  [1000, null],
] as const;
export type SizeClass = (typeof SIZE_CLASSES)[number];

/** Of fewer clients nothing is shown: one could be told from the others. */
export const PEERS_MIN = 5;

/** A client's number among those of its size. */
export interface Standing {
  readonly own: number;
  readonly clients: number;
  readonly lowerQuartile: number;
  readonly median: number;
  readonly upperQuartile: number;
  /** Part of the other clients that lie under its own number, ties counted half; 0 to 1. */
  readonly position: number;
}

/** Null: no mailbox. */
export function sizeClassOf(mailboxes: number): SizeClass | null {
  return SIZE_CLASSES.find(([from, to]) => mailboxes >= from && (to === null || mailboxes <= to)) ?? null;
}

/** The value under which a part of the sorted values lies, between two of them in proportion. */
export function quantile(sorted: readonly number[], part: number): number {
  const at = (sorted.length - 1) * part;
  const [low, high] = [sorted[Math.floor(at)] ?? Number.NaN, sorted[Math.ceil(at)] ?? Number.NaN];
  return low + (high - low) * (at - Math.floor(at));
}

/**
 * Where a client stands among clients of its size. `peers` are the numbers of the others; a client whose number is not known
 * is not among them. Null under five clients, itself included. Only quartiles come out, and never whose they are.
 */
export function standing(own: number, peers: readonly number[]): Standing | null {
  const sorted = [...peers, own].sort((a, b) => a - b);
  if (sorted.length < PEERS_MIN) return null;
  const below = peers.filter((one) => one < own).length;
  const equal = peers.filter((one) => one === own).length;
  return {
    own,
    clients: sorted.length,
    lowerQuartile: quantile(sorted, 0.25),
    median: quantile(sorted, 0.5),
    upperQuartile: quantile(sorted, 0.75),
    position: (below + equal / 2) / peers.length,
  };
}

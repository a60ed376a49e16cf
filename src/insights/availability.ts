import type { Interval } from '../core/period.ts';

/** A stretch of time in which a server was in one state, as the probes saw it. */
export interface StateSegment {
  readonly from: Date;
  readonly to: Date;
  readonly takesMail: boolean;
}

export interface Availability {
  /** Part of the known time in which it took mail, 0 to 1; null: nothing is known. */
  readonly available: number | null;
  readonly upSeconds: number;
  /** Time of which anything is known. The rest of the period counts as neither up nor down. */
  readonly knownSeconds: number;
  /** Part of the period that is known, 0 to 1. */
  readonly knownShare: number;
}

/** Availability of a period. Time without probes is unknown: it is in neither number. `servers`: how many share the period. */
export function availabilityOf(segments: readonly StateSegment[], period: Interval, servers = 1): Availability {
  let [up, known] = [0, 0];
  for (const { from, to, takesMail } of segments) {
    const overlap = Math.min(to.getTime(), period.end.getTime()) - Math.max(from.getTime(), period.start.getTime());
    if (overlap <= 0) continue;
    known += overlap;
    if (takesMail) up += overlap;
  }
  const length = (period.end.getTime() - period.start.getTime()) * Math.max(1, servers);
  return {
    available: known === 0 ? null : up / known,
    upSeconds: Math.round(up / 1000),
    knownSeconds: Math.round(known / 1000),
    knownShare: length <= 0 ? 0 : Math.min(1, known / length),
  };
}

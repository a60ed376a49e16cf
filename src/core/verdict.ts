/** What the pipeline thinks of one delivery. The order is that of severity, the last being the worst. */
export const VERDICTS = ['clean', 'bulk', 'spam', 'spoof', 'phish', 'policy', 'unscannable', 'malware'] as const;
export type Verdict = (typeof VERDICTS)[number];

/** Where a delivery is, or how it ended. */
export const DISPOSITIONS = [
  'queued',
  'deferred',
  'delivered',
  'tagged',
  'stripped',
  'quarantined',
  'rejected',
  'bounced',
  'expired',
  'discarded',
  'released',
] as const;
export type Disposition = (typeof DISPOSITIONS)[number];

export type Direction = 'inbound' | 'outbound';

/** What the pipeline decides shall be done with a delivery. `hold`: queued, and not sent before a person says so. */
export const ACTIONS = ['deliver', 'tag', 'strip', 'hold', 'quarantine', 'reject', 'discard'] as const;
export type Action = (typeof ACTIONS)[number];

/**
 * One stage's opinion. `code` is the machine reason (`attachment.executable`), stable for ever since statistics and
 * tickets are keyed by it; `detail` is for people and never parsed.
 */
export interface Reason {
  readonly code: string;
  readonly detail: string;
}

export interface Vote {
  readonly stage: string;
  /** Absent: the stage only adds to the score. */
  readonly verdict?: Verdict;
  /** Points towards spam; negative speaks for the message. */
  readonly score: number;
  readonly reasons: readonly Reason[];
}

/** The one value that says what happens to one delivery and why. */
export interface Decision {
  readonly verdict: Verdict;
  readonly action: Action;
  readonly score: number;
  readonly reasons: readonly Reason[];
}

export function worse(a: Verdict, b: Verdict): Verdict {
  return VERDICTS.indexOf(a) >= VERDICTS.indexOf(b) ? a : b;
}

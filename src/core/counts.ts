import type { Disposition, Verdict } from './verdict.ts';

/** Whether a number may still grow. A number without this answer does not exist (rule 4). */
export interface Completeness {
  readonly complete: boolean;
  /** Everything that happened before this moment is counted. Null: nothing is known yet. */
  readonly completeThrough: Date | null;
}

/** Sums over one stretch of time. `messages` counts SMTP transactions, `deliveries` counts recipients. */
export interface Totals {
  readonly messages: number;
  /** Accepted deliveries and deliveries rejected after DATA. */
  readonly deliveries: number;
  /** Recipients refused at RCPT: they never became deliveries. */
  readonly refused: number;
  /** Bytes of the messages, each counted once. */
  readonly bytes: number;
  /** By the verdict given when the message came; sums to `deliveries`. */
  readonly byVerdict: ReadonlyMap<Verdict, number>;
  /** Deliveries that reached a final disposition in this stretch of time, whenever they were accepted. */
  readonly byDisposition: ReadonlyMap<Disposition, number>;
}

export const NO_TOTALS: Totals = {
  messages: 0,
  deliveries: 0,
  refused: 0,
  bytes: 0,
  byVerdict: new Map(),
  byDisposition: new Map(),
};

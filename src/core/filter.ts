import type { Envelope } from './message.ts';
import type { Reason, Verdict } from './verdict.ts';

/**
 * An outside scanner (rspamd, ClamAV). It has a deadline, the signal. One that is down rejects: its vote is left out and
 * the trace says so, or the message is deferred where the operator wants that.
 */
export interface OutsideScanner {
  readonly name: string;
  scan(task: ScanTask, signal: AbortSignal): Promise<ScanResult>;
}

export interface ScanTask {
  /** Where the message lies; line ends are CRLF. */
  readonly path: string;
  readonly bytes: number;
  readonly envelope: Envelope;
  readonly recipients: readonly string[];
}

export interface ScanResult {
  readonly verdict: Verdict | null;
  /** Points; the pipeline keeps them within bounds of its own. */
  readonly score: number;
  readonly reasons: readonly Reason[];
}

import type { Reason, Verdict } from './verdict.ts';

/** An outside scanner (rspamd, ClamAV). It has a deadline; a scanner that is down votes nothing and says so. */
export interface OutsideScanner {
  readonly name: string;
  scan(path: string, signal: AbortSignal): Promise<ScanResult>;
}

export interface ScanResult {
  readonly verdict: Verdict | null;
  readonly score: number;
  readonly reasons: readonly Reason[];
}

import type { Envelope } from './message.ts';
import type { Reason, Verdict } from './verdict.ts';

/** What one client knows of whoever a message claims to come from. */
export interface HistoryFacts {
  readonly clientSince: Date;
  /** Clean mail that was accepted from it, clean mail that was sent to it, unwanted mail that came in its name. */
  readonly received: number;
  readonly sent: number;
  readonly spam: number;
  /** The message answers one that the client sent lately. */
  readonly isReply: boolean;
}

/** Who has written to whom, asked once per message after it was read. One that is down rejects and is left out. */
export interface CorrespondentHistory {
  /** By client. `from` is normalised; `inReplyTo` are Message-IDs with their brackets. */
  look(
    clients: readonly { readonly partnerId: string; readonly clientId: string }[],
    from: string,
    inReplyTo: readonly string[],
  ): Promise<ReadonlyMap<string, HistoryFacts>>;
}

/** Names of hosts that the operator warns of. */
export interface HostList {
  /** Those of the hosts that are on the list. */
  listed(hosts: readonly string[]): readonly string[];
}

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

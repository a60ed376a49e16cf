/** Why a report is not taken. Stable, for programs; docs/aggregates.md has them in words. */
export class ReportFault extends Error {
  override readonly name = 'ReportFault';
  readonly code: string;
  constructor(code: string) {
    super(code);
    this.code = code;
  }
}

/** Bounds of one report; what is over one is refused whole. */
export const BOUNDS = {
  /** Records of a DMARC report, policies and failure details of a TLS report. */
  records: 20_000,
  /** Domains of a TLS report: each is a report of its own. */
  domains: 100,
  /** Messages or sessions of one report. */
  messages: 1e15,
  /** Days that a period may have. */
  periodDays: 31,
  /** How old a period's end may be, days: what is older would be removed at once. */
  ageDays: 400,
  /** How far after the present a period may end, days: clocks and zones of the world. */
  aheadDays: 2,
  /** Octets of a TLS report. */
  json: 8 * 1024 * 1024,
} as const;

export type ReportKind = 'dmarc' | 'tls';
export const DISPOSITIONS = ['none', 'quarantine', 'reject', 'pass', 'other'] as const;
export type Disposition = (typeof DISPOSITIONS)[number];

export interface ReportHead {
  readonly org: string;
  /** Address of the reporter, as the report says; may be empty. */
  readonly contact: string;
  /** The reporter's own; `content-...` when the report has none. */
  readonly reportId: string;
  /** The domain that the report is about. */
  readonly policyDomain: string;
  readonly from: Date;
  readonly to: Date;
}

/** Rows that agree in all but their count are one. */
export interface DmarcRecord {
  readonly sourceIp: string;
  readonly disposition: Disposition;
  readonly dkimAligned: boolean;
  readonly spfAligned: boolean;
  readonly headerFrom: string;
  readonly envelopeFrom: string;
  readonly dkimDomain: string;
  readonly dkimSelector: string;
  readonly dkimResult: string;
  readonly spfDomain: string;
  readonly spfResult: string;
  readonly overrides: readonly string[];
  readonly messages: number;
}

export interface DmarcReport extends ReportHead {
  readonly kind: 'dmarc';
  readonly policy: string | null;
  readonly records: readonly DmarcRecord[];
}

export interface TlsPolicy {
  readonly policyType: string;
  readonly successful: number;
  readonly failed: number;
}

export interface TlsResult {
  readonly policyType: string;
  readonly resultType: string;
  readonly sendingMta: string | null;
  readonly receivingMx: string;
  readonly sessions: number;
}

export interface TlsReport extends ReportHead {
  readonly kind: 'tls';
  readonly policies: readonly TlsPolicy[];
  readonly results: readonly TlsResult[];
}

export type AggregateReport = DmarcReport | TlsReport;

/** Records, or policies and results. */
export const recordsOf = (report: AggregateReport): number =>
  report.kind === 'dmarc' ? report.records.length : report.policies.length + report.results.length;

/** Messages, or sessions. */
export const messagesOf = (report: AggregateReport): number =>
  report.kind === 'dmarc'
    ? report.records.reduce((sum, one) => sum + one.messages, 0)
    : report.policies.reduce((sum, one) => sum + one.successful + one.failed, 0);

/** The UTC day (`YYYY-MM-DD`) that a report counts on: the one that holds the middle of its period. */
export function dayOf({ from, to }: Pick<ReportHead, 'from' | 'to'>): string {
  return new Date((from.getTime() + to.getTime()) / 2).toISOString().slice(0, 10);
}

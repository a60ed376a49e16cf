import type { ReadFile } from './read-file.ts';
import { type AggregateReport, messagesOf, type ReportHead, type ReportKind, recordsOf } from './report.ts';
import { digestOf, octets } from './values.ts';

/** A report on its way from the thread that read it to the database: what it says stays packed until its rows are written. */
export interface PackedReport extends ReportHead {
  readonly kind: ReportKind;
  readonly policy: string | null;
  /** Rows, and what they add up to. */
  readonly records: number;
  readonly messages: number;
  /** SHA-256 of what it says. */
  readonly digest: Uint8Array;
  /** Records of a DMARC report, policies of a TLS report: JSON, one a line. */
  readonly rows: Uint8Array;
  /** Failures of a TLS report, the same way. */
  readonly results: Uint8Array;
}

export interface PackedFile {
  readonly name: string;
  /** SHA-256 of the file. */
  readonly digest: Uint8Array;
  readonly result: { readonly reports: readonly PackedReport[] } | { readonly fault: string };
}

export function packFile({ name, content, result }: ReadFile): PackedFile {
  const digest = fileDigest(content);
  return 'fault' in result ? { name, digest, result } : { name, digest, result: { reports: result.reports.map(pack) } };
}

export function pack(report: AggregateReport): PackedReport {
  const org = octets(report.org.toLowerCase());
  const { contact, reportId, policyDomain, from, to } = report;
  const isDmarc = report.kind === 'dmarc';
  return {
    ...{ kind: report.kind, org, contact, reportId, policyDomain, from, to },
    policy: isDmarc ? report.policy : null,
    records: recordsOf(report),
    messages: messagesOf(report),
    digest: digestOf({ ...report, org, contact: '' }),
    rows: lines(isDmarc ? report.records : report.policies),
    results: lines(isDmarc ? [] : report.results),
  };
}

export const fileDigest = (content: Buffer): Buffer => digestOf(['file', content.toString('base64')]);

const lines = (rows: readonly unknown[]): Uint8Array =>
  new TextEncoder().encode(rows.map((row) => `${JSON.stringify(row)}\n`).join(''));

/** As many as are unpacked and written at once: a few milliseconds of the one thread that serves everything. */
const PIECE = 250;
const END = 0x0a;

/** The rows again, a piece at a time. */
export function* piecesOf<T>(packed: Uint8Array, size: number = PIECE): Generator<T[]> {
  const decoder = new TextDecoder();
  for (let from = 0; from < packed.length; ) {
    let to = from;
    for (let count = 0; count < size && to < packed.length; count += 1) to = packed.indexOf(END, to) + 1;
    // JSON holds no line ends of its own.
    const text = decoder.decode(packed.subarray(from, to - 1)).replaceAll('\n', ',');
    yield JSON.parse(`[${text}]`) as T[];
    from = to;
  }
}

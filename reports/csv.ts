import type { ReportFacts } from './model.ts';
import { unwantedOf } from './model.ts';

/**
 * One row per day (RFC 4180, CRLF, UTF-8 with a byte order mark, without which spreadsheets take it for their own code page).
 * A day that is not completely counted says so in its own column.
 */
export function toCsv(facts: ReportFacts): Buffer {
  const head = [
    'client',
    'day',
    'time zone',
    'complete',
    'messages',
    'deliveries',
    'unwanted deliveries',
    'refused recipients',
    'bytes',
  ];
  const rows = facts.days.map((day) => [
    facts.clientName,
    day.date,
    facts.period.zone,
    day.complete ? 'yes' : 'no',
    ...(day.future
      ? ['', '', '', '', '']
      : [day.totals.messages, day.totals.deliveries, unwantedOf(day.totals), day.totals.refused, day.totals.bytes].map(
          String,
        )),
  ]);
  return Buffer.from(`\ufeff${[head, ...rows].map((row) => row.map(cell).join(',')).join('\r\n')}\r\n`);
}

/** A cell that a spreadsheet would run as a formula gets an apostrophe in front (OWASP ASVS 5.0, 1.2.10). */
export function cell(text: string): string {
  const safe = /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

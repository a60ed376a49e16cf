import { parse } from 'csv-parse/sync';
import { AppError } from '../core/errors.ts';

/** One line of an import. `mailbox`: address of the mailbox that it is for; empty: for all of the scope. */
export interface ListLine {
  readonly kind: 'allow' | 'block';
  readonly pattern: string;
  readonly mailbox: string;
}

/**
 * Reads allow and block entries: CSV (RFC 4180) with the columns kind, pattern and, if wanted, mailbox, in any order, UTF-8
 * with or without a byte order mark. Throws `invalid_input` that names the line.
 */
export function readListCsv(text: string): ListLine[] {
  let records: Record<string, string>[];
  try {
    records = parse(text, {
      bom: true,
      columns: (names: string[]) => names.map((name) => name.trim().toLowerCase()),
      skip_empty_lines: true,
      trim: true,
      relax_column_count: false,
    });
  } catch (cause) {
    throw new AppError('invalid_input', `the file is not CSV: ${(cause as Error).message}`, { field: 'file', cause });
  }
  return records.map((record, index) => {
    const fail = (why: string): never => {
      throw new AppError('invalid_input', `line ${index + 2}: ${why}`, { field: 'file' });
    };
    const kind = (record['kind'] ?? '').toLowerCase();
    if (kind !== 'allow' && kind !== 'block') return fail('kind is allow or block');
    return {
      kind,
      pattern: record['pattern'] || fail('the column "pattern" is empty'),
      mailbox: record['mailbox'] ?? '',
    };
  });
}

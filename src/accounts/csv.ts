import { parse } from 'csv-parse/sync';
import { AppError } from '../core/errors.ts';
import { type DirectoryRow, MAILBOX_KINDS } from './mailboxes.ts';

const KINDS: readonly string[] = [...MAILBOX_KINDS, 'alias'];

/**
 * Reads a directory file: CSV (RFC 4180) with the columns address, name and kind in any order, UTF-8 with or without a
 * byte order mark. Throws `invalid_input` that names the line.
 */
export function readDirectoryCsv(text: string): DirectoryRow[] {
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
  const columns = Object.keys(records[0] ?? {});
  for (const name of ['address', 'name', 'kind']) {
    if (records.length > 0 && !columns.includes(name)) {
      throw new AppError('invalid_input', `the file has no column "${name}"`, { field: 'file' });
    }
  }
  return records.map((record, index) => {
    const kind = (record['kind'] ?? '').toLowerCase() || 'user';
    if (!KINDS.includes(kind)) {
      throw new AppError('invalid_input', `line ${index + 2}: kind is one of ${KINDS.join(', ')}`, { field: 'file' });
    }
    return { address: record['address'] ?? '', name: record['name'] ?? '', kind: kind as DirectoryRow['kind'] };
  });
}

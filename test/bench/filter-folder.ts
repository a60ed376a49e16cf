import { closeSync, openSync, readFileSync, readSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { parse } from 'csv-parse/sync';

export interface Input {
  readonly file: string;
  readonly isSpam: boolean;
}

/** A row that was not scored, and why: it counts in no figure. */
export interface Skipped {
  readonly file: string;
  readonly why: string;
}

const FILE_COLUMNS = ['file', 'filename', 'path', 'name', 'message'];
const LABEL_COLUMNS = ['label', 'class', 'category', 'verdict'];

/**
 * The messages that a label file names: CSV with the columns `file,label`, the label ham or spam in any case; byte order
 * mark, quotes, CRLF and a missing heading are read too. `file` is relative to the folder or absolute. A row without a label, with
 * another label, named twice or with a file that cannot be read is skipped and reported. A message that starts with an mbox
 * line is copied to `scratch` without it. Throws when the label file itself cannot be read.
 */
export function labelled(folder: string, labels: string, scratch: string): { inputs: Input[]; skipped: Skipped[] } {
  const rows = parse(readFileSync(labels), {
    bom: true,
    skip_empty_lines: true,
    trim: true,
    relax_column_count: true,
    relax_quotes: true,
  }) as string[][];
  const heading = (rows[0] ?? []).map((name) => name.toLowerCase());
  const fileAt = heading.findIndex((name) => FILE_COLUMNS.includes(name));
  const labelAt = heading.findIndex((name) => LABEL_COLUMNS.includes(name));
  const hasHeading = fileAt >= 0 && labelAt >= 0;
  const [from, kind] = hasHeading ? [fileAt, labelAt] : [0, 1];
  const inputs: Input[] = [];
  const skipped: Skipped[] = [];
  const seen = new Set<string>();
  for (const row of hasHeading ? rows.slice(1) : rows) {
    const name = row[from] ?? '';
    const label = (row[kind] ?? '').toLowerCase();
    const skip = (why: string) => skipped.push({ file: name, why });
    if (name === '') skip('the row names no file');
    else if (label !== 'ham' && label !== 'spam')
      skip(label === '' ? 'no label' : `the label is ${label}, not ham or spam`);
    else if (seen.has(name)) skip('named twice');
    else {
      seen.add(name);
      try {
        inputs.push({
          file: withoutMboxLine(path.resolve(folder, name), scratch, inputs.length),
          isSpam: label === 'spam',
        });
      } catch (error) {
        skip(error instanceof Error ? error.message : String(error));
      }
    }
  }
  return { inputs, skipped };
}

/** The first octets of a file, enough for its header. Throws when it is no file or cannot be read. */
export function headOf(file: string, octets = 65_536): Buffer {
  if (!statSync(file).isFile()) throw new Error('not a file');
  const handle = openSync(file, 'r');
  try {
    const buffer = Buffer.alloc(octets);
    return buffer.subarray(0, readSync(handle, buffer, 0, octets, 0));
  } finally {
    closeSync(handle);
  }
}

function withoutMboxLine(file: string, scratch: string, index: number): string {
  if (headOf(file, 5).toString('latin1') !== 'From ') return file;
  const bytes = readFileSync(file);
  const end = bytes.indexOf(0x0a);
  const copy = path.join(scratch, `mbox-${index}.eml`);
  writeFileSync(copy, end < 0 ? Buffer.alloc(0) : bytes.subarray(end + 1));
  return copy;
}

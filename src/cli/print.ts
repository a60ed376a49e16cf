import { type Cell, renderTable } from '../demo/table.ts';
import type { CommandResult } from './command.ts';

/** Characters of a line that a table keeps to, unless the terminal is wider: what is longer is cut, and whole with --json. */
const WIDTH = 120;
const lineWidth = () => Math.max(WIDTH, process.stdout.columns ?? 0);
const COLUMN_MIN = 10;

/** A command's result: one line of JSON, or lines, tables and words for people. Warnings go to standard error too. */
export function printResult({ output, forPeople, words, warnings = [] }: CommandResult, json: boolean): void {
  for (const warning of warnings) process.stderr.write(`tollgate: warning: ${warning}\n`);
  if (json) {
    process.stdout.write(`${jsonText(warnings.length === 0 ? output : { ...output, warnings })}\n`);
    return;
  }
  const text = [forPeopleText(forPeople ?? output), ...(words ?? [])].filter((one) => one !== '').join('\n');
  process.stdout.write(`${harmless(text)}\n`);
}

/** One line of JSON; terminals take C1 controls, which JSON lets stand, as commands too. */
export function jsonText(value: unknown): string {
  return JSON.stringify(value).replace(/[\u007f-\u009f]/g, (found) => `\\u00${found.charCodeAt(0).toString(16)}`);
}

/**
 * Text for a terminal: subjects, names and headers were written by strangers, and a terminal takes control characters as commands
 * and lets others turn the order of what is read.
 */
function harmless(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is replaced here
  return text.replace(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/g, '\ufffd');
}

type Row = Readonly<Record<string, unknown>>;

/** Fields as `name  value`, lists of objects as tables, an empty list in words. */
export function forPeopleText(output: Row): string {
  const fields = Object.entries(output).filter(([, value]) => !isTable(value));
  const width = Math.max(0, ...fields.map(([name]) => name.length));
  const lines = fields.map(([name, value]) => `${name.padEnd(width)}  ${inLine(value, name, width)}`.trimEnd());
  for (const [name, value] of Object.entries(output)) {
    if (!isTable(value)) continue;
    if (lines.length > 0) lines.push('');
    if (Object.keys(output).length > 1) lines.push(`${name}:`);
    lines.push(tableOf(value));
  }
  return lines.join('\n');
}

function isTable(value: unknown): value is readonly Row[] {
  return Array.isArray(value) && value.length > 0 && value.every(isRow);
}

function isRow(value: unknown): value is Row {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Date);
}

function tableOf(rows: readonly Row[]): string {
  const columns = [...new Set(rows.flatMap((row) => Object.keys(row)))];
  // A list in a row would burst the table: it stands under it.
  const nested = columns.filter((name) => rows.some((row) => isTable(row[name])));
  const flat = columns.filter((name) => !nested.includes(name));
  const cells = rows.map((row) => flat.map((name) => (name === 'port' ? String(row[name] ?? '—') : cell(row[name]))));
  const table = renderTable(flat, fitted(flat, cells));
  const below = rows.flatMap((row, index) =>
    nested.flatMap((name) => {
      const value = row[name];
      return isTable(value) ? ['', `${name} of ${String(row['id'] ?? index + 1)}:`, tableOf(value)] : [];
    }),
  );
  return [table, ...below].join('\n');
}

/** Cuts texts, the widest column first, until the lines fit; ids, times and numbers stay whole. */
function fitted(columns: readonly string[], rows: readonly (readonly Cell[])[]): Cell[][] {
  const lengthOf = (value: Cell) => (typeof value === 'string' ? [...value].length : String(value ?? '').length);
  const widths = columns.map((name, index) =>
    Math.max(name.length, ...rows.map((row) => lengthOf(row[index] ?? null))),
  );
  const most = widths.map((width, index) =>
    rows.every((row) => !isCuttable(row[index] ?? null)) ? width : Math.max(COLUMN_MIN, columns[index]?.length ?? 0),
  );
  for (;;) {
    const total = 2 + widths.reduce((sum, width) => sum + width, 0) + 2 * (widths.length - 1);
    const widest = widths.reduce(
      (best, width, index) =>
        width > (most[index] ?? width) && (best < 0 || width > (widths[best] ?? 0)) ? index : best,
      -1,
    );
    if (total <= lineWidth() || widest < 0) break;
    widths[widest] = (widths[widest] ?? 0) - 1;
  }
  return rows.map((row) =>
    row.map((value, index) => {
      const width = widths[index] ?? 0;
      return isCuttable(value) && lengthOf(value) > width ? `${[...value].slice(0, width - 1).join('')}…` : value;
    }),
  );
}

/** A text that is of use when its end is missing: no id, no time, and no word or two such as a state. */
function isCuttable(value: Cell): value is string {
  const whole = /^(?:[0-9a-f]{8}-[0-9a-f-]{27}|\d{4}-\d\d-\d\d(?: [\d:]+Z?)?|[a-z_]{1,12}(?: [a-z]{1,12})?)$/;
  return typeof value === 'string' && !whole.test(value);
}

function cell(value: unknown): Cell {
  if (value === null || value === undefined) return null;
  if (typeof value === 'number' || typeof value === 'boolean') return value;
  if (typeof value === 'string') return value.replace(/\s*[\r\n\t]\s*/g, ' ');
  if (value instanceof Date) return `${value.toISOString().slice(0, 19).replace('T', ' ')}Z`;
  return Array.isArray(value) ? value.map((one) => String(cell(one))).join(', ') : JSON.stringify(value);
}

function inLine(value: unknown, name: string, width: number): string {
  if (Array.isArray(value) && value.length === 0) return `none: there are no ${words(name)}`;
  if (Array.isArray(value)) return value.map((one) => String(cell(one))).join(`\n${' '.repeat(width + 2)}`);
  if (isRow(value)) return JSON.stringify(value, null, 2).replaceAll('\n', `\n${' '.repeat(width + 2)}`);
  const shown = cell(value);
  return shown === null ? '—' : typeof shown === 'boolean' ? (shown ? 'yes' : 'no') : String(shown);
}

/** `silentNodes`: silent nodes. */
const words = (name: string) =>
  name === 'quarantine'
    ? 'messages in quarantine'
    : name === 'held'
      ? 'held messages'
      : name.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`);

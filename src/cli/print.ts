import { type Cell, renderTable } from '../demo/table.ts';
import type { CommandResult } from './command.ts';

/** A command's result: one line of JSON, or lines, tables and words for people. Warnings go to standard error too. */
export function printResult({ output, forPeople, words, warnings = [] }: CommandResult, json: boolean): void {
  for (const warning of warnings) process.stderr.write(`tollgate: warning: ${warning}\n`);
  if (json) {
    process.stdout.write(`${JSON.stringify(warnings.length === 0 ? output : { ...output, warnings })}\n`);
    return;
  }
  const text = [forPeopleText(forPeople ?? output), ...(words ?? [])].filter((one) => one !== '').join('\n');
  process.stdout.write(`${text}\n`);
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
  const table = renderTable(
    flat,
    rows.map((row) => flat.map((name) => (name === 'port' ? String(row[name] ?? '—') : cell(row[name])))),
  );
  const below = rows.flatMap((row, index) =>
    nested.flatMap((name) => {
      const value = row[name];
      return isTable(value) ? ['', `${name} of ${String(row['id'] ?? index + 1)}:`, tableOf(value)] : [];
    }),
  );
  return [table, ...below].join('\n');
}

function cell(value: unknown): Cell {
  if (value === null || value === undefined) return null;
  if (typeof value === 'number' || typeof value === 'boolean') return value;
  if (typeof value === 'string') return value;
  if (value instanceof Date) return value.toISOString();
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

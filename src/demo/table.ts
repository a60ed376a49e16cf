export type Cell = string | number | boolean | null;

/** A plain table: numbers to the right, text to the left, an em dash for what is not known. */
export function renderTable(columns: readonly string[], rows: readonly (readonly Cell[])[]): string {
  const numeric = columns.map(
    (_, index) =>
      rows.some((row) => typeof row[index] === 'number') &&
      rows.every((row) => typeof row[index] === 'number' || row[index] === null),
  );
  const texts = rows.map((row) => row.map(show));
  const widths = columns.map((name, index) => Math.max(length(name), ...texts.map((row) => length(row[index] ?? ''))));
  const line = (cells: readonly string[]) =>
    `  ${cells.map((cell, index) => pad(cell, widths[index] ?? 0, numeric[index] === true)).join('  ')}`.trimEnd();
  const rule = `  ${widths.map((width) => '─'.repeat(width)).join('  ')}`;
  return [line(columns), rule, ...texts.map(line)].join('\n');
}

function show(cell: Cell): string {
  if (cell === null) return '—';
  if (typeof cell === 'number') return cell.toLocaleString('en');
  return typeof cell === 'boolean' ? (cell ? 'yes' : 'no') : cell;
}

const length = (text: string) => [...text].length;

function pad(text: string, width: number, right: boolean): string {
  const space = ' '.repeat(Math.max(0, width - length(text)));
  return right ? space + text : text + space;
}

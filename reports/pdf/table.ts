import type { ReportDocument } from './document.ts';
import { COLORS, CONTENT, FONT, PAGE } from './theme.ts';

export interface Column {
  readonly title: string;
  /** Share of the width. */
  readonly share: number;
  readonly align?: 'left' | 'right';
}

const ROW = 17;
const PAD = 5;
const SIZE = 9;
const LINES = 3;
/** Inter's line height, as a share of its size. */
const LEADING = 1.21;

/** A table whose header is repeated on every page and whose rows stay whole; long cells take up to three lines. */
export function table(
  document: ReportDocument,
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
): void {
  const whole = columns.reduce((sum, column) => sum + column.share, 0);
  const widths = columns.map((column) => (CONTENT * column.share) / whole);
  const struct = document.tag('Table', null, null);
  const heightOf = (cells: readonly string[]) =>
    Math.max(
      ...cells.map((cell, index) => {
        const width = (widths[index] ?? 0) - 2 * PAD;
        const tall = document.heightOf(document.clean(cell), FONT.regular, SIZE, width);
        return ROW - SIZE * LEADING + Math.min(tall, SIZE * LEADING * LINES);
      }),
    );
  const row = (cells: readonly string[], head: boolean, stripe: boolean, height: number): void => {
    const top = document.y;
    if (head || stripe)
      document.artifact(() => document.rect(PAGE.margin, top, CONTENT, height, head ? COLORS.line : COLORS.stripe));
    const tr = document.tag('TR', struct, null);
    let x: number = PAGE.margin;
    cells.forEach((cell, index) => {
      const width = widths[index] ?? 0;
      const at = x;
      const style = {
        size: SIZE,
        font: head ? FONT.bold : FONT.regular,
        width: width - 2 * PAD,
        align: columns[index]?.align ?? ('left' as const),
        lines: head ? 1 : LINES,
      };
      const td = document.tag(
        head ? 'TH' : 'TD',
        tr,
        () => document.text(document.clean(cell), at + PAD, top + 4, style),
        head ? { scope: 'Column' } : {},
      );
      td.end();
      x += width;
    });
    tr.end();
    document.y = top + height;
  };
  const head = () =>
    row(
      columns.map((column) => column.title),
      true,
      false,
      ROW,
    );
  document.room(ROW + heightOf(rows[0] ?? []));
  head();
  rows.forEach((cells, index) => {
    const before = document.y;
    const height = heightOf(cells);
    document.room(height);
    if (document.y < before) head();
    row(cells, false, index % 2 === 1, height);
  });
  struct.end();
  document.y += 8;
}

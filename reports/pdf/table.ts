import type { ReportDocument } from './document.ts';
import { COLORS, CONTENT, FONT, PAGE } from './theme.ts';

export interface Column {
  readonly title: string;
  /** Share of the width. */
  readonly share: number;
  readonly align?: 'left' | 'right';
}

const ROW = 19;
const PAD = 5;

/** A table whose header is repeated on every page and whose rows stay whole; long cells are cut with an ellipsis. */
export function table(
  document: ReportDocument,
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
): void {
  const whole = columns.reduce((sum, column) => sum + column.share, 0);
  const widths = columns.map((column) => (CONTENT * column.share) / whole);
  const struct = document.tag('Table', null, null);
  const row = (cells: readonly string[], head: boolean, stripe: boolean): void => {
    const top = document.y;
    if (head || stripe)
      document.artifact(() => document.rect(PAGE.margin, top, CONTENT, ROW, head ? COLORS.line : COLORS.stripe));
    const tr = document.tag('TR', struct, null);
    let x: number = PAGE.margin;
    cells.forEach((cell, index) => {
      const width = widths[index] ?? 0;
      const at = x;
      const style = {
        size: 9,
        font: head ? FONT.bold : FONT.regular,
        width: width - 2 * PAD,
        align: columns[index]?.align ?? ('left' as const),
        oneLine: true,
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
    document.y = top + ROW;
  };
  const head = () =>
    row(
      columns.map((column) => column.title),
      true,
      false,
    );
  document.room(3 * ROW);
  head();
  rows.forEach((cells, index) => {
    const before = document.y;
    document.room(ROW);
    if (document.y < before) head();
    row(cells, false, index % 2 === 1);
  });
  struct.end();
  document.y += 8;
}

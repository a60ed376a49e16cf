import type { Drawing, Shape } from './drawing.ts';

export interface Share {
  readonly name: string;
  readonly value: number;
  readonly color: string;
}

const INK = '#1f2933';
const TRACK = '#eef1f5';
/** Height of one bar with its name, in points. */
export const SHARE_ROW = 16;
const NAME = 96;
/** Room for the least number, and for a digit of 9 points. */
const NUMBER = 96;
const DIGIT = 5.8;

/** Horizontal bars with the number and the share of the whole at their end, largest first. */
export function shareBars(width: number, shares: readonly Share[], unit: string): Drawing {
  const whole = shares.reduce((sum, share) => sum + share.value, 0);
  const rows = [...shares].sort((a, b) => b.value - a.value);
  const largest = Math.max(1, ...rows.map((row) => row.value));
  const labelOf = (row: Share) => {
    const share = whole === 0 ? '0' : ((row.value * 100) / whole).toFixed(1);
    return `${row.value.toLocaleString('en')}  (${share} %)`;
  };
  const longest = Math.max(0, ...rows.map((row) => labelOf(row).length));
  const room = width - NAME - Math.max(NUMBER, longest * DIGIT);
  const shapes = rows.flatMap((row, index): Shape[] => {
    const y = index * SHARE_ROW;
    return [
      { kind: 'text', x: 0, y: y + 11.5, text: row.name, size: 9, fill: INK, anchor: 'start' },
      { kind: 'rect', x: NAME, y: y + 3, width: room, height: 10, fill: TRACK },
      { kind: 'rect', x: NAME, y: y + 3, width: (room * row.value) / largest, height: 10, fill: row.color },
      {
        kind: 'text',
        x: width,
        y: y + 11.5,
        text: labelOf(row),
        size: 9,
        fill: INK,
        anchor: 'end',
      },
    ];
  });
  const alt = rows.map((row) => `${row.name} ${row.value.toLocaleString('en')}`).join(', ');
  return {
    width,
    height: Math.max(SHARE_ROW, rows.length * SHARE_ROW),
    shapes,
    alt: `${unit} by verdict: ${alt === '' ? 'none' : alt}.`,
  };
}

import type { Drawing, Shape } from './drawing.ts';

export interface Share {
  readonly name: string;
  readonly value: number;
  readonly color: string;
}

const INK = '#1f2933';
const TRACK = '#eef1f5';
const ROW = 20;
const NAME = 96;
const NUMBER = 96;

/** Horizontal bars with the number and the share of the whole at their end, largest first. */
export function shareBars(width: number, shares: readonly Share[], unit: string): Drawing {
  const whole = shares.reduce((sum, share) => sum + share.value, 0);
  const rows = [...shares].sort((a, b) => b.value - a.value);
  const largest = Math.max(1, ...rows.map((row) => row.value));
  const room = width - NAME - NUMBER;
  const shapes = rows.flatMap((row, index): Shape[] => {
    const y = index * ROW;
    const share = whole === 0 ? '0' : ((row.value * 100) / whole).toFixed(1);
    return [
      { kind: 'text', x: 0, y: y + 13, text: row.name, size: 9, fill: INK, anchor: 'start' },
      { kind: 'rect', x: NAME, y: y + 4, width: room, height: 12, fill: TRACK },
      { kind: 'rect', x: NAME, y: y + 4, width: (room * row.value) / largest, height: 12, fill: row.color },
      {
        kind: 'text',
        x: width,
        y: y + 13,
        text: `${row.value.toLocaleString('en')}  (${share} %)`,
        size: 9,
        fill: INK,
        anchor: 'end',
      },
    ];
  });
  const alt = rows.map((row) => `${row.name} ${row.value.toLocaleString('en')}`).join(', ');
  return {
    width,
    height: Math.max(ROW, rows.length * ROW),
    shapes,
    alt: `${unit} by verdict: ${alt === '' ? 'none' : alt}.`,
  };
}

import { scaleLinear } from 'd3-scale';
import type { Drawing, Shape } from './drawing.ts';

export interface BarSeries {
  readonly name: string;
  readonly color: string;
}

export interface Bar {
  readonly label: string;
  /** One per series, from the bottom up. */
  readonly values: readonly number[];
  /** Not all is known yet: drawn pale. */
  readonly incomplete: boolean;
}

const GRID = '#d9dee5';
const INK = '#4a5568';
const AXIS = 44;
const FOOT = 16;
const TOP = 8;

/** Stacked bars, one per day, with a labelled axis; every label is thinned so that none touches its neighbour. */
export function stackedBars(options: {
  readonly width: number;
  readonly height: number;
  readonly series: readonly BarSeries[];
  readonly bars: readonly Bar[];
  readonly unit: string;
}): Drawing {
  const { width, height, series, bars, unit } = options;
  const sums = bars.map((bar) => bar.values.reduce((sum, value) => sum + value, 0));
  const top = Math.max(1, ...sums);
  const plot = height - FOOT - TOP;
  const y = scaleLinear()
    .domain([0, top])
    .nice(4)
    .range([plot + TOP, TOP]);
  const shapes: Shape[] = [];
  for (const tick of y.ticks(4).filter(Number.isInteger)) {
    shapes.push({ kind: 'line', x1: AXIS, y1: y(tick), x2: width, y2: y(tick), stroke: GRID, width: 0.5 });
    shapes.push({
      kind: 'text',
      x: AXIS - 6,
      y: y(tick) + 3,
      text: tick.toLocaleString('en'),
      size: 8,
      fill: INK,
      anchor: 'end',
    });
  }
  const step = (width - AXIS) / Math.max(1, bars.length);
  const every = Math.max(1, Math.ceil(28 / step));
  bars.forEach((bar, index) => {
    const x = AXIS + index * step + step * 0.15;
    let base = 0;
    bar.values.forEach((value, at) => {
      const fill = series[at]?.color ?? INK;
      if (value > 0) {
        const [from, to] = [y(base), y(base + value)];
        shapes.push({
          kind: 'rect',
          x,
          y: to,
          width: step * 0.7,
          height: Math.max(0.5, from - to),
          fill: bar.incomplete ? pale(fill) : fill,
        });
      }
      base += value;
    });
    if (index % every === 0) {
      shapes.push({
        kind: 'text',
        x: x + step * 0.35,
        y: height - 4,
        text: bar.label,
        size: 8,
        fill: INK,
        anchor: 'middle',
      });
    }
  });
  const total = sums.reduce((sum, value) => sum + value, 0);
  const peak = sums.indexOf(Math.max(...sums, 0));
  const highest =
    total === 0 ? '' : ` The highest is ${bars[peak]?.label ?? ''} with ${(sums[peak] ?? 0).toLocaleString('en')}.`;
  return { width, height, shapes, alt: `${total.toLocaleString('en')} ${unit} over ${bars.length} days.${highest}` };
}

/** The colour half way to white. */
function pale(color: string): string {
  const channel = (at: number) => Math.round((Number.parseInt(color.slice(at, at + 2), 16) + 255) / 2);
  return `#${[1, 3, 5].map((at) => channel(at).toString(16).padStart(2, '0')).join('')}`;
}

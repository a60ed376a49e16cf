/** A chart as a small list of shapes, drawn as paths in a PDF and as SVG in pages: one look, one test set. */
export type Shape = Rect | Line | Label;

export interface Rect {
  readonly kind: 'rect';
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
  readonly fill: string;
}

export interface Line {
  readonly kind: 'line';
  readonly x1: number;
  readonly y1: number;
  readonly x2: number;
  readonly y2: number;
  readonly stroke: string;
  readonly width: number;
}

export interface Label {
  readonly kind: 'text';
  /** Where `anchor` of the text lies; y is its base line. */
  readonly x: number;
  readonly y: number;
  readonly text: string;
  readonly size: number;
  readonly fill: string;
  readonly anchor: 'start' | 'middle' | 'end';
}

export interface Drawing {
  readonly width: number;
  readonly height: number;
  readonly shapes: readonly Shape[];
  /** What the picture says, for those who don't see it. */
  readonly alt: string;
}

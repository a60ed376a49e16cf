import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import PDFDocument from 'pdfkit';
import type { Drawing } from '../chart/drawing.ts';
import { COLORS, CONTENT, FONT, PAGE } from './theme.ts';

type Struct = PDFKit.PDFStructureElement;

export interface DocumentInfo {
  readonly title: string;
  readonly author: string;
  /** Stands in the file; the same input makes the same bytes. */
  readonly createdAt: Date;
  /** At the foot of every page. */
  readonly footer: string;
  /** False in tests, which read the content. */
  readonly compress?: boolean;
}

// Inter's default kerning is set wrong by fontkit ("77,109" overlaps); with these two features it is right.
const FEATURES: PDFKit.Mixins.OpenTypeFeatures[] = ['tnum', 'kern'];
const FOOT = 40;
const PAGE_NUMBER = 90;

const fonts = new Map<string, Buffer>();

function font(file: string): Buffer {
  const known = fonts.get(file);
  if (known !== undefined) return known;
  const bytes = readFileSync(createRequire(import.meta.url).resolve(`@expo-google-fonts/inter/${file}`));
  fonts.set(file, bytes);
  return bytes;
}

/**
 * A tagged PDF (PDF/UA style: headings, paragraphs, tables with header cells, figures with a description; everything else is an
 * artifact), with embedded fonts. Lays out from the top; `room` breaks the page before something that does not fit.
 */
export class ReportDocument {
  readonly #doc: PDFKit.PDFDocument;
  readonly #root: Struct;
  readonly #info: DocumentInfo;
  readonly #chunks: Buffer[] = [];
  readonly #ended: Promise<void>;
  readonly #glyphs: { has(codePoint: number): boolean };
  y: number = PAGE.margin;

  constructor(info: DocumentInfo) {
    this.#info = info;
    this.#doc = new PDFDocument({
      size: [PAGE.width, PAGE.height],
      margins: { top: PAGE.margin, bottom: 0, left: PAGE.margin, right: PAGE.margin },
      pdfVersion: '1.7',
      tagged: true,
      lang: 'en-GB',
      displayTitle: true,
      bufferPages: true,
      compress: info.compress ?? true,
      info: {
        Title: info.title,
        Author: info.author,
        Creator: 'Tollgate',
        Producer: 'Tollgate',
        CreationDate: info.createdAt,
        ModDate: info.createdAt,
      },
    });
    this.#doc.registerFont(FONT.regular, font('400Regular/Inter_400Regular.ttf'));
    this.#doc.registerFont(FONT.bold, font('600SemiBold/Inter_600SemiBold.ttf'));
    this.#doc.on('data', (chunk: Buffer) => this.#chunks.push(chunk));
    this.#ended = new Promise((resolve) => this.#doc.once('end', () => resolve()));
    this.#root = this.#doc.struct('Document');
    this.#doc.addStructure(this.#root);
    this.#doc.font(FONT.regular);
    const face = (this.#doc as unknown as { _font: { font: { hasGlyphForCodePoint(code: number): boolean } } })._font
      .font;
    this.#glyphs = { has: (code) => face.hasGlyphForCodePoint(code) };
  }

  /** Text as it can be shown: no control characters, and what the font lacks becomes a visible sign instead of nothing. */
  clean(text: string): string {
    return [...text.normalize('NFC')]
      .map((char) => {
        const code = char.codePointAt(0) ?? 0;
        if (
          code < 32 ||
          (code >= 127 && code < 160) ||
          (code >= 0x202a && code <= 0x202e) ||
          (code >= 0x2066 && code <= 0x2069)
        )
          return ' ';
        return this.#glyphs.has(code) ? char : '\ufffd';
      })
      .join('');
  }

  /** Breaks the page when less than `height` is left on it. */
  room(height: number): void {
    if (this.y + height <= PAGE.height - FOOT - 16) return;
    this.#doc.addPage();
    this.y = PAGE.margin;
  }

  /** Points that are left on the page. */
  left(): number {
    return PAGE.height - FOOT - 16 - this.y;
  }

  newPage(): void {
    this.#doc.addPage();
    this.y = PAGE.margin;
  }

  /** The size at which a text fits into one line: `size`, or less, but not less than `least`. */
  fit(shown: string, font: string, size: number, width: number, least: number): number {
    this.#doc.font(font).fontSize(size);
    const wide = this.#doc.widthOfString(`${shown} `, { features: FEATURES } as PDFKit.Mixins.TextOptions);
    return wide <= width ? size : Math.max(least, Math.floor((size * width * 10) / wide) / 10);
  }

  /** The height of a text that is broken into lines of this width. */
  heightOf(shown: string, font: string, size: number, width: number): number {
    return this.#doc.font(font).fontSize(size).heightOfString(`${shown} `, { width, features: FEATURES });
  }

  /** `keep` is the height of what must stand on the same page below the heading. */
  heading(level: 1 | 2, text: string, color: string, keep = 40): void {
    const size = level === 1 ? 24 : 14;
    this.room(36 + keep);
    const shown = this.clean(text);
    if (level === 2) {
      this.y += 12;
      this.#doc.outline.addItem(shown);
    }
    this.#tag(level === 1 ? 'H1' : 'H2', () => this.#write(shown, { size, font: FONT.bold, color }));
    this.y += 4;
  }

  paragraph(text: string, options: { size?: number; color?: string; bold?: boolean } = {}): void {
    const style = {
      size: options.size ?? 9.5,
      color: options.color ?? COLORS.ink,
      font: options.bold === true ? FONT.bold : FONT.regular,
    };
    const shown = this.clean(text);
    this.#doc.font(style.font).fontSize(style.size);
    this.room(this.#doc.heightOfString(shown, { width: CONTENT, features: FEATURES }) + 4);
    this.#tag('P', () => this.#write(shown, style));
    this.y += 3;
  }

  /** A box that can't be overlooked. */
  banner(text: string): void {
    const shown = this.clean(text);
    this.#doc.font(FONT.bold).fontSize(10);
    const height = this.#doc.heightOfString(shown, { width: CONTENT - 24, features: FEATURES }) + 16;
    this.room(height + 8);
    this.artifact(() => this.#doc.rect(PAGE.margin, this.y, CONTENT, height).fill(COLORS.warnFill));
    const top = this.y;
    this.#tag('P', () =>
      this.text(shown, PAGE.margin + 12, top + 8, {
        size: 10,
        font: FONT.bold,
        color: COLORS.warn,
        width: CONTENT - 24,
      }),
    );
    this.y = top + height + 8;
  }

  figure(drawing: Drawing): void {
    this.room(drawing.height + 12);
    const [x, y] = [PAGE.margin, this.y];
    const bbox: [number, number, number, number] = [x, y, x + drawing.width, y + drawing.height];
    const struct = this.#doc.struct('Figure', figureOptions(drawing.alt, bbox), () => this.#draw(drawing, x, y));
    this.#root.add(struct);
    struct.end();
    this.y += drawing.height + 10;
  }

  /** Structure for what the table and others draw themselves. */
  tag(type: string, parent: Struct | null, draw: (() => void) | null, options: object = {}): Struct {
    const struct = draw === null ? this.#doc.struct(type, options) : this.#doc.struct(type, options, draw);
    (parent ?? this.#root).add(struct);
    return struct;
  }

  /** Decoration: seen, not read out. */
  artifact(draw: () => void): void {
    this.#doc.markContent('Artifact', { type: 'Layout' });
    draw();
    this.#doc.endMarkedContent();
  }

  rect(x: number, y: number, width: number, height: number, fill: string): void {
    this.#doc.rect(x, y, width, height).fill(fill);
  }

  image(bytes: Buffer, x: number, y: number, fit: [number, number], alt: string): void {
    const struct = this.#doc.struct('Figure', figureOptions(alt, [x, y, x + fit[0], y + fit[1]]), () => {
      this.#doc.image(bytes, x, y, { fit });
    });
    this.#root.add(struct);
    struct.end();
  }

  /** A text at a place; cut with an ellipsis when it does not fit into `lines`. */
  text(
    shown: string,
    x: number,
    y: number,
    style: {
      size: number;
      font?: string;
      color?: string;
      width?: number;
      align?: 'left' | 'right' | 'center';
      lines?: number;
    },
  ): void {
    const line = style.lines === undefined ? {} : { height: style.size * 1.3 * style.lines, ellipsis: '…' };
    this.#doc
      .font(style.font ?? FONT.regular)
      .fontSize(style.size)
      .fillColor(style.color ?? COLORS.ink)
      // The space ends the word for readers that put the runs together.
      .text(`${shown} `, x, y, {
        width: style.width ?? CONTENT,
        align: style.align ?? 'left',
        features: FEATURES,
        ...line,
      });
  }

  /** Ends the document and answers with its bytes. */
  async finish(): Promise<Buffer> {
    const range = this.#doc.bufferedPageRange();
    for (let index = 0; index < range.count; index += 1) {
      this.#doc.switchToPage(index);
      (this.#doc.page.dictionary.data as Record<string, unknown>)['Tabs'] = 'S';
      this.artifact(() => {
        const style = { size: 8, color: COLORS.soft, width: CONTENT - PAGE_NUMBER, lines: 1 };
        const [left, top] = [PAGE.margin, PAGE.height - FOOT];
        this.text(this.clean(this.#info.footer), left, top, style);
        this.text(`Page ${index + 1} of ${range.count}`, left + CONTENT - PAGE_NUMBER, top, {
          ...style,
          width: PAGE_NUMBER,
          align: 'right',
        });
      });
    }
    this.#root.end();
    this.#doc.end();
    await this.#ended;
    return Buffer.concat(this.#chunks);
  }

  #tag(type: string, draw: () => void): void {
    const struct = this.tag(type, null, draw);
    struct.end();
  }

  #write(text: string, style: { size: number; font: string; color: string }): void {
    this.text(text, PAGE.margin, this.y, style);
    this.y = this.#doc.y;
  }

  #draw(drawing: Drawing, left: number, top: number): void {
    for (const shape of drawing.shapes) {
      if (shape.kind === 'rect') this.rect(left + shape.x, top + shape.y, shape.width, shape.height, shape.fill);
      else if (shape.kind === 'line') {
        this.#doc
          .moveTo(left + shape.x1, top + shape.y1)
          .lineTo(left + shape.x2, top + shape.y2)
          .lineWidth(shape.width)
          .stroke(shape.stroke);
      } else {
        const shown = this.clean(shape.text);
        this.#doc.font(FONT.regular).fontSize(shape.size);
        const width = this.#doc.widthOfString(shown, { features: FEATURES } as PDFKit.Mixins.TextOptions);
        const x = left + shape.x - (shape.anchor === 'end' ? width : shape.anchor === 'middle' ? width / 2 : 0);
        this.#doc
          .fillColor(shape.fill)
          .text(shown, x, top + shape.y - shape.size, { lineBreak: false, features: FEATURES });
      }
    }
  }
}

/** The types of pdfkit 0.17 do not know `bbox` yet, which a figure of PDF/UA needs. */
function figureOptions(alt: string, bbox: [number, number, number, number]): { alt: string } {
  const options = { alt, bbox };
  return options;
}

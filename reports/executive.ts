import type { Brand } from '../src/accounts/branding.ts';
import type { Verdict } from '../src/core/verdict.ts';
import { stackedBars } from './chart/bars.ts';
import { SHARE_ROW, shareBars } from './chart/share.ts';
import type { ReportModel } from './model.ts';
import { ReportDocument } from './pdf/document.ts';
import { table } from './pdf/table.ts';
import { COLORS, CONTENT, FONT, PAGE, readable, textOn } from './pdf/theme.ts';

const VERDICT_COLORS: Readonly<Record<Verdict, string>> = {
  clean: '#2a9d8f',
  bulk: '#8ab17d',
  spam: '#e9c46a',
  spoof: '#f4a261',
  phish: '#e76f51',
  policy: '#6d597a',
  unscannable: '#9aa5b1',
  malware: '#b5179e',
};
const UNWANTED = '#d1495b';
const COVER = 132;

/** The executive summary as a PDF. */
export function renderExecutive(model: ReportModel, brand: Brand, createdAt: Date, compress = true): Promise<Buffer> {
  const document = new ReportDocument({
    title: `${model.title}, ${model.clientName}, ${model.periodText}`,
    author: model.partnerName,
    createdAt,
    footer: `${model.clientName} · ${model.periodText} · version ${model.version}${model.complete ? '' : ' · incomplete'}`,
    compress,
  });
  const accent = readable(brand.primaryColor);
  cover(document, model, brand);
  if (model.banner !== null) document.banner(model.banner);
  keyFigures(document, model, accent);
  document.heading(2, 'What was unusual', accent, 12);
  for (const text of model.unusual) document.paragraph(text);

  document.heading(2, 'Deliveries by day', accent, CHART.least + 40);
  document.figure(
    stackedBars({
      width: CONTENT,
      height: chartHeight(document, model),
      unit: 'deliveries',
      series: [
        { name: 'wanted', color: VERDICT_COLORS.clean },
        { name: 'unwanted', color: UNWANTED },
      ],
      bars: model.days.map((day) => ({
        label: day.label,
        values: [day.wanted, day.unwanted],
        incomplete: day.incomplete,
        unknown: day.unknown,
      })),
    }),
  );
  legend(document, model.complete);

  document.heading(2, 'Deliveries by verdict', accent, verdictHeight(model));
  if (model.verdicts.length === 0) document.paragraph(model.nothing.deliveries, { color: COLORS.soft });
  else {
    const shares = model.verdicts.map((row) => ({
      name: row.name,
      value: row.deliveries,
      color: VERDICT_COLORS[row.verdict],
    }));
    document.figure(shareBars(CONTENT, shares, 'Deliveries'));
  }

  section(document, 'Top senders', accent, model.senders, model.nothing.senders, [
    { title: 'Envelope sender', share: 6 },
    { title: 'Deliveries', share: 2, align: 'right' },
    { title: 'Unwanted', share: 2, align: 'right' },
  ]);
  section(document, 'Most targeted mailboxes', accent, model.mailboxes, model.nothing.mailboxes, [
    { title: 'Mailbox', share: 6 },
    { title: 'Unwanted', share: 2, align: 'right' },
    { title: 'Deliveries', share: 2, align: 'right' },
  ]);
  section(document, 'Incidents', accent, model.incidents, 'No incident in this period.', [
    { title: 'What', share: 5 },
    { title: 'Opened', share: 2.6 },
    { title: 'Ended', share: 2.6 },
    { title: 'Ticket', share: 2.2 },
  ]);
  section(document, 'Usage', accent, model.usage, 'No usage is recorded for this period.', [
    { title: 'Product', share: 4 },
    { title: 'Days', share: 1.5, align: 'right' },
    { title: 'Least', share: 1.5, align: 'right' },
    { title: 'Most', share: 1.5, align: 'right' },
    { title: 'Billable mailboxes', share: 3, align: 'right' },
  ]);
  document.heading(2, 'How these numbers are counted', accent);
  for (const note of model.notes) document.paragraph(note, { size: 8.5, color: COLORS.soft });
  return document.finish();
}

function cover(document: ReportDocument, model: ReportModel, brand: Brand): void {
  const on = textOn(brand.primaryColor);
  document.artifact(() => {
    document.rect(0, 0, PAGE.width, COVER, brand.primaryColor);
    document.rect(0, COVER, PAGE.width, 5, brand.accentColor);
  });
  if (brand.logo !== null)
    document.image(brand.logo, PAGE.width - PAGE.margin - 130, 24, [130, 50], `Logo of ${model.partnerName}`);
  const width = CONTENT - (brand.logo === null ? 0 : 150);
  const name = document.clean(model.clientName);
  const nameSize = document.fit(name, FONT.bold, 26, width, 15);
  const lines = [
    { tag: 'P', text: model.partnerName, y: 20, size: 10, font: FONT.regular },
    { tag: 'H1', text: name, y: 36, size: nameSize, font: FONT.bold },
    { tag: 'P', text: model.title, y: 72, size: 12, font: FONT.regular },
    { tag: 'P', text: `${model.periodText} · ${model.zone}`, y: 90, size: 12, font: FONT.bold },
    {
      tag: 'P',
      text: `Version ${model.version}${model.complete ? '' : ' · incomplete'}`,
      y: 110,
      size: 9,
      font: FONT.regular,
    },
  ] as const;
  for (const line of lines) {
    const struct = document.tag(line.tag, null, () =>
      document.text(document.clean(line.text), PAGE.margin, line.y, {
        size: line.size,
        font: line.font,
        color: on,
        width,
        lines: line.tag === 'H1' && nameSize === 15 ? 2 : 1,
      }),
    );
    struct.end();
  }
  document.y = COVER + 14;
}

/** Points. The chart takes what is left of its page, between these, when the verdicts go onto the next. */
const CHART = { least: 90, most: 260, legend: 28 };

function chartHeight(document: ReportDocument, model: ReportModel): number {
  const left = document.left() - CHART.legend;
  const verdicts = 36 + verdictHeight(model);
  const beside = left - verdicts;
  return Math.min(CHART.most, Math.max(CHART.least, beside >= CHART.least ? Math.min(beside, 180) : left));
}

const verdictHeight = (model: ReportModel) => 12 + SHARE_ROW * Math.max(1, model.verdicts.length);

const TILE = { columns: 4, height: 68, gap: 8 };

function keyFigures(document: ReportDocument, model: ReportModel, accent: string): void {
  const width = (CONTENT - (TILE.columns - 1) * TILE.gap) / TILE.columns;
  document.heading(2, 'Key figures', accent);
  document.y += 2;
  model.keyFigures.forEach((figure, index) => {
    const x = PAGE.margin + (index % TILE.columns) * (width + TILE.gap);
    if (index % TILE.columns === 0) document.room(TILE.height + TILE.gap);
    const top = document.y;
    document.artifact(() => document.rect(x, top, width, TILE.height, COLORS.stripe));
    const struct = document.tag('P', null, () => {
      const value = document.clean(figure.value);
      document.text(value, x + 8, top + 6, {
        // A number is never cut: without its last digits it would be another one.
        size: document.fit(value, FONT.bold, 17, width - 16, 6),
        font: FONT.bold,
        color: accent,
        width: width - 16,
        lines: 1,
      });
      document.text(document.clean(figure.label), x + 8, top + 30, { size: 8.5, width: width - 16, lines: 1 });
      for (const [line, text] of [figure.change, figure.year].entries()) {
        if (text === '') continue;
        const shown = document.clean(text);
        document.text(shown, x + 8, top + 43 + 10.5 * line, {
          size: document.fit(shown, FONT.regular, 7, width - 16, 5),
          color: COLORS.soft,
          width: width - 16,
          lines: 1,
        });
      }
    });
    struct.end();
    if (index % TILE.columns === TILE.columns - 1 || index === model.keyFigures.length - 1)
      document.y = top + TILE.height + TILE.gap;
  });
}

function legend(document: ReportDocument, complete: boolean): void {
  const top = document.y - 4;
  document.artifact(() => {
    document.rect(PAGE.margin + 44, top + 2, 8, 8, VERDICT_COLORS.clean);
    document.rect(PAGE.margin + 120, top + 2, 8, 8, UNWANTED);
  });
  const struct = document.tag('P', null, () => {
    document.text('wanted', PAGE.margin + 56, top, { size: 8.5, width: 60 });
    document.text('unwanted', PAGE.margin + 132, top, { size: 8.5, width: 60 });
    if (!complete)
      document.text('pale: not completely counted yet; grey: not known yet', PAGE.margin + 204, top, {
        size: 8.5,
        width: CONTENT - 204,
        color: COLORS.soft,
      });
  });
  struct.end();
  document.y = top + 16;
}

type Columns = Parameters<typeof table>[1];

function section(
  document: ReportDocument,
  title: string,
  accent: string,
  rows: readonly (readonly string[])[],
  empty: string,
  columns: Columns,
): void {
  document.heading(2, title, accent);
  if (rows.length === 0) document.paragraph(empty, { color: COLORS.soft });
  else table(document, columns, rows);
}

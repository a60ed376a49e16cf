import type { Brand } from '../src/accounts/branding.ts';
import type { Verdict } from '../src/core/verdict.ts';
import { stackedBars } from './chart/bars.ts';
import { shareBars } from './chart/share.ts';
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
const COVER = 170;

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

  document.heading(2, 'Deliveries by day', accent);
  document.figure(
    stackedBars({
      width: CONTENT,
      height: 150,
      unit: 'deliveries',
      series: [
        { name: 'wanted', color: VERDICT_COLORS.clean },
        { name: 'unwanted', color: UNWANTED },
      ],
      bars: model.days.map((day) => ({
        label: day.label,
        values: [day.wanted, day.unwanted],
        incomplete: day.incomplete,
      })),
    }),
  );
  legend(document);

  document.heading(2, 'Deliveries by verdict', accent);
  if (model.verdicts.length === 0) document.paragraph('No delivery is counted in this period.', { color: COLORS.soft });
  else {
    const shares = model.verdicts.map((row) => ({
      name: row.name,
      value: row.deliveries,
      color: VERDICT_COLORS[row.verdict],
    }));
    document.figure(shareBars(CONTENT, shares, 'Deliveries'));
  }

  section(document, 'Top senders', accent, model.senders, 'No mail came in this period.', [
    { title: 'Envelope sender', share: 6 },
    { title: 'Deliveries', share: 2, align: 'right' },
    { title: 'Unwanted', share: 2, align: 'right' },
  ]);
  section(
    document,
    'Most targeted mailboxes',
    accent,
    model.mailboxes,
    'No unwanted mail was addressed to a mailbox.',
    [
      { title: 'Mailbox', share: 6 },
      { title: 'Unwanted', share: 2, align: 'right' },
      { title: 'Deliveries', share: 2, align: 'right' },
    ],
  );
  section(document, 'Incidents', accent, model.incidents, 'No incident in this period.', [
    { title: 'What', share: 6 },
    { title: 'Opened', share: 2.6 },
    { title: 'Ended', share: 2.6 },
    { title: 'Ticket', share: 1.8 },
  ]);
  section(document, 'Usage', accent, model.usage, 'No usage is recorded for this period.', [
    { title: 'Day', share: 3 },
    { title: 'Product', share: 4 },
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
    document.image(brand.logo, PAGE.width - PAGE.margin - 130, 32, [130, 50], `Logo of ${model.partnerName}`);
  const width = CONTENT - (brand.logo === null ? 0 : 150);
  const lines = [
    { tag: 'P', text: model.partnerName, y: 34, size: 10, font: FONT.regular },
    { tag: 'H1', text: model.clientName, y: 54, size: 26, font: FONT.bold },
    { tag: 'P', text: model.title, y: 94, size: 13, font: FONT.regular },
    { tag: 'P', text: `${model.periodText} · ${model.zone}`, y: 116, size: 13, font: FONT.bold },
    {
      tag: 'P',
      text: `Version ${model.version}${model.complete ? '' : ' · incomplete'}`,
      y: 140,
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
        oneLine: true,
      }),
    );
    struct.end();
  }
  document.y = COVER + 24;
}

const TILE = { columns: 3, height: 66, gap: 10 };

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
      document.text(document.clean(figure.value), x + 10, top + 8, {
        size: 18,
        font: FONT.bold,
        color: accent,
        width: width - 20,
        oneLine: true,
      });
      document.text(document.clean(figure.label), x + 10, top + 34, { size: 8.5, width: width - 20, oneLine: true });
      document.text(document.clean(figure.change), x + 10, top + 47, {
        size: 7.5,
        color: COLORS.soft,
        width: width - 20,
        oneLine: true,
      });
    });
    struct.end();
    if (index % TILE.columns === TILE.columns - 1 || index === model.keyFigures.length - 1)
      document.y = top + TILE.height + TILE.gap;
  });
}

function legend(document: ReportDocument): void {
  const top = document.y - 4;
  document.artifact(() => {
    document.rect(PAGE.margin + 44, top + 2, 8, 8, VERDICT_COLORS.clean);
    document.rect(PAGE.margin + 120, top + 2, 8, 8, UNWANTED);
  });
  const struct = document.tag('P', null, () => {
    document.text('wanted', PAGE.margin + 56, top, { size: 8.5, width: 60 });
    document.text('unwanted', PAGE.margin + 132, top, { size: 8.5, width: 60 });
    document.text('pale: the day is not completely counted yet', PAGE.margin + 210, top, {
      size: 8.5,
      width: 260,
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

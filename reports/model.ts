import type { Completeness, Totals } from '../src/core/counts.ts';
import { addDays, interval, type LocalPeriod } from '../src/core/period.ts';
import type { Verdict } from '../src/core/verdict.ts';
import type { Health } from '../src/insights/health.ts';
import type { MetricChange } from '../src/insights/history.ts';
import type { Unusual } from '../src/insights/unusual.ts';
import type { PeriodValue } from '../src/insights/wellbeing.ts';

/** What the incidents part shows. */
export interface IncidentFact {
  readonly title: string;
  readonly openedAt: Date;
  readonly resolvedAt: Date | null;
  readonly ticketNumber: string | null;
}

export interface UsageFact {
  readonly day: string;
  readonly product: string;
  readonly quantity: number;
}

export interface RankedFact {
  readonly name: string;
  readonly deliveries: number;
  readonly unwanted: number;
}

/** Everything that a report is made of. */
export interface ReportFacts {
  readonly clientName: string;
  readonly partnerName: string;
  readonly period: LocalPeriod;
  readonly version: number;
  readonly now: Date;
  readonly current: Completeness & { readonly totals: Totals };
  readonly previous: Completeness & { readonly totals: Totals };
  readonly days: readonly {
    readonly date: string;
    readonly complete: boolean;
    readonly future: boolean;
    readonly totals: Totals;
  }[];
  readonly senders: readonly RankedFact[];
  readonly mailboxes: readonly RankedFact[];
  readonly incidents: readonly IncidentFact[];
  readonly usage: readonly UsageFact[];
  readonly insights: InsightFacts;
}

/** What src/insights makes of the numbers. */
export interface InsightFacts {
  readonly changes: readonly MetricChange[];
  readonly health: Health;
  /** Null: nothing of the period is counted. */
  readonly value: PeriodValue | null;
  readonly unusual: Unusual;
}

export interface KeyFigure {
  readonly label: string;
  readonly value: string;
  readonly change: string;
  /** A second line. */
  readonly year: string;
}

/** What is shown, every number already a text. */
export interface ReportModel {
  readonly title: string;
  readonly clientName: string;
  readonly partnerName: string;
  readonly periodText: string;
  readonly zone: string;
  readonly version: number;
  readonly complete: boolean;
  /** What a part without rows says; that there was nothing only when that is known. */
  readonly nothing: { readonly deliveries: string; readonly senders: string; readonly mailboxes: string };
  /** Null when everything is counted. */
  readonly banner: string | null;
  readonly keyFigures: readonly KeyFigure[];
  /** What was unusual, a paragraph each. */
  readonly unusual: readonly string[];
  readonly verdicts: readonly { readonly name: string; readonly verdict: Verdict; readonly deliveries: number }[];
  readonly days: readonly {
    readonly date: string;
    readonly label: string;
    readonly incomplete: boolean;
    /** Nothing at all is known of the day: neither a count nor a zero. */
    readonly unknown: boolean;
    readonly wanted: number;
    readonly unwanted: number;
  }[];
  readonly senders: readonly (readonly string[])[];
  readonly mailboxes: readonly (readonly string[])[];
  readonly incidents: readonly (readonly string[])[];
  readonly usage: readonly (readonly string[])[];
  readonly notes: readonly string[];
}

export const VERDICT_NAMES: Readonly<Record<Verdict, string>> = {
  clean: 'Clean',
  bulk: 'Bulk',
  spam: 'Spam',
  spoof: 'Forged sender',
  phish: 'Phishing',
  policy: 'Blocked content',
  unscannable: 'Unreadable',
  malware: 'Malware',
};

const UNKNOWN = '—';
const number = (value: number) => value.toLocaleString('en');

/** Whether everything before `start` at most is counted, so that a count of zero says nothing of what follows (rule 4). */
function beganAfter(known: Completeness, start: Date): boolean {
  return known.completeThrough === null || known.completeThrough <= start;
}

/** Whether a zero of this day would be no zero but a number that nobody knows yet (rule 4). */
export function isDayUnknown(facts: Pick<ReportFacts, 'current' | 'period'>, date: string): boolean {
  return beganAfter(facts.current, interval({ from: date, to: date, zone: facts.period.zone }).start);
}

/** Deliveries with a verdict other than clean and bulk. */
export function unwantedOf(totals: Totals): number {
  let sum = 0;
  for (const [verdict, count] of totals.byVerdict) if (verdict !== 'clean' && verdict !== 'bulk') sum += count;
  return sum;
}

/** A size with the unit that leaves it readable; decimal units, as mail servers and disks use them. */
export function size(bytes: number): string {
  for (const [unit, factor] of [
    ['PB', 1e15],
    ['TB', 1e12],
    ['GB', 1e9],
    ['MB', 1e6],
    ['kB', 1e3],
  ] as const) {
    if (bytes >= factor)
      return `${(bytes / factor).toLocaleString('en', { minimumFractionDigits: 1, maximumFractionDigits: 1 })} ${unit}`;
  }
  return `${bytes} B`;
}

/** The change against the period before, as a person reads it. Unknown while either period is not complete (rule 4). */
export function change(current: number, previous: number, known: boolean): string {
  if (!known) return 'change not known yet';
  if (previous === 0) return current === 0 ? 'none before either' : 'new: none in the period before';
  return `${signed(((current - previous) * 100) / previous)} % against the period before`;
}

export function moment(at: Date, zone: string): string {
  return new Intl.DateTimeFormat('en-GB', { dateStyle: 'medium', timeStyle: 'short', timeZone: zone }).format(at);
}

const dayText = (date: string, options: Intl.DateTimeFormatOptions) =>
  new Intl.DateTimeFormat('en-GB', { ...options, timeZone: 'UTC' }).format(new Date(`${date}T00:00:00Z`));

function periodText({ from, to }: LocalPeriod): string {
  const isMonth = from.endsWith('-01') && addDays(to, 1).endsWith('-01') && from.slice(0, 7) === to.slice(0, 7);
  if (isMonth) return dayText(from, { month: 'long', year: 'numeric' });
  return `${dayText(from, { dateStyle: 'medium' })} to ${dayText(to, { dateStyle: 'medium' })}`;
}

/** Pure: the same facts make the same model. */
export function buildModel(facts: ReportFacts): ReportModel {
  const { current, previous, period } = facts;
  const known = current.complete && previous.complete;
  const unknown = beganAfter(current, interval(period).start);
  const value = (count: number, text: string) => {
    if (count === 0 && unknown) return UNKNOWN;
    return count === 0 && !current.complete ? `${text} so far` : text;
  };
  const figure = (
    metric: MetricChange['metric'],
    label: string,
    now: number,
    before: number,
    text = number(now),
  ): KeyFigure => ({
    label,
    value: value(now, text),
    year: yearOf(facts.insights.changes.find((one) => one.metric === metric)),
    change: current.complete
      ? change(now, before, known)
      : now === 0
        ? change(now, before, false)
        : `so far; ${change(now, before, false)}`,
  });
  const [totals, old] = [current.totals, previous.totals];
  return {
    title: 'Mail security: executive summary',
    clientName: facts.clientName,
    partnerName: facts.partnerName,
    periodText: periodText(period),
    zone: period.zone,
    version: facts.version,
    complete: current.complete,
    nothing: nothingOf(current, unknown),
    banner: bannerOf(current, period, unknown),
    keyFigures: [
      figure('messages', 'messages', totals.messages, old.messages),
      figure('deliveries', 'deliveries', totals.deliveries, old.deliveries),
      figure('unwanted', 'unwanted deliveries', unwantedOf(totals), unwantedOf(old)),
      figure('threats', 'malware and phishing', dangerous(totals), dangerous(old)),
      figure('refused', 'recipients refused', totals.refused, old.refused),
      figure('bytes', 'volume of messages', totals.bytes, old.bytes, size(totals.bytes)),
      savedFigure(unknown ? null : facts.insights.value, current.complete),
      healthFigure(facts.insights.health, unknown),
    ],
    unusual: unusualOf(facts.insights.unusual, unknown),
    verdicts: [...totals.byVerdict].map(([verdict, deliveries]) => ({
      name: VERDICT_NAMES[verdict],
      verdict,
      deliveries,
    })),
    days: facts.days.map((day) => ({
      date: day.date,
      label: String(Number(day.date.slice(8))),
      incomplete: !day.complete,
      unknown: day.totals.deliveries === 0 && isDayUnknown(facts, day.date),
      wanted: day.totals.deliveries - unwantedOf(day.totals),
      unwanted: unwantedOf(day.totals),
    })),
    senders: facts.senders.map((row) => [
      row.name === '' ? '(null sender)' : row.name,
      number(row.deliveries),
      number(row.unwanted),
    ]),
    mailboxes: facts.mailboxes.map((row) => [row.name, number(row.unwanted), number(row.deliveries)]),
    incidents: facts.incidents.map((row) => [
      row.title,
      moment(row.openedAt, period.zone),
      row.resolvedAt === null ? 'open' : moment(row.resolvedAt, period.zone),
      row.ticketNumber ?? UNKNOWN,
    ]),
    usage: usageRows(facts.usage),
    notes: [
      'A message is one SMTP transaction; a delivery is one message for one recipient. A message to three people of this client is one message and three deliveries.',
      `Days are days in ${period.zone}. Something is counted at the time it happened.`,
      'Unwanted: spam, forged sender, phishing, blocked content, unreadable and malware. Recipients refused never became deliveries and are counted apart.',
      'Unusual is a day far outside what its weekday had in the eight weeks before. Time saved: deliveries kept from their readers times the seconds that each would have cost. The health score is made of delivery, availability, threats, unusual days and open incidents; what is not known is left out of it.',
      current.completeThrough === null
        ? 'Nothing is known of this period yet.'
        : `Everything through ${moment(current.completeThrough, period.zone)} (${period.zone}) is counted.`,
      `This is version ${facts.version}, made ${moment(facts.now, period.zone)}. Numbers that change later make a new version; this one keeps its own.`,
    ],
  };
}

/** The change against the same period of the year before. */
function yearOf(change: MetricChange | undefined): string {
  const { ratio, reason } = change?.lastYear ?? { ratio: null, reason: null };
  if (ratio !== null) return `${signed(ratio * 100)} % against the year before`;
  if (reason === 'reference_zero') return 'none in the year before';
  return reason === 'not_counted' ? 'not counted the year before' : 'year before: not known yet';
}

function savedFigure(value: PeriodValue | null, complete: boolean): KeyFigure {
  const label = 'time saved';
  if (value === null) return { label, value: UNKNOWN, change: 'change not known yet', year: '' };
  const minutes = Math.round(value.secondsSaved / 60);
  const shown = minutes < 120 ? `${minutes} min` : `${number(Math.round(minutes / 60))} h`;
  return {
    label,
    value: complete ? shown : `${shown} so far`,
    change: `${number(value.deliveries)} kept from their readers`,
    year: secondsText(value),
  };
}

function secondsText({ perMessage }: PeriodValue): string {
  const all = [...new Set(Object.values(perMessage))].sort((a, b) => a - b);
  return all.length === 1 ? `at ${all[0]} s each` : `at ${all[0]} to ${all.at(-1)} s each`;
}

function healthFigure({ score, components }: Health, unknown: boolean): KeyFigure {
  const label = 'health score';
  if (score === null || unknown) return { label, value: UNKNOWN, change: 'change not known yet', year: '' };
  const left = components.filter((one) => one.points === null).map((one) => one.part);
  const weakest = components
    .filter((one) => one.points !== null)
    .sort((a, b) => (a.points ?? 0) / a.max - (b.points ?? 0) / b.max)[0];
  const lost = weakest === undefined ? 0 : weakest.max - (weakest.points ?? 0);
  return {
    label,
    value: `${score} of 100`,
    change:
      lost === 0 || weakest === undefined ? 'no points lost' : `most lost by: ${weakest.part} (−${lost.toFixed(1)})`,
    year: left.length === 0 ? '' : `not known: ${left.join(', ')}`,
  };
}

function unusualOf({ judged, days, found, told }: Unusual, unknown: boolean): string[] {
  if (unknown) return ['Not known yet.'];
  if (judged === 0) return ['Too little mail, or too short a history, to say what is usual.'];
  const rest = judged < days ? ` ${days - judged} of the ${days} days could not be judged.` : '';
  if (found === 0) return [`Nothing: no day was far from what is usual for its weekday.${rest}`];
  const more = found > told.length ? `${found - told.length} more days were unusual.` : '';
  return [
    ...told.map(({ title, causes }) => {
      const sentence = `${title.charAt(0).toUpperCase()}${title.slice(1)}.`;
      return causes.length === 0 ? sentence : `${sentence} ${causes.join('; ')}.`;
    }),
    ...(more + rest === '' ? [] : [(more + rest).trim()]),
  ];
}

/** A line for each product: a month of days would say the same number 31 times. */
function usageRows(usage: readonly UsageFact[]): string[][] {
  return [...new Set(usage.map((row) => row.product))].map((product) => {
    const own = usage.filter((row) => row.product === product).sort((a, b) => (a.day < b.day ? -1 : 1));
    const quantities = own.map((row) => row.quantity);
    const last = own.at(-1);
    return [
      product,
      number(own.length),
      number(Math.min(...quantities)),
      number(Math.max(...quantities)),
      last === undefined ? UNKNOWN : `${number(last.quantity)} on ${last.day}`,
    ];
  });
}

function signed(percent: number): string {
  const sign = percent > 0 ? '+' : percent < 0 ? '−' : '±';
  const digits = Math.abs(percent) < 1000 ? 1 : 0;
  const shown = Math.abs(percent).toLocaleString('en', {
    minimumFractionDigits: digits,
    maximumFractionDigits: digits,
  });
  return `${sign}${shown}`;
}

const dangerous = (totals: Totals) => (totals.byVerdict.get('malware') ?? 0) + (totals.byVerdict.get('phish') ?? 0);

function nothingOf(known: Completeness, unknown: boolean): ReportModel['nothing'] {
  if (unknown) return { deliveries: 'Not known yet.', senders: 'Not known yet.', mailboxes: 'Not known yet.' };
  const far = known.complete ? 'in this period' : 'so far';
  return {
    deliveries: `No delivery is counted ${far}.`,
    senders: `No mail came ${far}.`,
    mailboxes: `No unwanted mail was addressed to a mailbox ${far}.`,
  };
}

function bannerOf(known: Completeness, period: LocalPeriod, unknown: boolean): string | null {
  if (known.complete) return null;
  if (known.completeThrough === null) return 'Incomplete: no data of this period is known yet. Nothing here is a zero.';
  if (unknown)
    return `Incomplete: data complete through ${moment(known.completeThrough, period.zone)} (${period.zone}), before this period began. Nothing here is a zero.`;
  return `Incomplete: data complete through ${moment(known.completeThrough, period.zone)} (${period.zone}). Later numbers are missing, not zero.`;
}

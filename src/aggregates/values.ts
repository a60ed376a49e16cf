import { createHash } from 'node:crypto';
import { isIP } from 'node:net';
import { normalizeDomain, printable } from '../core/address.ts';
import { BOUNDS, ReportFault } from './report.ts';

const DAY_MS = 86_400_000;

/** A short text of a stranger, of at most `max` octets in UTF-8, without what a database or a page can't hold. */
export const word = (value: unknown, max = 255): string =>
  typeof value === 'string' ? octets(clean(value).slice(0, 2 * max), max) : '';

const clean = (value: string): string => value.replaceAll('\0', '').trim();

/** At most `max` octets of it in UTF-8, whole characters; `…` says that there was more. */
export function octets(text: string, max = 255): string {
  const whole = printable(text.toWellFormed(), 2 * max + 1);
  if (Buffer.byteLength(whole) <= max) return whole;
  // Of a character that is cut the decoder waits for the rest.
  return `${new TextDecoder().decode(Buffer.from(whole).subarray(0, max - 3), { stream: true })}…`;
}

/** What tells a report from others of its sender: of a long one the rest counts too. */
export function idWord(value: unknown): string {
  const text = typeof value === 'string' ? clean(value) : '';
  if (Buffer.byteLength(text) <= 255) return word(text);
  return `${word(text, 222)}-${createHash('sha256').update(text).digest('hex').slice(0, 32)}`;
}

/** A domain in its stored form; what is none as it came, lower case. */
export function domainWord(value: unknown): string {
  const text = word(value).toLowerCase().replace(/\.$/, '');
  return normalizeDomain(text) ?? octets(text);
}

/** An address in its stored form, or null. */
export function ipWord(value: unknown): string | null {
  const text = word(value, 64)
    .replace(/^\[|\]$/g, '')
    .toLowerCase();
  return isIP(text) === 0 || text.includes('%') ? null : text;
}

/** A count. Throws `record` for what is none. */
export function countOf(value: unknown): number {
  const text = typeof value === 'number' ? String(value) : word(value, 20);
  if (!/^\d{1,15}$/.test(text)) throw new ReportFault('record');
  return Number(text);
}

/** A moment: seconds since 1970 as RFC 7489 says, or milliseconds or a date in words, as some write. Null: none of them. */
export function momentOf(value: unknown): Date | null {
  const text = word(value, 40);
  if (text === '') return null;
  if (/^\d{1,16}(?:\.\d*)?$/.test(text)) {
    const number = Number(text);
    return new Date(number > 1e14 ? number / 1000 : number > 1e11 ? number : number * 1000);
  }
  const at = Date.parse(text);
  return Number.isNaN(at) ? null : new Date(at);
}

/** Whole seconds. Throws `period` for one that is missing, upside down or too long, `period.future`, `period.old`. */
export function periodOf(begin: unknown, end: unknown, now: Date): { readonly from: Date; readonly to: Date } {
  const [from, to] = [momentOf(begin), momentOf(end)].map((at) =>
    at === null ? null : new Date(Math.floor(at.getTime() / 1000) * 1000),
  );
  if (from === null || to === null || from === undefined || to === undefined) throw new ReportFault('period');
  const days = (to.getTime() - from.getTime()) / DAY_MS;
  if (!(days >= 0 && days <= BOUNDS.periodDays)) throw new ReportFault('period');
  if (to.getTime() > now.getTime() + BOUNDS.aheadDays * DAY_MS) throw new ReportFault('period.future');
  if (to.getTime() < now.getTime() - BOUNDS.ageDays * DAY_MS) throw new ReportFault('period.old');
  return { from, to };
}

/** SHA-256 of a value as JSON. */
export const digestOf = (value: unknown): Buffer => createHash('sha256').update(JSON.stringify(value)).digest();

/** In an order that hangs on nothing but what they are; equal ones put together, their `count` added. */
export function canonical<T extends object>(rows: readonly T[], count: keyof T & string): T[] {
  const merged = new Map<string, T>();
  for (const row of rows) {
    const key = JSON.stringify({ ...row, [count]: 0 });
    const known = merged.get(key);
    merged.set(key, known === undefined ? row : { ...known, [count]: Number(known[count]) + Number(row[count]) });
  }
  return [...merged].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, row]) => row);
}

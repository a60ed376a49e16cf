import { accessSync, constants } from 'node:fs';
import { AppError } from '../core/errors.ts';
import { isId } from '../core/id.ts';
import { addDays, localMoment, parseDate, parseMoment, startOfDay } from '../core/period.ts';
import { type NodeType, parseGlobalId } from '../graphql/ids.ts';
import type { Check, Values } from './command.ts';

/** The value of an option that must be there. Throws `invalid_input` that names the option. */
export function required(values: Values, name: string): string {
  const value = values[name];
  if (typeof value !== 'string' || value === '')
    throw new AppError('invalid_input', `--${name} is missing`, { field: name });
  return value;
}

export function optional(values: Values, name: string): string | null {
  const value = values[name];
  return typeof value === 'string' && value !== '' ? value : null;
}

export function requiredList(values: Values, name: string): string[] {
  const value = values[name];
  const list = Array.isArray(value)
    ? value.filter((item): item is string => typeof item === 'string' && item !== '')
    : [];
  if (list.length === 0) throw new AppError('invalid_input', `--${name} is missing`, { field: name });
  return list;
}

/** What was given to an option that may be repeated; nothing is an empty list. */
export function listOf(values: Values, name: string): string[] {
  const value = values[name];
  return Array.isArray(value) ? value.filter((item): item is string => typeof item === 'string' && item !== '') : [];
}

/** One of a closed list of words, or null when the option is absent. Throws `invalid_input` that names the words. */
export function optionalWord<T extends string>(values: Values, name: string, words: readonly T[]): T | null {
  const given = optional(values, name)?.toLowerCase() ?? null;
  if (given === null) return null;
  const word = words.find((one) => one === given);
  if (word === undefined) throw new AppError('invalid_input', `--${name} is ${words.join(', ')}`, { field: name });
  return word;
}

/** As `optionalWord`, of an option that may be repeated; null: absent. */
export function optionalWords<T extends string>(values: Values, name: string, words: readonly T[]): T[] | null {
  const given = listOf(values, name);
  if (given.length === 0) return null;
  return given.map((one) => optionalWord({ [name]: one }, name, words)).filter((one) => one !== null);
}

/**
 * A moment: a day of the zone (`2026-10-14`), a time of it (`2026-10-14T09:30`), or one with an offset (`2026-10-14T09:30:00Z`). Null when
 * absent. `end`: a day means its end. Throws `invalid_input`.
 */
export function optionalMoment(values: Values, name: string, zone: string, end = false): Date | null {
  const given = optional(values, name);
  if (given === null) return null;
  const local = /^(\d{4}-\d{2}-\d{2})(?:[T ]([01]\d|2[0-3]):([0-5]\d))?$/.exec(given);
  if (local?.[1] === undefined) {
    try {
      return parseMoment(given, name);
    } catch (cause) {
      const why = 'is a day (2026-10-14), a time (2026-10-14T09:30) or a time with an offset (2026-10-14T09:30:00Z)';
      throw new AppError('invalid_input', `--${name} ${why}`, { field: name, cause });
    }
  }
  const day = parseDate(local[1], name).toString();
  if (local[2] !== undefined) return localMoment(day, `${local[2]}:${local[3]}`, zone);
  return startOfDay(end ? addDays(day, 1) : day, zone);
}

/** A whole number from `min` to `max`, `absent` when the option is. Throws `invalid_input`. */
export function wholeOr(values: Values, name: string, absent: number, [min, max]: readonly [number, number]): number {
  const given = optional(values, name);
  if (given === null) return absent;
  const number = /^\d{1,9}$/.test(given) ? Number(given) : Number.NaN;
  if (!(number >= min && number <= max))
    throw new AppError('invalid_input', `--${name} is a whole number from ${min} to ${max}`, { field: name });
  return number;
}

/** Why a file can't be read; null: it can. */
export function unreadable(file: string): string | null {
  try {
    accessSync(file, constants.R_OK);
    return null;
  } catch {
    return `the file ${file} can't be read`;
  }
}

/** A check that a value is one of the words. */
export const oneOf =
  (words: readonly string[]): Check =>
  (values, name) => {
    if (!words.includes(required(values, name)))
      throw new AppError('invalid_input', `--${name} is ${words.join(', ')}`, { field: name });
  };

const TYPES: Readonly<Record<string, readonly NodeType[]>> = {
  partner: ['Partner'],
  client: ['Client'],
  mailbox: ['Mailbox'],
  plan: ['BillingPlan'],
  entry: ['ListEntry'],
  credential: ['SubmissionCredential'],
  network: ['SubmissionNetwork'],
  delivery: ['Delivery', 'QuarantineItem'],
  incident: ['Incident'],
  report: ['AggregateReport'],
};

/** The UUID in `--name`: a UUID, or the API's id of a thing of that kind. Throws `invalid_input`. */
export function requiredId(values: Values, name: string): string {
  const value = required(values, name);
  const global = parseGlobalId(value);
  if (global !== null && TYPES[name]?.includes(global.type) === true) return global.uuid;
  if (!isId(value)) throw new AppError('invalid_input', `--${name} is not an id`, { field: name });
  return value.toLowerCase();
}

import { z } from 'zod';
import { AppError } from '../src/core/errors.ts';
import type { TicketInput } from '../src/core/psa.ts';

export type Priority = TicketInput['priority'];

/** An id that an operator may write as a number or as digits. */
export const idSetting = z.coerce.number().int().positive();

/** Vendor ids per priority; those that are left out are chosen by the connector. */
export const prioritySettings = z
  .strictObject({ low: idSetting, normal: idSetting, high: idSetting, critical: idSetting })
  .partial();

/** A connection's credentials or settings by their shape. Throws `config_invalid` that names fields and no values. */
export function configured<T>(schema: z.ZodType<T>, value: unknown, what: string): T {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const faults = parsed.error.issues.map((issue) =>
    issue.code === 'unrecognized_keys'
      ? `${issue.keys.join(', ')} not known`
      : `${issue.path.join('.')} missing or not valid`,
  );
  throw new AppError('config_invalid', `${what}: ${faults.join('; ')}`);
}

/** A PSA's numeric id from the port's text. Anything but digits is no id of any PSA record. */
export function numericId(text: string): number | null {
  return /^[1-9]\d{0,14}$/.test(text) ? Number(text) : null;
}

/** The numeric id of a record that is to be written to. Throws `upstream_rejected`: no request could succeed. */
export function requireNumericId(text: string, what: string): number {
  const id = numericId(text);
  if (id === null) throw new AppError('upstream_rejected', `there is no ${what} with the id that was given`);
  return id;
}

/** The day part of a PSA's date-time; null when there is none. */
export function day(text: string | null | undefined): string | null {
  return text === null || text === undefined || !/^\d{4}-\d{2}-\d{2}/.test(text) ? null : text.slice(0, 10);
}

/** The calendar day after a `YYYY-MM-DD` day. */
export function nextDay(text: string): string {
  return new Date(Date.parse(`${text}T00:00:00Z`) + 86_400_000).toISOString().slice(0, 10);
}

/** Throws `invalid_input` for quantities and days that no PSA line can hold, before anything is sent. */
export function checkChange(change: { before: number; target: number; effectiveDate: string }): void {
  for (const value of [change.before, change.target]) {
    if (!Number.isSafeInteger(value) || value < 0) {
      throw new AppError('invalid_input', 'a quantity must be a whole number, zero or more', { field: 'target' });
    }
  }
  if (!/^\d{4}-\d{2}-\d{2}$/.test(change.effectiveDate) || Number.isNaN(Date.parse(change.effectiveDate))) {
    throw new AppError('invalid_input', 'the effective date must be a day, YYYY-MM-DD', { field: 'effectiveDate' });
  }
}

/** A price as the decimal text that the port speaks; at most 4 decimals, without float noise. */
export function price(value: number | null | undefined): string | null {
  if (value === null || value === undefined || !Number.isFinite(value)) return null;
  const text = value.toFixed(4).replace(/0{1,2}$/, '');
  return text === '-0.00' ? '0.00' : text;
}

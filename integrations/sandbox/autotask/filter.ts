import { z } from 'zod';
import { Refusal } from '../server.ts';

/** A refusal in Autotask's shape: status 500 and the reasons. */
export function refuse(...errors: readonly string[]): Refusal {
  return new Refusal(500, { errors });
}

export type Row = Readonly<Record<string, unknown>> & { readonly id: number };
type Predicate = (row: Row) => boolean;

const OPERATORS = [
  'eq',
  'noteq',
  'gt',
  'gte',
  'lt',
  'lte',
  'beginsWith',
  'endsWith',
  'contains',
  'exist',
  'notExist',
  'in',
  'notIn',
] as const;

const leafSchema = z.strictObject({
  op: z.enum(OPERATORS),
  field: z.string(),
  value: z.unknown().optional(),
  udf: z.boolean().optional(),
});
const groupSchema = z.strictObject({ op: z.enum(['and', 'or']), items: z.array(z.unknown()).min(1) });
const MAX_OR = 500;

export const querySchema = z.strictObject({
  filter: z.array(z.unknown()).min(1),
  IncludeFields: z.array(z.string()).optional(),
  MaxRecords: z.number().int().min(1).max(500).optional(),
});

/** The filter as a predicate; fields that the entity has not and unknown operators are refused in Autotask's words. */
export function parseFilter(entity: string, fields: ReadonlySet<string>, filter: readonly unknown[]): Predicate {
  let alternatives = 0;
  const one = (item: unknown): Predicate => {
    const group = groupSchema.safeParse(item);
    if (group.success) {
      const parts = group.data.items.map(one);
      if (group.data.op === 'or') alternatives += parts.length;
      return group.data.op === 'and'
        ? (row) => parts.every((part) => part(row))
        : (row) => parts.some((part) => part(row));
    }
    const leaf = leafSchema.safeParse(item);
    if (!leaf.success) throw refuse('The filter is not valid.');
    const { op, field, value } = leaf.data;
    if (!fields.has(field)) throw refuse(`Unable to find ${field} in the ${entity} Entity.`);
    if (op === 'in' || op === 'notIn') {
      if (!Array.isArray(value)) throw refuse('The in operator needs a list.');
      alternatives += value.length;
    }
    return leafTest(op, field, value);
  };
  const tests = filter.map(one);
  if (alternatives > MAX_OR) throw refuse("Queries are limited to 500 or fewer 'OR' conditions.");
  return (row) => tests.every((test) => test(row));
}

const lower = (value: unknown) => String(value ?? '').toLowerCase();

function leafTest(op: (typeof OPERATORS)[number], field: string, value: unknown): Predicate {
  const order = (row: Row): number | null => {
    const found = row[field];
    if (typeof found === 'number' && typeof value === 'number') return found - value;
    if (typeof found === 'string' && typeof value === 'string') {
      return found === value ? 0 : found < value ? -1 : 1;
    }
    return null;
  };
  const test = (row: Row, wanted: (n: number) => boolean) => {
    const n = order(row);
    return n !== null && wanted(n);
  };
  const same = (a: unknown, b: unknown) => (typeof a === 'string' ? lower(a) === lower(b) : a === b);
  const there = (row: Row) => row[field] !== null && row[field] !== undefined;
  const list = Array.isArray(value) ? (value as unknown[]) : [];
  switch (op) {
    case 'eq':
      return (row) => same(row[field], value);
    case 'noteq':
      return (row) => !same(row[field], value);
    case 'gt':
      return (row) => test(row, (n) => n > 0);
    case 'gte':
      return (row) => test(row, (n) => n >= 0);
    case 'lt':
      return (row) => test(row, (n) => n < 0);
    case 'lte':
      return (row) => test(row, (n) => n <= 0);
    case 'beginsWith':
      return (row) => lower(row[field]).startsWith(lower(value));
    case 'endsWith':
      return (row) => lower(row[field]).endsWith(lower(value));
    case 'contains':
      return (row) => lower(row[field]).includes(lower(value));
    case 'exist':
      return there;
    case 'notExist':
      return (row) => !there(row);
    case 'in':
      return (row) => list.some((entry) => same(row[field], entry));
    case 'notIn':
      return (row) => !list.some((entry) => same(row[field], entry));
  }
}

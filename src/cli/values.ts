import { AppError } from '../core/errors.ts';
import { isId } from '../core/id.ts';
import { type NodeType, parseGlobalId } from '../graphql/ids.ts';
import type { Values } from './command.ts';

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
};

/** The UUID in `--name`: a UUID, or the API's id of a thing of that kind. Throws `invalid_input`. */
export function requiredId(values: Values, name: string): string {
  const value = required(values, name);
  const global = parseGlobalId(value);
  if (global !== null && TYPES[name]?.includes(global.type) === true) return global.uuid;
  if (!isId(value)) throw new AppError('invalid_input', `--${name} is not an id`, { field: name });
  return value.toLowerCase();
}

import { AppError } from '../core/errors.ts';
import { isId } from '../core/id.ts';

/** The types that have global ids, with the letters that their ids begin with. */
const PREFIXES = {
  Partner: 'pa',
  Client: 'cl',
  Mailbox: 'mb',
  Delivery: 'de',
  Message: 'me',
  QuarantineItem: 'qu',
  Incident: 'in',
  ReportRun: 'rr',
  ListEntry: 'le',
  BillingPlan: 'bp',
  SubmissionCredential: 'sc',
  SubmissionNetwork: 'sn',
  DkimKey: 'dk',
  ReleaseRequest: 'rq',
  AggregateReport: 'ag',
} as const;

export type NodeType = keyof typeof PREFIXES;
export const NODE_TYPES = Object.keys(PREFIXES) as readonly NodeType[];

const GLOBAL_ID = /^([a-z]{2})_([\w-]{22})$/;

/** The global id of a row: the type's letters and the UUID's 16 bytes, opaque to callers. */
export function globalId(type: NodeType, uuid: string): string {
  return `${PREFIXES[type]}_${Buffer.from(uuid.replaceAll('-', ''), 'hex').toString('base64url')}`;
}

/** What a global id names, or null for text that is none. Each id has one spelling: others are unknown ids. */
export function parseGlobalId(text: string): { type: NodeType; uuid: string } | null {
  const match = GLOBAL_ID.exec(text);
  const type = NODE_TYPES.find((name) => PREFIXES[name] === match?.[1]);
  if (match?.[2] === undefined || type === undefined) return null;
  const hex = Buffer.from(match[2], 'base64url').toString('hex');
  const uuid = [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
  return isId(uuid) && globalId(type, uuid) === text ? { type, uuid } : null;
}

/**
 * The UUID in an id of this type, or null. A bare UUID is taken too, since the command line prints those. An id of
 * another type is null, just as an id that does not exist.
 */
export function uuidOf(type: NodeType, text: string): string | null {
  const parsed = parseGlobalId(text);
  if (parsed !== null) return parsed.type === type ? parsed.uuid : null;
  return isId(text) ? text.toLowerCase() : null;
}

const NOUNS: Partial<Record<NodeType, string>> = {
  QuarantineItem: 'delivery in quarantine',
  ReportRun: 'report run',
  ListEntry: 'list entry',
  BillingPlan: 'billing plan',
  SubmissionCredential: 'credential',
  SubmissionNetwork: 'network',
  DkimKey: 'DKIM key',
  ReleaseRequest: 'release request',
  AggregateReport: 'report',
};

/** The UUID in an id that a mutation was given. Throws `not_found`, as for an id that is not there. */
export function requireId(type: NodeType, text: string, field: string): string {
  const uuid = uuidOf(type, text);
  if (uuid === null) throw new AppError('not_found', `no such ${NOUNS[type] ?? type.toLowerCase()}`, { field });
  return uuid;
}

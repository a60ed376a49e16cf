import { AppError } from '../core/errors.ts';
import type { Reason, Verdict } from '../core/verdict.ts';
import { SYMBOLS, type SymbolCode } from '../pipeline/symbols.ts';

/** Who decides on held mail, from the least to the most trusted. The last two are the partner's own people. */
export const QUARANTINE_ROLES = ['user', 'client_admin', 'technician', 'admin'] as const;
export type QuarantineRole = (typeof QUARANTINE_ROLES)[number];

/** Who acts, and on which deliveries he may. */
export interface QuarantineActor {
  readonly role: QuarantineRole;
  /** For the audit: `key:<label>` or a person's address. */
  readonly name: string;
  /** Only deliveries of these mailboxes; null: not bound to mailboxes. A `user` is always bound. */
  readonly mailboxIds: readonly string[] | null;
  /** Only deliveries of this client; null: of all clients of the partner. A `client_admin` is always bound. */
  readonly clientId: string | null;
}

/** What kind of held mail it is: its verdict, but that a program held by policy is apart from the rest of `policy`. */
export const HELD_KINDS = [
  'clean',
  'bulk',
  'spam',
  'spoof',
  'phish',
  'policy',
  'executable',
  'unscannable',
  'malware',
] as const;
export type HeldKind = (typeof HELD_KINDS)[number];

export type Scope = 'mailbox' | 'client' | 'partner';

const EVERYBODY: readonly QuarantineRole[] = QUARANTINE_ROLES;
const PARTNER: readonly QuarantineRole[] = ['technician', 'admin'];
const ADMIN: readonly QuarantineRole[] = ['admin'];

/** The one table of who may let out what. docs/quarantine.md holds the same and a test compares the two. */
export const RELEASE_RIGHTS: Readonly<Record<HeldKind, readonly QuarantineRole[]>> = {
  clean: EVERYBODY,
  bulk: EVERYBODY,
  spam: EVERYBODY,
  spoof: PARTNER,
  phish: PARTNER,
  // The client's own rules hold it, so the client's own administrator may lift them for one message.
  policy: ['client_admin', ...PARTNER],
  executable: ADMIN,
  unscannable: ADMIN,
  malware: ADMIN,
};

/** Who may answer the sender of a message: an answer to a thief tells him that somebody reads. */
export const REPLY_RIGHTS: Readonly<Record<HeldKind, readonly QuarantineRole[]>> = {
  clean: EVERYBODY,
  bulk: EVERYBODY,
  spam: EVERYBODY,
  spoof: EVERYBODY,
  phish: PARTNER,
  policy: EVERYBODY,
  executable: EVERYBODY,
  unscannable: EVERYBODY,
  malware: PARTNER,
};

/** For whom each role may make allow and block entries. */
export const LIST_RIGHTS: Readonly<Record<Scope, readonly QuarantineRole[]>> = {
  mailbox: EVERYBODY,
  client: ['client_admin', ...PARTNER],
  partner: PARTNER,
};

/** Reasons of policy that mean a program: one that is attached, and a page that builds one. */
const PROGRAMS = /^(?:attachment\.|policy\.strip_)(?:executable|html_smuggling)$/;

export interface Held {
  readonly verdict: Verdict;
  readonly reasons: readonly Reason[];
}

/** Undefined: a code that is not the pipeline's. */
type Sign = { readonly verdict?: Verdict; readonly phishy?: true } | undefined;

export function heldKind(held: Held): HeldKind {
  if (held.verdict !== 'policy') return held.verdict;
  if (held.reasons.some(({ code }) => PROGRAMS.test(code))) return 'executable';
  // `policy` is the worse verdict and hides what else was found: a macro makes no fraud easier to let out.
  const symbols = held.reasons.map(({ code }): Sign => SYMBOLS[code as SymbolCode]);
  if (symbols.some((one) => one?.phishy === true)) return 'phish';
  return symbols.some((one) => one?.verdict === 'spoof') ? 'spoof' : 'policy';
}

export function mayRelease(role: QuarantineRole, held: Held): boolean {
  return RELEASE_RIGHTS[heldKind(held)].includes(role);
}

export function mayReply(role: QuarantineRole, held: Held): boolean {
  return REPLY_RIGHTS[heldKind(held)].includes(role);
}

export function mayList(role: QuarantineRole, scope: Scope): boolean {
  return LIST_RIGHTS[scope].includes(role);
}

const KIND_WORDS: Readonly<Record<HeldKind, string>> = {
  clean: 'ordinary mail',
  bulk: 'advertising',
  spam: 'spam',
  spoof: 'mail with a forged sender',
  phish: 'phishing',
  policy: 'mail that your rules hold',
  executable: 'a program',
  unscannable: 'mail that could not be read',
  malware: 'malware',
};

const ROLE_WORDS: Readonly<Record<QuarantineRole, string>> = {
  user: 'everybody',
  client_admin: "the client's administrators and technicians",
  technician: 'technicians',
  admin: 'administrators',
};

/** Throws `forbidden` with words that say who may. */
export function requireRelease(role: QuarantineRole, held: Held): void {
  if (mayRelease(role, held)) return;
  const kind = heldKind(held);
  const least = QUARANTINE_ROLES.find((one) => RELEASE_RIGHTS[kind].includes(one)) ?? 'admin';
  throw new AppError('forbidden', `${KIND_WORDS[kind]} is let out by ${ROLE_WORDS[least]} only`, { field: 'id' });
}

/** The role of an API key by its scopes; null: a key that may not decide on held mail. */
export function roleOfScopes(scopes: readonly string[]): QuarantineRole | null {
  if (scopes.includes('admin')) return 'admin';
  return scopes.includes('quarantine') ? 'technician' : null;
}

/** An API key as an actor: of the whole partner. Throws `forbidden` for a key that may not decide on held mail. */
export function keyActor(key: { readonly actor: string; readonly scopes: readonly string[] }): QuarantineActor {
  const role = roleOfScopes(key.scopes);
  if (role === null) throw new AppError('forbidden', 'the key lacks the scope QUARANTINE');
  return { role, name: key.actor, mailboxIds: null, clientId: null };
}

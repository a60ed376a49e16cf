import type { OwnName } from '../core/message.ts';
import { skeleton } from './domains.ts';

/** Words that many organisations write in display names; a name of such words only is nobody's. */
const OFFICE = new Set(
  'accounting accounts admin administration billing buchhaltung customer desk direct finance helpdesk help hotline hr info invoice invoices it kundenservice legal mail manager marketing newsletter no noreply office orders payroll personal postmaster purchasing reception rechnung reply sales secretary security service services shop staff support system team the verwaltung vertrieb web'
    .split(' ')
    .map((word) => skeleton(word)),
);
const LETTERS_MIN = 7;
const WORDS_MAX = 6;

/**
 * What a reader takes a display name for, whatever its case, alphabet, accents, order (`Last, First`) and additions in
 * brackets. Null for what names no particular person: one word only, few letters, or words of an office.
 */
export function nameKey(name: string): string | null {
  const text = name
    .slice(0, 200)
    .normalize('NFKC')
    .replace(/[([{][^)\]}]*[)\]}]/g, ' ');
  const words = text
    .split(/[\s,;._"'`\u2018\u2019\u00a0-]+/u)
    .map((word) => skeleton(word))
    .filter((word) => /\p{L}{2}/u.test(word));
  if (words.length < 2 || words.length > WORDS_MAX) return null;
  if (words.join('').length < LETTERS_MIN || words.every((word) => OFFICE.has(word))) return null;
  return words.toSorted().join(' ');
}

interface People {
  readonly owners: ReadonlyMap<string, string>;
  /** Names and addresses of contacts: theirs by right. */
  readonly contacts: ReadonlySet<string>;
}

const known = new WeakMap<readonly OwnName[], People>();

function peopleOf(names: readonly OwnName[]): People {
  const cached = known.get(names);
  if (cached !== undefined) return cached;
  const owners = new Map<string, string>();
  const contacts = new Set<string>();
  for (const { name, address, own } of names) {
    const key = nameKey(name);
    if (key === null) continue;
    if (own) owners.set(key, address);
    else contacts.add(`${key} ${address}`);
  }
  const people = { owners, contacts };
  known.set(names, people);
  return people;
}

/** The address of the client's user whose name the stranger shows; null when it is nobody's, or a contact's own. */
export function ownerOf(names: readonly OwnName[], shown: string, address: string): string | null {
  if (names.length === 0 || shown === '') return null;
  const key = nameKey(shown);
  if (key === null) return null;
  const { owners, contacts } = peopleOf(names);
  return contacts.has(`${key} ${address}`) ? null : (owners.get(key) ?? null);
}

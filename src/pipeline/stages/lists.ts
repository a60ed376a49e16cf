import { domainOf } from '../../core/address.ts';
import type { ListEntry } from '../../core/message.ts';
import type { RecipientStage } from '../stage.ts';
import { type Hit, hit, voteOf } from '../votes.ts';
import { hasAlignedPass } from './authentication.ts';

const SCOPES: readonly ListEntry['scope'][] = ['mailbox', 'client', 'partner', 'master'];

/** Entries that were overruled and are named in the trace. */
const OVERRULED_MAX = 5;

/**
 * The first of the entries that match decides, in this order: the narrower scope (mailbox, client, partner, master); within
 * a scope the more precise pattern (address, domain, domain with its subdomains); at a tie the block. A block matches the
 * envelope sender or From. An allow matches From only, the address that people see, and counts only when something proves
 * it (rule 11); otherwise it is named as ignored and the next entry decides. Those behind the one that decides are named too.
 */
export const listsStage: RecipientStage = ({ inspected, authentication, envelope, recipient }) => {
  if (envelope.direction === 'outbound') return voteOf('lists', []);
  const from = inspected.from.length === 1 ? (inspected.from[0]?.address ?? '') : '';
  const claimed = [...inspected.from.map((one) => one.address), envelope.sender].filter((address) => address !== '');
  const applies = recipient.lists
    .filter(({ kind, pattern }) =>
      kind === 'block' ? claimed.some((address) => matches(pattern, address)) : matches(pattern, from),
    )
    .toSorted(precedence);
  const hits: Hit[] = [];
  const decides = applies.findIndex((entry) => entry.kind === 'block' || hasAlignedPass(authentication));
  for (const [index, entry] of applies.entries()) {
    if (decides >= 0 && index > decides) {
      if (index > decides + OVERRULED_MAX) break;
      hits.push(hit('list.overruled', `${entry.kind} ${words(entry)} by ${words(applies[decides] ?? entry)}`));
    } else if (index === decides) hits.push(hit(entry.kind === 'block' ? 'list.block' : 'list.allow', words(entry)));
    else if (hits.length < OVERRULED_MAX) hits.push(hit('list.allow_unauthenticated', words(entry)));
  }
  return voteOf('lists', hits);
};

const words = (entry: ListEntry) => `${entry.pattern} (${entry.scope})`;

/** Sorts the entry that decides first to the front. */
function precedence(a: ListEntry, b: ListEntry): number {
  return (
    SCOPES.indexOf(a.scope) - SCOPES.indexOf(b.scope) ||
    precision(b.pattern) - precision(a.pattern) ||
    (a.kind === b.kind ? 0 : a.kind === 'block' ? -1 : 1) ||
    (a.id < b.id ? -1 : 1)
  );
}

/** An address is more precise than a domain, a domain than all below it, and of those the longer one. */
function precision(pattern: string): number {
  if (pattern.includes('@')) return 3000;
  return pattern.startsWith('.') ? pattern.length : 1000 + pattern.length;
}

export function matches(pattern: string, address: string): boolean {
  if (address === '') return false;
  if (pattern.includes('@')) return pattern === address;
  const domain = domainOf(address);
  return pattern.startsWith('.') ? domain === pattern.slice(1) || domain.endsWith(pattern) : domain === pattern;
}

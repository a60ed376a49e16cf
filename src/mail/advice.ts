import type { RecordAdvice, RecordProblem } from '../core/advice.ts';
import { type DkimAlgorithm, isDkimRecord } from './dkim.ts';
import { isAbsent, type Resolver } from './resolver.ts';

/** RFC 7208 section 4.6.4. */
const LOOKUPS_MAX = 10;
/** Where our own counting stops: what is beyond is wrong whatever it is. */
const COUNT_MAX = 30;
const RECORD_MAX = 4_096;

const WORDS = {
  unavailable: 'The name servers did not answer, so nobody can say',
  none: 'There is no SPF record: anybody may send in the name of the domain',
  several: 'There are several SPF records, which counts as an error: there must be one',
  too_many_lookups: `Checking the record takes more than ${LOOKUPS_MAX} look-ups, which counts as an error`,
  loop: 'The record includes itself',
  broken_include: 'A record that is included is not there, which counts as an error',
  plus_all: 'The record ends in +all: it allows the whole world',
  neutral_all: 'The record ends in ?all: it says nothing about other servers',
  no_all: 'The record has no all at its end: other servers are neither allowed nor refused',
  ptr: 'ptr is slow and not to be used (RFC 7208 section 5.5)',
  missing_include: 'The record does not name this gateway, so mail that leaves here fails SPF',
} as const;

const problem = (code: keyof typeof WORDS, detail = ''): RecordProblem => ({
  code,
  message: detail === '' ? `${WORDS[code]}.` : `${WORDS[code]}: ${detail}.`,
});

/** What is to be said of a domain's SPF record (RFC 7208). `include`: the domain whose record names this gateway; null: none. */
export async function spfAdvice(resolver: Resolver, domain: string, include: string | null): Promise<RecordAdvice> {
  const found = await spfRecords(resolver, domain);
  const all = include === null ? 'v=spf1 mx ~all' : `v=spf1 include:${include} ~all`;
  if (found === null) return { record: null, problems: [problem('unavailable')], suggestion: null };
  if (found.length === 0) return { record: null, problems: [problem('none')], suggestion: all };
  if (found.length > 1) return { record: null, problems: [problem('several')], suggestion: merged(found, include) };
  const record = found[0] ?? '';
  const walk: Walk = { resolver, lookups: 0, included: new Set(), problems: new Map() };
  await count(walk, record, [domain]);
  if (walk.lookups > LOOKUPS_MAX) add(walk, problem('too_many_lookups', `it takes ${walk.lookups}`));
  const terms = termsOf(record);
  const end = terms.find((term) => /^[+?~-]?all$/i.test(term))?.toLowerCase();
  if (end === 'all' || end === '+all') add(walk, problem('plus_all'));
  if (end === '?all') add(walk, problem('neutral_all'));
  if (end === undefined && !terms.some((term) => /^redirect=/i.test(term))) add(walk, problem('no_all'));
  if (terms.some((term) => /^[+?~-]?ptr(?::|$)/i.test(term))) add(walk, problem('ptr'));
  const isNamed = include === null || walk.included.has(include.toLowerCase());
  if (!isNamed) add(walk, problem('missing_include', include ?? ''));
  const isChanged = !isNamed || walk.problems.has('plus_all') || walk.problems.has('no_all');
  return {
    record,
    problems: [...walk.problems.values()],
    suggestion: isChanged ? repaired(terms, isNamed ? null : include) : null,
  };
}

interface Walk {
  readonly resolver: Resolver;
  lookups: number;
  readonly included: Set<string>;
  readonly problems: Map<string, RecordProblem>;
}

const add = (walk: Walk, found: RecordProblem) => walk.problems.set(found.code, found);

/** Counts the terms that need a look-up, through all that is included. */
async function count(walk: Walk, record: string, path: readonly string[]): Promise<void> {
  for (const term of termsOf(record)) {
    if (walk.lookups >= COUNT_MAX) return;
    const name = /^[+?~-]?(include|a|mx|ptr|exists|redirect)(?=$|[:=/])/i.exec(term)?.[1]?.toLowerCase();
    if (name === undefined) continue;
    walk.lookups += 1;
    if (name !== 'include' && name !== 'redirect') continue;
    const target = term
      .slice(term.search(/[:=]/) + 1)
      .toLowerCase()
      .replace(/\.$/, '');
    walk.included.add(target);
    if (path.includes(target)) {
      add(walk, problem('loop', target));
      continue;
    }
    // A macro is filled in for each message: what it leads to is not known here.
    if (target.includes('%')) continue;
    const found = await spfRecords(walk.resolver, target);
    if (found === null) add(walk, problem('unavailable', target));
    else if (found.length !== 1) add(walk, problem('broken_include', target));
    else await count(walk, found[0] ?? '', [...path, target]);
  }
}

/** The record with the gateway named and an end that says something. */
function repaired(terms: readonly string[], include: string | null): string {
  const isRedirect = terms.some((term) => /^redirect=/i.test(term));
  const end = terms.find((term) => /^[?~-]all$/i.test(term)) ?? (isRedirect ? null : '~all');
  const rest = terms.filter((term) => !/^[+?~-]?all$/i.test(term));
  return ['v=spf1', ...(include === null ? [] : [`include:${include}`]), ...rest, ...(end === null ? [] : [end])].join(
    ' ',
  );
}

function merged(records: readonly string[], include: string | null): string {
  const terms = [...new Set(records.flatMap(termsOf))].filter((term) => !/^(?:[+?~-]?all|redirect=.*)$/i.test(term));
  const isNamed = include !== null && terms.some((term) => term.toLowerCase() === `include:${include.toLowerCase()}`);
  return repaired(terms, isNamed ? null : include);
}

const termsOf = (record: string) =>
  record
    .slice(0, RECORD_MAX)
    .split(/ +/)
    .slice(1)
    .filter((term) => term !== '');

async function spfRecords(resolver: Resolver, domain: string): Promise<string[] | null> {
  const texts = await allTexts(resolver, domain);
  return texts?.filter((text) => /^v=spf1(?: |$)/i.test(text)) ?? null;
}

/** All TXT records of a name, put together from their pieces; null when nobody knows. */
export async function allTexts(resolver: Resolver, name: string): Promise<string[] | null> {
  try {
    const answer = (await resolver(name, 'TXT')) as readonly (string | readonly string[])[];
    return answer.map((pieces) => (typeof pieces === 'string' ? pieces : pieces.join('')));
  } catch (error) {
    return isAbsent(error) ? [] : null;
  }
}

/** What is to be said of a domain's DMARC record (RFC 7489). */
export async function dmarcAdvice(resolver: Resolver, domain: string): Promise<RecordAdvice> {
  const say = (code: string, message: string) => ({ code, message });
  const found =
    (await allTexts(resolver, `_dmarc.${domain}`))?.filter((text) => /^v=DMARC1\s*(?:;|$)/.test(text)) ?? null;
  const usual = 'v=DMARC1; p=quarantine';
  if (found === null) return { record: null, problems: [problem('unavailable')], suggestion: null };
  if (found.length !== 1) {
    return {
      record: null,
      problems: [
        found.length === 0
          ? say('none', 'There is no DMARC record: receivers do not hear what to do with forged mail.')
          : say('several', 'There are several DMARC records, so all are ignored: there must be one.'),
      ],
      suggestion: found.length === 0 ? usual : (found[0] ?? null),
    };
  }
  const record = found[0] ?? '';
  const policy = /;\s*p\s*=\s*([a-z]+)/i.exec(record)?.[1]?.toLowerCase();
  if (policy === 'quarantine' || policy === 'reject') return { record, problems: [], suggestion: null };
  if (policy === 'none') {
    const message = 'The policy is none: forged mail is reported and delivered all the same.';
    return { record, problems: [say('policy_none', message)], suggestion: null };
  }
  return {
    record,
    problems: [say('no_policy', 'The record says no policy (p=), so it is ignored.')],
    suggestion: usual,
  };
}

/** Whether a key is published as it is here: `missing`, `different`, or `unavailable` when the name servers did not answer. */
export async function dkimState(
  resolver: Resolver,
  key: {
    readonly domain: string;
    readonly selector: string;
    readonly algorithm: DkimAlgorithm;
    readonly publicKey: string;
  },
): Promise<'published' | 'missing' | 'different' | 'unavailable'> {
  const texts = await allTexts(resolver, `${key.selector}._domainkey.${key.domain}`);
  if (texts === null) return 'unavailable';
  if (texts.length === 0) return 'missing';
  return texts.some((text) => isDkimRecord(text, key.algorithm, key.publicKey)) ? 'published' : 'different';
}

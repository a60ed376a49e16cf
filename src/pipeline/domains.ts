import { domainToUnicode } from 'node:url';
import { getDomain, getDomainWithoutSuffix } from 'tldts';

const OPTIONS = { allowPrivateDomains: false, validateHostname: false, detectIp: true } as const;

/** The registrable domain (`example.co.uk`), the name itself when there is none, empty for an address. */
export function organisation(host: string): string {
  return cached(host).organisation;
}

/** The registrable domain without its suffix (`example`). */
export function brandLabel(host: string): string {
  return cached(host).label;
}

export function topLevel(host: string): string {
  return host.slice(host.lastIndexOf('.') + 1).toLowerCase();
}

interface HostParts {
  readonly organisation: string;
  readonly label: string;
}

const CACHE_MAX = 5000;
const cache = new Map<string, HostParts>();

function cached(host: string): HostParts {
  const known = cache.get(host);
  if (known !== undefined) return known;
  if (cache.size >= CACHE_MAX) cache.clear();
  const lower = host.toLowerCase().slice(0, 255);
  const parts = {
    organisation: getDomain(lower, OPTIONS) ?? (isAddress(lower) ? '' : lower),
    label: getDomainWithoutSuffix(lower, OPTIONS) ?? '',
  };
  cache.set(host, parts);
  return parts;
}

export function isAddress(host: string): boolean {
  return (
    /^\d{1,3}(\.\d{1,3}){3}$/.test(host) ||
    host.startsWith('[') ||
    /^0x[0-9a-f]+$/i.test(host) ||
    /^\d{8,10}$/.test(host)
  );
}

/** Whether `domain` is `own` or lies below it. */
export function isWithin(domain: string, own: string): boolean {
  return domain === own || domain.endsWith(`.${own}`);
}

/** Letters that are read as other letters: a selection of Unicode UTS 39 confusables and the digits that forgers use. */
const CONFUSABLE: Readonly<Record<string, string>> = {
  а: 'a',
  е: 'e',
  о: 'o',
  р: 'p',
  с: 'c',
  у: 'y',
  х: 'x',
  і: 'i',
  ѕ: 's',
  ј: 'j',
  ԁ: 'd',
  ɡ: 'g',
  һ: 'h',
  ӏ: 'l',
  ո: 'n',
  ս: 'u',
  ν: 'v',
  ο: 'o',
  α: 'a',
  ι: 'i',
  κ: 'k',
  ρ: 'p',
  τ: 't',
  υ: 'u',
  χ: 'x',
  ı: 'i',
  ł: 'l',
  ß: 'b',
  в: 'b',
  к: 'k',
  м: 'm',
  н: 'h',
  т: 't',
  '0': 'o',
  '1': 'l',
  '3': 'e',
  '5': 's',
  '|': 'l',
};

/**
 * What the eye makes of a domain label: accents off, confusable letters replaced, `rn` read as `m`, `vv` as `w`, `i` as `l`.
 * Two different labels with one skeleton are lookalikes.
 */
export function skeleton(label: string): string {
  const shown = label.startsWith('xn--') ? domainToUnicode(label) : label;
  let out = '';
  for (const letter of shown
    .normalize('NFKD')
    .replace(/\p{M}+/gu, '')
    .toLowerCase())
    out += CONFUSABLE[letter] ?? letter;
  return out.replace(/rn/g, 'm').replace(/vv/g, 'w').replace(/cl/g, 'd').replace(/i/g, 'l').replace(/-/g, '');
}

/** Whether one letter was added, left out, replaced or swapped with its neighbour (Damerau-Levenshtein distance 1). */
export function isOneEditApart(a: string, b: string): boolean {
  if (a === b || Math.abs(a.length - b.length) > 1) return false;
  const [short, long] = a.length <= b.length ? [a, b] : [b, a];
  let at = 0;
  while (at < short.length && short[at] === long[at]) at += 1;
  if (short.length < long.length) return short.slice(at) === long.slice(at + 1);
  if (short.slice(at + 1) === long.slice(at + 1)) return true;
  return short[at] === long[at + 1] && short[at + 1] === long[at] && short.slice(at + 2) === long.slice(at + 2);
}

/** The host of a link, lower-case A-label, without port and user part; null for what is no http(s) address. */
export function linkHost(href: string): string | null {
  const match = /^\s*(?:https?:)?[\\/]{2}(?:[^/?#\\]*@)?(\[[^\]]*\]|[^/?#:\\]*)/i.exec(href);
  const host = match?.[1]?.replace(/\.$/, '').toLowerCase() ?? '';
  return host === '' ? null : host;
}

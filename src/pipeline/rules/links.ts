import { domainToUnicode } from 'node:url';
import { domainOf } from '../../core/address.ts';
import type { ParsedMail } from '../../mail/types.ts';
import { brandLabel, isAddress, isOneEditApart, linkHost, organisation, skeleton, topLevel } from '../domains.ts';
import { type Hit, hit } from '../votes.ts';
import { BRAND_LABELS, FREE_HOSTS, ODD_TLDS, OWN_LABELS, SHORTENERS } from './names.ts';

const LINKS_MAX = 300;
const SKELETONS: ReadonlySet<string> = new Set([...BRAND_LABELS].map(skeleton));
/** Words that lie one letter from a company's name. */
const PLAIN_WORDS: ReadonlySet<string> = new Set(['finance', 'telecom', 'correo', 'barclay']);
const LONG_BRANDS: readonly string[] = [...BRAND_LABELS].filter((label) => label.length >= 7);

/** Where links lead, against what they show. Each symbol counts once per message. */
export function linkHits(mail: ParsedMail): Hit[] {
  const found = new Map<Hit['code'], Hit>();
  const add = (code: Hit['code'], detail: string) => {
    if (!found.has(code)) found.set(code, hit(code, detail));
  };
  const fromOrganisation = organisation(domainOf(mail.from[0]?.address ?? ''));
  const recipients = [...mail.to, ...mail.cc]
    .map((one) => one.address.toLowerCase())
    .filter((one) => one.includes('@'));
  const seen = new Set<string>();
  let own = 0;
  let foreign = 0;

  for (const { href, text } of linksOf(mail)) {
    if (/^\s*(?:data|javascript|vbscript|file|blob):/i.test(href)) add('rules.link_scheme', href.slice(0, 40));
    const host = linkHost(href);
    if (host === null) continue;
    const shown = shownHost(text);
    if (shown !== null) addMismatch(shown, host, fromOrganisation, add);
    if (recipients.some((one) => carries(fragmentOf(href), one))) add('rules.link_recipient_fragment', host);
    else if (recipients.some((one) => carries(href, one)) && organisation(host) !== fromOrganisation) {
      add('rules.link_recipient', host);
    }
    if (/^\s*https?:[\\/]*[^/?#]*\.[^/?#]*@/i.test(href) || /^\s*https?:\\|^\s*https?:\/\/[^/]*%/i.test(href)) {
      add('rules.link_obfuscated', href.slice(0, 100));
    }
    if (organisation(host) === fromOrganisation) own += 1;
    else foreign += 1;
    if (seen.has(host)) continue;
    seen.add(host);
    addHost(host, href, add);
  }
  if (own > foreign) add('rules.links_own', fromOrganisation);
  else if (own === 0 && foreign > 0) add('rules.links_foreign', [...seen].slice(0, 3).join(', '));
  return [...found.values()];
}

/** The links of the HTML, and addresses that stand in the text. */
export function* linksOf(mail: ParsedMail): Generator<{ href: string; text: string }> {
  let left = LINKS_MAX;
  for (const link of mail.links) {
    if (left-- <= 0) return;
    yield link;
  }
  if (mail.links.length > 0) return;
  for (const match of mail.text.slice(0, 30_000).matchAll(/https?:\/\/[^\s<>"')\]]{4,500}/gi)) {
    if (left-- <= 0) return;
    yield { href: match[0], text: '' };
  }
}

/** The host that the text of a link shows, when the text is nothing but an address. */
function shownHost(text: string): string | null {
  const match = /^\s*(?:https?:\/\/)?((?:[a-z0-9-]+\.)+[a-z]{2,12})(?:[/:?#]\S*)?\s*$/i.exec(text.slice(0, 300));
  return match?.[1]?.toLowerCase() ?? null;
}

function addMismatch(
  shown: string,
  host: string,
  fromOrganisation: string,
  add: (code: Hit['code'], detail: string) => void,
): void {
  const shownOrganisation = organisation(shown);
  if (shownOrganisation === organisation(host)) return;
  if (FILE_LIKE.test(shown)) return;
  // A sender's own name on a link that runs through a counting service is common; a foreign company's is not.
  const isBrand = OWN_LABELS.has(brandLabel(shown)) && shownOrganisation !== fromOrganisation;
  const code = isBrand && brandLabel(shown).length > 3 ? 'rules.link_mismatch' : 'rules.link_mismatch_soft';
  add(code, `shows ${shown}, leads to ${host}`);
}

const FILE_LIKE = /\.(?:pdf|docx?|xlsx?|pptx?|zip|html?|php|js|ts|py|sh|md|txt|png|jpe?g)$/;

function fragmentOf(href: string): string {
  const at = href.indexOf('#');
  return at < 0 ? '' : href.slice(at + 1);
}

function carries(href: string, address: string): boolean {
  const lower = href.toLowerCase();
  if (lower.includes(address) || lower.includes(encodeURIComponent(address))) return true;
  if (lower.length > 2000) return false;
  return href.includes(Buffer.from(address).toString('base64').replace(/=+$/, ''));
}

function addHost(host: string, href: string, add: (code: Hit['code'], detail: string) => void): void {
  if (isAddress(host)) {
    add('rules.link_ip', host);
    return;
  }
  const label = brandLabel(host);
  const plain = skeleton(label);
  if (!OWN_LABELS.has(label) && !PLAIN_WORDS.has(label)) {
    if (SKELETONS.has(plain) || LONG_BRANDS.some((brand) => isOneEditApart(label, brand)))
      add('rules.link_lookalike', host);
    const words = host.slice(0, 255).split(/[.-]/);
    const named = words.find((word) => BRAND_LABELS.has(word) && word.length >= 6);
    if (named !== undefined) add('rules.link_brand_elsewhere', host);
  }
  if (host.includes('xn--') && mixesScripts(domainToUnicode(host))) add('rules.link_punycode', host);
  if (SHORTENERS.has(organisation(host))) add('rules.link_shortener', host);
  if (FREE_HOSTS.some((suffix) => host.endsWith(`.${suffix}`) || host === suffix)) {
    if (!/\.(?:png|jpe?g|gif|css|woff2?)(?:\?|$)/i.test(href)) add('rules.link_free_host', host);
  }
  if (ODD_TLDS.has(topLevel(host))) add('rules.link_odd_tld', host);
}

function mixesScripts(name: string): boolean {
  return name.split('.').some((label) => /[a-z]/.test(label) && /[\p{Script=Cyrillic}\p{Script=Greek}]/u.test(label));
}

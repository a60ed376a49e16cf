import { domainOf } from '../../core/address.ts';
import type { ParsedMail } from '../../mail/types.ts';
import { brandLabel, isAddress, linkHost, organisation } from '../domains.ts';
import type { MessageInput } from '../stage.ts';
import { type Hit, hit } from '../votes.ts';
import { countUpTo } from './body.ts';
import { linksOf } from './links.ts';
import { FREE_MAIL } from './names.ts';
import { fold, type Reading } from './text.ts';

/** How a message is put together by those who send to millions: throw-away names, borrowed authority, text that only filters read. */
export function structureHits({ mail, envelope }: MessageInput, reading: Reading): Hit[] {
  const from = mail.from[0]?.address.toLowerCase() ?? '';
  const hits: Hit[] = [];
  if (isThrowAway(domainOf(from))) hits.push(hit('rules.sender_throwaway', domainOf(from)));
  if (envelope.direction === 'inbound') hits.push(...claimHits(mail, from));
  hits.push(...recipientHits(mail, reading), ...hostHits(mail, from), ...htmlHits(mail));
  const zone = /([+-])(\d\d):?(\d\d)\s*(?:\(|$)/.exec(reading.header('date') ?? '');
  if (zone !== null && (Number(zone[2]) > 14 || Number(zone[3]) % 15 !== 0)) hits.push(hit('rules.date_zone', zone[0]));
  const leave = listUnsubscribeHost(reading.header('list-unsubscribe') ?? '');
  if (leave !== '' && ![from, envelope.sender].some((one) => organisation(domainOf(one)) === organisation(leave))) {
    const hosts = [...linksOf(mail)].slice(0, 50).map(({ href }) => linkHost(href) ?? '');
    if (!hosts.some((host) => organisation(host) === organisation(leave)))
      hits.push(hit('rules.list_unsubscribe_foreign', leave));
  }
  return hits;
}

/** Words that forgers string together to a domain that nobody had yesterday. */
const LURE_WORDS =
  /(?:account|verif\w*?|secur\w*?|login|signin|support|billing|update|portal|track\w*?|deliver\w*?|package|parcel|paket|colis|notify|notification|alert|auth\w*?|kunden\w*?|sicherheit|client|espace|regularisation|service|resolution|center|centre|review|confirm\w*?|recovery|wallet|refund|payment|online|bank\w*?|post|info|help\w*?|daily|deals?|offers?|reward\w*|claim|prize|winner|id|id\d+|\d+)/;
const LURE_LABEL = new RegExp(`^${LURE_WORDS.source}(?:-?${LURE_WORDS.source}){1,5}$`);

/**
 * Whether a domain looks as if it was registered for one campaign: several lure words and nothing else, or letters in no order.
 * A word of a company's own among them makes it a name.
 */
export function isThrowAway(host: string): boolean {
  const label = brandLabel(host);
  if (label.length < 6 || label.length > 40 || FREE_MAIL.has(label)) return false;
  if (label.length >= 10 && /[-\d]/.test(label) && LURE_LABEL.test(label)) return true;
  const words = label.split('-').filter((word) => LURE_ONLY.test(word));
  if (words.length >= 3) return true;
  return (
    !label.startsWith('xn--') &&
    (/[bcdfghjklmnpqrstvwxz]{7,}/.test(label) ||
      /^[bcdfghjklmnpqrstvwxz]{6,}$/.test(label) ||
      /(?:[a-z]\d){3}|(?:\d[a-z]){3}/.test(label))
  );
}

const LURE_ONLY = new RegExp(`^${LURE_WORDS.source}$`);

/** Offices that write from inside: their mail comes from the recipient's own domain or from nobody. */
const OFFICE =
  /\b(?:it (?:help ?desk|service ?desk|support|department|admin\w*)|help ?desk|mail(?:box)? (?:admin\w*|delivery|team|support|server)|web ?mail|e-?mail (?:admin\w*|support|security)|server admin\w*|system admin\w*|administrator|postmaster|cpanel|account team|password|quota|hr department|human resources|payroll)\b/;

function claimHits(mail: ParsedMail, from: string): Hit[] {
  const hits: Hit[] = [];
  const name = fold(mail.from[0]?.name ?? '').slice(0, 200);
  const own = organisation(domainOf(from));
  const recipients = [...mail.to, ...mail.cc].slice(0, 20).map((one) => domainOf(one.address.toLowerCase()));
  if (recipients.some((domain) => organisation(domain) === own && own !== '')) return hits;
  if (OFFICE.test(name) && (FREE_MAIL.has(brandLabel(own)) || leadsAwayFrom(mail, own))) {
    hits.push(hit('rules.name_office', `${name} <${from}>`));
  }
  const shown = recipients.find((domain) => {
    const label = brandLabel(domain);
    return (
      name.includes(organisation(domain)) ||
      (label.length >= 5 && !FREE_MAIL.has(label) && name.split(/[^\p{L}\d-]+/u).includes(label))
    );
  });
  if (shown !== undefined && shown !== '' && organisation(shown) !== '')
    hits.push(hit('rules.name_recipient_domain', name));
  return hits;
}

/** Has links, and none to the sender's own domain. */
export function leadsAwayFrom(mail: ParsedMail, own: string): boolean {
  let links = 0;
  for (const { href } of linksOf(mail)) {
    const host = linkHost(href);
    if (host === null) continue;
    if (organisation(host) === own) return false;
    links += 1;
  }
  return links > 0;
}

/** A kit knows of its reader nothing but the address, and puts it where honest mail has a name. */
function recipientHits(mail: ParsedMail, reading: Reading): Hit[] {
  const hits: Hit[] = [];
  const subject = fold(mail.subject);
  const start = reading.folded.slice(subject.length, subject.length + 300);
  for (const { address } of mail.to.slice(0, 5)) {
    const lower = address.toLowerCase();
    const local = lower.slice(0, lower.lastIndexOf('@'));
    if (lower.length < 6 || local.length < 3) continue;
    if (subject.includes(lower)) hits.push(hit('rules.subject_recipient', lower));
    const greeted =
      /(?:^|[\s>])(?:dear|hi|hello|hey|attention|attn|hallo|guten tag|bonjour|hola|ciao|olá)[\s:,]+(\S{3,80}?)[,!.:]?\s/.exec(
        start,
      )?.[1];
    if (greeted !== undefined && (greeted === lower || (greeted === local && /[\d._]/.test(local)))) {
      hits.push(hit('rules.greets_address', greeted));
    }
    if (hits.length > 0) break;
  }
  return hits;
}

/** Services that lead on to any address that stands behind them. */
const REDIRECT =
  /^https?:\/\/(?:www\.)?(?:google\.[a-z.]{2,6}\/(?:url|amp\/)|bing\.com\/ck\/|youtube\.com\/redirect|l\.facebook\.com\/l\.php|facebook\.com\/l\.php|linkedin\.com\/(?:slink|redir)|translate\.google|[\w-]+\.translate\.goog|baidu\.com\/link|duckduckgo\.com\/l\/|googleads\.g\.doubleclick|adclick\.g\.doubleclick|ad\.doubleclick|googleweblight\.com|href\.li)/i;

function hostHits(mail: ParsedMail, from: string): Hit[] {
  const found = new Map<Hit['code'], Hit>();
  const own = organisation(domainOf(from));
  const add = (code: Hit['code'], detail: string) => {
    if (!found.has(code)) found.set(code, hit(code, detail));
  };
  const seen = new Set<string>();
  for (const { href } of linksOf(mail)) {
    if (REDIRECT.test(href)) add('rules.link_redirect', href.slice(0, 80));
    const host = linkHost(href);
    if (host === null || seen.has(host) || isAddress(host)) continue;
    seen.add(host);
    if (seen.size > 40) break;
    if (organisation(host) !== own && isThrowAway(host)) add('rules.link_throwaway', host);
    // A name below a name below a name of random letters: pages that are made by the thousand.
    if (/(?:^|\.)(?=[a-z0-9]*\d)(?=[a-z0-9]*[a-z])[a-z0-9]{20,}\./.test(host)) add('rules.link_random_host', host);
  }
  return [...found.values()];
}

/** Numeric references for plain letters (`&#80;&#97;`): nobody needs them but to hide words. */
const LETTER_REFERENCE =
  /&#(?:x(?:4[1-9a-f]|5[0-9a]|6[1-9a-f]|7[0-9a])|6[5-9]|[78]\d|9[07-9]|1[01]\d|12[0-2])(?![\da-f]);?/gi;
/** A letter, something that nobody sees, a letter. */
const SPLIT_BY_HIDDEN =
  /[a-z]<(span|font|i|b|div|p)\b[^>]{0,120}(?:font-size:\s*0|display:\s*none|visibility:\s*hidden|width:\s*0)[^>]{0,80}>[^<]{1,40}<\/\1>[a-z]/gi;

function htmlHits(mail: ParsedMail): Hit[] {
  const hits: Hit[] = [];
  const { html } = mail;
  if (html === '') return hits;
  const sample = html.slice(0, 200_000);
  if (countUpTo(sample, LETTER_REFERENCE, 30) >= 30) hits.push(hit('rules.entity_letters'));
  if (countUpTo(sample, SPLIT_BY_HIDDEN, 3) >= 3) hits.push(hit('rules.hidden_splitters'));
  const seen = mail.htmlText.trim().length;
  let comments = 0;
  for (const match of sample.matchAll(/<!--(?!\[if|\$|\/\$|<!\[)([^>]{200,20000})-->/g))
    comments += match[1]?.length ?? 0;
  if (
    comments > 1500 &&
    comments > 2 * seen &&
    !/@font-face|mso-|\{[^}]*:[^}]*\}/.test(sample.slice(sample.indexOf('<!--'), sample.indexOf('<!--') + 4000))
  ) {
    hits.push(hit('rules.comment_filler', `${comments} characters`));
  }
  const attached = mail.attachments.filter((one) => one.contentType.startsWith('image/')).length;
  if (
    seen < 80 &&
    mail.links.length === 0 &&
    mail.text.trim().length < 80 &&
    mail.images.length + attached > 0 &&
    mail.images.length <= 3
  ) {
    hits.push(hit('rules.image_only'));
  }
  return hits;
}

function listUnsubscribeHost(value: string): string {
  return linkHost(/<(https?:[^>]+)>/i.exec(value)?.[1] ?? '') ?? '';
}

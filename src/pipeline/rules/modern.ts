import { domainOf } from '../../core/address.ts';
import type { ParsedMail } from '../../mail/types.ts';
import { brandLabel, isWithin, linkHost, organisation, topLevel } from '../domains.ts';
import type { MessageInput } from '../stage.ts';
import { type Hit, hit } from '../votes.ts';
import { linksOf } from './links.ts';
import { CHEAP_TLDS, FREE_MAIL } from './names.ts';
import { ATTACHED_LURE, SHORT_ASK } from './phrases-recent.ts';
import { fold, type Reading } from './text.ts';

/** What frauds of the 2020s look like: roles from free mail accounts, domains as names, short requests, cheap domains. */
export function modernHits({ mail, envelope }: MessageInput, reading: Reading): Hit[] {
  if (envelope.direction === 'outbound') return [];
  const from = mail.from[0]?.address.toLowerCase() ?? '';
  const name = fold(mail.from[0]?.name ?? '').slice(0, 200);
  return [
    ...nameHits(name, from, reading),
    ...freeHits(mail, name, from, reading),
    ...pageHits(mail, reading),
    ...hostHits(mail, from),
  ];
}

const SHOWN_DOMAIN =
  /(?:^|[^\p{L}\d@.-])((?:[a-z\d-]+\.)+(?:com|net|org|me|io|co|de|fr|it|es|nl|ch|at|uk|eu|us|pl|be|jp|cn|br|ru|info|biz))(?![\p{L}\d.-])/u;

/** "proton.me Helpdesk" from somewhere else. */
function nameHits(name: string, from: string, reading: Reading): Hit[] {
  const shown = SHOWN_DOMAIN.exec(name)?.[1];
  if (shown === undefined || name.includes('@')) return [];
  if (reading.header('list-id') !== undefined || /\b(?:via|per|über|through|bei|chez|for|at)\b/.test(name)) return [];
  // The name of a company often is a domain of its own with another ending.
  if (
    isWithin(domainOf(from), shown) ||
    organisation(shown) === organisation(domainOf(from)) ||
    brandLabel(shown) === brandLabel(domainOf(from))
  )
    return [];
  return [hit('rules.name_domain', `${shown} <${from}>`)];
}

const ROLE =
  /\b(?:office|officer|department|dept|desk|director|ceo|cfo|executive|manager|management|billing|payments?|invoice|accounts?|support|service|customer care|team|hr|human resources|payroll|recruit\w*|career|award\w*|lottery|loans?|bank|finance|fund\w*|fbi|imf|united nations|un|barrister|attorney|pastor|rev|mrs?|dr|sgt|sheikh|investors?|security|admin\w*|confirmation|notification|alert|order|dept|directeur|direction|pdg|service client|geschäftsführ\w*|vorstand|buchhaltung|direttore|gerente)\b/;

function freeHits(mail: ParsedMail, name: string, from: string, reading: Reading): Hit[] {
  const hits: Hit[] = [];
  const answer = mail.replyTo[0]?.address.toLowerCase() ?? '';
  const isFree = FREE_MAIL.has(brandLabel(domainOf(from)));
  const answersFree = answer !== '' && answer !== from && FREE_MAIL.has(brandLabel(domainOf(answer)));
  const isConversation = reading.header('in-reply-to') !== undefined || reading.header('list-id') !== undefined;
  if (isFree && ROLE.test(name)) hits.push(hit('rules.name_role_free', `${name} <${from}>`));
  if (isFree && /\d{5,}[^@]{0,3}@/.test(from)) hits.push(hit('rules.free_numbered', from));
  const words = reading.body.length;
  if (
    (isFree || answersFree) &&
    !isConversation &&
    words < 500 &&
    mail.links.length === 0 &&
    SHORT_ASK.test(reading.folded)
  ) {
    hits.push(hit('rules.short_ask', SHORT_ASK.exec(reading.folded)?.[0] ?? ''));
  }
  const bill = mail.attachments.find(
    ({ contentType, name: file }) => contentType === 'application/pdf' || /\.(?:pdf|docx?|png|jpe?g)$/i.test(file),
  );
  if (
    isFree &&
    bill !== undefined &&
    !isConversation &&
    words < 200 &&
    /\binv(?:oice)?[_ #\d-]|invoice|receipt|order|payment|subscription|renewal|billing/.test(
      `${fold(mail.subject)} ${bill.name.toLowerCase()}`,
    ) &&
    (ROLE.test(name) || /\d{4,}[^@]{0,3}@/.test(from))
  ) {
    hits.push(hit('rules.free_invoice', bill.name));
  }
  return hits;
}

/** Honest reports are attached pages too; they do not call themselves a voice message or ask to be opened. */
function pageHits(mail: ParsedMail, reading: Reading): Hit[] {
  const page = mail.attachments.find(
    ({ contentType, name }) => contentType === 'text/html' || /\.(?:s?html?|xhtml|svg)$/i.test(name),
  );
  if (page === undefined || mail.attachments.some(({ contentType }) => contentType.startsWith('message/'))) return [];
  const lure = ATTACHED_LURE.exec(page.name.toLowerCase())?.[0];
  const asks = /\b(?:open|see|find|view|listen|review|check|download|öffnen|ouvrir|abrir|aprire)\b/.test(
    reading.folded.slice(0, 1500),
  );
  return lure !== undefined && (asks || reading.body.length < 200) && page.bytes < 500_000
    ? [hit('rules.attached_lure', page.name)]
    : [];
}

/** `http://host/SFRuTk5HYTErTzVr`, `https://host/page.html#4uTsRo41`: nothing but a code that says who clicked. */
const TOKEN = /^https?:\/\/[^/?#]+\/(?:[A-Za-z0-9+_=-]{24,}\/?|[a-z0-9]{1,12}\.html?#[A-Za-z0-9]{6,40})$/;

function hostHits(mail: ParsedMail, from: string): Hit[] {
  const hits: Hit[] = [];
  const own = organisation(domainOf(from));
  let cheap = CHEAP_TLDS.has(topLevel(domainOf(from))) ? domainOf(from) : null;
  let token: string | null = null;
  let left = 60;
  for (const { href } of linksOf(mail)) {
    if (left-- <= 0 || (cheap !== null && token !== null)) break;
    const host = linkHost(href);
    if (host === null) continue;
    if (cheap === null && CHEAP_TLDS.has(topLevel(host))) cheap = host;
    if (token === null && organisation(host) !== own && TOKEN.test(href) && /[A-Z]/.test(href) && /[a-z\d]/.test(href))
      token = href;
  }
  if (cheap !== null) hits.push(hit('rules.cheap_tld', cheap));
  if (token !== null) hits.push(hit('rules.link_token', token.slice(0, 100)));
  return hits;
}

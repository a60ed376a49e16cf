import { domainOf } from '../../core/address.ts';
import { brandLabel, isAddress, organisation, topLevel } from '../domains.ts';
import type { MessageInput } from '../stage.ts';
import { type Hit, hit } from '../votes.ts';
import { BRANDS, FREE_MAIL, isDoubtfulTld, ODD_TLDS } from './names.ts';
import { fold, type Reading } from './text.ts';

const DAY_MS = 86_400_000;
const SINGLE = ['from', 'subject', 'date', 'message-id', 'to', 'reply-to', 'sender'];
/** Of the parser's anomalies those that make two readers see two messages; the rest happens to honest programs. */
const TRICKS = new Set([
  ...['duplicate_content_type', 'duplicate_boundary', 'duplicate_encoding', 'duplicate_disposition'],
  ...[
    'multipart_without_boundary',
    'bare_cr_header',
    'mime_depth',
    'message_partial',
    'external_body',
    'several_names',
  ],
]);
const BULK_MAILERS =
  /phpmailer \[version 1|e-?mail ?(?:magnet|blaster)|mach10|bulk|stealth|groupmail|dynamailer|emaxx|advanced mass|ultimate mailer|leaf phpmailer|sendblaster|atomic mail|turbo-?mailer|mail ?bomber|foxmail 4|diffondi|mailcity|super ?mail|gammadyne|worldmerge|ist e-?mail|extractor/i;

/** Forgeries and slips in the header: what honest programs do not write. */
export function headerHits({ mail, envelope }: MessageInput, reading: Reading): Hit[] {
  const hits: Hit[] = [];
  // A submitting program may leave Date and Message-ID to the server (RFC 6409 section 8).
  const outbound = envelope.direction === 'outbound';
  const from = mail.from[0];
  if (from === undefined || !from.address.includes('@')) hits.push(hit('rules.no_from'));
  if (!outbound) hits.push(...dateHits(mail.date, envelope.receivedAt));
  if (!outbound && !/^<?[^\s<>]+@[^\s<>]+>?$/.test(mail.messageId))
    hits.push(hit('rules.no_message_id', mail.messageId));
  const twice = SINGLE.filter((name) => reading.headerCount(name) > 1);
  if (twice.length > 0) hits.push(hit('rules.duplicate_header', twice.join(', ')));
  const tricks = mail.anomalies.filter((name) => TRICKS.has(name));
  if (tricks.length > 0) hits.push(hit('rules.mime_trick', tricks.slice(0, 5).join(', ')));
  if (mail.to.length + mail.cc.length === 0 && !outbound) hits.push(hit('rules.to_undisclosed'));
  if (mail.to.length + mail.cc.length > 15) hits.push(hit('rules.to_many', `${mail.to.length + mail.cc.length}`));
  hits.push(...mailerHits(reading), ...traceHits(mail, envelope, reading));
  if (mail.headers.some(({ name, value }) => name === 'received' && hasImpossibleAddress(value))) {
    hits.push(hit('rules.forged_received'));
  }
  if (
    !outbound &&
    envelope.helo !== '' &&
    (isAddress(envelope.helo.replace(/^\[|\]$/g, '')) || !/[.:]/.test(envelope.helo))
  ) {
    hits.push(hit('rules.helo_is_address', envelope.helo));
  }
  if (from !== undefined) hits.push(...senderHits(from.address.toLowerCase(), from.name, mail.replyTo, reading));
  return hits;
}

/** Names that access providers give to customers' lines: the address in the name, or a word for it. */
const DYNAMIC =
  /(?:^|[.-])(?:a?dsl|ppp|dial(?:up|in)?|dhcp|dyn(?:amic)?(?:ip)?|cable|pool|client|customer|cust|broadband|res(?:idential)?|modem)\d*[.-]|\d{1,3}[.-]\d{1,3}[.-]\d{1,3}[.-]\d{1,3}|\d{9,12}\./;

/** The confirmed name of the sending server, the envelope and the Message-ID against From. */
function traceHits(mail: MessageInput['mail'], envelope: MessageInput['envelope'], reading: Reading): Hit[] {
  if (envelope.direction === 'outbound') return [];
  const hits: Hit[] = [];
  const from = organisation(domainOf(mail.from[0]?.address.toLowerCase() ?? ''));
  const sender = envelope.sender === '' ? '' : organisation(domainOf(envelope.sender));
  const server = envelope.remoteName === null ? '' : organisation(envelope.remoteName);
  if (envelope.remoteName !== null && DYNAMIC.test(envelope.remoteName))
    hits.push(hit('rules.dynamic_host', envelope.remoteName));
  else if (server !== '' && from !== '' && server === from) hits.push(hit('rules.host_is_sender', server));
  const isList = reading.header('list-id') !== undefined || reading.header('list-post') !== undefined;
  if (sender !== '' && from !== '' && sender !== from && !isList) hits.push(hit('rules.from_envelope_differ', sender));
  const id = /@([^@>\s]+)>?\s*$/.exec(mail.messageId)?.[1]?.toLowerCase().replace(/[[\]]/g, '') ?? '';
  if (id !== '') {
    const owner = organisation(id);
    if (isAddress(id) || /^(?:localhost|unknown)/.test(id)) hits.push(hit('rules.message_id_odd', id));
    else if (id.includes('.') && owner !== from && owner !== sender && owner !== server && !isList)
      hits.push(hit('rules.message_id_foreign', id));
  }
  if (mail.from[0]?.name === '') hits.push(hit('rules.no_name'));
  if (/^\s*[12]\b|high|urgent/i.test(reading.header('x-priority') ?? reading.header('importance') ?? ''))
    hits.push(hit('rules.priority'));
  if (
    /base64/i.test(reading.header('content-transfer-encoding') ?? '') &&
    /^text\//i.test(reading.header('content-type') ?? '') &&
    isAscii(mail)
  ) {
    hits.push(hit('rules.needless_base64'));
  }
  return hits;
}

function isAscii(mail: MessageInput['mail']): boolean {
  return !/\P{ASCII}/u.test(mail.text.slice(0, 4000)) && !/\P{ASCII}/u.test(mail.html.slice(0, 4000));
}

function dateHits(date: Date | null, receivedAt: Date): Hit[] {
  if (date === null || Number.isNaN(date.getTime())) return [hit('rules.no_date')];
  const ahead = date.getTime() - receivedAt.getTime();
  if (ahead > DAY_MS) return [hit('rules.date_future', date.toISOString())];
  if (ahead < -14 * DAY_MS) return [hit('rules.date_past', date.toISOString())];
  return [];
}

function mailerHits(reading: Reading): Hit[] {
  const mailer = reading.header('x-mailer') ?? reading.header('user-agent') ?? '';
  const hasOle = reading.header('x-mimeole') !== undefined;
  const hits: Hit[] = [];
  // Outlook Express and its kin always wrote X-MimeOLE beside X-MSMail-Priority; kits copy the one and forget the other.
  if (/outlook express|outlook imo/i.test(mailer) && !hasOle) hits.push(hit('rules.forged_mailer', mailer));
  else if (reading.header('x-msmail-priority') !== undefined && !hasOle && !/outlook/i.test(mailer)) {
    hits.push(hit('rules.forged_mailer', 'X-MSMail-Priority without its program'));
  } else if (/the bat!/i.test(mailer) && /boundary="-{4}=_nextpart/i.test(reading.header('content-type') ?? '')) {
    hits.push(hit('rules.forged_mailer', mailer));
  }
  if (BULK_MAILERS.test(mailer)) hits.push(hit('rules.bulk_mailer', mailer));
  return hits;
}

function hasImpossibleAddress(received: string): boolean {
  for (const match of received.slice(0, 1000).matchAll(/[[(](\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})[\])]/g)) {
    if (match.slice(1, 5).some((octet) => Number(octet) > 255)) return true;
  }
  return false;
}

function senderHits(address: string, name: string, replyTo: MessageInput['mail']['replyTo'], reading: Reading): Hit[] {
  const hits: Hit[] = [];
  const domain = domainOf(address);
  const label = brandLabel(domain);
  const isFree = FREE_MAIL.has(label);
  const isList = reading.header('list-id') !== undefined || reading.header('list-post') !== undefined;
  const answer = replyTo[0]?.address.toLowerCase() ?? '';
  if (
    answer.includes('@') &&
    answer !== address &&
    !isList &&
    !isContactForm(address, answer, reading) &&
    FREE_MAIL.has(brandLabel(domainOf(answer)))
  ) {
    hits.push(hit(isFree ? 'rules.reply_elsewhere' : 'rules.reply_freemail_swap', answer));
  }
  const shown = /[^\s<>"'(),;:]+@([a-z0-9-]+(?:\.[a-z0-9-]+)+)/i.exec(name);
  if (shown?.[1] !== undefined && !isList && organisation(shown[1]) !== organisation(domain)) {
    hits.push(hit('rules.name_is_other_address', `${shown[0]} <${address}>`));
  }
  const foreign = brandIn(fold(name), isDoubtfulTld(topLevel(domain)) ? '' : label);
  if (foreign !== null && !isList) hits.push(hit('rules.name_brand', `${foreign} <${address}>`));
  if (looksRandom(address.slice(0, address.lastIndexOf('@')))) hits.push(hit('rules.random_sender', address));
  if (ODD_TLDS.has(topLevel(domain))) hits.push(hit('rules.odd_tld_sender', domain));
  return hits;
}

/** A form on a web page: written by the site's program, answered to the visitor, whose address stands in the text. */
function isContactForm(address: string, answer: string, reading: Reading): boolean {
  const program =
    /^(?:wordpress|www(?:-data|run)?|apache|web(?:site|form|master|mailer)?|no-?reply|form\w*|kontakt\w*|contact\w*|anfrage\w*|mailer|notif\w*)@/;
  return program.test(address) && reading.folded.includes(answer);
}

/** The company that a display name shows while the domain is another's; null when there is none. */
function brandIn(name: string, label: string): string | null {
  for (const { name: brand, labels } of BRANDS) {
    const at = name.indexOf(brand);
    if (at < 0 || labels.includes(label)) continue;
    const before = name[at - 1] ?? ' ';
    const after = name[at + brand.length] ?? ' ';
    if (/[\p{L}\d]/u.test(before) || /[\p{L}\d]/u.test(after)) continue;
    // "Anna via DocuSign", "Amazon seller Smith (eBay)": a mention, not a claim.
    if (/\b(?:via|per|über|through|at|bei|chez|for|partner)\s+$/.test(name.slice(0, at))) continue;
    return brand;
  }
  return null;
}

/** Many changes between letters and digits, or a long row of consonants. */
function looksRandom(local: string): boolean {
  if (/^(?:bounce|no-?reply|prvs|srs)/.test(local) || local.length < 8 || local.length > 40) return false;
  const changes = [...local.matchAll(/[a-z]\d|\d[a-z]/g)].length;
  return changes >= 4 || /[bcdfghjklmnpqrstvwxz]{6,}/.test(local);
}

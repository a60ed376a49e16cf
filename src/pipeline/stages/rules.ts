import { domainOf } from '../../core/address.ts';
import type { ParsedMail } from '../../mail/types.ts';
import { brandLabel, linkHost, organisation, topLevel } from '../domains.ts';
import { bodyHits } from '../rules/body.ts';
import { headerHits } from '../rules/headers.ts';
import { linkHits, linksOf } from '../rules/links.ts';
import { modernHits } from '../rules/modern.ts';
import { BRANDS, FREE_MAIL, isDoubtfulTld, OWN_LABELS } from '../rules/names.ts';
import { phraseHits } from '../rules/phrases.ts';
import { leadsAwayFrom, structureHits } from '../rules/structure.ts';
import { fold, type Reading, readingOf } from '../rules/text.ts';
import type { MessageStage } from '../stage.ts';
import { type Hit, hit, voteOf } from '../votes.ts';

/** Hand-written rules over headers, links, body and phrases, and the marks of honest mail. */
export const rulesStage: MessageStage = (input) => {
  const { mail } = input;
  const reading = readingOf(mail);
  const found = [
    ...headerHits(input, reading),
    ...structureHits(input, reading),
    ...modernHits(input, reading),
    ...subjectHits(mail.subject, reading),
    ...linkHits(mail),
    ...bodyHits(mail, reading),
    ...phraseHits(reading.folded, fold(mail.subject), reading.header('list-unsubscribe') !== undefined),
    ...kindHits(mail, reading),
  ];
  // A company that is much imitated writes such mail itself; whether it is the company, authentication says.
  const own = organisation(domainOf(mail.from[0]?.address ?? ''));
  const label = brandLabel(own);
  const isAway = leadsAwayFrom(mail, own);
  const isCompany = OWN_LABELS.has(label) && !FREE_MAIL.has(label) && !isDoubtfulTld(topLevel(own)) && !isAway;
  const hits = isCompany ? found.filter((one) => !one.code.startsWith('rules.scam_')) : found;
  return voteOf('rules', [
    ...hits,
    ...togetherHits(mail, reading, new Set(hits.map((one) => one.code)), label, isAway),
  ]);
};

/** What each by itself proves little and together says much. */
function togetherHits(
  mail: ParsedMail,
  reading: Reading,
  codes: ReadonlySet<string>,
  label: string,
  isAway: boolean,
): Hit[] {
  const hits: Hit[] = [];
  const has = (set: ReadonlySet<string>) => [...codes].some((code) => set.has(code));
  const isLure = has(LURES);
  if (codes.has('rules.scam_credentials') && isAway) hits.push(hit('rules.scam_credentials_link'));
  if ((isLure || has(ADVERTS)) && has(CHEAP_HOSTS) && reading.body.length < LURE_MAX)
    hits.push(hit('rules.lure_cheap_host'));
  if (FREE_MAIL.has(label) && has(PITCHES)) hits.push(hit('rules.free_pitch'));
  // A digest names companies; a fraud in the name of one is short.
  if (isLure && !codes.has('rules.bulk') && reading.body.length < LURE_MAX && (mail.links.length > 0 || isAway)) {
    const foreign = brandClaimed(reading.folded.slice(0, 600), mail, label);
    if (foreign !== null) hits.push(hit('rules.lure_brand', foreign));
  }
  return hits;
}

/** A company whose name stands at the head of the message, while neither the sender nor any link is its own. */
function brandClaimed(head: string, mail: ParsedMail, label: string): string | null {
  const linked = new Set([...linksOf(mail)].slice(0, 100).map(({ href }) => brandLabel(linkHost(href) ?? '')));
  for (const { name, labels } of BRANDS) {
    if (!head.includes(name) || labels.includes(label) || labels.some((one) => linked.has(one))) continue;
    return name;
  }
  return null;
}

/** Characters of the body beyond which a message is a digest rather than a lure. */
const LURE_MAX = 6000;

const LURES: ReadonlySet<string> = new Set([
  ...['rules.scam_credentials', 'rules.scam_parcel', 'rules.scam_voicemail', 'rules.scam_prize', 'rules.scam_crypto'],
  ...['rules.scam_renewal', 'rules.name_brand', 'rules.scam_qr', 'rules.name_office', 'rules.scam_refund'],
]);
const ADVERTS: ReadonlySet<string> = new Set([
  ...['rules.spam_pharmacy', 'rules.spam_adult', 'rules.spam_gambling', 'rules.spam_goods', 'rules.spam_money'],
]);
/** What a stranger with a free mail account writes. */
const PITCHES: ReadonlySet<string> = new Set([
  ...['rules.spam_seo', 'rules.spam_factory', 'rules.spam_money', 'rules.scam_advance_fee', 'rules.scam_executive'],
  ...[
    'rules.scam_invoice_change',
    'rules.scam_renewal',
    'rules.spam_domain',
    'rules.scam_extortion',
    'rules.spam_adult',
    'rules.scam_job',
  ],
]);
const CHEAP_HOSTS: ReadonlySet<string> = new Set([
  ...['rules.link_free_host', 'rules.link_odd_tld', 'rules.link_shortener', 'rules.link_ip', 'rules.link_punycode'],
  ...['rules.link_lookalike', 'rules.link_brand_elsewhere', 'rules.link_recipient_fragment'],
  ...[
    'rules.link_throwaway',
    'rules.link_redirect',
    'rules.link_random_host',
    'rules.sender_throwaway',
    'rules.odd_tld_sender',
    'rules.cheap_tld',
    'rules.link_token',
  ],
]);

function subjectHits(subject: string, reading: Reading): Hit[] {
  const hits: Hit[] = [];
  const letters = subject.replace(/[^\p{Lu}\p{Ll}]/gu, '');
  if (letters.length >= 10 && letters.replace(/\p{Ll}/gu, '').length > 0.8 * letters.length)
    hits.push(hit('rules.subject_upper'));
  const isReply = /^\s*(?:re|aw|sv|antw|fwd?|wg)\s*:/i.test(subject);
  if (
    isReply &&
    reading.header('in-reply-to') === undefined &&
    reading.header('references') === undefined &&
    /^\s*(?:re|aw)\s*:/i.test(subject)
  ) {
    hits.push(hit('rules.subject_fake_reply'));
  }
  if (
    /\s{5,}\S+\s*$|\s[a-z]{2,}\d+[a-z\d]*$|[\s[(#]+(?=[a-z]*\d)(?=\d*[a-z])[a-z0-9]{6,}[\])]?$/.test(subject) &&
    !isReply
  ) {
    hits.push(hit('rules.subject_id'));
  }
  return hits;
}

function kindHits(mail: ParsedMail, reading: Reading): Hit[] {
  const hits: Hit[] = [];
  const has = (name: string) => reading.header(name) !== undefined;
  const precedence = (reading.header('precedence') ?? '').toLowerCase();
  const isDiscussion = has('list-post') || (has('list-id') && has('in-reply-to'));
  // A discussion list names how to leave it too, but its mail is written by people.
  if (
    !isDiscussion &&
    (has('list-unsubscribe') || precedence === 'bulk' || precedence === 'junk' || has('feedback-id'))
  ) {
    hits.push(hit('rules.bulk'));
  }
  if (has('list-unsubscribe-post') && has('list-unsubscribe')) hits.push(hit('rules.one_click_unsubscribe'));
  if (
    !has('list-unsubscribe') &&
    /\bunsubscribe|abmelden|désabonner|se désinscrire|darse de baja|disiscri/.test(reading.folded) &&
    !has('list-id')
  ) {
    hits.push(hit('rules.bulk_unsubscribe_footer'));
  }
  const refers = has('in-reply-to') || has('references');
  if (refers && /^\s*>|\bwrote:|schrieb:|a écrit|escribió:|ha scritto:|schreef|-{3,} ?original/im.test(mail.text)) {
    hits.push(hit('rules.discussion'));
  }
  const types = mail.attachments.map((one) => one.contentType);
  const top = (reading.header('content-type') ?? '').toLowerCase();
  if (types.includes('text/calendar') || top.startsWith('text/calendar')) hits.push(hit('rules.calendar'));
  const auto = (reading.header('auto-submitted') ?? 'no').toLowerCase();
  if (top.startsWith('multipart/report') || auto.startsWith('auto-replied')) hits.push(hit('rules.delivery_report'));
  return hits;
}

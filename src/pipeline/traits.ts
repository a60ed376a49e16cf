import { createHash } from 'node:crypto';
import { printable } from '../core/address.ts';
import type { ThreatTrait } from '../core/message.ts';
import type { ParsedMail } from '../mail/types.ts';
import { brandLabel, linkHost } from './domains.ts';
import { linksOf } from './rules/links.ts';
import { BRAND_LABELS } from './rules/names.ts';

const PAYLOADS_MAX = 8;
const LINKS_MAX = 7;
/** Links that are looked at for those: what a campaign wants pressed stands far up. */
const LOOKED_AT = 60;
const LABEL_MAX = 200;
/** Subjects with fewer letters and digits are anybody's ("invoice"). */
const SUBJECT_MIN = 12;

/**
 * What a message may share with others of the same campaign, at most 16: its files by their content, where its links lead, and
 * its subject. Pictures are left out, as logos are everybody's, and so are bare links to well-known companies.
 */
export function traitsOf(mail: ParsedMail): ThreatTrait[] {
  const traits = new Map<string, ThreatTrait>();
  const add = (kind: ThreatTrait['kind'], digest: string, label: string) =>
    traits.set(`${kind} ${digest}`, { kind, digest, label: printable(label, LABEL_MAX) });
  for (const { name, sha256, sniffedType, contentType } of mail.attachments.slice(0, 50)) {
    if ((sniffedType ?? contentType).startsWith('image/')) continue;
    add('payload', sha256, name);
    if (traits.size >= PAYLOADS_MAX) break;
  }
  const most = traits.size + LINKS_MAX;
  let left = LOOKED_AT;
  for (const { href } of linksOf(mail)) {
    if (left-- <= 0 || traits.size >= most) break;
    const target = targetOf(href);
    if (target !== null) add('link', sha256(target), target);
  }
  const subject = subjectKey(mail.subject);
  if (subject !== null) add('subject', sha256(subject), mail.subject);
  return [...traits.values()];
}

/**
 * Host and path of a link without what is made for one reader: no query and no fragment, long segments that look drawn by lot as
 * `*`. Null for what is no web address, and for the bare address of a well-known company.
 */
export function targetOf(href: string): string | null {
  const host = linkHost(href)?.toLowerCase() ?? null;
  if (host === null || host.length > 253) return null;
  const path = /^[^?#]*?:[\\/]*[^\\/?#]+([^?#]*)/.exec(href.trim().slice(0, 1_000))?.[1] ?? '';
  const segments = path
    .split(/[\\/]+/)
    .filter((one) => one !== '')
    .slice(0, 8)
    .map((one) => (isRandom(one) ? '*' : one.slice(0, 60)));
  if (segments.length === 0 && BRAND_LABELS.has(brandLabel(host))) return null;
  return `${host}/${segments.join('/')}`;
}

/** Long and mixed of letters and digits, or of nothing but digits and hexadecimal letters. */
function isRandom(segment: string): boolean {
  if (segment.length < 16) return false;
  return /^[\da-f-]+$/i.test(segment) || (/\d/.test(segment) && /[a-z]/i.test(segment) && !/[-_ ]/.test(segment));
}

/** The words of a subject without what differs from reader to reader: answers' marks, digits, signs. Null: too little is left. */
export function subjectKey(subject: string): string | null {
  const words = subject
    .slice(0, 300)
    .normalize('NFKC')
    .toLowerCase()
    .replace(/^(?:\s*(?:re|aw|fw|fwd|wg|sv|tr)\s*:)+/u, '')
    .replace(/\p{N}+/gu, '0')
    .replace(/[^\p{L}\p{N}]+/gu, ' ')
    .trim();
  return words.replaceAll(' ', '').length < SUBJECT_MIN ? null : words;
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

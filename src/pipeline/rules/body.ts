import type { ParsedMail } from '../../mail/types.ts';
import { type Hit, hit } from '../votes.ts';
import type { Reading } from './text.ts';

/** The shape of the body: what is hidden, cut apart or missing. */
/** Generic Test for Unsolicited Bulk Email: the EICAR of filters for spam (https://spamassassin.apache.org/gtube/). */
const GTUBE = 'XJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X';

export function bodyHits(mail: ParsedMail, reading: Reading): Hit[] {
  const hits: Hit[] = [];
  if (mail.text.includes(GTUBE) || mail.htmlText.includes(GTUBE)) hits.push(hit('rules.gtube'));
  const hasText = mail.text.trim().length > 0;
  const seen = mail.htmlText.trim().length;
  // A preheader is hidden by everyone who writes newsletters; an essay is not.
  if (mail.hiddenText.length > 400 && mail.hiddenText.length > 0.6 * seen) hits.push(hit('rules.hidden_text'));
  if (mail.html !== '' && !hasText) hits.push(hit('rules.html_only'));
  if (mail.html !== '' && seen > 0 && seen < 200 && mail.links.length > 0) hits.push(hit('rules.html_short'));
  if (/<input[^>]{0,200}type\s*=\s*["']?password/i.test(mail.html)) hits.push(hit('rules.form_password'));
  else if (mail.hasForm) hits.push(hit('rules.form'));
  if (mail.html !== '' && mail.images.length > 0 && mail.images.length <= 3 && mail.links.length > 0 && seen < 60) {
    hits.push(hit('rules.single_image'));
  }
  if (/<script(?![^>]{0,80}ld\+json)[\s>]/i.test(mail.html)) hits.push(hit('rules.script'));
  if (hasText && seen > 200 && mail.text.length > 200 && overlap(mail.text, mail.htmlText) < 0.2) {
    hits.push(hit('rules.text_differs'));
  }
  if (countUpTo(mail.html, /[a-z](?:<!--[^>]{0,40}-->|<([a-z]{1,8})[^>]{0,40}><\/\1>)[a-z]/gi, 6) >= 6) {
    hits.push(hit('rules.html_broken_words'));
  }
  hits.push(...letterHits(mail, reading));
  const [only] = mail.attachments;
  // A signature's logo may be an SVG; one that comes alone is a page that runs scripts.
  const isLonelySvg =
    mail.attachments.length === 1 && /\.svgz?$/i.test(only?.name ?? '') && !mail.html.includes('cid:');
  if ((isLonelySvg || mail.attachments.some(({ contentType, name }) => isPage(contentType, name))) && !isReport(mail)) {
    hits.push(hit('rules.html_attachment'));
  }
  return hits;
}

const ASCII = /^[\0-\x7f]*$/;

function letterHits(mail: ParsedMail, reading: Reading): Hit[] {
  const hits: Hit[] = [];
  const raw = `${mail.subject} ${mail.from[0]?.name ?? ''} ${reading.body.slice(0, 8000)}`;
  // Most mail is ASCII, and nothing of this can be.
  const isAscii = ASCII.test(raw);
  const mixed = isAscii
    ? 0
    : countUpTo(
        raw,
        /\p{Script=Latin}[\p{Script=Cyrillic}\p{Script=Greek}]|[\p{Script=Cyrillic}\p{Script=Greek}]\p{Script=Latin}/gu,
        3,
      );
  const invisible = isAscii
    ? 0
    : countUpTo(
        raw,
        /[\p{Script=Latin}\p{Script=Cyrillic}][\u00ad\u200b-\u200d\u2060\ufeff]+[\p{Script=Latin}\p{Script=Cyrillic}]/gu,
        3,
      );
  const inHead = !isAscii && MIXED_WORD.test(`${mail.subject} ${mail.from[0]?.name ?? ''}`);
  const styled = isAscii ? 0 : countUpTo(raw, /[\u{1d400}-\u{1d7ff}]/gu, 8);
  if (inHead || mixed >= 3 || invisible >= 3 || styled >= 8) hits.push(hit('rules.obfuscated'));
  if (/(?<![\p{L}\d])(?:\p{L}[ ._*-]){5,}\p{L}(?![\p{L}\d])/u.test(`${mail.subject} ${reading.body.slice(0, 4000)}`)) {
    hits.push(hit('rules.gappy'));
  }
  const letters = reading.body.slice(0, 4000).replace(/[^\p{Lu}\p{Ll}]/gu, '');
  const upper = letters.replace(/\p{Ll}/gu, '');
  if (letters.length > 200 && upper.length > 0.4 * letters.length) hits.push(hit('rules.upper_body'));
  return hits;
}

/** Latin letters on both sides of a Cyrillic or Greek one, or the reverse: no language writes so. */
const MIXED_WORD =
  /\p{Script=Latin}{2}[\p{Script=Cyrillic}\p{Script=Greek}]\p{Script=Latin}|\p{Script=Latin}[\p{Script=Cyrillic}]\p{Script=Latin}{2}/u;

function isPage(contentType: string, name: string): boolean {
  return contentType === 'text/html' || contentType === 'application/xhtml+xml' || /\.(?:x?html?|shtml)$/i.test(name);
}

/** A forwarded page in a report is evidence, not bait. */
function isReport(mail: ParsedMail): boolean {
  return mail.attachments.some(({ contentType }) => contentType.startsWith('message/'));
}

/** How many of the text part's words the HTML part has too, 0 to 1. */
function overlap(text: string, htmlText: string): number {
  const words = (value: string) =>
    new Set(
      value
        .slice(0, 8000)
        .toLowerCase()
        .match(/\p{L}{4,}/gu) ?? [],
    );
  const a = words(text);
  const b = words(htmlText);
  if (a.size < 10 || b.size < 10) return 1;
  let both = 0;
  for (const word of a) if (b.has(word)) both += 1;
  return both / Math.min(a.size, b.size);
}

export function countUpTo(text: string, pattern: RegExp, limit: number): number {
  let count = 0;
  for (const _ of text.matchAll(pattern)) {
    count += 1;
    if (count >= limit) break;
  }
  return count;
}

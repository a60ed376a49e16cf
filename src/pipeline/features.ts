import type { ParsedMail } from '../mail/types.ts';
import { isAddress, linkHost, organisation, topLevel } from './domains.ts';
import { linksOf } from './rules/links.ts';
import { fold, visibleText } from './rules/text.ts';

/** Buckets of the hashed feature space; the model file has one weight for each. */
export const BUCKETS = 1 << 18;

const BODY_MAX = 12_000;
const WORDS_MAX = 1200;

/** Headers whose presence says how a message was made. Those of mailing lists are left out: lists are not what is learnt. */
const SHAPE_HEADERS = new Set([
  ...[
    'reply-to',
    'x-mailer',
    'user-agent',
    'x-priority',
    'x-msmail-priority',
    'x-mimeole',
    'in-reply-to',
    'references',
  ],
  ...['importance', 'organization', 'content-disposition', 'thread-index', 'x-originating-ip', 'cc', 'mime-version'],
]);

/**
 * The distinct buckets that a message falls into: words and pairs of words, subject, shape of header and HTML, hosts of
 * links. Tokens say nothing of who the recipient is, and dates and numbers are folded to their shape.
 */
export function featuresOf(mail: ParsedMail): Uint32Array {
  const set = new Set<number>();
  const add = (kind: string, token: string) => set.add(bucket(kind, token));

  let previous = '';
  let count = 0;
  for (const match of fold(visibleText(mail).slice(0, BODY_MAX)).matchAll(WORD)) {
    const word = shape(match[0]);
    add('w', word);
    addParts(match[0], add);
    if (previous !== '') add('b', `${previous} ${word}`);
    previous = word;
    count += 1;
    if (count >= WORDS_MAX) break;
  }
  previous = '^';
  for (const match of fold(mail.subject.slice(0, 500)).matchAll(WORD)) {
    const word = shape(match[0]);
    add('s', word);
    add('t', `${previous} ${word}`);
    previous = word;
  }
  addShape(mail, add);
  addLinks(mail, add);
  return Uint32Array.from(set);
}

/** Scripts that put no space between words: pairs of letters stand for words. */
const UNSPACED = /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}]/u;

const NON_ASCII = /[^\0-\x7f]/;

/** The stem of a long word, so that its endings do not matter; pairs of letters where words are not spaced. */
function addParts(word: string, add: (kind: string, token: string) => void): void {
  if (NON_ASCII.test(word) && UNSPACED.test(word)) {
    for (let at = 0; at < Math.min(word.length, 60) - 1; at += 1) add('c', word.slice(at, at + 2));
  } else if (word.length >= 7) add('p', word.slice(0, 5));
}

const WORD = /[\p{L}\p{N}$€£!]+(?:['-]\p{L}+)*/gu;

function shape(word: string): string {
  const plain = word.length > 24 ? `long${Math.min(9, Math.floor(word.length / 24))}` : word;
  if (!/[\d!]/.test(plain)) return plain;
  return plain
    .replace(/\d+/g, (digits) => (digits.length > 4 ? '0+' : '0'.repeat(digits.length)))
    .replace(/!{2,}/g, '!!');
}

function addShape(mail: ParsedMail, add: (kind: string, token: string) => void): void {
  for (const { name, value } of mail.headers) {
    if (SHAPE_HEADERS.has(name)) add('h', name);
    if (name === 'content-type') {
      add('h', `type ${value.slice(0, 60).toLowerCase().split(';')[0]?.trim()}`);
      const charset = /charset="?([\w-]{1,30})/i.exec(value)?.[1];
      if (charset !== undefined) add('h', `charset ${charset.toLowerCase()}`);
    }
    if (name === 'content-transfer-encoding') add('h', `encoding ${value.slice(0, 20).toLowerCase()}`);
    if (name === 'x-mailer') add('h', `mailer ${fold(value).match(/[a-z]+/)?.[0] ?? '?'}`);
  }
  add('h', `html ${mail.html === '' ? 'no' : mail.text === '' ? 'only' : 'both'}`);
  if (mail.html !== '') {
    add('h', `links ${scale(mail.links.length)}`);
    add('h', `images ${scale(mail.images.length)}`);
    add('h', `text ${scale(mail.htmlText.length / 50)}`);
    if (mail.hasForm) add('h', 'form');
    for (const tag of HTML_MARKS) if (mail.html.includes(tag)) add('h', tag);
  }
  const subject = mail.subject;
  add('h', `upper ${Math.round((5 * subject.replace(/[^\p{Lu}]/gu, '').length) / (subject.length + 1))}`);
  if (/[!?]{2}|!\s*$/.test(subject)) add('h', 'subject !');
  if (/[^\p{ASCII}]/u.test(subject)) add('h', 'subject non-ascii');
  if (mail.from[0]?.name === '') add('h', 'from bare');
  for (const one of mail.attachments.slice(0, 10)) add('h', `attached ${one.contentType.slice(0, 60)}`);
}

const HTML_MARKS = [
  '<font',
  'bgcolor',
  '<center',
  '<marquee',
  'color="#ff',
  'color=#ff',
  '<form',
  '<img',
  'style=',
  '<!doctype',
  '<meta',
  'mso-',
  'cellpadding',
];

function addLinks(mail: ParsedMail, add: (kind: string, token: string) => void): void {
  for (const { href } of linksOf(mail)) {
    const host = linkHost(href);
    if (host === null) {
      if (/^mailto:/i.test(href)) add('u', 'mailto');
      continue;
    }
    if (isAddress(host)) add('u', 'address');
    else {
      add('u', organisation(host));
      add('u', `.${topLevel(host)}`);
    }
    if (/:\d{2,5}\//.test(href.slice(0, 100))) add('u', 'port');
    const extension = /\.(php|cgi|asp|html?|exe|pl|jsp)\b/i.exec(href)?.[1];
    if (extension !== undefined) add('u', extension.toLowerCase());
    add('u', `length ${scale(href.length / 10)}`);
  }
}

/** 0, 1, 2, 3, 5, 9, 17 …: the size of a number, not the number. */
function scale(value: number): number {
  return value <= 0 ? 0 : Math.ceil(Math.log2(value + 1));
}

/** FNV-1a over UTF-16 code units, then mixed, so that the low bits depend on all of them. */
function bucket(kind: string, token: string): number {
  let hash = 0x811c9dc5 ^ kind.charCodeAt(0);
  hash = Math.imul(hash, 0x01000193);
  for (let at = 0; at < token.length; at += 1) hash = Math.imul(hash ^ token.charCodeAt(at), 0x01000193);
  hash ^= hash >>> 15;
  hash = Math.imul(hash, 0x2c1b3c6d);
  hash ^= hash >>> 13;
  return (hash >>> 0) & (BUCKETS - 1);
}

import type { ParsedMail } from '../../mail/types.ts';

/** What rules look at, made once per message: bounded, folded, lower-case. */
export interface Reading {
  readonly subject: string;
  /** The text part, or what a reader sees of the HTML part: at most `BODY_MAX` characters, white space folded. */
  readonly body: string;
  /** `subject` and `body`, lower-case, NFKC, typographic quotes made plain, invisible characters removed. */
  readonly folded: string;
  readonly header: (name: string) => string | undefined;
  readonly headerCount: (name: string) => number;
}

const BODY_MAX = 16_000;

export function readingOf(mail: ParsedMail): Reading {
  const first = new Map<string, string>();
  const counts = new Map<string, number>();
  for (const { name, value } of mail.headers) {
    if (!first.has(name)) first.set(name, value);
    counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  const body = visibleText(mail).slice(0, BODY_MAX).replace(/\s+/g, ' ');
  return {
    subject: mail.subject,
    body,
    folded: fold(`${mail.subject} \n ${body}`),
    header: (name) => first.get(name),
    headerCount: (name) => counts.get(name) ?? 0,
  };
}

/** A text part that only says "your program shows no HTML" is no text part. */
export function visibleText(mail: ParsedMail): string {
  const text = mail.text.trimStart();
  return text.length >= 40 || mail.htmlText.length < text.length ? text : mail.htmlText;
}

export function fold(text: string): string {
  return text
    .normalize('NFKC')
    .toLowerCase()
    .replace(/[\u2018\u2019\u02bc\u00b4`]/g, "'")
    .replace(/[\u201c\u201d\u201e\u00ab\u00bb]/g, '"')
    .replace(/[\u00ad\u200b-\u200f\u2060\ufeff]/g, '');
}

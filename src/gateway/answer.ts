import MailComposer from 'nodemailer/lib/mail-composer/index.js';
import { printable } from '../core/address.ts';
import { cleanText } from '../mail/format.ts';

export interface AnswerInput {
  /** The id part of the Message-ID, without domain. */
  readonly id: string;
  readonly at: Date;
  readonly from: { readonly address: string; readonly name: string };
  readonly to: string;
  readonly subject: string;
  /** What the person wrote. */
  readonly text: string;
  readonly original: {
    /** As its header says; empty when it has none. */
    readonly messageId: string;
    /** The References field; empty when there is none. */
    readonly references: string;
    /** Who wrote it and when, for the line above the quotation. */
    readonly author: string;
    readonly date: Date;
    readonly text: string;
  };
}

const REFERENCES_MAX = 20;
const QUOTE_MAX = 32_768;
const LINES_MAX = 500;
const MESSAGE_ID = /<[\x21-\x3b\x3d\x3f-\x7e]{1,250}>/g;

/** An answer as plain text with the original quoted, threaded by In-Reply-To and References (RFC 5322 section 3.6.4). CRLF. */
export function buildAnswer(input: AnswerInput): Promise<Buffer> {
  const { original } = input;
  const replied = original.messageId.match(MESSAGE_ID)?.[0];
  const earlier = (original.references.match(MESSAGE_ID) ?? [])
    .filter((id) => id !== replied)
    .slice(1 - REFERENCES_MAX);
  const domain = input.from.address.slice(input.from.address.lastIndexOf('@') + 1);
  const name = cleanText(input.from.name);
  const composed = new MailComposer({
    messageId: `<${input.id}@${domain}>`,
    date: input.at,
    from: name === '' ? input.from.address : { name, address: input.from.address },
    to: input.to,
    subject: cleanText(input.subject),
    ...(replied === undefined ? {} : { inReplyTo: replied, references: [...earlier, replied].join(' ') }),
    text: `${input.text.replace(/\r\n?/g, '\n').trimEnd()}\n\n${quotation(original)}`,
    textEncoding: 'quoted-printable',
    newline: 'windows',
    disableFileAccess: true,
    disableUrlAccess: true,
  }).compile();
  return new Promise((resolve, reject) => {
    composed.build((error, message) => (error === null ? resolve(message) : reject(error)));
  });
}

function quotation({ author, date, text }: AnswerInput['original']): string {
  const lines = text.slice(0, QUOTE_MAX).replace(/\r\n?/g, '\n').trim().split('\n');
  const kept = lines.slice(0, LINES_MAX);
  const isCut = kept.length < lines.length || text.length > QUOTE_MAX;
  const day = date.toISOString().slice(0, 16).replace('T', ' ');
  return [
    `On ${day} UTC, ${printable(author, 200)} wrote:`,
    ...kept.map((line) => `> ${line}`),
    ...(isCut ? ['> […]'] : []),
  ].join('\n');
}

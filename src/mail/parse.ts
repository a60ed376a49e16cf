import { readFile } from 'node:fs/promises';
import {
  type AddressObject,
  type Attachment,
  type EmailAddress,
  type ParsedMail as Simple,
  simpleParser,
} from 'mailparser';
import { normalizeAddress, printable } from '../core/address.ts';
import { NOTHING_FOUND } from './archives.ts';
import { collectAttachments, type ShownAttachment } from './attachments.ts';
import { ARCHIVE_LIMITS, type ArchiveLimits, Budget } from './budget.ts';
import { decodeText, fieldValue, headerEnd, splitFields } from './fields.ts';
import { readHtml } from './html.ts';
import { type Leaf, leavesOf, strayLeaves } from './leaves.ts';
import { decodeWords, walkStructure } from './mime.ts';
import { normalizeName } from './names.ts';
import { hasEicar, hasHtmlSmuggling } from './threats.ts';
import type { HeaderField, MailAddress, ParsedMail } from './types.ts';

export const TEXT_MAX = 262_144;
export const HTML_MAX = 1_048_576;

const MAX_LEAVES = 2000;

export interface ParseLimits {
  /** Octets of a message; larger ones are not parsed. */
  readonly message: number;
  readonly headers: number;
  readonly addresses: number;
  readonly attachments: number;
  readonly archives: ArchiveLimits;
}

export const PARSE_LIMITS: ParseLimits = {
  message: 64 * 1024 * 1024,
  headers: 500,
  addresses: 500,
  attachments: 200,
  archives: ARCHIVE_LIMITS,
};

/** The message cannot be read. The caller's verdict is `unscannable`, never clean and never a loss. */
export class UnparsableError extends Error {
  override readonly name = 'UnparsableError';
}

/**
 * Reads a message, given as bytes or as the path of a file. Attachments are those that mailparser shows and those that it
 * does not: hidden by a header that contradicts itself, in uuencoded text, in attached messages, behind a name in a text
 * part. Throws UnparsableError when the message is beyond a bound or mailparser gives up.
 */
export async function parseMail(source: Buffer | string, limits: ParseLimits = PARSE_LIMITS): Promise<ParsedMail> {
  const message = typeof source === 'string' ? await readFile(source) : source;
  if (message.length > limits.message) throw new UnparsableError('the message is too large to be parsed');
  const mail = await parseWithLibrary(message);
  const structure = walkStructure(message);
  const anomalies = new Set(structure.anomalies);
  const all = [
    ...structure.parts.flatMap((part, index) => leavesOf(message, part, index)),
    ...strayLeaves(message, structure),
  ];
  const leaves = all.slice(0, MAX_LEAVES);
  if (all.length > leaves.length) anomalies.add('too_many_parts');
  for (const leaf of leaves) for (const anomaly of anomaliesOf(leaf)) anomalies.add(anomaly);

  const budget = new Budget(limits.archives);
  const { attachments, complete } = await collectAttachments(
    mail.attachments.map(shown),
    leaves,
    budget,
    limits.attachments,
  );
  if (!complete) anomalies.add('too_many_attachments');
  const html = asText(mail.html).slice(0, HTML_MAX);
  const facts = readHtml(html);
  if (facts.truncated) anomalies.add('html_truncated');
  const bodies = leaves.filter((leaf) => leaf.isBody);
  const headers = readHeaders(message, limits.headers, anomalies);
  return {
    headers,
    from: addresses(mail.from, limits),
    replyTo: addresses(mail.replyTo, limits),
    to: addresses(mail.to, limits),
    cc: addresses(mail.cc, limits),
    subject: printable(asText(mail.subject), 1000),
    messageId: printable(asText(mail.messageId), 500),
    date: readDate(mail.date, headers),
    text: asText(mail.text).slice(0, TEXT_MAX),
    html,
    htmlText: facts.text,
    hiddenText: facts.hiddenText,
    links: facts.links,
    images: facts.images,
    hasForm: facts.hasForm,
    attachments,
    body: {
      ...NOTHING_FOUND,
      eicar: bodies.some((leaf) => hasEicar(leaf.content)),
      htmlSmuggling: bodies.some(
        (leaf) => leaf.contentType === 'text/html' && hasHtmlSmuggling(decodeText(leaf.content)),
      ),
    },
    anomalies: [...anomalies].sort(),
  };
}

async function parseWithLibrary(message: Buffer): Promise<Simple> {
  try {
    return await simpleParser(message, {
      skipHtmlToText: true,
      skipTextToHtml: true,
      skipTextLinks: true,
      skipImageLinks: true,
      keepCidLinks: true,
      keepDeliveryStatus: true,
      ignoreEmbedded: true,
      checksumAlgo: false,
    });
  } catch (cause) {
    throw new UnparsableError('the message cannot be parsed', { cause });
  }
}

/**
 * mailparser's declared types are wishes: the contentType of a part whose Content-Type is empty and repeated is `false`.
 * What is not a text counts as none.
 */
function asText(value: unknown): string {
  if (typeof value === 'string') return value;
  return Array.isArray(value) && typeof value[0] === 'string' ? value[0] : '';
}

function shown(attachment: Attachment): ShownAttachment {
  return {
    filename: asText(attachment.filename),
    contentType: asText(attachment.contentType) || 'application/octet-stream',
    content: Buffer.isBuffer(attachment.content) ? attachment.content : Buffer.alloc(0),
  };
}

/** mailparser answers the present for a date that it cannot read: such a date is none. */
function readDate(found: Date | undefined, headers: readonly HeaderField[]): Date | null {
  const value = headers.find((field) => field.name === 'date')?.value;
  if (found === undefined || value === undefined || Number.isNaN(found.getTime())) return null;
  const isPresent = Math.abs(found.getTime() - Date.now()) < 60_000;
  return isPresent && Number.isNaN(Date.parse(value)) ? null : found;
}

function anomaliesOf(leaf: Leaf): string[] {
  const found: string[] = [];
  const { part } = leaf;
  if (leaf.inline !== null) found.push(leaf.inline);
  if (part.stray === true) found.push('file_outside_parts');
  if (
    leaf.inline === null &&
    part.names.length > 0 &&
    part.disposition === '' &&
    leaf.contentType.startsWith('text/')
  ) {
    found.push('text_part_with_name');
  }
  if (part.types.includes('message/partial')) found.push('message_partial');
  if (part.types.includes('message/external-body')) found.push('external_body');
  if (leaf.contentType === 'application/ms-tnef' || leaf.names.some((name) => /^winmail\.dat$/i.test(name))) {
    found.push('tnef');
  }
  if (part.encodings.some((encoding) => !KNOWN_ENCODINGS.has(encoding))) found.push('odd_encoding');
  const distinct = new Set(part.names.map(normalizeName));
  if (distinct.size > 1) found.push('several_names');
  return found;
}

const KNOWN_ENCODINGS = new Set(['7bit', '8bit', 'binary', 'base64', 'quoted-printable', '']);

const VALUE_MAX = 16_384;

/** The fields in order, read by us: mailparser joins repeated ones and drops those that it does not understand. */
function readHeaders(message: Buffer, max: number, anomalies: Set<string>): HeaderField[] {
  const fields = splitFields(message.subarray(0, headerEnd(message).header)).filter((field) => field.name !== '');
  if (fields.length > max) anomalies.add('too_many_headers');
  for (const name of ['from', 'subject', 'date', 'to', 'message-id', 'reply-to', 'sender']) {
    if (fields.filter((field) => field.name === name).length > 1) anomalies.add(`duplicate_${name.replace('-', '_')}`);
  }
  return fields.slice(0, max).map((field) => ({
    name: field.name,
    value: decodeWords(fieldValue({ name: field.name, raw: field.raw.subarray(0, 4 * VALUE_MAX) })).slice(0, VALUE_MAX),
  }));
}

function addresses(found: AddressObject | AddressObject[] | undefined, limits: ParseLimits): MailAddress[] {
  const objects = found === undefined ? [] : Array.isArray(found) ? found : [found];
  const flat = (list: readonly EmailAddress[], depth: number): EmailAddress[] =>
    list.flatMap((entry) => (entry.group !== undefined && depth < 3 ? flat(entry.group, depth + 1) : [entry]));
  return flat(
    objects.flatMap((object) => object.value),
    0,
  )
    .slice(0, limits.addresses)
    .map((entry) => ({
      address: normalizeAddress(asText(entry.address)) ?? printable(asText(entry.address), 320),
      name: printable(asText(entry.name), 320),
    }));
}

import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import {
  type AddressObject,
  type Attachment,
  type EmailAddress,
  type ParsedMail as Simple,
  simpleParser,
} from 'mailparser';
import { normalizeAddress, printable } from '../core/address.ts';
import { inspectContent, mergeInspections, NOTHING_FOUND } from './archives.ts';
import { ARCHIVE_LIMITS, type ArchiveLimits, Budget } from './budget.ts';
import { decodeText, fieldValue, headerEnd, splitFields } from './fields.ts';
import { readHtml } from './html.ts';
import { type Leaf, leavesOf } from './leaves.ts';
import { decodeWords, walkStructure } from './mime.ts';
import { inspectName, normalizeName } from './names.ts';
import { hasEicar, hasHtmlSmuggling } from './threats.ts';
import type { HeaderField, MailAddress, ParsedAttachment, ParsedMail } from './types.ts';

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
  const all = structure.parts.flatMap((part, index) => leavesOf(message, part, index));
  const leaves = all.slice(0, MAX_LEAVES);
  if (all.length > leaves.length) anomalies.add('too_many_parts');
  for (const leaf of leaves) for (const anomaly of anomaliesOf(leaf)) anomalies.add(anomaly);

  const budget = new Budget(limits.archives);
  const attachments = await collect(mail.attachments, leaves, budget, limits, anomalies);
  const html = typeof mail.html === 'string' ? mail.html.slice(0, HTML_MAX) : '';
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
    subject: printable(mail.subject ?? '', 1000),
    messageId: printable(mail.messageId ?? '', 500),
    date: mail.date !== undefined && headers.some((field) => field.name === 'date') ? validDate(mail.date) : null,
    text: (mail.text ?? '').slice(0, TEXT_MAX),
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

function validDate(date: Date): Date | null {
  return Number.isNaN(date.getTime()) ? null : date;
}

function anomaliesOf(leaf: Leaf): string[] {
  const found: string[] = [];
  const { part } = leaf;
  if (leaf.uuencoded) found.push('uuencode');
  if (!leaf.uuencoded && part.names.length > 0 && part.disposition === '' && leaf.contentType.startsWith('text/')) {
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

interface Candidate {
  readonly names: string[];
  readonly contentType: string;
  readonly content: Buffer;
  readonly sha256: string;
  /** The same file as another reader decodes it. */
  other: Buffer | null;
}

/** Joins what mailparser shows with what the own walk found, each file once. */
async function collect(
  shown: readonly Attachment[],
  leaves: readonly Leaf[],
  budget: Budget,
  limits: ParseLimits,
  anomalies: Set<string>,
): Promise<ParsedAttachment[]> {
  const candidates: Candidate[] = shown.map((attachment) => ({
    names: attachment.filename === undefined || attachment.filename === '' ? [] : [attachment.filename],
    contentType: printable(attachment.contentType.toLowerCase(), 120),
    content: attachment.content,
    sha256: digest(attachment.content),
    other: null,
  }));
  const known = candidates.length;
  const taken = new Set<Candidate>();
  for (const leaf of leaves) {
    if (leaf.isBody) continue;
    const sha256 = digest(leaf.content);
    const same =
      candidates.find((row) => row.sha256 === sha256 && !taken.has(row)) ??
      candidates
        .slice(0, known)
        .find((row) => !taken.has(row) && row.other === null && row.names.some((name) => leaf.names.includes(name)));
    if (same !== undefined) {
      taken.add(same);
      for (const name of leaf.names) if (!same.names.includes(name)) same.names.push(name);
      if (same.sha256 !== sha256) same.other = leaf.content;
      continue;
    }
    if (candidates.some((row) => row.sha256 === sha256 && row.names.some((name) => leaf.names.includes(name))))
      continue;
    const added = { names: [...leaf.names], contentType: leaf.contentType, content: leaf.content, sha256, other: null };
    candidates.push(added);
    taken.add(added);
  }
  if (candidates.length > limits.attachments) anomalies.add('too_many_attachments');
  const result: ParsedAttachment[] = [];
  for (const candidate of candidates.slice(0, limits.attachments)) result.push(await inspected(candidate, budget));
  return result;
}

async function inspected(candidate: Candidate, budget: Budget): Promise<ParsedAttachment> {
  const names = candidate.names.length === 0 ? ['unnamed'] : candidate.names;
  const found = await inspectContent(names, candidate.contentType, candidate.content, budget);
  const other =
    candidate.other === null ? null : await inspectContent(names, candidate.contentType, candidate.other, budget);
  // Of several names the most dangerous one is shown: it is the one that a person should see.
  const rawName = names.find((name) => inspectName(name).dangerous) ?? names[0] ?? 'unnamed';
  return {
    name: normalizeName(rawName) || 'unnamed',
    rawName: rawName.slice(0, 1000),
    contentType: candidate.contentType,
    sniffedType: found.sniffedType ?? other?.sniffedType ?? null,
    bytes: candidate.content.length,
    sha256: candidate.sha256,
    inspection: other === null ? found.inspection : mergeInspections(found.inspection, other.inspection),
  };
}

function digest(content: Buffer): string {
  return createHash('sha256').update(content).digest('hex');
}

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
      address: normalizeAddress(entry.address ?? '') ?? printable(entry.address ?? '', 320),
      name: printable(entry.name, 320),
    }));
}

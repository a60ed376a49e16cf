import { printable } from '../core/address.ts';
import { decodeText, fieldValue, headerEnd, splitFields } from './fields.ts';
import { leavesOf } from './leaves.ts';
import { decodeWords, walkStructure } from './mime.ts';
import { HTML_MAX, parseMail, TEXT_MAX, UnparsableError } from './parse.ts';
import { contentId, escapeHtml, previewDocument, safeHtml } from './safe-html.ts';
import type { ParsedAttachment, ParsedMail } from './types.ts';

/** A message made safe to look at. Everything in it is bounded. */
export interface MailPreview {
  /** All fields in order, at most `HEADERS_MAX` of them. */
  readonly headers: readonly PreviewHeader[];
  readonly attachments: readonly PreviewAttachment[];
  readonly kind: 'html' | 'text' | 'none';
  /** Sanitised HTML of the body, whichever kind it is; empty for `none`. */
  readonly html: string;
  /** The body as plain text. */
  readonly text: string;
  /** A whole HTML document for `<iframe sandbox srcdoc>`. */
  readonly document: string;
  /** Pictures that would have been fetched from elsewhere; all were taken out. */
  readonly remoteImages: number;
  /** Something was left out because it is too long. */
  readonly truncated: boolean;
  /** Why the message, or part of it, cannot be shown; null when it can. */
  readonly problem: string | null;
}

export interface PreviewHeader {
  /** As it stands in the message. */
  readonly name: string;
  /** Unfolded and decoded. */
  readonly value: string;
  /** As it stands in the message, folds included. */
  readonly raw: string;
}

export interface PreviewAttachment {
  readonly name: string;
  /** By content where it is known. */
  readonly type: string;
  readonly bytes: number;
  readonly sha256: string;
  /** What was found in it, in words; empty when nothing. */
  readonly findings: readonly string[];
}

/** Fields that are shown, and octets of each. */
const HEADERS_MAX = 500;
const FIELD_MAX = 4_096;
/** Octets in which the header is looked for. */
export const HEADER_BYTES_MAX = 262_144;
const ATTACHMENTS_MAX = 100;
const PICTURE_MAX = 100_000;
const PICTURES_MAX = 1_000_000;
const OUTPUT_MAX = 4_000_000;

/** Reads a message and makes it safe. Never throws for what is in it: `problem` says what could not be read. */
export async function previewMail(message: Buffer): Promise<MailPreview> {
  const { headers, truncated } = previewHeaders(message);
  let mail: ParsedMail;
  try {
    mail = await parseMail(message);
  } catch (error) {
    if (!(error instanceof UnparsableError)) throw error;
    return unreadable(
      headers,
      'The message breaks the bounds of the reader, so its text and its files cannot be shown.',
    );
  }
  const body = bodyOf(mail, message);
  const cut =
    truncated ||
    body.cut ||
    mail.attachments.length > ATTACHMENTS_MAX ||
    mail.anomalies.includes('too_many_attachments') ||
    mail.text.length >= TEXT_MAX ||
    mail.html.length >= HTML_MAX;
  return {
    headers,
    attachments: mail.attachments.slice(0, ATTACHMENTS_MAX).map(attachmentOf),
    kind: body.kind,
    html: body.html,
    text: mail.text.trim() === '' ? mail.htmlText : mail.text,
    document: previewDocument(body.html === '' ? '<p>The message has no text.</p>' : body.html),
    remoteImages: body.remoteImages,
    truncated: cut,
    problem: body.problem,
  };
}

/** What is left of a message that cannot be read. */
export function unreadable(headers: readonly PreviewHeader[], problem: string): MailPreview {
  return {
    headers,
    attachments: [],
    kind: 'none',
    html: '',
    text: '',
    document: previewDocument(`<p>${escapeHtml(problem)}</p>`),
    remoteImages: 0,
    truncated: false,
    problem,
  };
}

/** The header's fields. One pass over at most `HEADER_BYTES_MAX`. */
export function previewHeaders(message: Buffer): { headers: PreviewHeader[]; truncated: boolean } {
  const head = message.subarray(0, HEADER_BYTES_MAX);
  const end = headerEnd(head).header;
  const fields = splitFields(head.subarray(0, end)).filter((field) => field.name !== '');
  const headers = fields.slice(0, HEADERS_MAX).map(({ name, raw }) => {
    const part = raw.subarray(0, FIELD_MAX);
    const text = decodeText(part);
    return {
      name: printable(text.slice(0, text.indexOf(':')).trim(), 200),
      value: printable(decodeWords(fieldValue({ name, raw: part })), FIELD_MAX),
      raw: text.replaceAll('\0', '\ufffd').replace(/\r?\n$/, ''),
    };
  });
  const isLong = fields.slice(0, HEADERS_MAX).some(({ raw }) => raw.length > FIELD_MAX);
  return { headers, truncated: fields.length > HEADERS_MAX || isLong || end >= HEADER_BYTES_MAX };
}

interface Body {
  readonly kind: MailPreview['kind'];
  readonly html: string;
  readonly remoteImages: number;
  readonly cut: boolean;
  readonly problem: string | null;
}

function bodyOf(mail: ParsedMail, message: Buffer): Body {
  const plain = mail.text.trim() === '' ? mail.htmlText : mail.text;
  const asText = (problem: string | null, remoteImages = 0): Body => ({
    kind: plain.trim() === '' ? 'none' : 'text',
    html: plain.trim() === '' ? '' : `<pre>${escapeHtml(plain)}</pre>`,
    remoteImages,
    cut: false,
    problem,
  });
  if (mail.html.trim() === '') return asText(null);
  // The sanitiser's work is quadratic in depth; the reader, which is linear, has told of it.
  if (mail.anomalies.includes('html_truncated')) {
    return { ...asText('Its HTML is too long or nested too deeply to be shown, so only its text is.'), cut: true };
  }
  const safe = safeHtml(mail.html, picturesOf(message, mail.html));
  if (safe.html.length > OUTPUT_MAX) {
    return { ...asText('Its HTML is too large to be shown, so only its text is.', safe.remoteImages), cut: true };
  }
  return { kind: 'html', html: safe.html, remoteImages: safe.remoteImages, cut: false, problem: null };
}

/** Small pictures of the message that its HTML shows, as data URLs by Content-ID. What they are is read from their bytes. */
function picturesOf(message: Buffer, html: string): Map<string, string> {
  const pictures = new Map<string, string>();
  if (!/cid:/i.test(html)) return pictures;
  let total = 0;
  for (const [index, part] of walkStructure(message).parts.entries()) {
    const fields = splitFields(
      message.subarray(part.headerStart, Math.min(part.bodyStart, part.headerStart + FIELD_MAX)),
    );
    const field = fields.find((one) => one.name === 'content-id');
    if (field === undefined || part.bodyEnd - part.bodyStart > 2 * PICTURE_MAX) continue;
    const content = leavesOf(message, part, index)[0]?.content;
    const type = content === undefined ? null : pictureType(content);
    if (content === undefined || type === null || content.length > PICTURE_MAX) continue;
    total += content.length;
    if (total > PICTURES_MAX) break;
    pictures.set(contentId(fieldValue(field)), `data:${type};base64,${content.toString('base64')}`);
  }
  return pictures;
}

function pictureType(content: Buffer): string | null {
  const start = content.toString('latin1', 0, 12);
  if (start.startsWith('\x89PNG\r\n')) return 'image/png';
  if (start.startsWith('\xff\xd8\xff')) return 'image/jpeg';
  if (/^GIF8[79]a/.test(start)) return 'image/gif';
  return start.startsWith('RIFF') && start.slice(8) === 'WEBP' ? 'image/webp' : null;
}

function attachmentOf({
  name,
  contentType,
  sniffedType,
  bytes,
  sha256,
  inspection,
}: ParsedAttachment): PreviewAttachment {
  const inner = inspection.entries[0]?.path;
  const where = inner === undefined ? '' : ` (${printable(inner, 120)})`;
  const findings = [
    ...(inspection.executable ? [`It is or holds a program${where}`] : []),
    ...(inspection.macro ? ['It holds macros'] : []),
    ...(inspection.encrypted ? ['It is encrypted, so nobody could look inside'] : []),
    ...(inspection.eicar ? ['It holds the EICAR test file'] : []),
    ...(inspection.htmlSmuggling ? ['It is a web page that builds a file by itself'] : []),
    ...(inspection.suspicious.length === 0
      ? []
      : [`It is made to mislead scanners: ${printable(inspection.suspicious.slice(0, 5).join(', '), 200)}`]),
  ];
  return { name: printable(name, 200), type: printable(sniffedType ?? contentType, 100), bytes, sha256, findings };
}

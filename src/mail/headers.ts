import { Transform, type TransformCallback } from 'node:stream';
import { decodeText, fieldValue, headerEnd, type RawField, splitFields } from './fields.ts';
import { cleanText, cleanToken, encodeWords, formatField } from './format.ts';
import { MailFormatError } from './lines.ts';
import { withoutComments } from './received.ts';

/** What is done to the header of a message on its way through. Bodies are never touched. */
export interface HeaderEdits {
  /** Fields put on top, in this order, each as `formatField`, `receivedField` … made them. */
  readonly prepend?: readonly string[];
  /** Authentication-Results that claim to be ours are removed (RFC 8601 section 5). */
  readonly authservId?: string;
  /** Fields removed by name, lower-case; a name that ends in `-` stands for all that begin with it. */
  readonly remove?: readonly string[];
  /** Put before the subject once, for example `[SPAM]`. */
  readonly subjectTag?: string;
}

/** Fields that only we may write: what comes from outside under these names is a forgery. */
const OWN_FIELDS = ['x-tollgate-'];
const HEADER_MAX = 524_288;
const CRLF = Buffer.from('\r\n');

/** Applies the edits to a header block (without the empty line that ends it). */
export function editHeader(block: Buffer, edits: HeaderEdits): Buffer {
  const remove = [...OWN_FIELDS, ...(edits.remove ?? [])];
  const kept = splitFields(block).filter(
    (field) =>
      !remove.some((name) => (name.endsWith('-') ? field.name.startsWith(name) : field.name === name)) &&
      !(edits.authservId !== undefined && claimsToBe(field, edits.authservId)),
  );
  const fields = kept.map((field) => (field.raw.at(-1) === 0x0a ? field.raw : Buffer.concat([field.raw, CRLF])));
  if (edits.subjectTag !== undefined) {
    const tag = edits.subjectTag;
    const at = kept.findIndex((field) => field.name === 'subject');
    if (at < 0) fields.push(Buffer.from(formatField('Subject', tag)));
    kept.forEach((field, index) => {
      if (field.name === 'subject') fields[index] = tagSubject(fields[index] ?? field.raw, tag);
    });
  }
  return Buffer.concat([...(edits.prepend ?? []).map((field) => Buffer.from(checked(field))), ...fields]);
}

/** A field that could begin another one, or end the header, is a fault of ours: it must not leave the house. */
function checked(field: string): string {
  if (!/^[A-Za-z][A-Za-z0-9-]*:[^\r\n]*(?:\r\n[ \t]+[^\r\n \t][^\r\n]*)*\r\n$/.test(field)) {
    throw new Error(`"${cleanText(field).slice(0, 60)}" is no header field`);
  }
  return field;
}

/** Whether an Authentication-Results field carries our authserv-id; one that cannot be read counts as a claim. */
function claimsToBe(field: RawField, authservId: string): boolean {
  if (field.name !== 'authentication-results') return false;
  const value = withoutComments(fieldValue(field)).trim();
  const match = /^(?:"([^"]*)"|([^\s;"]+))/.exec(value);
  const id = (match?.[1] ?? match?.[2] ?? '').trim().replace(/\.$/, '').toLowerCase();
  return id === '' || id === authservId.toLowerCase();
}

/**
 * The tag goes in front of the value as it stands, so that encoded words (RFC 2047) stay whole and apart from it. A tag
 * that is not ASCII becomes an encoded word with its space inside, since the space between two words is not shown.
 */
function tagSubject(raw: Buffer, tag: string): Buffer {
  const clean = cleanText(tag);
  const colon = raw.indexOf(0x3a);
  let from = colon + 1;
  while (raw[from] === 0x20 || raw[from] === 0x09) from += 1;
  const ascii = /^[\x20-\x7e]*$/.test(clean);
  const word = ascii ? clean : encodeWords(`${clean} `).join(' ');
  const rest = raw.subarray(from);
  if (rest.subarray(0, word.length).toString('latin1') === word) return raw;
  const head = `${raw.toString('latin1', 0, colon + 1)} ${word}`;
  const firstLine = rest.indexOf(0x0a);
  const blank = decodeText(rest.subarray(0, firstLine < 0 ? rest.length : firstLine)).trim() === '';
  if (blank) return Buffer.concat([Buffer.from(head, 'latin1'), rest]);
  const fold = head.length + (firstLine < 0 ? rest.length : firstLine) > 200 ? '\r\n ' : ' ';
  return Buffer.concat([Buffer.from(head + fold, 'latin1'), rest]);
}

/** The same for a whole message in memory. */
export function editMessage(message: Buffer, edits: HeaderEdits): Buffer {
  const { header, body } = headerEnd(message);
  const edited = editHeader(message.subarray(0, header), edits);
  const blank = body > header ? message.subarray(header, body) : CRLF;
  return Buffer.concat([edited, blank, message.subarray(body)]);
}

/**
 * Passes a message on with its header rewritten by `edit`, which gets the header and as much of the body as has come with
 * it. Only the header block is held, and no more than 512 KiB of it (MailFormatError beyond).
 */
export class HeaderTransform extends Transform {
  readonly #edit: (message: Buffer) => Buffer;
  #held: Buffer[] | null = [];
  #bytes = 0;
  #last = Buffer.alloc(0);

  constructor(edit: (message: Buffer) => Buffer) {
    super();
    this.#edit = edit;
  }

  override _transform(chunk: Buffer, _encoding: BufferEncoding, done: TransformCallback): void {
    try {
      if (this.#held === null) {
        this.push(chunk);
      } else {
        this.#held.push(chunk);
        this.#bytes += chunk.length;
        // The end of the header is looked for once per chunk that holds the end of an empty line, not over all of it again.
        const seam = Buffer.concat([this.#last, chunk]);
        this.#last = seam.subarray(-3);
        const early = this.#bytes <= 4096 || seam.includes('\n\n') || seam.includes('\n\r\n');
        if (early) this.#tryHeader();
        if (this.#held !== null && this.#bytes > HEADER_MAX) throw new MailFormatError('header_too_large');
      }
      done();
    } catch (error) {
      done(error as Error);
    }
  }

  override _flush(done: TransformCallback): void {
    try {
      if (this.#held !== null) this.push(this.#edit(Buffer.concat(this.#held)));
      done();
    } catch (error) {
      done(error as Error);
    }
  }

  #tryHeader(): void {
    if (this.#held === null) return;
    const all = Buffer.concat(this.#held);
    const { header, body } = headerEnd(all);
    if (body === header) return;
    if (header > HEADER_MAX) throw new MailFormatError('header_too_large');
    this.#held = null;
    this.push(this.#edit(all));
  }
}

/** `editMessage` as a stream. */
export class EditHeaders extends HeaderTransform {
  constructor(edits: HeaderEdits) {
    super((message) => editMessage(message, edits));
  }
}

/** Return-Path as the final delivery writes it (RFC 5321 section 4.4). */
export function returnPathField(sender: string): string {
  return formatField('Return-Path', `<${cleanToken(sender)}>`);
}

/** Authentication-Results with a value from `authenticate` (RFC 8601). */
export function authenticationResultsField(value: string): string {
  return formatField('Authentication-Results', value);
}

import { decodeText, fieldValue, type RawField, splitFields } from './fields.ts';

/** A Content-Type or Content-Disposition value: its word, and its parameters in order, repeated ones too. */
export interface Structured {
  readonly value: string;
  readonly params: readonly { readonly name: string; readonly value: string }[];
}

/** A leaf of the MIME tree, as at least one way of reading the message shows it. Offsets are into the message. */
export interface Part {
  readonly headerStart: number;
  readonly bodyStart: number;
  readonly bodyEnd: number;
  readonly depth: number;
  /** Of the first Content-Type, lower-case; `text/plain` when there is none (RFC 2045 section 5.2). */
  readonly contentType: string;
  /** Of all Content-Type fields. */
  readonly types: readonly string[];
  readonly disposition: string;
  /** All names that a reader might show: of `name` and `filename`, plain, RFC 2231 and RFC 2047. */
  readonly names: readonly string[];
  /** Transfer encodings in force; more than one when the header contradicts itself. */
  readonly encodings: readonly string[];
  /** Bytes that belong to no part, taken for one because there is a file in them. */
  readonly stray?: true;
}

export interface Structure {
  readonly parts: readonly Part[];
  readonly anomalies: ReadonlySet<string>;
  /** Lines looked at: the proof that the work is linear. */
  readonly work: number;
}

const MAX_DEPTH = 30;
const MAX_PARTS = 1000;
const MAX_PART_HEADER = 262_144;
const MAX_REPEATS = 20;
const LF = 0x0a;

interface Frame {
  readonly boundaries: readonly string[];
  /** Set when the header also reads as a leaf: the whole body is then looked at too. */
  readonly leaf: OpenPart | null;
  /** The first line that looks like a delimiter is taken for one. */
  guess: boolean;
  closed: boolean;
}

type OpenPart = Omit<Part, 'bodyEnd'>;

/**
 * Finds the parts of a message in one pass, taking the union of the ways in which readers resolve what is ambiguous:
 * every boundary that a header names counts, parts after the closing delimiter count, a multipart without a boundary gets
 * the first delimiter seen. What hides an attachment from one reader and shows it to another is thus found, and named.
 */
export function walkStructure(message: Buffer, from = 0, to = message.length): Structure {
  return new Walker(message, from, to).run();
}

class Walker {
  readonly #message: Buffer;
  readonly #from: number;
  readonly #to: number;
  readonly #parts: Part[] = [];
  readonly #anomalies = new Set<string>();
  readonly #frames: Frame[] = [];
  readonly #open = new Map<string, number>();
  #headerStart = 0;
  #mode: 'header' | 'body' | 'between' = 'header';
  #current: OpenPart | null = null;
  #work = 0;

  constructor(message: Buffer, from: number, to: number) {
    this.#message = message;
    this.#from = from;
    this.#to = to;
  }

  run(): Structure {
    this.#headerStart = this.#from;
    let line = this.#from;
    while (line < this.#to && this.#parts.length < MAX_PARTS) {
      this.#work += 1;
      const found = this.#message.indexOf(LF, line);
      const next = found < 0 || found >= this.#to ? this.#to : found + 1;
      this.#line(line, next);
      line = next;
    }
    if (line < this.#to) this.#anomalies.add('too_many_parts');
    if (this.#mode === 'header') this.#endHeader(this.#to, this.#to);
    this.#closeTo(0, this.#to);
    return { parts: this.#parts, anomalies: this.#anomalies, work: this.#work };
  }

  #line(start: number, next: number): void {
    if (this.#frames.length > 0 && this.#message[start] === 0x2d && this.#message[start + 1] === 0x2d) {
      if (next - start <= 512 && this.#delimiter(this.#text(start, next), start, next)) return;
    }
    if (this.#mode !== 'header') return;
    const first = this.#message[start];
    const blank = first === LF || (first === 0x0d && this.#message[start + 1] === LF);
    if (blank) this.#endHeader(start, next);
    else if (start - this.#headerStart > MAX_PART_HEADER) {
      this.#anomalies.add('header_too_large');
      this.#endHeader(start, start);
    }
  }

  #text(start: number, next: number): string {
    return this.#message.toString('latin1', start, next).replace(/[ \t\r\n]+$/, '');
  }

  /** Whether the line delimits parts of an open multipart, which it then does. */
  #delimiter(text: string, start: number, next: number): boolean {
    const name = text.slice(2);
    let frame = this.#open.get(name);
    let closing = false;
    if (frame === undefined && name.endsWith('--')) {
      frame = this.#open.get(name.slice(0, -2));
      closing = frame !== undefined;
    }
    const top = this.#frames.at(-1);
    if (frame === undefined && top?.guess === true && this.#mode === 'between') {
      top.guess = false;
      this.#open.set(name, this.#frames.length - 1);
      frame = this.#frames.length - 1;
    }
    if (frame === undefined) return false;
    // A delimiter inside of a header ends it: the part has no body then.
    if (this.#mode === 'header') this.#endHeader(start, start);
    this.#closeTo(frame + 1, start);
    const owner = this.#frames[frame];
    if (owner === undefined) return false;
    if (closing) {
      owner.closed = true;
      this.#mode = 'between';
      return true;
    }
    if (owner.closed) this.#anomalies.add('part_after_close');
    this.#mode = 'header';
    this.#headerStart = next;
    return true;
  }

  /** Ends the part that is open, and the multiparts above `count` frames. */
  #closeTo(count: number, at: number): void {
    const end = this.#beforeLineEnd(at);
    if (this.#current !== null) this.#push(this.#current, end);
    this.#current = null;
    while (this.#frames.length > count) {
      const frame = this.#frames.pop();
      if (frame === undefined) break;
      if (frame.leaf !== null) this.#push(frame.leaf, end);
      for (const [boundary, index] of this.#open) if (index >= this.#frames.length) this.#open.delete(boundary);
    }
  }

  #push(part: OpenPart, end: number): void {
    this.#parts.push({ ...part, bodyEnd: Math.max(part.bodyStart, end) });
  }

  /** The line end before a delimiter belongs to the delimiter (RFC 2046 section 5.1.1). */
  #beforeLineEnd(at: number): number {
    if (at >= this.#to && this.#frames.length === 0) return at;
    if (at > this.#from && this.#message[at - 1] === LF) {
      return at - 1 > this.#from && this.#message[at - 2] === 0x0d ? at - 2 : at - 1;
    }
    return at;
  }

  #endHeader(end: number, bodyStart: number): void {
    const facts = readHeader(this.#message.subarray(this.#headerStart, end), this.#anomalies);
    const part: OpenPart = { headerStart: this.#headerStart, bodyStart, depth: this.#frames.length, ...facts.part };
    if (facts.multipart && this.#frames.length < MAX_DEPTH) {
      const frame = this.#frames.length;
      const boundaries = facts.boundaries.filter((boundary) => !this.#open.has(boundary));
      if (boundaries.length < facts.boundaries.length) this.#anomalies.add('boundary_reused');
      for (const boundary of boundaries) this.#open.set(boundary, frame);
      this.#frames.push({
        boundaries,
        leaf: facts.alsoLeaf ? part : null,
        guess: facts.boundaries.length === 0,
        closed: false,
      });
      this.#mode = 'between';
      return;
    }
    if (facts.multipart) this.#anomalies.add('mime_depth');
    this.#current = part;
    this.#mode = 'body';
  }
}

interface HeaderFacts {
  readonly part: Pick<Part, 'contentType' | 'types' | 'disposition' | 'names' | 'encodings'>;
  readonly multipart: boolean;
  readonly alsoLeaf: boolean;
  readonly boundaries: readonly string[];
}

function readHeader(block: Buffer, anomalies: Set<string>): HeaderFacts {
  const fields = splitFields(block);
  if (hasBareCr(block)) {
    anomalies.add('bare_cr_header');
    // A reader that takes a bare CR for a line end sees more fields: they count as well.
    fields.push(...splitFields(Buffer.from(block.toString('latin1').replace(/\r(?!\n)/g, '\r\n'), 'latin1')).slice(1));
  }
  const types = structuredFields(fields, 'content-type');
  const dispositions = structuredFields(fields, 'content-disposition');
  const encodings = fields.filter((field) => field.name === 'content-transfer-encoding').map(encodingOf);
  if (types.length > 1) anomalies.add('duplicate_content_type');
  if (dispositions.length > 1) anomalies.add('duplicate_disposition');
  if (new Set(encodings).size > 1) anomalies.add('duplicate_encoding');

  const multipart = types.filter((type) => type.value.startsWith('multipart/'));
  const boundaries = [...new Set(multipart.flatMap((type) => paramValues(type, 'boundary')))]
    .filter((b) => b !== '')
    .slice(0, MAX_REPEATS);
  if (multipart.some((type) => paramValues(type, 'boundary').length > 1)) anomalies.add('duplicate_boundary');
  if (multipart.length > 0 && boundaries.length === 0) anomalies.add('multipart_without_boundary');
  const names = [
    ...dispositions.flatMap((disposition) => paramValues(disposition, 'filename')),
    ...types.flatMap((type) => paramValues(type, 'name')),
  ];
  const distinct = [...new Set(names)].filter((name) => name !== '');
  const encoded = multipart.length > 0 && encodings.some((encoding) => /base64|quoted|uu/.test(encoding));
  if (encoded) anomalies.add('encoded_multipart');
  return {
    part: {
      contentType: types[0]?.value || 'text/plain',
      types: types.map((type) => type.value),
      disposition: dispositions[0]?.value ?? '',
      names: distinct.slice(0, 20),
      encodings: encodings.length === 0 ? ['7bit'] : [...new Set(encodings)].slice(0, 4),
    },
    multipart: multipart.length > 0,
    alsoLeaf:
      multipart.length > 0 &&
      (multipart.length < types.length || boundaries.length === 0 || distinct.length > 0 || encoded),
    boundaries,
  };
}

function hasBareCr(block: Buffer): boolean {
  for (let at = block.indexOf(0x0d); at >= 0; at = block.indexOf(0x0d, at + 1)) {
    if (block[at + 1] !== LF) return true;
  }
  return false;
}

function structuredFields(fields: readonly RawField[], name: string): Structured[] {
  const named = fields.filter((field) => field.name === name);
  return named.slice(0, MAX_REPEATS).map((field) => parseStructured(fieldValue(field)));
}

function encodingOf(field: RawField): string {
  return fieldValue(field)
    .replace(/\([^()]*\)/g, '')
    .trim()
    .replace(/^["']|["';].*$/g, '')
    .toLowerCase()
    .slice(0, 40);
}

/** All values of a parameter: each plain one, and the RFC 2231 forms put together. */
export function paramValues(structured: Structured, name: string): string[] {
  const values: string[] = [];
  const pieces: { index: number; encoded: boolean; value: string }[] = [];
  for (const param of structured.params) {
    if (param.name === name) values.push(decodeWords(param.value));
    else if (param.name === `${name}*`) values.push(decodeExtended([{ encoded: true, value: param.value }]));
    else {
      const match = /^\*(\d{1,3})(\*?)$/.exec(param.name.startsWith(name) ? param.name.slice(name.length) : '');
      if (match !== null) pieces.push({ index: Number(match[1]), encoded: match[2] === '*', value: param.value });
    }
  }
  if (pieces.length > 0) values.push(decodeExtended(pieces.toSorted((a, b) => a.index - b.index)));
  return values;
}

/** `utf-8'en'%e2%82%ac` and its continuations (RFC 2231 sections 3 and 4). */
function decodeExtended(pieces: readonly { encoded: boolean; value: string }[]): string {
  const first = pieces[0];
  const match = first?.encoded === true ? /^([^']{0,40})'[^']{0,40}'/.exec(first.value) : null;
  const charset = match?.[1] ?? 'utf-8';
  const bytes = pieces.map((piece, index) => {
    const text = index === 0 && match !== null ? piece.value.slice(match[0].length) : piece.value;
    return piece.encoded ? percentBytes(text) : Buffer.from(text);
  });
  return decodeCharset(Buffer.concat(bytes), charset);
}

function percentBytes(text: string): Buffer {
  const source = Buffer.from(text);
  const result: number[] = [];
  for (let at = 0; at < source.length; at += 1) {
    const hex = source[at] === 0x25 ? source.toString('latin1', at + 1, at + 3) : '';
    if (/^[0-9a-fA-F]{2}$/.test(hex)) {
      result.push(Number.parseInt(hex, 16));
      at += 2;
    } else result.push(source[at] ?? 0);
  }
  return Buffer.from(result);
}

/** Text in a charset named by mail; one that is unknown is read as UTF-8 where it is that, else as Latin-1. */
export function decodeCharset(bytes: Buffer, charset: string): string {
  try {
    return new TextDecoder(charset.trim() || 'utf-8').decode(bytes);
  } catch {
    return decodeText(bytes);
  }
}

/** Replaces RFC 2047 encoded words, also in quoted strings, where mailers put them against the rule. */
export function decodeWords(text: string): string {
  if (!text.includes('=?')) return text;
  return text
    .replace(/(=\?[^?\s]{1,60}\?[bq]\?[^?]{0,4000}\?=)\s+(?==\?[^?\s]{1,60}\?[bq]\?)/gi, '$1')
    .replace(/=\?([^?\s]{1,60})\?([bq])\?([^?]{0,4000})\?=/gi, (_all, charset: string, kind: string, data: string) => {
      const bytes =
        kind.toLowerCase() === 'b'
          ? Buffer.from(data, 'base64')
          : percentBytes(data.replace(/%/g, '%25').replace(/_/g, ' ').replace(/=/g, '%'));
      return decodeCharset(bytes, charset.replace(/\*.*$/, ''));
    });
}

/**
 * Reads a value with parameters, forgivingly: quoted strings, comments, missing quotes, stray semicolons. One pass.
 * At most 100 parameters.
 */
export function parseStructured(text: string): Structured {
  const pieces = splitOutsideQuotes(text.slice(0, 65_536));
  const params: { name: string; value: string }[] = [];
  for (const piece of pieces.slice(1, 101)) {
    const equals = piece.indexOf('=');
    if (equals <= 0) continue;
    params.push({ name: piece.slice(0, equals).trim().toLowerCase(), value: unquote(piece.slice(equals + 1).trim()) });
  }
  return { value: (pieces[0] ?? '').replace(/\s+/g, '').toLowerCase().slice(0, 200), params };
}

function splitOutsideQuotes(text: string): string[] {
  const pieces: string[] = [];
  let piece = '';
  let quoted = false;
  let comment = 0;
  for (let at = 0; at < text.length; at += 1) {
    const char = text[at] ?? '';
    if (char === '\\' && (quoted || comment > 0)) {
      if (comment === 0) piece += text.slice(at, at + 2);
      at += 1;
    } else if (char === '"' && comment === 0) {
      quoted = !quoted;
      piece += char;
    } else if (!quoted && char === '(' && (comment > 0 || /(?:^|\s)$/.test(piece.slice(-1)))) comment += 1;
    else if (!quoted && char === ')' && comment > 0) comment -= 1;
    else if (comment > 0) continue;
    else if (char === ';' && !quoted) {
      pieces.push(piece);
      piece = '';
    } else piece += char;
  }
  pieces.push(piece);
  return pieces;
}

function unquote(value: string): string {
  if (!value.startsWith('"')) return value.replace(/^'|'$/g, '');
  const end = value.lastIndexOf('"');
  return value.slice(1, end > 0 ? end : undefined).replace(/\\(.)/g, '$1');
}

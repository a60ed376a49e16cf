import { createHash } from 'node:crypto';
import { countHops } from './received.ts';

const NUL = 0x00;
const LF = 0x0a;
const CR = 0x0d;
const DOT = 0x2e;

export const FORMAT_FAULTS = ['bare_cr', 'dot_bare_lf', 'nul', 'line_too_long', 'header_too_large', 'loop'] as const;
export type FormatFault = (typeof FORMAT_FAULTS)[number];

const FAULT_TEXT: Readonly<Record<FormatFault, { code: number; enhanced: string; text: string }>> = {
  bare_cr: { code: 550, enhanced: '5.6.0', text: 'Bare CR is not allowed in a message' },
  dot_bare_lf: { code: 550, enhanced: '5.6.0', text: 'A lone dot beside a bare LF is not allowed in a message' },
  nul: { code: 550, enhanced: '5.6.0', text: 'NUL is not allowed in a message' },
  line_too_long: { code: 550, enhanced: '5.6.0', text: 'A line of the message is too long' },
  header_too_large: { code: 550, enhanced: '5.6.0', text: 'The header of the message is too large' },
  loop: { code: 554, enhanced: '5.4.6', text: 'Too many hops, this message is in a loop' },
};

/** A message that must be refused for its form. `smtp` is the reply: permanent, since a repetition cannot help. */
export class MailFormatError extends Error {
  override readonly name = 'MailFormatError';
  readonly fault: FormatFault;
  readonly smtp: { readonly code: number; readonly enhanced: string; readonly text: string };

  constructor(fault: FormatFault) {
    super(FAULT_TEXT[fault].text);
    this.fault = fault;
    this.smtp = FAULT_TEXT[fault];
  }
}

export interface LineOptions {
  /** Our own host name, for the loop check. */
  readonly hostName?: string;
  /** Octets of one line without its end. RFC 5321 allows 998; real HTML mail has far more, so the bound is for memory. */
  readonly maxLineBytes?: number;
  readonly maxHeaderBytes?: number;
  /** So many Received fields, or more, are a loop (Postfix `hopcount_limit`: 50). */
  readonly maxHops?: number;
  /** So many Received fields that name our own host, or more, are a loop: forwards may lead back to us once or twice. */
  readonly maxOwnHops?: number;
}

export interface LineReport {
  /** Octets of the normalised message. */
  readonly bytes: number;
  /** Of the normalised message, lower-case hex. */
  readonly sha256: string;
  /** The header block with the empty line that ends it. */
  readonly header: Buffer;
  readonly hops: number;
  readonly ownHops: number;
  /** Bare LFs that were made CRLF. */
  readonly bareLf: number;
  readonly eightBit: boolean;
}

const CRLF = Buffer.from('\r\n');

/**
 * Makes every line end CRLF, so that what is scanned, stored and relayed is one and the same text and no reader downstream
 * sees an end of data that we did not see (SMTP smuggling, CVE-2023-51764). Bare LF becomes CRLF; a bare CR, a NUL and a
 * lone dot between line ends of which one is a bare LF are refused (the rule of mox, smtp/data.go). An unfinished last
 * line gets its CRLF. `write` and `end` throw MailFormatError; the result does not depend on where the chunks are cut.
 */
export class LineNormalizer {
  readonly #hostName: string;
  readonly #maxLine: number;
  readonly #maxHeader: number;
  readonly #maxHops: number;
  readonly #maxOwnHops: number;
  readonly #hash = createHash('sha256');
  #headerChunks: Buffer[] | null = [];
  #headerBytes = 0;
  #header: Buffer = Buffer.alloc(0);
  #hops = { hops: 0, own: 0 };
  #bytes = 0;
  #line = 0;
  #dotOnly = false;
  #bareBefore = false;
  #pendingCr = false;
  #bareLf = 0;
  #eightBit = false;

  constructor(options: LineOptions) {
    this.#hostName = options.hostName ?? '';
    this.#maxLine = options.maxLineBytes ?? 1_048_576;
    this.#maxHeader = options.maxHeaderBytes ?? 262_144;
    this.#maxHops = options.maxHops ?? 50;
    this.#maxOwnHops = options.maxOwnHops ?? 4;
  }

  write(chunk: Buffer): Buffer {
    return this.#count(this.#normalize(chunk));
  }

  end(): { readonly tail: Buffer; readonly report: LineReport } {
    if (this.#pendingCr) throw new MailFormatError('bare_cr');
    if (this.#dotOnly && this.#bareBefore) throw new MailFormatError('dot_bare_lf');
    const tail = this.#count(this.#line > 0 ? CRLF : Buffer.alloc(0));
    this.#endHeader();
    const report = {
      bytes: this.#bytes,
      sha256: this.#hash.digest('hex'),
      header: this.#header,
      hops: this.#hops.hops,
      ownHops: this.#hops.own,
      bareLf: this.#bareLf,
      eightBit: this.#eightBit,
    };
    return { tail, report };
  }

  /** One pass. The output is the input itself when nothing had to be changed, which is the rule. */
  #normalize(chunk: Buffer): Buffer {
    const pieces: Buffer[] = [];
    let copied = 0;
    for (let at = 0; at < chunk.length; at += 1) {
      const byte = chunk[at];
      if (this.#pendingCr) {
        if (byte !== LF) throw new MailFormatError('bare_cr');
        // The CR of an earlier chunk was held back; within one chunk it is part of the run that is copied.
        if (at === 0) pieces.push(Buffer.of(CR));
        this.#pendingCr = false;
        this.#endLine(false);
      } else if (byte === CR) {
        this.#pendingCr = true;
      } else if (byte === LF) {
        pieces.push(chunk.subarray(copied, at), Buffer.of(CR));
        copied = at;
        this.#bareLf += 1;
        this.#endLine(true);
      } else {
        if (byte === NUL) throw new MailFormatError('nul');
        if (byte !== undefined && byte >= 0x80) this.#eightBit = true;
        this.#dotOnly = this.#line === 0 && byte === DOT;
        this.#line += 1;
        if (this.#line > this.#maxLine) throw new MailFormatError('line_too_long');
      }
    }
    const end = this.#pendingCr ? chunk.length - 1 : chunk.length;
    if (pieces.length === 0) return chunk.subarray(0, end);
    pieces.push(chunk.subarray(copied, end));
    return Buffer.concat(pieces);
  }

  #endLine(bare: boolean): void {
    if (this.#dotOnly && (bare || this.#bareBefore)) throw new MailFormatError('dot_bare_lf');
    this.#bareBefore = bare;
    this.#dotOnly = false;
    this.#line = 0;
  }

  #count(bytes: Buffer): Buffer {
    this.#bytes += bytes.length;
    this.#hash.update(bytes);
    if (this.#headerChunks !== null && bytes.length > 0) this.#collectHeader(bytes);
    return bytes;
  }

  /** Looks for the empty line only in what is new, plus the three octets before it, so that the work stays linear. */
  #collectHeader(bytes: Buffer): void {
    const chunks = this.#headerChunks;
    if (chunks === null) return;
    const tail = lastBytes(chunks, 3);
    const seam = Buffer.concat([tail, bytes]);
    const startsEmpty =
      this.#headerBytes < 2 &&
      Buffer.concat([...chunks, bytes])
        .subarray(0, 2)
        .equals(CRLF);
    const found = startsEmpty ? 0 : seam.indexOf('\r\n\r\n');
    const end = startsEmpty ? 2 - this.#headerBytes : found < 0 ? bytes.length : found + 4 - tail.length;
    chunks.push(bytes.subarray(0, end));
    this.#headerBytes += end;
    if (this.#headerBytes > this.#maxHeader) throw new MailFormatError('header_too_large');
    if (found >= 0) this.#endHeader();
  }

  #endHeader(): void {
    if (this.#headerChunks === null) return;
    this.#header = Buffer.concat(this.#headerChunks);
    this.#headerChunks = null;
    this.#hops = countHops(this.#header, this.#hostName);
    if (this.#hops.hops >= this.#maxHops || this.#hops.own >= this.#maxOwnHops) throw new MailFormatError('loop');
  }
}

function lastBytes(chunks: readonly Buffer[], count: number): Buffer {
  const pieces: Buffer[] = [];
  let need = count;
  for (let index = chunks.length - 1; index >= 0 && need > 0; index -= 1) {
    const piece = (chunks[index] ?? CRLF).subarray(-need);
    pieces.unshift(piece);
    need -= piece.length;
  }
  return Buffer.concat(pieces);
}

/** The same for a message that is wholly in memory. Throws MailFormatError. */
export function normalizeMessage(message: Buffer, options: LineOptions = {}): { message: Buffer; report: LineReport } {
  const lines = new LineNormalizer(options);
  const text = lines.write(message);
  const { tail, report } = lines.end();
  return { message: tail.length > 0 ? Buffer.concat([text, tail]) : text, report };
}

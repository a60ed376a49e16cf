import { Transform, type TransformCallback } from 'node:stream';
import { cleanField } from './clean-header.ts';
import { decodeQuotedPrintable } from './decode.ts';
import { Base64Lines, Base64Reader, type BodyEncoder, QuotedLines } from './encode.ts';
import { fieldValue, type RawField, splitFields } from './fields.ts';
import { paramValues, parseStructured } from './mime.ts';

/** The message can't be written anew without a guess at what it is. */
export class ReencodeError extends Error {
  override readonly name = 'ReencodeError';
}

const LINE_MAX = 64 * 1024 * 1024;
const HEADER_MAX = 1_048_576;
const DEPTH_MAX = 50;
const PARTS_MAX = 10_000;
/** Below the 998 of RFC 5322, for text that has no encoding. */
const WRAP = 900;
const CRLF = Buffer.from('\r\n');
const LF = 0x0a;

interface Frame {
  readonly boundary: string;
  readonly isDigest: boolean;
}

/** A leaf of the tree on its way: lines of its old encoding in, its new encoding out. */
interface Leaf {
  line(line: Buffer): Buffer;
  end(): Buffer;
}

/**
 * Writes a message anew as clean MIME (RFC 2045 to 2049), as it streams by: every body as base64 or quoted-printable, every
 * line end CRLF, no line over 998 octets, header fields in ASCII and folded, every multipart closed. Types, names, order and
 * the decoded contents stay; signatures over the octets (DKIM, S/MIME, PGP/MIME) do not survive. `note` is a whole field put
 * on top. Fails with ReencodeError when two readers could see different messages in it, or beyond its bounds.
 */
export class Reencode extends Transform {
  readonly #note: string;
  #chunks: Buffer[] = [];
  #held = 0;
  readonly #stack: Frame[] = [];
  #mode: 'header' | 'lines' | 'leaf' = 'header';
  #header: Buffer[] = [];
  #headerBytes = 0;
  #leaf: Leaf | null = null;
  #isTop = true;
  #isDigestPart = false;
  #parts = 0;
  /** Whether what was written last is not ended by CRLF. */
  #isOpen = false;

  constructor(note: string) {
    super();
    this.#note = note;
  }

  override _transform(chunk: Buffer, _encoding: BufferEncoding, done: TransformCallback): void {
    try {
      let from = 0;
      for (let at = chunk.indexOf(LF); at >= 0; at = chunk.indexOf(LF, from)) {
        this.#chunks.push(chunk.subarray(from, at));
        this.#takeLine();
        from = at + 1;
      }
      if (from < chunk.length) {
        this.#chunks.push(chunk.subarray(from));
        this.#held += chunk.length - from;
        if (this.#held > LINE_MAX) throw new ReencodeError('a line of the message is too long');
      }
      done();
    } catch (error) {
      done(error as Error);
    }
  }

  override _flush(done: TransformCallback): void {
    try {
      if (this.#held > 0) this.#takeLine();
      if (this.#mode === 'header') this.#endHeader();
      this.#endPart();
      for (const frame of this.#stack.toReversed()) this.#delimiter(frame, true);
      if (this.#isOpen) this.push(CRLF);
      done();
    } catch (error) {
      done(error as Error);
    }
  }

  #takeLine(): void {
    const joined = this.#chunks.length === 1 ? (this.#chunks[0] ?? Buffer.alloc(0)) : Buffer.concat(this.#chunks);
    this.#chunks = [];
    this.#held = 0;
    this.#line(joined.at(-1) === 0x0d ? joined.subarray(0, -1) : joined);
  }

  #line(line: Buffer): void {
    const found = this.#stack.length > 0 && line[0] === 0x2d && line[1] === 0x2d ? this.#boundaryOf(line) : null;
    if (found !== null) {
      if (this.#mode === 'header') this.#endHeader();
      this.#endPart();
      while (this.#stack.length - 1 > found.level) this.#delimiter(this.#stack.pop() as Frame, true);
      const frame = this.#stack[found.level] as Frame;
      this.#delimiter(frame, found.isClose);
      if (found.isClose) {
        this.#stack.pop();
        this.#mode = 'lines';
      } else this.#beginHeader(frame.isDigest);
      return;
    }
    if (this.#mode === 'header') {
      if (line.length === 0) {
        this.#endHeader();
        return;
      }
      this.#headerBytes += line.length;
      if (this.#headerBytes > HEADER_MAX) throw new ReencodeError('a header of the message is too large');
      this.#header.push(line);
    } else if (this.#leaf !== null) this.push(this.#leaf.line(line));
    else this.#plainLine(line);
  }

  #boundaryOf(line: Buffer): { level: number; isClose: boolean } | null {
    if (line.length > 400) return null;
    const text = line.toString('latin1').replace(/[ \t]+$/, '');
    for (let level = this.#stack.length - 1; level >= 0; level -= 1) {
      const mark = `--${this.#stack[level]?.boundary ?? ''}`;
      if (text === mark) return { level, isClose: false };
      if (text === `${mark}--`) return { level, isClose: true };
    }
    return null;
  }

  #beginHeader(isDigest: boolean): void {
    this.#parts += 1;
    if (this.#parts > PARTS_MAX) throw new ReencodeError('the message has too many parts');
    this.#mode = 'header';
    this.#isDigestPart = isDigest;
    this.#header = [];
    this.#headerBytes = 0;
  }

  #delimiter(frame: Frame, isClose: boolean): void {
    const before = this.#isOpen ? '\r\n' : '';
    this.push(Buffer.from(`${before}--${frame.boundary}${isClose ? '--' : '\r\n'}`, 'latin1'));
    this.#isOpen = isClose;
  }

  #endPart(): void {
    if (this.#leaf === null) return;
    this.push(this.#leaf.end());
    this.#leaf = null;
    this.#isOpen = true;
  }

  /** A line outside of any encoding: preamble, epilogue, delivery status. */
  #plainLine(line: Buffer): void {
    const ascii = line.toString('latin1').replace(/[^\x20-\x7e\t]/g, '?');
    const pieces = ascii.match(new RegExp(`.{1,${WRAP}}`, 'g')) ?? [''];
    this.push(Buffer.from(`${this.#isOpen ? '\r\n' : ''}${pieces.join('\r\n')}`, 'latin1'));
    this.#isOpen = true;
  }

  #endHeader(): void {
    const fields = splitFields(Buffer.concat(this.#header.flatMap((line) => [line, CRLF])));
    const type = parseStructured(
      onlyValue(fields, 'content-type') ?? (this.#isDigestPart ? 'message/rfc822' : 'text/plain'),
    );
    const encoding = (onlyValue(fields, 'content-transfer-encoding') ?? '7bit').toLowerCase().replace(/[\s;].*$/, '');
    const isIdentity = ['7bit', '8bit', 'binary', ''].includes(encoding);
    const [main = '', sub = ''] = type.value.split('/');
    const boundary = main === 'multipart' ? paramValues(type, 'boundary') : [];
    if (new Set(boundary).size > 1) throw new ReencodeError('a part of the message has two boundaries');
    let written: string | null = null;
    if (boundary[0] !== undefined && boundary[0] !== '') {
      this.#enter(boundary[0], sub === 'digest');
    } else if (main === 'message' && isIdentity && ['rfc822', 'global', 'news'].includes(sub)) {
      this.#mode = 'header';
    } else if ((main === 'message' || main === 'multipart') && encoding !== 'base64') {
      this.#mode = 'lines';
      written = isIdentity ? null : encoding;
    } else if (!isIdentity && encoding !== 'base64' && encoding !== 'quoted-printable') {
      // uuencode and the like: nobody else can undo what we do to it.
      this.#mode = 'lines';
      written = encoding.replace(/[^\w-]/g, '') || null;
    } else {
      const isWide = paramValues(type, 'charset').some((one) => /^(utf|ucs|iso-10646)[-_]?(16|32|ucs|2|4)/i.test(one));
      written = main === 'text' && encoding !== 'base64' && !isWide ? 'quoted-printable' : 'base64';
      this.#leaf = leafOf(encoding, written === 'base64' ? new Base64Lines() : new QuotedLines());
      this.#mode = 'leaf';
    }
    this.#writeHeader(fields, written);
    const isMessage = this.#mode === 'header';
    this.#isTop = false;
    if (isMessage) this.#beginHeader(false);
  }

  #enter(boundary: string, isDigest: boolean): void {
    if (!/^[\x20-\x7e]{1,200}$/.test(boundary)) throw new ReencodeError('a boundary of the message can not be written');
    if (this.#stack.length >= DEPTH_MAX) throw new ReencodeError('the message is nested too deep');
    this.#stack.push({ boundary, isDigest });
    this.#mode = 'lines';
  }

  #writeHeader(fields: readonly RawField[], encoding: string | null): void {
    const out: Buffer[] = this.#isTop ? [Buffer.from(this.#note)] : [];
    for (const field of fields) {
      if (field.name === 'content-transfer-encoding' || field.name === 'content-length') continue;
      const clean = cleanField(field);
      // To some readers a line that is no field begins the body.
      if (clean === null) throw new ReencodeError('a line of a header can not be written as a field in ASCII');
      out.push(clean);
    }
    if (this.#isTop && !fields.some((field) => field.name === 'mime-version'))
      out.push(Buffer.from('MIME-Version: 1.0\r\n'));
    if (encoding !== null) out.push(Buffer.from(`Content-Transfer-Encoding: ${encoding}\r\n`));
    out.push(CRLF);
    this.push(Buffer.concat(out));
    this.#isOpen = false;
  }
}

/** The one value of a field. Two that differ would be two messages to two readers. */
function onlyValue(fields: readonly RawField[], name: string): string | null {
  const values = new Set(fields.filter((field) => field.name === name).map((field) => fieldValue(field)));
  if (values.size > 1) throw new ReencodeError(`a part of the message has two different ${name}`);
  return [...values][0] ?? null;
}

function leafOf(encoding: string, out: BodyEncoder): Leaf {
  if (encoding === 'base64') {
    const reader = new Base64Reader();
    return {
      line: (line) => out.write(reader.write(line)),
      end: () => Buffer.concat([out.write(reader.end()), out.end()]),
    };
  }
  const isQuoted = encoding === 'quoted-printable';
  // The line end before a boundary belongs to the boundary (RFC 2046 section 5.1.1): each is written with the next line.
  let isPending = false;
  return {
    line(line) {
      const before = isPending ? CRLF : Buffer.alloc(0);
      isPending = true;
      if (!isQuoted) return out.write(Buffer.concat([before, line]));
      let end = line.length;
      while (end > 0 && (line[end - 1] === 0x20 || line[end - 1] === 0x09)) end -= 1;
      if (line[end - 1] === 0x3d) {
        isPending = false;
        end -= 1;
      }
      return out.write(Buffer.concat([before, decodeQuotedPrintable(line.subarray(0, end))]));
    },
    end: () => out.end(),
  };
}

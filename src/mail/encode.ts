/** Bytes in, a transfer encoding out, piece by piece; lines are parted by CRLF and the last has none. */
export interface BodyEncoder {
  write(bytes: Buffer): Buffer;
  end(): Buffer;
}

const EMPTY = Buffer.alloc(0);
const BASE64_LINE = 57;
const LINE = 75;
const [TAB, LF, CR, SPACE, DASH, DOT, EQUALS, LETTER_F] = [0x09, 0x0a, 0x0d, 0x20, 0x2d, 0x2e, 0x3d, 0x46];
const HEX = Buffer.from('0123456789ABCDEF');

/** Base64 in lines of 76 (RFC 2045 section 6.8). */
export class Base64Lines implements BodyEncoder {
  #rest: Buffer = EMPTY;
  #isFirst = true;

  write(bytes: Buffer): Buffer {
    const all = this.#rest.length === 0 ? bytes : Buffer.concat([this.#rest, bytes]);
    const whole = all.length - (all.length % BASE64_LINE);
    this.#rest = Buffer.from(all.subarray(whole));
    return this.#lines(all.subarray(0, whole));
  }

  end(): Buffer {
    const rest = this.#rest;
    this.#rest = EMPTY;
    return this.#lines(rest);
  }

  #lines(bytes: Buffer): Buffer {
    if (bytes.length === 0) return EMPTY;
    const lines = bytes.toString('base64').match(/.{1,76}/g) ?? [];
    const text = `${this.#isFirst ? '' : '\r\n'}${lines.join('\r\n')}`;
    this.#isFirst = false;
    return Buffer.from(text, 'latin1');
  }
}

/**
 * Quoted-printable (RFC 2045 section 6.7) of text in lines: CRLF and bare LF are line breaks. What gets harmed on the way or
 * may be taken for something else at the start of a line, a dot, `From ` or a boundary, is encoded there.
 */
export class QuotedLines implements BodyEncoder {
  #column = 0;
  /** Space or tab whose meaning hangs on what follows. */
  #held = 0;
  #isAfterCr = false;

  write(bytes: Buffer): Buffer {
    const out = new Pieces(bytes.length);
    for (const byte of bytes) {
      if (this.#isAfterCr) {
        this.#isAfterCr = false;
        if (byte === LF) {
          this.#break(out);
          continue;
        }
        this.#flush(out);
        this.#put(out, CR, true);
      }
      if (byte === CR) this.#isAfterCr = true;
      else if (byte === LF) this.#break(out);
      else {
        this.#flush(out);
        if (byte === SPACE || byte === TAB) this.#held = byte;
        else this.#put(out, byte, byte < SPACE || byte > 0x7e || byte === EQUALS);
      }
    }
    return out.bytes();
  }

  end(): Buffer {
    const out = new Pieces(2);
    this.#endLine(out);
    if (this.#isAfterCr) this.#put(out, CR, true);
    this.#isAfterCr = false;
    return out.bytes();
  }

  #break(out: Pieces): void {
    this.#endLine(out);
    out.add(CR, LF);
    this.#column = 0;
  }

  /** White space at the end of a line is encoded, since some hosts take it away. */
  #endLine(out: Pieces): void {
    if (this.#held !== 0) this.#put(out, this.#held, true);
    this.#held = 0;
  }

  #flush(out: Pieces): void {
    if (this.#held !== 0) this.#put(out, this.#held, false);
    this.#held = 0;
  }

  #put(out: Pieces, byte: number, encode: boolean): void {
    if (this.#column + (encode ? 3 : 1) > LINE) {
      out.add(EQUALS, CR, LF);
      this.#column = 0;
    }
    const isRisky = this.#column === 0 && (byte === DASH || byte === DOT || byte === LETTER_F);
    if (encode || isRisky) {
      out.add(EQUALS, HEX[byte >> 4] ?? 0, HEX[byte & 15] ?? 0);
      this.#column += 3;
    } else {
      out.add(byte);
      this.#column += 1;
    }
  }
}

/** A buffer that grows. */
class Pieces {
  #buffer: Buffer;
  #length = 0;

  constructor(expected: number) {
    this.#buffer = Buffer.allocUnsafe(expected * 2 + 64);
  }

  add(...bytes: number[]): void {
    if (this.#length + bytes.length > this.#buffer.length) {
      this.#buffer = Buffer.concat([this.#buffer.subarray(0, this.#length)], this.#buffer.length * 2);
    }
    for (const byte of bytes) {
      this.#buffer[this.#length] = byte;
      this.#length += 1;
    }
  }

  bytes(): Buffer {
    return this.#buffer.subarray(0, this.#length);
  }
}

/** Base64 out of lines of anything: what is not of its alphabet is passed over, padding ends a stretch. */
export class Base64Reader {
  #rest = '';

  write(line: Buffer): Buffer {
    const stretches = (this.#rest + line.toString('latin1').replace(/[^A-Za-z0-9+/=]+/g, '')).split(/=+/);
    const last = stretches.pop() ?? '';
    const whole = last.length - (last.length % 4);
    this.#rest = last.slice(whole);
    return Buffer.concat([...stretches, last.slice(0, whole)].map((one) => Buffer.from(one, 'base64')));
  }

  end(): Buffer {
    const rest = this.#rest;
    this.#rest = '';
    return Buffer.from(rest, 'base64');
  }
}

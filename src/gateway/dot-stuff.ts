import { Transform, type TransformCallback } from 'node:stream';

const DOT = 0x2e;
const LF = 0x0a;
const DOTS = Buffer.from('.');

/** Doubles the dot that begins a line (RFC 5321 section 4.5.2). Line ends are CRLF already. */
export class DotStuff extends Transform {
  #isAtStart = true;

  override _transform(chunk: Buffer, _encoding: BufferEncoding, done: TransformCallback): void {
    let from = 0;
    for (let at = 0; at >= 0 && at < chunk.length; ) {
      if (this.#isAtStart && chunk[at] === DOT) {
        this.push(chunk.subarray(from, at));
        this.push(DOTS);
        from = at;
      }
      const end = chunk.indexOf(LF, at);
      this.#isAtStart = end >= 0;
      at = end < 0 ? -1 : end + 1;
    }
    this.push(chunk.subarray(from));
    done();
  }
}

import type { Readable } from 'node:stream';
import { headerEnd, splitFields } from './fields.ts';
import { HeaderTransform } from './headers.ts';

const MAX_RUN = 200;
const MAX_FIELD = 65_536;
const MAX_FROM = 8192;
const MAX_SIGNATURES = 10;
const CRLF = Buffer.from('\r\n');
const SPACE = Buffer.from(' ');

/**
 * A message as mailauth may see it. Its address parser and its folding are quadratic in runs of white space (a From of
 * 250,000 spaces blocked the thread for 52 s), and each signature of its own form costs a hash over the body. Runs of more
 * than 200 become one space, over-long fields are cut, and the ten newest signatures count. Honest mail is not touched; in
 * other mail a signature over such a field fails.
 */
export function tameMessage(message: Buffer): Buffer {
  const { header } = headerEnd(message);
  let signatures = 0;
  let changed = false;
  const fields: Buffer[] = [];
  for (const { name, raw } of splitFields(message.subarray(0, header))) {
    if (name === 'dkim-signature') signatures += 1;
    if (name === 'dkim-signature' && signatures > MAX_SIGNATURES) {
      changed = true;
      continue;
    }
    const tamed = tameField(raw, name === 'from' || name === 'return-path' ? MAX_FROM : MAX_FIELD);
    changed ||= tamed !== raw;
    fields.push(tamed);
  }
  return changed ? Buffer.concat([...fields, message.subarray(header)]) : message;
}

export function tameStream(message: Readable): Readable {
  const tamed = new HeaderTransform(tameMessage);
  message.once('error', (error) => tamed.destroy(error));
  return message.pipe(tamed);
}

function tameField(raw: Buffer, max: number): Buffer {
  if (raw.length <= MAX_RUN) return raw;
  const pieces: Buffer[] = [];
  let copied = 0;
  let run = 0;
  for (let at = 0; at <= raw.length; at += 1) {
    const byte = raw[at];
    if (isBlank(byte)) {
      run += 1;
      continue;
    }
    if (run > MAX_RUN) {
      pieces.push(raw.subarray(copied, at - run));
      // A line of nothing but white space must not become the empty line that ends the header.
      if (at > run) pieces.push(at === raw.length ? CRLF : SPACE);
      else if (at < raw.length) pieces.push(SPACE);
      copied = at;
    }
    run = 0;
  }
  const shorter = pieces.length === 0 ? raw : Buffer.concat([...pieces, raw.subarray(copied)]);
  if (shorter.length <= max) return shorter;
  let end = max;
  while (end > 0 && isBlank(shorter[end - 1])) end -= 1;
  return Buffer.concat([shorter.subarray(0, end), CRLF]);
}

function isBlank(byte: number | undefined): boolean {
  return byte === 0x20 || byte === 0x09 || byte === 0x0d || byte === 0x0a;
}

import { createHash, generateKeyPair, type Hash, type KeyObject, sign } from 'node:crypto';
import type { Readable } from 'node:stream';
import { promisify } from 'node:util';
import { headerEnd, type RawField, splitFields } from './fields.ts';
import { MailFormatError } from './lines.ts';

export const DKIM_ALGORITHMS = ['rsa-sha256', 'ed25519-sha256'] as const;
export type DkimAlgorithm = (typeof DKIM_ALGORITHMS)[number];

export interface SigningKey {
  readonly domain: string;
  readonly selector: string;
  readonly algorithm: DkimAlgorithm;
  readonly privateKey: KeyObject;
}

/** Signed where they are there (RFC 6376 section 5.4.1). */
const SIGNED = [
  'from',
  'sender',
  'reply-to',
  'to',
  'cc',
  'subject',
  'date',
  'message-id',
  'in-reply-to',
  'references',
  'mime-version',
  'content-type',
  'content-transfer-encoding',
  'list-id',
  'list-unsubscribe',
  'list-unsubscribe-post',
];
/** Signed once more than they are there: a field of the name that is added later breaks the signature (section 8.15). */
const OVERSIGNED = new Set(
  SIGNED.slice(0, 8)
    .filter((name) => name !== 'sender')
    .concat(SIGNED.slice(10, 13)),
);
/** A field that is there more often is signed this often, from the bottom. */
const REPEATS_MAX = 20;
const HEADER_MAX = 524_288;

const makePair = promisify(generateKeyPair);

/** A new key pair: the private key as PKCS#8, the public one in base64 as it stands in the DNS (RFC 6376, RFC 8463). */
export async function makeDkimKey(algorithm: DkimAlgorithm): Promise<{ privateKey: Buffer; publicKey: string }> {
  const { privateKey, publicKey } =
    algorithm === 'rsa-sha256' ? await makePair('rsa', { modulusLength: 2048 }) : await makePair('ed25519');
  const spki = publicKey.export({ type: 'spki', format: 'der' });
  // RFC 8463 section 4: of an Ed25519 key its 32 bytes alone.
  const shown = algorithm === 'rsa-sha256' ? spki : spki.subarray(-32);
  return { privateKey: privateKey.export({ type: 'pkcs8', format: 'der' }), publicKey: shown.toString('base64') };
}

/** The TXT record at `<selector>._domainkey.<domain>`. */
export function dkimRecord(algorithm: DkimAlgorithm, publicKey: string): string {
  return `v=DKIM1; k=${algorithm === 'rsa-sha256' ? 'rsa' : 'ed25519'}; p=${publicKey}`;
}

/** Whether a TXT record is this key's (RFC 6376 section 3.6.1): the same key of the same kind. */
export function isDkimRecord(record: string, algorithm: DkimAlgorithm, publicKey: string): boolean {
  const tags = new Map(
    record.split(';').map((tag) => {
      const at = tag.indexOf('=');
      return [tag.slice(0, Math.max(0, at)).trim().toLowerCase(), tag.slice(at + 1).replace(/\s+/g, '')];
    }),
  );
  const version = tags.get('v');
  const kind = (tags.get('k') ?? 'rsa').toLowerCase();
  return (
    (version === undefined || version === 'DKIM1') &&
    kind === (algorithm === 'rsa-sha256' ? 'rsa' : 'ed25519') &&
    tags.get('p') === publicKey
  );
}

/**
 * A DKIM-Signature field for each key, relaxed/relaxed over the whole body, with its line end, to be put on top of the message
 * as it was read. Holds the header alone in memory (512 KiB at most, MailFormatError beyond). `at` is the signing time.
 */
export async function dkimSignatures(message: Readable, keys: readonly SigningKey[], at: Date): Promise<string[]> {
  const body = new RelaxedBodyHash();
  let held: Buffer[] | null = [];
  let header = Buffer.alloc(0);
  let bytes = 0;
  for await (const chunk of message as AsyncIterable<Buffer>) {
    if (held === null) {
      body.update(chunk);
      continue;
    }
    held.push(chunk);
    bytes += chunk.length;
    const all = Buffer.concat(held);
    held = [all];
    const end = headerEnd(all);
    if (end.body > end.header) {
      header = all.subarray(0, end.header);
      body.update(all.subarray(end.body));
      held = null;
    } else if (bytes > HEADER_MAX) throw new MailFormatError('header_too_large');
  }
  if (held !== null) header = Buffer.concat(held);
  const bodyHash = body.digest();
  const { names, text } = signedHeader(splitFields(header));
  return keys.map((key) => signature(key, names, text, bodyHash, at));
}

/** The fields to be signed, from the bottom up for each name (RFC 6376 section 5.4.2), canonical. */
function signedHeader(fields: readonly RawField[]): { names: string[]; text: string } {
  const names: string[] = [];
  const lines: string[] = [];
  for (const name of SIGNED) {
    const own = fields.filter((field) => field.name === name).reverse();
    for (const field of own.slice(0, REPEATS_MAX)) {
      names.push(name);
      lines.push(`${relaxed(name, field.raw.toString('latin1').replace(/^[^:]*:/, ''))}\r\n`);
    }
    if (OVERSIGNED.has(name) && own.length < REPEATS_MAX) names.push(name);
  }
  return { names, text: lines.join('') };
}

/** Relaxed header canonicalisation (RFC 6376 section 3.4.2). */
function relaxed(name: string, value: string): string {
  return `${name}:${value.replace(/[ \t\r\n]+/g, ' ').replace(/^ | $/g, '')}`;
}

function signature(key: SigningKey, names: readonly string[], text: string, bodyHash: string, at: Date): string {
  const time = Math.floor(at.getTime() / 1000);
  const open =
    ` v=1; a=${key.algorithm}; c=relaxed/relaxed; d=${key.domain};\r\n\ts=${key.selector}; t=${time};` +
    `\r\n\th=${foldList(names)};\r\n\tbh=${bodyHash};\r\n\tb=`;
  const data = Buffer.from(`${text}${relaxed('dkim-signature', open)}`, 'latin1');
  const made =
    key.algorithm === 'rsa-sha256'
      ? sign('sha256', data, key.privateKey)
      : // RFC 8463 section 3: Ed25519 signs the SHA-256 hash.
        sign(null, createHash('sha256').update(data).digest(), key.privateKey);
  const pieces = made.toString('base64').match(/.{1,72}/g) ?? [];
  return `DKIM-Signature:${open}${pieces.join('\r\n\t')}\r\n`;
}

function foldList(names: readonly string[]): string {
  let line = '';
  const lines: string[] = [];
  for (const [index, name] of names.entries()) {
    const part = index === names.length - 1 ? name : `${name}:`;
    if (line !== '' && line.length + part.length > 72) {
      lines.push(line);
      line = '';
    }
    line += part;
  }
  return [...lines, line].join('\r\n\t ');
}

const CR = 0x0d;
const LF = 0x0a;
const SP = 0x20;
const TAB = 0x09;
const OUT_BYTES = 65_536;

/** SHA-256 over a body in relaxed canonicalisation (RFC 6376 section 3.4.4), however it is cut into chunks. */
export class RelaxedBodyHash {
  readonly #hash: Hash = createHash('sha256');
  readonly #out = Buffer.allocUnsafe(OUT_BYTES);
  #used = 0;
  #isEmpty = true;
  #blank = false;
  #lines = 0;
  #cr = false;

  update(chunk: Buffer): void {
    for (let at = 0; at < chunk.length; at += 1) {
      const byte = chunk[at] ?? 0;
      if (this.#cr) {
        this.#cr = false;
        if (byte === LF) {
          // White space at the end of a line goes; empty lines wait whether something follows.
          this.#blank = false;
          this.#lines += 1;
          continue;
        }
        this.#text(CR);
      }
      if (byte === CR) this.#cr = true;
      else if (byte === SP || byte === TAB) this.#blank = true;
      else this.#text(byte);
    }
  }

  /** Base64. */
  digest(): string {
    if (this.#cr) this.#text(CR);
    if (!this.#isEmpty) {
      this.#put(CR);
      this.#put(LF);
    }
    this.#hash.update(this.#out.subarray(0, this.#used));
    return this.#hash.digest('base64');
  }

  #text(byte: number): void {
    for (; this.#lines > 0; this.#lines -= 1) {
      this.#put(CR);
      this.#put(LF);
    }
    if (this.#blank) this.#put(SP);
    this.#blank = false;
    this.#put(byte);
    this.#isEmpty = false;
  }

  #put(byte: number): void {
    if (this.#used === OUT_BYTES) {
      this.#hash.update(this.#out);
      this.#used = 0;
    }
    this.#out[this.#used] = byte;
    this.#used += 1;
  }
}

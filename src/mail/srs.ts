import { createHmac, timingSafeEqual } from 'node:crypto';
import { domainOf } from '../core/address.ts';

/** The sender rewriting scheme: envelope senders of forwarded mail, so that SPF passes and notifications find back. */
export interface SrsSettings {
  /** Mail for it must come to this gateway. */
  readonly domain: string;
  readonly key: Buffer;
}

/** Days for which a notification finds back. */
export const SRS_DAYS = 21;
const DAY_MS = 86_400_000;
const STAMPS = 1024;
const BASE32 = 'abcdefghijklmnopqrstuvwxyz234567';
const LOCAL_MAX = 255;

/** Whether it has the form of a rewritten address, whoever made it. */
export function isSrs(address: string): boolean {
  return /^srs[01][=+-]/i.test(address);
}

/**
 * An address of the scheme in lower case: its local part may be longer than the 64 octets of RFC 5321, since it holds a whole
 * address. Null for what is no such address.
 */
export function normalizeSrs(address: string, normalizeDomain: (text: string) => string | null): string | null {
  const at = address.lastIndexOf('@');
  const local = address.slice(0, at);
  if (at <= 0 || local.length > LOCAL_MAX || !isSrs(local) || !PLAIN.test(local)) return null;
  const domain = normalizeDomain(address.slice(at + 1));
  return domain === null ? null : `${local.toLowerCase()}@${domain}`;
}

/**
 * The rewritten sender of a copy that a client's mailbox forwards: `SRS0=<hash and client>=<day>=<domain>=<local>@<ours>`. One
 * that another forwarder made becomes `SRS1`, so that chains do not grow. All lower case, since case gets lost on the way.
 */
export function srsSender(sender: string, clientId: string, settings: SrsSettings, now: Date): string {
  const domain = domainOf(sender);
  const local = sender.slice(0, -domain.length - 1);
  const first = /^srs0([=+-].*)$/.exec(local)?.[1];
  const later = /^srs1=[^=]+=([^=]+)=([=+-].*)$/.exec(local);
  if (first !== undefined) return srs1(domain, first, clientId, settings);
  if (later?.[1] !== undefined && later[2] !== undefined) return srs1(later[1], later[2], clientId, settings);
  const stamp = stampOf(now);
  const plain = PLAIN.test(local) && !local.startsWith(ENCODED) ? local : encoded(local);
  const hash = hashOf(settings.key, clientId, [stamp, domain, plain]);
  return `srs0=${hash}${clientTag(clientId)}=${stamp}=${domain}=${plain}@${settings.domain}`;
}

/** What a local part may hold that needs no quotes and no SMTPUTF8. */
const PLAIN = /^[a-z0-9!#$%&'*+/=?^_`{|}~.-]+$/i;
/** Before the octets of one that does, in hex: `"ann lee"` within another local part would be no address. */
const ENCODED = '=u8=';

const encoded = (local: string): string => `${ENCODED}${Buffer.from(local).toString('hex')}`;

function decoded(text: string): string {
  return text.startsWith(ENCODED) ? Buffer.from(text.slice(ENCODED.length), 'hex').toString() : text;
}

function srs1(domain: string, rest: string, clientId: string, settings: SrsSettings): string {
  const hash = hashOf(settings.key, clientId, ['srs1', domain, rest]);
  return `srs1=${hash}${clientTag(clientId)}=${domain}=${rest}@${settings.domain}`;
}

/** The end of the id of the client that an address names, 10 hex digits, or null for an address that is not ours. */
export function srsClient(address: string, settings: SrsSettings): string | null {
  if (domainOf(address) !== settings.domain) return null;
  const tag = /^srs[01]=[a-z2-7]{8}([a-z2-7]{8})=/.exec(address)?.[1];
  return tag === undefined ? null : unBase32(tag).toString('hex');
}

/** The sender that a rewritten address stands for; `forged` when the hash is wrong for this client, `expired` after 21 days. */
export function srsOriginal(
  address: string,
  clientId: string,
  settings: SrsSettings,
  now: Date,
): { readonly sender: string } | 'forged' | 'expired' {
  const local = address.slice(0, address.lastIndexOf('@'));
  const zero = /^srs0=([a-z2-7]{8})[a-z2-7]{8}=([a-z2-7]{2})=([^=]+)=(.+)$/.exec(local);
  if (zero !== null) {
    const [, hash = '', stamp = '', domain = '', original = ''] = zero;
    if (!isEqual(hash, hashOf(settings.key, clientId, [stamp, domain, original]))) return 'forged';
    const age = (stampNumber(stampOf(now)) - stampNumber(stamp) + STAMPS) % STAMPS;
    return age > SRS_DAYS ? 'expired' : { sender: `${decoded(original)}@${domain}` };
  }
  const one = /^srs1=([a-z2-7]{8})[a-z2-7]{8}=([^=]+)=([=+-].+)$/.exec(local);
  if (one === null) return 'forged';
  const [, hash = '', domain = '', rest = ''] = one;
  if (!isEqual(hash, hashOf(settings.key, clientId, ['srs1', domain, rest]))) return 'forged';
  return { sender: `srs0${rest}@${domain}` };
}

/** 40 bits: forging one needs 2^39 tries on average, each an SMTP command. */
function hashOf(key: Buffer, clientId: string, parts: readonly string[]): string {
  const digest = createHmac('sha256', key)
    .update([clientId, ...parts].join('\n'))
    .digest();
  return base32(digest.subarray(0, 5));
}

const clientTag = (clientId: string) => base32(Buffer.from(clientId.slice(-10), 'hex'));

/** The day modulo 1024, two characters. */
function stampOf(now: Date): string {
  const day = Math.floor(now.getTime() / DAY_MS) % STAMPS;
  return `${BASE32[day >> 5] ?? ''}${BASE32[day & 31] ?? ''}`;
}

const stampNumber = (stamp: string) => BASE32.indexOf(stamp[0] ?? '') * 32 + BASE32.indexOf(stamp[1] ?? '');

function isEqual(a: string, b: string): boolean {
  return a.length === b.length && timingSafeEqual(Buffer.from(a), Buffer.from(b));
}

/** Five octets are eight characters. */
function base32(bytes: Buffer): string {
  let number = BigInt(`0x${bytes.toString('hex')}`);
  let text = '';
  for (let at = 0; at < 8; at += 1) {
    text = `${BASE32[Number(number & 31n)] ?? ''}${text}`;
    number >>= 5n;
  }
  return text;
}

function unBase32(text: string): Buffer {
  const number = [...text].reduce((sum, char) => sum * 32n + BigInt(BASE32.indexOf(char)), 0n);
  return Buffer.from(number.toString(16).padStart(10, '0'), 'hex');
}

import { createHmac, timingSafeEqual } from 'node:crypto';
import { isId } from '../core/id.ts';

/** Whose quarantine a link opens. */
export const LINK_SCOPES = ['mailbox', 'client', 'partner'] as const;
export type LinkScope = (typeof LINK_SCOPES)[number];

/** What a link may do. `list` opens the quarantine of its subject; all others are about one delivery. */
export const LINK_ACTIONS = ['list', 'view', 'release', 'delete', 'allow', 'block'] as const;
export type LinkAction = (typeof LINK_ACTIONS)[number];

export interface Link {
  readonly partnerId: string;
  readonly scope: LinkScope;
  readonly subjectId: string;
  /** Null for `list`. */
  readonly deliveryId: string | null;
  readonly action: LinkAction;
  /** Whom the digest went to (`readerTag`): the link ends when the digest is somebody else's. */
  readonly reader: string;
  readonly expiresAt: Date;
}

/** A link that is none, one that was good once, or a good one. */
export type LinkCheck =
  | { readonly state: 'valid'; readonly link: Link }
  | { readonly state: 'expired' }
  | { readonly state: 'forged' };

export const LINK_MAX_MS = 7 * 86_400_000;
/** Every month has its own key; a link names the month's number, so that old keys are refused of themselves. */
const KEY_MS = 30 * 86_400_000;
const VERSION = 2;
const READER = 8;
const BODY = 1 + 2 + 1 + 1 + 4 + 16 * 3 + READER;
const MAC = 32;
const NO_DELIVERY = Buffer.alloc(16);

/**
 * Signs and checks links in mail: HMAC-SHA256 over version, key id, scope, action, expiry, partner, subject, delivery and reader.
 * What a link may do is in it and can't be widened. `signKey` is derived from the secret key of the installation.
 */
export class LinkSigner {
  readonly #signKey: Buffer;

  constructor(signKey: Buffer) {
    this.#signKey = signKey;
  }

  /** Throws RangeError for an expiry more than seven days ahead or ids that are none. */
  sign(link: Link, now: Date): string {
    const left = link.expiresAt.getTime() - now.getTime();
    if (!(left <= LINK_MAX_MS)) throw new RangeError('a link is good for at most seven days');
    const body = Buffer.alloc(BODY);
    const keyId = Math.floor(now.getTime() / KEY_MS);
    body.writeUInt8(VERSION, 0);
    body.writeUInt16BE(keyId, 1);
    body.writeUInt8(LINK_SCOPES.indexOf(link.scope), 3);
    body.writeUInt8(LINK_ACTIONS.indexOf(link.action), 4);
    body.writeUInt32BE(Math.floor(link.expiresAt.getTime() / 1000), 5);
    bytesOf(link.partnerId).copy(body, 9);
    bytesOf(link.subjectId).copy(body, 25);
    (link.deliveryId === null ? NO_DELIVERY : bytesOf(link.deliveryId)).copy(body, 41);
    readerBytes(link.reader).copy(body, 57);
    return Buffer.concat([body, this.#mac(keyId, body)]).toString('base64url');
  }

  check(token: string, now: Date): LinkCheck {
    if (!/^[\w-]{1,200}$/.test(token)) return { state: 'forged' };
    const bytes = Buffer.from(token, 'base64url');
    // One spelling per link: the last character of base64url has bits that say nothing.
    if (bytes.length !== BODY + MAC || bytes.toString('base64url') !== token) return { state: 'forged' };
    const body = bytes.subarray(0, BODY);
    const keyId = body.readUInt16BE(1);
    if (!timingSafeEqual(bytes.subarray(BODY), this.#mac(keyId, body)) || body[0] !== VERSION)
      return { state: 'forged' };
    const scope = LINK_SCOPES[body.readUInt8(3)];
    const action = LINK_ACTIONS[body.readUInt8(4)];
    if (scope === undefined || action === undefined) return { state: 'forged' };
    const current = Math.floor(now.getTime() / KEY_MS);
    const expiresAt = new Date(body.readUInt32BE(5) * 1000);
    if (keyId < current - 1 || expiresAt.getTime() <= now.getTime()) return { state: 'expired' };
    const delivery = body.subarray(41, 57);
    const deliveryId = delivery.equals(NO_DELIVERY) ? null : idOf(delivery);
    if ((deliveryId === null) !== (action === 'list')) return { state: 'forged' };
    const link: Link = {
      partnerId: idOf(body.subarray(9, 25)),
      scope,
      subjectId: idOf(body.subarray(25, 41)),
      deliveryId,
      action,
      reader: body.toString('hex', 57),
      expiresAt,
    };
    return { state: 'valid', link };
  }

  #mac(keyId: number, body: Buffer): Buffer {
    const key = createHmac('sha256', this.#signKey).update(`quarantine link ${keyId}`).digest();
    return createHmac('sha256', key).update(body).digest();
  }
}

function bytesOf(id: string): Buffer {
  if (!isId(id)) throw new RangeError('not an id');
  return Buffer.from(id.replaceAll('-', ''), 'hex');
}

function readerBytes(reader: string): Buffer {
  if (!/^[0-9a-f]{16}$/.test(reader)) throw new RangeError('not a reader');
  return Buffer.from(reader, 'hex');
}

function idOf(bytes: Buffer): string {
  const hex = bytes.toString('hex');
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
}

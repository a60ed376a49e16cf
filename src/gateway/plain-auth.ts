import ipaddr from 'ipaddr.js';
import type { SMTPServer } from 'smtp-server';
import { SMTPConnection } from 'smtp-server/lib/smtp-connection.js';

export interface PlainAuthRule {
  /** With a certificate there is STARTTLS, and a login has no reason to go without. */
  readonly hasTls: boolean;
  /** The operator says that the way is safe: TOLLGATE_PLAIN_AUTH. */
  readonly isAllowed: boolean;
}

/** Whether a peer may log in without TLS: a password is heard by everyone on the way, and on loopback there is no way. */
export function mayLogInPlainly(rule: PlainAuthRule, remoteAddress: string): boolean {
  if (rule.hasTls) return false;
  if (rule.isAllowed) return true;
  return ipaddr.isValid(remoteAddress) && ipaddr.process(remoteAddress).range() === 'loopback';
}

const rules = new WeakMap<object, PlainAuthRule>();
let done = false;

/**
 * From now on `server` neither offers AUTH nor takes it where a peer may not log in plainly (RFC 4954 sections 4 and 6): smtp-server
 * 3.21.6 refuses it only where it offers STARTTLS, and offers it in the EHLO before even then.
 */
export function guardPlainAuth(server: SMTPServer, rule: PlainAuthRule): void {
  rules.set(server, rule);
  if (done) return;
  done = true;
  const isOpen = (connection: SMTPConnection) => {
    const { _server, remoteAddress } = connection as unknown as { _server: object; remoteAddress?: string };
    const own = rules.get(_server);
    return own === undefined || connection.secure || mayLogInPlainly(own, remoteAddress ?? '');
  };
  const { handler_AUTH: auth, send } = SMTPConnection.prototype;
  SMTPConnection.prototype.handler_AUTH = function secured(this: SMTPConnection, command, callback) {
    if (isOpen(this)) {
      Reflect.apply(auth, this, [command, callback]);
      return;
    }
    this.send(538, '5.7.11 Encryption is required for a login');
    callback();
  };
  SMTPConnection.prototype.send = function offering(this: SMTPConnection, code, data, context) {
    const isOffer = Number(code) === 250 && Array.isArray(data) && !isOpen(this);
    const told = isOffer && Array.isArray(data) ? data.filter((line) => !String(line).startsWith('AUTH ')) : data;
    Reflect.apply(send, this, [code, told, context]);
  };
}

import type { SMTPServerAddress, SMTPServerSession } from 'smtp-server';
import { normalizeAddress, normalizeDomain } from '../core/address.ts';
import type { EnvelopeDsn, RecipientDsn } from '../core/message.ts';
import { normalizeSrs } from '../mail/srs.ts';
import { Reply } from './replies.ts';

const MAIL_PARAMETERS = new Set(['SIZE', 'BODY', 'RET', 'ENVID', 'SMTPUTF8', 'AUTH']);
const RCPT_PARAMETERS = new Set(['NOTIFY', 'ORCPT']);
/** RFC 3461 sections 4.2 and 4.4. */
const LENGTHS: ReadonlyMap<string, number> = new Map([
  ['ENVID', 100],
  ['ORCPT', 500],
]);

/** The sender of MAIL FROM, normalised; '' for the null sender. Throws Reply 553 or 555. */
export function senderOf(address: SMTPServerAddress, session: SMTPServerSession): string {
  checkParameters(address, MAIL_PARAMETERS);
  if (address.address === '') return '';
  return checkedAddress(address.address, session, '5.1.7', 'sender');
}

/** The recipient of RCPT TO, normalised. Throws Reply 553 or 555. */
export function recipientOf(address: SMTPServerAddress, session: SMTPServerSession): string {
  checkParameters(address, RCPT_PARAMETERS);
  return checkedAddress(address.address, session, '5.1.3', 'recipient');
}

/** The size that the client declares (RFC 1870), 0 when it does not. */
export function declaredSize(address: SMTPServerAddress): number {
  const size = address.args === false ? undefined : address.args['SIZE'];
  return typeof size === 'string' && /^\d{1,15}$/.test(size) ? Number(size) : 0;
}

/** What the sender asked for by RFC 3461; smtp-server has checked RET and NOTIFY. */
export function dsnOf(session: SMTPServerSession): EnvelopeDsn {
  const from = session.envelope.mailFrom;
  const recipients = new Map<string, RecipientDsn>();
  for (const address of session.envelope.rcptTo) {
    const notify = parameter(address, 'NOTIFY');
    const orcpt = parameter(address, 'ORCPT');
    if (notify !== null || orcpt !== null) {
      recipients.set(recipientOf(address, session), { notify: notify?.toUpperCase() ?? null, orcpt });
    }
  }
  const ret = from === false ? null : parameter(from, 'RET')?.toUpperCase();
  return {
    ret: ret === 'FULL' || ret === 'HDRS' ? ret : null,
    envid: from === false ? null : parameter(from, 'ENVID'),
    recipients,
  };
}

function parameter(address: SMTPServerAddress, name: string): string | null {
  const value = address.args === false ? undefined : address.args[name];
  return typeof value === 'string' ? value : null;
}

/** RFC 5321 section 4.1.1.11: a parameter that is not known is 555; smtp-server accepts it in silence. */
function checkParameters(address: SMTPServerAddress, known: ReadonlySet<string>): void {
  for (const name of Object.keys(address.args === false ? {} : address.args)) {
    if (!known.has(name)) throw new Reply(555, '5.5.4', 'A parameter of the command is not known here');
    const max = LENGTHS.get(name) ?? Number.POSITIVE_INFINITY;
    if ((parameter(address, name)?.length ?? 0) > max) throw new Reply(501, '5.5.4', `${name} is too long`);
  }
}

function checkedAddress(text: string, session: SMTPServerSession, enhanced: string, what: string): string {
  // Octets that are no UTF-8 came through as U+FFFD: two different addresses would be one.
  const ascii = /^[\x20-\x7e]*$/.test(text);
  if (text.includes('\ufffd') || (!ascii && session.envelope.smtpUtf8 !== true)) {
    throw new Reply(553, '5.6.7', `The ${what} address needs SMTPUTF8`);
  }
  const address = normalizeAddress(text) ?? normalizeSrs(text, normalizeDomain);
  if (address === null) throw new Reply(553, enhanced, `That is no valid ${what} address`);
  return address;
}

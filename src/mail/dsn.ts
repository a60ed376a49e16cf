import { createHash } from 'node:crypto';
import { headerEnd, splitFields } from './fields.ts';
import { cleanText, cleanToken, formatField, mailDate } from './format.ts';

export interface DsnRecipient {
  /** As it was tried. */
  readonly recipient: string;
  /** As the sender's system knows it: an address, or `type;address` (RFC 3464 section 2.3.1). */
  readonly originalRecipient?: string;
  readonly action: 'failed' | 'delayed' | 'delivered' | 'relayed';
  /** Enhanced status (RFC 3463) of what really happened, see `enhancedStatus`. */
  readonly status: string;
  /** The host that answered; null when none did. */
  readonly remoteMta: string | null;
  /** The reply of that host; null when the failure is our own. */
  readonly diagnostic: string | null;
  readonly lastAttempt?: Date;
  /** For `delayed`: until when we go on trying. */
  readonly willRetryUntil?: Date;
}

export interface DsnInput {
  /** The envelope sender of the message. Never empty: a null sender gets no answer (RFC 5321 section 4.5.5). */
  readonly to: string;
  readonly reportingMta: string;
  /** The id part of our own Message-ID. */
  readonly id: string;
  readonly at: Date;
  readonly arrivalDate: Date;
  /** Header block of the message, or the message: its body is left out unless `full`. */
  readonly original: Buffer;
  /** The sender asked for the whole message back, and `original` is that (RFC 3461 section 4.3). */
  readonly full?: boolean;
  /** The ENVID that the sender gave (RFC 3461 section 4.4). */
  readonly envelopeId?: string;
  readonly recipients: readonly DsnRecipient[];
}

const ORIGINAL_MAX = 65_536;

/**
 * A delivery status notification (RFC 3464) as multipart/report (RFC 6522), to be sent with the null sender. It holds the
 * header of the original only, so that a bounce never carries spam or a secret further, unless a sender who is known asked for
 * his own message back. CRLF throughout.
 */
export function buildDsn(input: DsnInput): Buffer {
  if (input.to === '') throw new Error('the null sender is never answered');
  if (input.recipients.length === 0) throw new Error('a status notification is about at least one recipient');
  const host = cleanToken(input.reportingMta);
  const original = input.full === true ? wholeLines(input.original) : originalHeader(input.original);
  const boundary = `=_${createHash('sha256').update(original).update(input.id).digest('hex').slice(0, 40)}`;
  const subject = SUBJECT[worstAction(input.recipients)];
  const top = [
    formatField('From', `Mail Delivery System <MAILER-DAEMON@${host}>`),
    formatField('To', `<${cleanToken(input.to)}>`),
    formatField('Subject', subject),
    formatField('Date', mailDate(input.at)),
    formatField('Message-ID', `<${cleanToken(input.id)}@${host}>`),
    ...references(input.original),
    formatField('Auto-Submitted', 'auto-replied'),
    formatField('MIME-Version', '1.0'),
    `Content-Type: multipart/report; report-type=delivery-status;\r\n boundary="${boundary}"\r\n`,
  ].join('');
  const parts = [
    `Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n${explanation(input)}`,
    `Content-Type: message/delivery-status\r\n\r\n${deliveryStatus(input)}`,
  ];
  const encoding = original.some((byte) => byte >= 0x80) ? 'Content-Transfer-Encoding: 8bit\r\n' : '';
  return Buffer.concat([
    Buffer.from(`${top}\r\n`),
    ...parts.map((part) => Buffer.from(`--${boundary}\r\n${part}\r\n`)),
    Buffer.from(
      `--${boundary}\r\nContent-Type: ${input.full === true ? 'message/rfc822' : 'text/rfc822-headers'}\r\n${encoding}\r\n`,
    ),
    original,
    Buffer.from(`\r\n--${boundary}--\r\n`),
  ]);
}

const SUBJECT: Readonly<Record<DsnRecipient['action'], string>> = {
  failed: 'Undelivered mail returned to sender',
  delayed: 'Delayed mail, still being tried',
  delivered: 'Mail was delivered',
  relayed: 'Mail was handed on',
};
const GRAVITY: readonly DsnRecipient['action'][] = ['failed', 'delayed', 'relayed', 'delivered'];

function worstAction(recipients: readonly DsnRecipient[]): DsnRecipient['action'] {
  return GRAVITY.find((action) => recipients.some((recipient) => recipient.action === action)) ?? 'failed';
}

function deliveryStatus(input: DsnInput): string {
  const message = [
    input.envelopeId === undefined ? '' : formatField('Original-Envelope-Id', plain(input.envelopeId)),
    formatField('Reporting-MTA', `dns; ${cleanToken(input.reportingMta)}`),
    formatField('Arrival-Date', mailDate(input.arrivalDate)),
  ].join('');
  const groups = input.recipients.map((recipient) => {
    const host = recipient.remoteMta ?? '';
    return [
      recipient.originalRecipient === undefined
        ? ''
        : formatField('Original-Recipient', originalValue(recipient.originalRecipient)),
      formatField('Final-Recipient', addressValue(recipient.recipient)),
      formatField('Action', recipient.action),
      formatField('Status', /^[245]\.\d{1,3}\.\d{1,3}$/.test(recipient.status) ? recipient.status : '5.0.0'),
      host === '' ? '' : formatField('Remote-MTA', `dns; ${cleanToken(host)}`),
      recipient.diagnostic === null ? '' : formatField('Diagnostic-Code', diagnosticValue(recipient.diagnostic)),
      recipient.lastAttempt === undefined ? '' : formatField('Last-Attempt-Date', mailDate(recipient.lastAttempt)),
      recipient.willRetryUntil === undefined ? '' : formatField('Will-Retry-Until', mailDate(recipient.willRetryUntil)),
    ].join('');
  });
  return [message, ...groups].join('\r\n');
}

/** `smtp` is for replies only (RFC 3464 section 2.3.6); what the network said is another thing. */
function diagnosticValue(text: string): string {
  return `${/^\s*[2-5]\d\d\b/.test(text) ? 'smtp' : 'x-tollgate'}; ${plain(text)}`;
}

function originalValue(text: string): string {
  const match = /^([a-z0-9-]{1,32});(.+)$/is.exec(text);
  const [, type = 'rfc822', address = text] = match ?? [];
  return type.toLowerCase() === 'rfc822' ? addressValue(address) : `${type}; ${plain(address).slice(0, 320)}`;
}

/** Address type and address; one that is not ASCII in the form of RFC 6533 section 3. */
function addressValue(address: string): string {
  const bounded = address.slice(0, 320);
  if (/^[\x20-\x7e]*$/.test(bounded)) return `rfc822; ${cleanToken(bounded)}`;
  const encoded = [...bounded].map((char) =>
    /^[\x21-\x7e]$/.test(char) && char !== '\\' && char !== '+' && char !== '='
      ? char
      : `\\x{${(char.codePointAt(0) ?? 0xfffd).toString(16).toUpperCase()}}`,
  );
  return `utf-8; ${encoded.join('')}`;
}

/** Text of a remote host: delivery-status fields know no encoded words. */
function plain(text: string): string {
  return cleanText(text)
    .slice(0, 1000)
    .replace(/[^\x20-\x7e]|=\?/g, '?');
}

function explanation(input: DsnInput): string {
  const lines = [`This is the mail system at ${cleanToken(input.reportingMta)}.`, ''];
  for (const recipient of input.recipients) {
    lines.push(`<${cleanText(recipient.recipient).slice(0, 320)}>: ${SENTENCE[recipient.action]}`);
    const host = recipient.remoteMta ?? '';
    if (host !== '') lines.push(`    host ${cleanToken(host)}`);
    // What no server said are our own words.
    if (recipient.diagnostic !== null)
      lines.push(`    ${host === '' ? 'reason' : 'said'}: ${cleanText(recipient.diagnostic).slice(0, 800)}`);
    if (recipient.willRetryUntil !== undefined) {
      lines.push(`    It will be tried until ${mailDate(recipient.willRetryUntil)}. You need not send it again.`);
    }
  }
  return `${lines.join('\r\n')}\r\n`;
}

const SENTENCE: Readonly<Record<DsnRecipient['action'], string>> = {
  failed: 'could not be delivered. No further attempt will be made.',
  delayed: 'could not be delivered yet.',
  delivered: 'was delivered.',
  relayed: 'was handed on to a system that does not report delivery.',
};

/** In-Reply-To and References, when the original has a Message-ID that is one. */
function references(original: Buffer): string[] {
  const field = splitFields(original.subarray(0, headerEnd(original).header)).find((row) => row.name === 'message-id');
  const id = /<[\x21-\x3b\x3d\x3f-\x7e]{1,500}>/.exec(field?.raw.toString('latin1') ?? '')?.[0];
  return id === undefined ? [] : [`In-Reply-To: ${id}\r\n`, `References: ${id}\r\n`];
}

/** The original header with CRLF ends, cut between fields so that it stays below 64 KiB. */
function originalHeader(original: Buffer): Buffer {
  const kept: Buffer[] = [];
  let bytes = 0;
  for (const field of splitFields(original.subarray(0, headerEnd(original).header))) {
    bytes += field.raw.length;
    if (bytes > ORIGINAL_MAX) break;
    if (field.name !== '') kept.push(field.raw);
  }
  const text = Buffer.concat(kept)
    .toString('latin1')
    .replace(/\r?\n|\r/g, '\r\n');
  return Buffer.from(text === '' || text.endsWith('\r\n') ? text : `${text}\r\n`, 'latin1');
}

function wholeLines(original: Buffer): Buffer {
  return original.subarray(-2).equals(Buffer.from('\r\n')) ? original : Buffer.concat([original, Buffer.from('\r\n')]);
}

/**
 * The enhanced status of a try that is no success and no refusal: of the reply, or what the network's words come to (RFC 3463
 * section 3.5): X.4.1 no answer, X.4.2 the connection broke, X.4.4 no way there.
 */
export function delayStatus(reply: string | null): string {
  if (reply === null) return '4.0.0';
  if (/^\s*\d{3}\b/.test(reply)) {
    const status = enhancedStatus(reply);
    return status.startsWith('4') ? status : '4.0.0';
  }
  if (/has no address/.test(reply)) return '4.4.4';
  return /closed|reset|hang up|EPIPE/i.test(reply) ? '4.4.2' : '4.4.1';
}

/**
 * The enhanced status (RFC 3463) that a reply carries, when it fits the reply's class; else one that says no more than is
 * known: X.0.0 for the class of the reply code.
 */
export function enhancedStatus(reply: string): string {
  const match = /^\s*([245])\d\d(?:[ -]+([245])\.(\d{1,3})\.(\d{1,3})(?!\d))?/.exec(reply);
  if (match === null) return '4.0.0';
  const [, kind, first, second, third] = match;
  return first === kind && second !== undefined ? `${first}.${second}.${third}` : `${kind}.0.0`;
}

import { fieldValue, splitFields } from './fields.ts';
import { cleanToken, formatField, mailDate } from './format.ts';

/** How many times the message was handed on already, and how often by a host of our name (RFC 5321 section 6.3). */
export function countHops(header: Buffer, hostName: string): { hops: number; own: number } {
  let hops = 0;
  let own = 0;
  const name = hostName.toLowerCase();
  for (const field of splitFields(header)) {
    if (field.name !== 'received') continue;
    hops += 1;
    if (name !== '' && receivedBy(fieldValue(field)) === name) own += 1;
  }
  return { hops, own };
}

/** The host that wrote a Received field: its `by` clause, outside of comments. */
function receivedBy(value: string): string {
  const match = /(?:^|\s)by\s+([^\s;()]+)/i.exec(withoutComments(value.slice(0, 2000)));
  return (match?.[1] ?? '').toLowerCase().replace(/\.$/, '');
}

/** Removes parenthesised comments, nested ones too (RFC 5322 section 3.2.2). Linear. */
export function withoutComments(text: string): string {
  let depth = 0;
  let quoted = false;
  let result = '';
  for (let at = 0; at < text.length; at += 1) {
    const char = text[at];
    if (char === '\\') {
      if (depth === 0) result += text.slice(at, at + 2);
      at += 1;
    } else if (char === '"' && depth === 0) {
      quoted = !quoted;
      result += char;
    } else if (!quoted && char === '(') {
      depth += 1;
    } else if (!quoted && char === ')' && depth > 0) {
      depth -= 1;
      if (depth === 0) result += ' ';
    } else if (depth === 0) {
      result += char;
    }
  }
  return result;
}

export interface ReceivedFacts {
  readonly helo: string;
  readonly remoteAddress: string;
  /** Confirmed reverse name; null when there is none. */
  readonly remoteName: string | null;
  /** Our host name. */
  readonly by: string;
  /** RFC 3848: ESMTP, ESMTPS (TLS), ESMTPA (authenticated), ESMTPSA (both). */
  readonly protocol: 'SMTP' | 'ESMTP' | 'ESMTPS' | 'ESMTPA' | 'ESMTPSA' | 'HTTP';
  readonly id: string;
  /** Only when there is one recipient: the others are none of his business. */
  readonly recipient: string | null;
  readonly at: Date;
}

/** A Received field (RFC 5321 section 4.4), folded and with its line end. Nothing in it can start another field. */
export function receivedField(facts: ReceivedFacts): string {
  const address = cleanToken(facts.remoteAddress);
  const literal = address.includes(':') ? `IPv6:${address}` : address;
  const name = facts.remoteName === null ? '' : `${cleanToken(facts.remoteName)} `;
  const recipient = facts.recipient === null ? '' : ` for <${cleanToken(facts.recipient)}>`;
  return formatField(
    'Received',
    `from ${cleanToken(facts.helo) || 'unknown'} (${name}[${literal}]) by ${cleanToken(facts.by)} with ${facts.protocol} id ${cleanToken(facts.id)}${recipient}; ${mailDate(facts.at)}`,
  );
}

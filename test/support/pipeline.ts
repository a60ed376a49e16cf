import { DEFAULT_POLICY } from '../../src/accounts/policy.ts';
import type { Envelope, ListEntry, MessageFacts, RecipientContext } from '../../src/core/message.ts';
import type { AuthenticationResult, Inspection, ParsedAttachment, ParsedMail } from '../../src/mail/types.ts';
import type { Inspected, RecipientInput } from '../../src/pipeline/stage.ts';

export const RECEIVED_AT = new Date('2026-11-24T09:00:00Z');

export function envelope(over: Partial<Envelope> = {}): Envelope {
  return {
    sender: 'anna@partner.example',
    remoteAddress: '192.0.2.10',
    remoteName: null,
    helo: 'mail.partner.example',
    tls: true,
    direction: 'inbound',
    authenticatedAs: null,
    receivedAt: RECEIVED_AT,
    ...over,
  };
}

export function recipient(over: Partial<RecipientContext> = {}): RecipientContext {
  return {
    recipient: 'bob@client.example',
    domain: 'client.example',
    partnerId: 'p1',
    clientId: 'c1',
    mailboxId: 'm1',
    policy: DEFAULT_POLICY,
    lists: [],
    ownDomains: ['client.example'],
    ...over,
  };
}

export function listEntry(scope: ListEntry['scope'], kind: ListEntry['kind'], pattern: string): ListEntry {
  return { id: `${scope}-${kind}-${pattern}`, scope, kind, pattern };
}

/** An authentication in which everything speaks for the From domain. */
export function passing(domain = 'partner.example'): AuthenticationResult {
  return {
    available: true,
    spf: { result: 'pass', domain, aligned: true },
    dkim: [{ result: 'pass', domain, aligned: true }],
    dmarc: { result: 'pass', policy: 'reject', domain },
    arc: { result: 'none' },
    header: 'mx.gate.example; dmarc=pass',
  };
}

/** Nothing published, nothing signed. */
export function unsigned(over: Partial<AuthenticationResult> = {}): AuthenticationResult {
  return {
    available: true,
    spf: { result: 'none', domain: 'partner.example', aligned: true },
    dkim: [],
    dmarc: { result: 'none', policy: '', domain: 'partner.example' },
    arc: { result: 'none' },
    header: 'mx.gate.example; dmarc=none',
    ...over,
  };
}

const NO_FACTS: MessageFacts = { messageId: '', fromAddress: '', fromName: '', subject: '', attachments: [] };

export function inspected(over: Partial<Inspected> = {}): Inspected {
  return {
    facts: NO_FACTS,
    from: [{ address: 'anna@partner.example', name: 'Anna' }],
    to: ['bob@client.example'],
    subject: 'Minutes',
    isList: false,
    findings: [],
    active: [],
    eicar: [],
    disguised: [],
    votes: [],
    learnable: { features: new Uint32Array(0), margin: 0 },
    inReplyTo: [],
    linkHosts: [],
    traits: [],
    ...over,
  };
}

export function recipientInput(over: Partial<RecipientInput> = {}): RecipientInput {
  return { inspected: inspected(), authentication: passing(), envelope: envelope(), recipient: recipient(), ...over };
}

export const NOTHING: Inspection = {
  entries: [],
  executable: false,
  macro: false,
  encrypted: false,
  suspicious: [],
  active: [],
  eicar: false,
  htmlSmuggling: false,
};

export function attachment(
  name: string,
  inspection: Partial<Inspection> = {},
  over: Partial<ParsedAttachment> = {},
): ParsedAttachment {
  return {
    name,
    rawName: name,
    contentType: 'application/octet-stream',
    sniffedType: null,
    bytes: 100,
    sha256: '0'.repeat(64),
    inspection: { ...NOTHING, ...inspection },
    ...over,
  };
}

export function parsedMail(over: Partial<ParsedMail> = {}): ParsedMail {
  return {
    headers: [
      { name: 'from', value: 'Anna <anna@partner.example>' },
      { name: 'to', value: 'bob@client.example' },
    ],
    from: [{ address: 'anna@partner.example', name: 'Anna' }],
    replyTo: [],
    to: [{ address: 'bob@client.example', name: '' }],
    cc: [],
    subject: 'Minutes',
    messageId: '<1@partner.example>',
    date: RECEIVED_AT,
    text: 'Please find the minutes of our meeting below.',
    html: '',
    htmlText: '',
    hiddenText: '',
    links: [],
    images: [],
    hasForm: false,
    attachments: [],
    body: NOTHING,
    anomalies: [],
    ...over,
  };
}

import type { Decision, Direction } from './verdict.ts';

/** The SMTP envelope and what is known of the connection (RFC 5321 section 2.3.1). */
export interface Envelope {
  /** Normalised; empty for the null sender `<>`. */
  readonly sender: string;
  readonly remoteAddress: string;
  /** Name from reverse DNS, when it was looked up and confirmed. */
  readonly remoteName: string | null;
  readonly helo: string;
  readonly tls: boolean;
  readonly direction: Direction;
  /** The mailbox or client that authenticated at submission. */
  readonly authenticatedAs: string | null;
  readonly receivedAt: Date;
  /** The sender declared SMTPUTF8 (RFC 6531). */
  readonly smtpUtf8?: boolean;
  /** What the sender asked for by RFC 3461; absent: nothing. */
  readonly dsn?: EnvelopeDsn;
  /** What is known of the network that it came from; absent for submitted mail and where nothing is known. */
  readonly connection?: ConnectionFacts;
}

/** Wishes of a sender about delivery status notifications (RFC 3461 section 4). */
export interface EnvelopeDsn {
  /** How much of the message a failure shall bring back. */
  readonly ret: 'FULL' | 'HDRS' | null;
  readonly envid: string | null;
  /** By recipient, as far as it was said. */
  readonly recipients: ReadonlyMap<string, RecipientDsn>;
}

export interface RecipientDsn {
  /** `NEVER`, or a list of `SUCCESS`, `FAILURE`, `DELAY` with commas. */
  readonly notify: string | null;
  /** `type;address`, decoded. */
  readonly orcpt: string | null;
}

/** What the gateway knows of a connection beyond the envelope. */
export interface ConnectionFacts {
  /** From -1 (only unwanted mail came from the network) to 1 (only wanted mail); 0: unknown or even. */
  readonly reputation: number;
  /** DNS lists that name the address: points of block lists above 0, of allow lists below. */
  readonly dnsLists: readonly { readonly zone: string; readonly points: number }[];
}

export const FILTER_CLASSES = [
  'executable',
  'macro',
  'encrypted_archive',
  'suspicious_archive',
  'html_smuggling',
] as const;
export type FilterClass = (typeof FILTER_CLASSES)[number];

/**
 * What a client wants done, all values filled in: accounts/policy.ts merges master, partner and client settings. `hold` is for
 * outbound mail only.
 */
export interface Policy {
  /** From this score on mail is spam. */
  readonly spamScore: number;
  readonly spamAction: 'tag' | 'hold' | 'quarantine' | 'reject' | 'deliver';
  readonly phishAction: 'hold' | 'quarantine' | 'reject';
  readonly spoofAction: 'tag' | 'quarantine' | 'reject';
  readonly malwareAction: 'hold' | 'quarantine' | 'reject' | 'discard';
  readonly unscannableAction: 'quarantine' | 'reject';
  readonly bulkAction: 'deliver' | 'tag' | 'quarantine';
  readonly attachments: Readonly<Record<FilterClass, 'allow' | 'quarantine' | 'reject' | 'strip'>>;
  /** First mail of an unknown sender is deferred for some minutes (gateway/greylist.ts). */
  readonly greylist: boolean;
  /** A stranger who shows the name of one of the client's users: points only, `spoof`, or nothing. */
  readonly ownerNameAction: 'points' | 'spoof' | 'off';
}

/** One allow or block list entry. It names an address or a domain; the narrowest scope wins (accounts/lists.ts). */
export interface ListEntry {
  readonly id: string;
  readonly scope: 'mailbox' | 'client' | 'partner' | 'master';
  readonly kind: 'allow' | 'block';
  /**
   * `user@example.org`, `example.org`, or `.example.org` for its subdomains too. Of the scopes partner and master also a
   * network, `192.0.2.0/24`: it holds for connections and not for senders.
   */
  readonly pattern: string;
}

/** Everything that the pipeline may know of one recipient. Other recipients, and other tenants, are not visible here. */
export interface RecipientContext {
  readonly recipient: string;
  readonly domain: string;
  readonly partnerId: string;
  readonly clientId: string;
  readonly mailboxId: string | null;
  readonly policy: Policy;
  readonly lists: readonly ListEntry[];
  /** All domains of the client, for the spoof check. */
  readonly ownDomains: readonly string[];
  /** Names of the client's users and contacts, bounded; the same array while the directory stays as it is. */
  readonly ownNames?: readonly OwnName[];
  /** The partner allows the sending network: nothing is said of it. */
  readonly networkAllowed?: boolean;
  /** The client's own model; the same object while it stays as it is. */
  readonly learned?: StoredModel;
}

/** A client's own model as it is stored; layout in pipeline/learned.ts. */
export interface StoredModel {
  readonly version: number;
  readonly bytes: Buffer;
}

export interface OwnName {
  readonly name: string;
  readonly address: string;
  /** False: a contact, whose name is known to belong to this foreign address. */
  readonly own: boolean;
}

export interface PipelineInput {
  /** Where the message is once it is stored; line ends are already CRLF. */
  readonly path: string;
  /** The message, when it is held in memory; else it is read at `path`. */
  readonly message?: Uint8Array | null;
  /** Resolves when `path` can be read; absent: it can. */
  readonly stored?: Promise<void>;
  readonly bytes: number;
  readonly envelope: Envelope;
  readonly recipients: readonly RecipientContext[];
}

/** What a person sees of a message in lists, taken from its headers, bounded and printable. */
export interface MessageFacts {
  readonly messageId: string;
  /** Address of the first From mailbox, normalised; empty when there is none. */
  readonly fromAddress: string;
  readonly fromName: string;
  readonly subject: string;
  readonly attachments: readonly { readonly name: string; readonly type: string; readonly bytes: number }[];
}

export interface PipelineResult {
  /** One per recipient, in the order of the input. */
  readonly decisions: readonly Decision[];
  readonly facts: MessageFacts;
  /** Value of the Authentication-Results header to be added (RFC 8601); null when authentication did not run. */
  readonly authenticationResults: string | null;
  /** Why the sender shall come back (451) instead of being answered by the decisions; absent: they hold. */
  readonly deferred?: string;
}

/** The port that the gateway calls. A failure inside is the verdict `unscannable`, never an exception and never clean. */
export interface Pipeline {
  run(input: PipelineInput, signal: AbortSignal): Promise<PipelineResult>;
  close(): Promise<void>;
}

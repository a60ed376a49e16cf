import type { HistoryFacts } from '../core/filter.ts';
import type { Envelope, FilterClass, MessageFacts, RecipientContext, ThreatTrait } from '../core/message.ts';
import type { Vote } from '../core/verdict.ts';
import type { AuthenticationResult, MailAddress, ParsedMail } from '../mail/types.ts';
import type { Learnable } from './learned.ts';

/** What a stage in the worker thread sees: the whole message, no recipient, no look-up. */
export interface MessageInput {
  readonly mail: ParsedMail;
  readonly envelope: Envelope;
}

/** Signs that honest documents have too: points, no class. */
export type ActiveCode = 'attachment.pdf_javascript' | 'attachment.pdf_embedded_file' | 'attachment.pdf_launch';

/** What the worker thread hands back: small, whatever the size of the message. */
export interface Inspected {
  readonly facts: MessageFacts;
  readonly from: readonly MailAddress[];
  readonly to: readonly string[];
  readonly subject: string;
  /** The message names a mailing list (RFC 2919). */
  readonly isList: boolean;
  readonly findings: readonly Finding[];
  /** What attached documents do by themselves, once each: `code` is a symbol of the attachments stage. */
  readonly active: readonly { readonly code: ActiveCode; readonly name: string }[];
  /** Names of attachments that are malware without doubt. */
  readonly eicar: readonly string[];
  readonly disguised: readonly string[];
  readonly votes: readonly Vote[];
  readonly learnable: Learnable;
  /** Message-IDs that In-Reply-To names, with their brackets, at most 5. */
  readonly inReplyTo: readonly string[];
  /** Hosts of links, each once, at most 200. */
  readonly linkHosts: readonly string[];
  /** What it may share with other messages of a campaign, at most 16. */
  readonly traits: readonly ThreatTrait[];
}

/** An attachment that falls into a class for which a client can choose what happens. */
export interface Finding {
  readonly class: FilterClass;
  readonly name: string;
  readonly detail: string;
}

/** What a stage in the main thread sees, once per recipient. */
export interface RecipientInput {
  readonly inspected: Inspected;
  /** Null: did not run (submitted mail, or it failed as a whole). */
  readonly authentication: AuthenticationResult | null;
  readonly envelope: Envelope;
  readonly recipient: RecipientContext;
  /** What the recipient's client knows of the correspondent; absent: nothing was or could be looked up. */
  readonly history?: HistoryFacts;
  /** Hosts of the message's links that are on the operator's list. */
  readonly listedHosts?: readonly string[];
}

export type MessageStage = (input: MessageInput) => Vote;
export type RecipientStage = (input: RecipientInput) => Vote;

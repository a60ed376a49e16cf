/** A message made safe to look at. Everything in it is bounded. */
export interface MailPreview {
  /** All fields in order, at most 500. */
  readonly headers: readonly PreviewHeader[];
  readonly attachments: readonly PreviewAttachment[];
  readonly kind: 'html' | 'text' | 'none';
  /** Sanitised HTML of the body, whichever kind it is; empty for `none`. */
  readonly html: string;
  /** The body as plain text. */
  readonly text: string;
  /** A whole HTML document for `<iframe sandbox srcdoc>`. */
  readonly document: string;
  /** Pictures that would have been fetched from elsewhere; all were taken out. */
  readonly remoteImages: number;
  /** Something was left out because it is too long. */
  readonly truncated: boolean;
  /** Why the message, or part of it, cannot be shown; null when it can. */
  readonly problem: string | null;
}

export interface PreviewHeader {
  /** As it stands in the message. */
  readonly name: string;
  /** Unfolded and decoded. */
  readonly value: string;
  /** As it stands in the message, folds included. */
  readonly raw: string;
}

export interface PreviewAttachment {
  readonly name: string;
  /** By content where it is known. */
  readonly type: string;
  readonly bytes: number;
  readonly sha256: string;
  /** What was found in it, in words; empty when nothing. */
  readonly findings: readonly string[];
}

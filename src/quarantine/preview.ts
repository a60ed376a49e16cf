import type { ContentStore } from '../core/content.ts';
import type { Logger } from '../core/log.ts';
import type { MailPreview } from '../mail/preview.ts';

export interface PreviewDeps {
  readonly store: ContentStore;
  readonly logger: Logger;
}

/** Shows stored messages without letting them out. */
export interface Previewer {
  /**
   * Never rejects for what is in a message: what cannot be shown is said in `problem`, in words. Throws `not_found` when the
   * body is no longer stored, `unavailable` when the reader is overrun.
   */
  preview(contentId: string): Promise<MailPreview>;
  close(): Promise<void>;
}

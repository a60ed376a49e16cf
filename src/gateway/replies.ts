import { printable } from '../core/address.ts';
import { smtpReply } from '../core/errors.ts';
import { MailFormatError } from '../mail/lines.ts';

/** A refusal as the client shall see it: smtp-server reads `responseCode` and `message`. */
export class Reply extends Error {
  override readonly name = 'Reply';
  readonly responseCode: number;

  /** `enhanced` is the status of RFC 3463. */
  constructor(code: number, enhanced: string, text: string) {
    super(`${enhanced} ${printable(text, 400)}`);
    this.responseCode = code;
  }
}

/**
 * The reply for anything thrown: refusals and faults of form as they are, everything else is a failure of ours and so
 * temporary. A plain Error would be 550 at RCPT in smtp-server.
 */
export function replyFor(error: unknown): Reply {
  if (error instanceof Reply) return error;
  if (error instanceof MailFormatError) return new Reply(error.smtp.code, error.smtp.enhanced, error.smtp.text);
  const code = (error as { code?: unknown } | null)?.code;
  if (code === 'ENOSPC' || code === 'EDQUOT') return new Reply(452, '4.3.1', 'Insufficient system storage');
  const { code: status, enhanced, text } = smtpReply(error);
  return new Reply(status, enhanced, text);
}

import { createReadStream } from 'node:fs';
import type { ArrivingContent } from '../core/content.ts';
import type { Envelope } from '../core/message.ts';
import { authenticate } from '../mail/authentication.ts';
import type { Resolver } from '../mail/resolver.ts';
import { Reply } from './replies.ts';
import type { Spool } from './spool.ts';

/** Whose address for reports it is. */
export interface ReportBox {
  readonly partnerId: string;
  readonly clientId: string;
  readonly domain: string;
}

/** What the gateway is handed of the addresses that take reports (src/aggregates). */
export interface ReportIntake {
  /** All of its addresses are in this domain. */
  readonly domain: string;
  find(recipient: string): Promise<ReportBox | 'full' | null>;
  /** Resolves when the mail is in the database. */
  store(
    mail: ReportBox & {
      readonly contentId: string;
      readonly bytes: number;
      readonly sender: string;
      readonly remoteAddress: string;
      readonly authenticatedDomain: string | null;
    },
  ): Promise<void>;
}

export interface ReportPort {
  readonly intake: ReportIntake;
  readonly resolver: Resolver;
}

/**
 * Takes a mail to an address for reports, whatever is in it: nobody reads it, so no filter does either, and it is opened later.
 * Who vouches for it can be asked only now. Answers the text after 250. Throws Reply 451
 * when a look-up failed.
 */
export async function storeReport(
  deps: ReportPort & { readonly spool: Spool; readonly hostName: string },
  box: ReportBox,
  content: ArrivingContent,
  envelope: Envelope,
  signal: AbortSignal,
): Promise<string> {
  const { sender, remoteAddress, helo } = envelope;
  const found = await authenticate(
    content.message === null ? createReadStream(deps.spool.placeOf(content.id)) : Buffer.from(content.message),
    { ip: remoteAddress, helo, sender, mta: deps.hostName },
    deps.resolver,
  );
  // As a reply, after which the body goes: a sender whose names are never answered would fill the disk of all.
  if (!found.available) throw new Reply(451, '4.4.3', 'The name servers do not say who sent this, try again later');
  const { spf, dkim, dmarc } = found;
  const isAuthenticated =
    (spf.result === 'pass' && spf.aligned) || dkim.some((one) => one.result === 'pass' && one.aligned);
  // Rule 1: no row before its body is safe.
  await content.stored;
  signal.throwIfAborted();
  await deps.intake.store({
    ...box,
    contentId: content.id,
    bytes: content.bytes,
    sender,
    remoteAddress,
    authenticatedDomain: isAuthenticated && dmarc.domain !== '' ? dmarc.domain : null,
  });
  return `2.0.0 Accepted as ${content.id}`;
}

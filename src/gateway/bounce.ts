import { Readable } from 'node:stream';
import { resolvePolicy } from '../accounts/policy.ts';
import { domainOf } from '../core/address.ts';
import type { Envelope } from '../core/message.ts';
import { buildDsn, enhancedStatus } from '../mail/dsn.ts';
import { type AcceptedMessage, acceptanceOf } from './acceptance.ts';
import type { Outcome } from './queue.ts';
import type { Spool } from './spool.ts';

const ORIGINAL_MAX = 65_536;

/**
 * The notification for outbound mail that ended without delivery, stored and ready to be committed with the outcome; null
 * where none may be sent: to the null sender, for inbound mail (its sender may be forged: backscatter) and for our own
 * notifications. It is one outbound message of the client with one delivery, and counts as that.
 */
export async function bounceFor(
  spool: Spool,
  hostName: string,
  outcome: Outcome,
  now: Date,
): Promise<AcceptedMessage | null> {
  const { job, end, reply } = outcome;
  const isEnded = end === 'bounced' || end === 'expired';
  if (!isEnded || job.direction !== 'outbound' || job.sender === '' || job.kind === 'dsn') return null;
  const dsn = buildDsn({
    to: job.sender,
    reportingMta: hostName,
    id: job.deliveryId,
    at: now,
    arrivalDate: job.receivedAt,
    original: await firstBytes(spool, job.contentId),
    recipients: [
      {
        recipient: job.recipient,
        action: 'failed',
        status: end === 'expired' ? '4.4.7' : enhancedStatus(reply),
        remoteMta: null,
        diagnostic: reply,
        lastAttempt: now,
      },
    ],
  });
  const content = await spool.write(Readable.from([dsn]));
  const envelope: Envelope = {
    sender: '',
    remoteAddress: '127.0.0.1',
    remoteName: null,
    helo: hostName,
    tls: false,
    direction: 'outbound',
    authenticatedAs: null,
    receivedAt: now,
  };
  const { partnerId, clientId } = job;
  const domain = domainOf(job.sender);
  const context = {
    recipient: job.sender,
    domain,
    partnerId,
    clientId,
    mailboxId: null,
    policy: resolvePolicy({}),
    lists: [],
    ownDomains: [domain],
  };
  const facts = {
    messageId: `<${job.deliveryId}@${hostName}>`,
    fromAddress: `mailer-daemon@${hostName}`,
    fromName: 'Mail Delivery System',
    subject: 'Undelivered mail returned to sender',
    attachments: [],
  };
  const decisions = [{ verdict: 'clean' as const, action: 'deliver' as const, score: 0, reasons: [] }];
  const made = acceptanceOf(content, envelope, [context], { decisions, facts, authenticationResults: null }, 'dsn');
  return made.messages[0] ?? null;
}

/** The header of the original; a body that is gone must not hold the notification back. */
async function firstBytes(spool: Spool, contentId: string): Promise<Buffer> {
  try {
    const chunks: Buffer[] = [];
    let bytes = 0;
    for await (const chunk of (await spool.open(contentId)) as AsyncIterable<Buffer>) {
      chunks.push(chunk);
      bytes += chunk.length;
      if (bytes >= ORIGINAL_MAX) break;
    }
    return Buffer.concat(chunks);
  } catch {
    return Buffer.from('\r\n');
  }
}

import { Readable } from 'node:stream';
import { resolvePolicy } from '../accounts/policy.ts';
import { domainOf } from '../core/address.ts';
import type { Envelope } from '../core/message.ts';
import { buildDsn, enhancedStatus } from '../mail/dsn.ts';
import { type SrsSettings, srsClient, srsOriginal } from '../mail/srs.ts';
import { type AcceptedMessage, acceptanceOf } from './acceptance.ts';
import type { Job, Outcome } from './queue.ts';
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
  srs: SrsSettings | null = null,
): Promise<AcceptedMessage | null> {
  const { job, end, reply } = outcome;
  const isEnded = end === 'bounced' || end === 'expired';
  const target = isEnded ? targetOf(job, srs, now) : null;
  if (target === null) return null;
  const dsn = buildDsn({
    to: target.to,
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
  const domain = target.kind === 'dsn' ? domainOf(target.to) : job.ownDomain;
  const context = {
    recipient: target.to,
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
  const made = acceptanceOf(
    content,
    envelope,
    [context],
    { decisions, facts, authenticationResults: null },
    target.kind,
  );
  return made.messages[0] ?? null;
}

/**
 * Who is told: the client's own sender, at the client's servers; of a forwarded copy its first sender, out in the world and
 * only when SPF had proved that sender (else it may be forged: backscatter).
 */
function targetOf(job: Job, srs: SrsSettings | null, now: Date): { to: string; kind: 'dsn' | 'return' } | null {
  if (job.direction !== 'outbound' || job.sender === '' || job.kind === 'dsn' || job.kind === 'return') return null;
  if (job.kind !== 'forward') return { to: job.sender, kind: 'dsn' };
  if (!/;\s*spf=pass smtp\.mailfrom=/.test(job.authenticationResults ?? '')) return null;
  if (srs === null || srsClient(job.sender, srs) === null) return { to: job.sender, kind: 'dsn' };
  const original = srsOriginal(job.sender, job.clientId, srs, now);
  return typeof original === 'string' ? null : { to: original.sender, kind: 'return' };
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

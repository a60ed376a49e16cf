import { enhancedStatus } from '../mail/dsn.ts';
import { type SrsSettings, srsClient, srsOriginal } from '../mail/srs.ts';
import type { AcceptedMessage } from './acceptance.ts';
import { isTold, noticeFor } from './notice.ts';
import type { Outcome } from './queue.ts';
import type { Spool } from './spool.ts';

/**
 * The notification of how a delivery ended, stored and ready to be committed with the outcome; null where none is to be sent
 * (see isTold). Success is told when the sender asked for it and the next server does not take that over: then mail was
 * `relayed` to where nothing more is known (RFC 3461 section 5.2.1).
 */
export async function bounceFor(
  spool: Spool,
  hostName: string,
  outcome: Outcome,
  now: Date,
  srs: SrsSettings | null = null,
): Promise<AcceptedMessage | null> {
  const { job, end, reply } = outcome;
  const host = outcome.host ?? null;
  if (job.kind === 'forward') return forwardNotice(spool, hostName, outcome, now, srs);
  if (end === 'delivered') {
    if (!isTold(job, 'SUCCESS') || outcome.dsnTakenOver === true) return null;
    const what = { action: 'relayed' as const, status: enhancedStatus(`250 ${reply.replace(/^\s*250[ -]/, '')}`) };
    return noticeFor(spool, hostName, job, { ...what, remoteMta: host, diagnostic: reply }, now);
  }
  if (end === 'deferred' || !isTold(job, 'FAILURE')) return null;
  const status = end === 'expired' ? '4.4.7' : enhancedStatus(reply);
  return noticeFor(spool, hostName, job, { action: 'failed', status, remoteMta: host, diagnostic: reply }, now);
}

/**
 * Of a forwarded copy that ended without delivery its first sender is told, and only when SPF had proved that sender (else it
 * may be forged: backscatter): out in the world, or at the client's servers when it is one of the client's own.
 */
async function forwardNotice(
  spool: Spool,
  hostName: string,
  { job, end, reply, host }: Outcome,
  now: Date,
  srs: SrsSettings | null,
): Promise<AcceptedMessage | null> {
  if ((end !== 'bounced' && end !== 'expired') || job.sender === '') return null;
  if (!/;\s*spf=pass smtp\.mailfrom=/.test(job.authenticationResults ?? '')) return null;
  const isRewritten = srs !== null && srsClient(job.sender, srs) !== null;
  const original = isRewritten ? srsOriginal(job.sender, job.clientId, srs, now) : { sender: job.sender };
  if (typeof original === 'string') return null;
  const status = end === 'expired' ? '4.4.7' : enhancedStatus(reply);
  return noticeFor(
    spool,
    hostName,
    { ...job, sender: original.sender },
    { action: 'failed', status, remoteMta: host ?? null, diagnostic: reply },
    now,
    isRewritten ? { kind: 'return', domain: job.ownDomain } : undefined,
  );
}

import { enhancedStatus } from '../mail/dsn.ts';
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
): Promise<AcceptedMessage | null> {
  const { job, end, reply } = outcome;
  const host = outcome.host ?? null;
  if (end === 'delivered') {
    if (!isTold(job, 'SUCCESS') || outcome.dsnTakenOver === true) return null;
    const what = { action: 'relayed' as const, status: enhancedStatus(`250 ${reply.replace(/^\s*250[ -]/, '')}`) };
    return noticeFor(spool, hostName, job, { ...what, remoteMta: host, diagnostic: reply }, now);
  }
  if (end === 'deferred' || !isTold(job, 'FAILURE')) return null;
  const status = end === 'expired' ? '4.4.7' : enhancedStatus(reply);
  return noticeFor(spool, hostName, job, { action: 'failed', status, remoteMta: host, diagnostic: reply }, now);
}

import type { Disposition } from '../core/verdict.ts';
import type { Parked, Trouble } from './backoff.ts';
import type { Job, Outcome } from './queue.ts';
import type { RelayReply, RelayResult } from './relay.ts';
import { expiryOf, isExpired, parkedDelay, retryDelay, waitDelay } from './retry.ts';
import { isToClient, noServer, type Way } from './routes.ts';

const DELIVERED: Readonly<Record<Job['transform'], Disposition>> = {
  none: 'delivered',
  tag: 'tagged',
  strip: 'stripped',
};

/** What a reply means (RFC 5321 section 4.2.1): 2yz delivered, 5yz bounced, everything else another try until it is too old. */
export function outcomeOf(job: Job, result: RelayResult, now: Date, waitsFor: string | undefined): Outcome {
  const reply: RelayReply = result.replies.get(job.recipient) ?? { code: 0, text: 'the server said nothing' };
  const text = reply.text.slice(0, 1000);
  if (reply.code >= 200 && reply.code < 300) {
    const disposition = job.kind === 'release' ? 'released' : DELIVERED[job.transform];
    return { job, end: 'delivered', disposition, reply: text, dueAt: null };
  }
  if (reply.code >= 500) return { job, end: 'bounced', disposition: 'bounced', reply: text, dueAt: null };
  const isDown = reply.code === 0;
  // Mail for a client's server that is down is held; somebody else's server has the five days that everybody gives.
  const isHeld = isDown && isToClient(job);
  if (isExpired(job, now, isHeld)) return { job, end: 'expired', disposition: 'expired', reply: text, dueAt: null };
  if (waitsFor !== undefined) return { ...waitFor(job, waitsFor, isHeld, now), reply: text };
  const isAsked = !isDown || result.failure !== null;
  const dueAt = new Date(now.getTime() + (isAsked ? retryDelay(job.attempts) : waitDelay(job.attempts)));
  return { job, end: 'deferred', disposition: 'deferred', reply: text, dueAt };
}

const PARKED_TEXT: Readonly<Record<Trouble, string>> = {
  no_answer: '451 4.4.1 The server did not answer when it was tried last',
  closing: '451 4.3.2 The server was not available when it was tried last',
  too_many: '451 4.4.5 The server wants fewer connections',
  refusing: '451 4.4.5 The server refused for now whatever it was sent last',
};

/** A row whose destination is parked waits without a try, and ages. */
export function putOff(job: Job, { destination, reason }: Parked, regions: Way['regions'], now: Date): Outcome {
  const reply = regions === null || !isToClient(job) ? PARKED_TEXT[reason] : noServer(regions);
  const isHeld = reason === 'no_answer' && isToClient(job);
  if (isExpired(job, now, isHeld)) return { job, end: 'expired', disposition: 'expired', reply, dueAt: null };
  return { ...waitFor(job, destination, isHeld, now), reply, untried: true };
}

/** Until the destination's return makes it due, or it is given up, or for an hour or two. */
function waitFor(job: Job, waitsFor: string, isHeld: boolean, now: Date): Omit<Outcome, 'reply'> {
  const at = Math.min(now.getTime() + parkedDelay(job.deliveryId), expiryOf(job, isHeld).getTime());
  return { job, end: 'deferred', disposition: 'deferred', dueAt: new Date(at), waitsFor };
}

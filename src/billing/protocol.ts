import { errorCode, publicMessage } from '../core/errors.ts';
import type { Logger } from '../core/log.ts';
import type { Psa, Subscription, SubscriptionRef } from '../core/psa.ts';
import { lineFault } from './line.ts';

/** A line that is to be written, or was begun. */
export interface ApplyLine {
  readonly clientId: string;
  readonly product: string;
  readonly connectionId: string;
  readonly ref: SubscriptionRef;
  readonly before: number;
  readonly target: number;
  /** `YYYY-MM-DD` */
  readonly effectiveDate: string;
  readonly state: 'planned' | 'sending' | 'sent';
  /** The committed intent; null while planned. */
  readonly sentAt: Date | null;
}

export type LineEnd =
  | { readonly state: 'verified'; readonly after: number; readonly reason: string | null }
  | { readonly state: 'drift' | 'failed'; readonly after: number | null; readonly reason: string };

/** Every write is conditional on the state that the worker read: of two workers one gets true, the other does nothing. */
export interface LineStore {
  now(): Date;
  /** planned -> sending, committed before the request goes out. */
  intend(line: ApplyLine, effectiveDate: string, sentAt: Date): Promise<boolean>;
  /** sending -> sent: the PSA confirmed. */
  confirm(line: ApplyLine): Promise<boolean>;
  /** sending -> planned: the PSA certainly did nothing. */
  takeBack(line: ApplyLine): Promise<boolean>;
  end(line: ApplyLine, end: LineEnd): Promise<boolean>;
}

export interface LineDeps {
  readonly store: LineStore;
  readonly logger: Logger;
  /** Called between the steps, by name: tests crash here. */
  readonly fault: (name: string) => Promise<void> | void;
}

/** A change is sent within this time of its committed intent, or not at all. */
export const SEND_WITHIN_MS = 10_000;
/**
 * After a change whose outcome is unknown, nothing is decided before this much time has passed since the intent, unless the
 * change is seen: longer than SEND_WITHIN_MS and the longest that a PSA takes over a request.
 */
export const SETTLE_MS = 120_000;

/** `ended`: final. `waiting`: for the settle window. `retry`: the PSA is not there; call again. */
export type LineOutcome = 'ended' | 'waiting' | 'retry';

/**
 * Takes one line of an approved plan one step on (rule 7): read again, commit the intent, send once, read after. This is the
 * protocol that the reference model proves for a PSA that adds deltas, loses answers and applies requests late: after
 * an unclear answer the line is only read; seen at its target it is verified, unchanged after the settle window it failed
 * and may be planned anew, anything else is for a person.
 */
export async function advanceLine(
  deps: LineDeps,
  psa: Psa,
  line: ApplyLine,
  companyId: string | null,
): Promise<LineOutcome> {
  return line.state === 'planned' ? write(deps, psa, line, companyId) : settle(deps, psa, line);
}

async function write(deps: LineDeps, psa: Psa, line: ApplyLine, companyId: string | null): Promise<LineOutcome> {
  const { store, fault } = deps;
  if (companyId === null) return drift(deps, line, null, 'the mapping of the client is gone or needs attention');
  const read = await readForWriting(deps, psa, line);
  if (read === 'unreadable') return 'retry';
  if (read === null) return drift(deps, line, null, 'the PSA has no such line any more');
  const { subscription, effectiveDate } = read;
  const refused = lineFault(subscription, companyId);
  if (refused !== null) return drift(deps, line, whole(subscription), refused);
  if (subscription.quantity === line.target) {
    return ended(deps, line, { state: 'verified', after: line.target, reason: 'it held the quantity already' });
  }
  if (subscription.quantity !== line.before) {
    return drift(
      deps,
      line,
      subscription.quantity,
      `the PSA holds ${subscription.quantity}, the plan was made for ${line.before}`,
    );
  }

  await fault('billing.before-intent');
  const sentAt = store.now();
  if (!(await store.intend(line, effectiveDate, sentAt))) return 'waiting';
  const sending: ApplyLine = { ...line, effectiveDate, state: 'sending', sentAt };
  await fault('billing.after-intent');
  // This process slept: whoever settles the line counts from the intent, so nothing may go out any more.
  if (store.now().getTime() - sentAt.getTime() > SEND_WITHIN_MS) return 'waiting';
  try {
    await psa.writeQuantity(line.ref, { before: line.before, target: line.target, effectiveDate });
  } catch (error) {
    return writeFailed(deps, sending, error);
  }
  await fault('billing.after-write');
  await store.confirm(sending);
  await fault('billing.after-confirm');
  return settle(deps, psa, { ...sending, state: 'sent' });
}

/**
 * The line on the day from which the change holds. That day moves on when the plan's has become one that is billed (or
 * past): the quantity of the new day is read then, and compared as ever.
 */
async function readForWriting(
  deps: LineDeps,
  psa: Psa,
  line: ApplyLine,
): Promise<{ subscription: Subscription; effectiveDate: string } | null | 'unreadable'> {
  try {
    const first = await psa.readSubscription(line.ref, line.effectiveDate);
    if (first === null || first.earliestEffectiveDate <= line.effectiveDate) {
      return first === null ? null : { subscription: first, effectiveDate: line.effectiveDate };
    }
    const effectiveDate = first.earliestEffectiveDate;
    const moved = await psa.readSubscription(line.ref, effectiveDate);
    return moved === null ? null : { subscription: moved, effectiveDate };
  } catch (error) {
    deps.logger.warn({ line: line.ref, err: error }, 'a line could not be read; nothing is written');
    return 'unreadable';
  }
}

async function writeFailed(deps: LineDeps, line: ApplyLine, error: unknown): Promise<LineOutcome> {
  const code = errorCode(error);
  if (code === 'unavailable') {
    await deps.store.takeBack(line);
    return 'retry';
  }
  if (code === 'upstream_ambiguous' || code === 'internal') {
    deps.logger.warn({ line: line.ref, err: error }, 'whether a quantity was written is not known; it is read');
    return 'waiting';
  }
  return ended(deps, line, { state: 'failed', after: null, reason: publicMessage(error) });
}

/** After the request: only reads. */
async function settle(deps: LineDeps, psa: Psa, line: ApplyLine): Promise<LineOutcome> {
  const sentAt = line.sentAt ?? deps.store.now();
  // Taken before the read: what the read shows was so at this moment or later.
  const isSettled = deps.store.now().getTime() - sentAt.getTime() >= SETTLE_MS;
  let subscription: Subscription | null;
  try {
    subscription = await psa.readSubscription(line.ref, line.effectiveDate);
  } catch (error) {
    deps.logger.warn({ line: line.ref, err: error }, 'a written line could not be read back');
    return 'retry';
  }
  await deps.fault('billing.after-read-back');
  if (subscription?.quantity === line.target) {
    return ended(deps, line, { state: 'verified', after: line.target, reason: null });
  }
  if (!isSettled) return 'waiting';
  if (subscription === null) return drift(deps, line, null, 'the PSA has no such line any more');
  if (subscription.quantity === line.before && line.state === 'sending') {
    return ended(deps, line, { state: 'failed', after: line.before, reason: 'not applied; plan it again' });
  }
  return drift(
    deps,
    line,
    whole(subscription),
    `the PSA holds ${subscription.quantity} after a change from ${line.before} to ${line.target}`,
  );
}

const whole = (subscription: Subscription) =>
  Number.isSafeInteger(subscription.quantity) ? subscription.quantity : null;

function drift(deps: LineDeps, line: ApplyLine, after: number | null, reason: string): Promise<LineOutcome> {
  return ended(deps, line, { state: 'drift', after, reason });
}

async function ended(deps: LineDeps, line: ApplyLine, end: LineEnd): Promise<LineOutcome> {
  await deps.store.end(line, end);
  return 'ended';
}

import type { TicketState } from './read.ts';

/** An incident as its ticket's worker holds it. */
export interface TicketWork {
  readonly partnerId: string;
  readonly id: string;
  readonly clientId: string;
  readonly rule: string;
  readonly subject: string;
  readonly state: 'open' | 'resolved';
  readonly severity: 'low' | 'normal' | 'high' | 'critical';
  readonly title: string;
  readonly description: string;
  readonly resolution: string | null;
  readonly occurrences: number;
  readonly openedAt: Date;
  readonly lastSeenAt: Date;
  readonly ticketState: TicketState;
  readonly ticketKey: string;
  /** Null with a number: the ticket of that number was deleted in the PSA, a new one will refer to it. */
  readonly ticketId: string | null;
  readonly ticketNumber: string | null;
  /** Where the ticket is, or where its creation was tried. */
  readonly connectionId: string | null;
  /** Failures in a row. */
  readonly attempts: number;
  /** When the last write to the PSA was announced: its creation, then its notes. */
  readonly intentAt: Date | null;
  /** What a person should know of the ticket: a failure, a mapping that is missing. */
  readonly note: string | null;
  readonly notedOccurrences: number;
  /** The fence: raised by every claim; a worker with an older one may not write any more. */
  readonly epoch: number;
}

export type TicketPatch = Partial<
  Pick<
    TicketWork,
    'ticketState' | 'ticketId' | 'ticketNumber' | 'connectionId' | 'attempts' | 'intentAt' | 'note' | 'notedOccurrences'
  >
> & {
  /** Given: look again then. Not given: as the new state asks. */
  readonly nextAt?: Date;
};

const SECOND = 1_000;
const MINUTE = 60 * SECOND;

/** A request is sent within this time of its announced intent, or not at all. */
export const SEND_WITHIN_MS = 10 * SECOND;
/**
 * After a creation whose outcome is unknown, nothing is created before this much time has passed since the intent: longer
 * than SEND_WITHIN_MS and the longest that a PSA takes over a request (reference model: intent row, settle window, reread).
 */
export const SETTLE_MS = 2 * MINUTE;
/** Until then, how often the key is looked for: a lost answer is found soon, a late one later. */
const LOOK_MS = 30 * SECOND;
/** How long a claimed incident is one worker's; longer than its calls to the PSA take. */
export const LEASE_MS = 2 * MINUTE;
/** Between two notes on further occurrences. */
export const NOTE_EVERY_MS = 15 * MINUTE;
/** How often an open ticket is looked at, for PSAs whose callbacks do not come. */
export const CHECK_EVERY_MS = 60 * MINUTE;
/** When the PSA refuses: credentials, rights, or the ticket itself. A person has to act first. */
export const REFUSED_MS = 60 * MINUTE;

const BACKOFF_FIRST_MS = 30 * SECOND;
const BACKOFF_MAX_MS = 15 * MINUTE;

/** Milliseconds until the next try after so many failures in a row, growing to 15 minutes; there is no age limit. */
export function backoff(attempts: number): number {
  return Math.min(BACKOFF_MAX_MS, BACKOFF_FIRST_MS * 2 ** Math.min(attempts - 1, 10));
}

const plus = (at: Date, ms: number) => new Date(at.getTime() + ms);
const later = (a: Date, b: Date) => (a > b ? a : b);

/** When a ticket wants work next; null: never, until something happens. */
function dueAt(work: TicketWork, now: Date): Date | null {
  switch (work.ticketState) {
    case 'wanted':
    case 'resolving':
      return now;
    case 'creating': {
      const settled = plus(work.intentAt ?? now, SETTLE_MS);
      const look = plus(now, LOOK_MS);
      return settled < look ? later(now, settled) : look;
    }
    case 'open':
      return work.occurrences > work.notedOccurrences
        ? later(now, plus(work.intentAt ?? now, NOTE_EVERY_MS))
        : plus(now, CHECK_EVERY_MS);
    case 'resolved':
    case 'held':
    case 'none':
      return null;
  }
}

/**
 * The incident after a worker's patch. `current` is the row as it is now, not as the worker read it: it may have been
 * resolved or seen again meanwhile, and that must not be lost.
 */
export function patched(
  current: TicketWork,
  patch: TicketPatch,
  now: Date,
): { readonly work: TicketWork; readonly nextAt: Date | null } {
  const { nextAt, ...fields } = patch;
  let work: TicketWork = { ...current, ...fields };
  if (work.state === 'resolved') {
    if (work.ticketState === 'open') work = { ...work, ticketState: 'resolving' };
    // It ended before anybody could be told: a ticket made when the client is mapped at last would tell of the past only.
    if (work.ticketState === 'held') work = { ...work, ticketState: 'none' };
  }
  return { work, nextAt: nextAt ?? dueAt(work, now) };
}

/** Whether nothing that an earlier creation sent can arrive any more. */
export function isSettled(intentAt: Date | null, now: Date): boolean {
  return intentAt === null || now.getTime() - intentAt.getTime() >= SETTLE_MS;
}

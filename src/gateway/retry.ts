/** Days after which mail that a server refuses for now is given up (RFC 5321 section 4.5.4.1 asks for 4 to 5). */
export const EXPIRE_DAYS = 5;
/** The same for mail to a client's server that does not answer at all: it is down, its mail waits. */
export const HOLD_DAYS = 14;
/** Hours after which a sender is told that the mail is late. */
export const NOTICE_HOURS = 4;

const MINUTE = 60_000;
const WAITS = [5, 15, 30, 60, 120, 240].map((minutes) => minutes * MINUTE);

/** Milliseconds until the next try of a row after `attempts` tries, when its server answered but did not take it. */
export function retryDelay(attempts: number): number {
  return WAITS[Math.min(Math.max(1, attempts), WAITS.length) - 1] ?? 240 * MINUTE;
}

/**
 * The same when there is nobody to ask, as for mail that no gateway or server of an allowed region takes: from 15 s to 5
 * minutes, so that it flows soon after one comes.
 */
export function waitDelay(attempts: number): number {
  return Math.min(5 * MINUTE, 15_000 * 2 ** (Math.max(1, attempts) - 1));
}

/** Milliseconds that a row waits at least for a destination that is parked: its return makes the row due before that. */
const PARKED_MS = 60 * MINUTE;

/** The same with a share of another hour by the row's id (a UUID), so that 100,000 rows don't come due in one moment. */
export function parkedDelay(deliveryId: string): number {
  return PARKED_MS * (1 + Number.parseInt(deliveryId.slice(-4), 16) / 0x10000);
}

/** How long a row may stay: `queue.queued_at` and `queue.expires_at`. */
export interface Ages {
  readonly queuedAt: Date;
  readonly expiresAt: Date;
}

/**
 * The moment at which a row is given up: `expires_at` while it waits for a client's server that is down (`held`), five days
 * after it was queued, and never later than `expires_at`, otherwise.
 */
export function expiryOf(row: Ages, held: boolean): Date {
  if (held) return row.expiresAt;
  return new Date(Math.min(row.expiresAt.getTime(), row.queuedAt.getTime() + EXPIRE_DAYS * 86_400_000));
}

export function isExpired(row: Ages, now: Date, held: boolean): boolean {
  return now >= expiryOf(row, held);
}

/** Days after which mail that a server refuses for now is given up (RFC 5321 section 4.5.4.1 asks for 4 to 5). */
export const EXPIRE_DAYS = 5;
/** The same for mail to a client's server that does not answer at all: it is down, its mail waits. */
export const HOLD_DAYS = 14;
/** Hours after which a sender is told that the mail is late. */
export const NOTICE_HOURS = 4;

const MINUTE = 60_000;
const WAITS = [5, 15, 30, 60, 120, 240].map((minutes) => minutes * MINUTE);
const DOWN_FIRST_MS = 15_000;
const DOWN_MAX_MS = 5 * MINUTE;

/**
 * Milliseconds until the next try after `attempts` tries. `down`: no server answered; a connection is cheap, so the wait
 * begins at 15 s and grows to 5 minutes, that mail flows soon after the server's return.
 */
export function retryDelay(attempts: number, down: boolean): number {
  const tries = Math.max(1, attempts);
  if (down) return Math.min(DOWN_MAX_MS, DOWN_FIRST_MS * 2 ** (tries - 1));
  return WAITS[Math.min(tries, WAITS.length) - 1] ?? 240 * MINUTE;
}

/** `held`: it waits for a client's server that is down. */
export function isExpired(queuedAt: Date, now: Date, held: boolean): boolean {
  return now.getTime() - queuedAt.getTime() >= (held ? HOLD_DAYS : EXPIRE_DAYS) * 86_400_000;
}

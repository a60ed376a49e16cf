/**
 * Milliseconds that a Retry-After header asks for (RFC 9110 section 10.2.3: seconds or an HTTP date). Null: absent,
 * unreadable, or negative. A day is the most that is believed.
 */
export function retryAfterMs(header: string | undefined, now: Date): number | null {
  if (header === undefined) return null;
  const text = header.trim();
  if (/^\d{1,9}$/.test(text)) return Math.min(Number(text) * 1000, 86_400_000);
  // An HTTP date names its day; `Date.parse` alone would read "-5" as a year.
  const at = /^[A-Z][a-z]{2}/.test(text) ? Date.parse(text) : Number.NaN;
  if (Number.isNaN(at)) return null;
  return Math.min(Math.max(at - now.getTime(), 0), 86_400_000);
}

/** Milliseconds before attempt `attempt` (1 = first repetition): full jitter over 250 ms doubled each time, at most 8 s. */
export function backoffMs(attempt: number, random: () => number = Math.random): number {
  return Math.round((0.5 + random() / 2) * Math.min(250 * 2 ** attempt, 8_000));
}

import { AppError } from '../core/errors.ts';
import type { Verdict } from '../core/verdict.ts';

/** Verdicts of mail that costs its reader time when it arrives. */
export const COSTLY_VERDICTS = [
  'spam',
  'spoof',
  'phish',
  'policy',
  'unscannable',
  'malware',
] as const satisfies readonly Verdict[];
export type CostlyVerdict = (typeof COSTLY_VERDICTS)[number];

/** Seconds that a person loses with one such message: seen, opened, thought about, deleted. */
export type SecondsPerMessage = Readonly<Record<CostlyVerdict, number>>;

/** What Mesh counts (https://docs.emailsecurity.app/help-center/reports-explained): about 20 s a message. */
export const DEFAULT_SECONDS = 20;
export const SECONDS_MAX = 3_600;

/** Stored settings over the default; what is no number of seconds counts as not said. */
export function secondsOf(stored: unknown): SecondsPerMessage {
  const given = (stored ?? {}) as Readonly<Record<string, unknown>>;
  const one = (verdict: CostlyVerdict) => {
    const value = given[verdict];
    return typeof value === 'number' && value >= 0 && value <= SECONDS_MAX ? value : DEFAULT_SECONDS;
  };
  return Object.fromEntries(COSTLY_VERDICTS.map((verdict) => [verdict, one(verdict)])) as SecondsPerMessage;
}

/** Throws `invalid_input` for what is no number of seconds from 0 to 3600. */
export function requireSeconds(value: number, field: string): number {
  if (!Number.isInteger(value) || value < 0 || value > SECONDS_MAX) {
    throw new AppError('invalid_input', `seconds are a whole number from 0 to ${SECONDS_MAX}`, { field });
  }
  return value;
}

export interface ProtectionValue {
  /** Deliveries that were kept from a reader, by verdict. */
  readonly byVerdict: readonly {
    readonly verdict: CostlyVerdict;
    readonly deliveries: number;
    readonly seconds: number;
  }[];
  readonly deliveries: number;
  readonly secondsSaved: number;
}

/** Time saved: deliveries that did not reach a reader, times the seconds that each would have cost. */
export function protectionValue(kept: ReadonlyMap<Verdict, number>, seconds: SecondsPerMessage): ProtectionValue {
  const byVerdict = COSTLY_VERDICTS.map((verdict) => ({
    verdict,
    deliveries: kept.get(verdict) ?? 0,
    seconds: (kept.get(verdict) ?? 0) * seconds[verdict],
  }));
  return {
    byVerdict,
    deliveries: byVerdict.reduce((sum, one) => sum + one.deliveries, 0),
    secondsSaved: byVerdict.reduce((sum, one) => sum + one.seconds, 0),
  };
}

import { setTimeout as after } from 'node:timers/promises';

/** Something that must work before this node takes requests. Throws or answers false when it does not. */
export interface Check {
  readonly name: string;
  run(): Promise<boolean>;
}

/** Milliseconds for all checks together: less than what orchestrators wait. */
const DEADLINE_MS = 2_000;

export interface Readiness {
  readonly ready: boolean;
  readonly checks: readonly { readonly name: string; readonly ok: boolean }[];
}

/** Runs all checks side by side. Why one failed is for the log: the answer is open to all. */
export async function readiness(
  checks: readonly Check[],
  onFailure: (name: string, error: unknown) => void,
): Promise<Readiness> {
  const results = await Promise.all(
    checks.map(async (check) => ({ name: check.name, ok: await holds(check, onFailure) })),
  );
  return { ready: results.every((result) => result.ok), checks: results };
}

async function holds(check: Check, onFailure: (name: string, error: unknown) => void): Promise<boolean> {
  const timer = new AbortController();
  try {
    const late = after(DEADLINE_MS, false, { signal: timer.signal, ref: false });
    late.catch(() => undefined);
    const ok = await Promise.race([check.run(), late]);
    if (!ok) onFailure(check.name, new Error('not ready'));
    return ok;
  } catch (error) {
    onFailure(check.name, error);
    return false;
  } finally {
    timer.abort();
  }
}

import { setTimeout as after } from 'node:timers/promises';

/**
 * Something that must work before this node takes requests. Throws or answers false when it does not; a text says that it works
 * and what is amiss all the same. The text is open to all.
 */
export interface Check {
  readonly name: string;
  run(): Promise<boolean | string>;
}

/** Milliseconds for all checks together: less than what orchestrators wait. */
const DEADLINE_MS = 2_000;

export interface Readiness {
  readonly ready: boolean;
  readonly checks: readonly { readonly name: string; readonly ok: boolean; readonly detail?: string }[];
}

/** Runs all checks side by side. Why one failed is for the log: the answer is open to all. */
export async function readiness(
  checks: readonly Check[],
  onFailure: (name: string, error: unknown) => void,
): Promise<Readiness> {
  const results = await Promise.all(
    checks.map(async ({ name, run }) => {
      const held = await holds({ name, run }, onFailure);
      return typeof held === 'string' ? { name, ok: true, detail: held } : { name, ok: held };
    }),
  );
  return { ready: results.every((result) => result.ok), checks: results };
}

async function holds(check: Check, onFailure: (name: string, error: unknown) => void): Promise<boolean | string> {
  const timer = new AbortController();
  try {
    const late = after(DEADLINE_MS, false, { signal: timer.signal, ref: false });
    late.catch(() => undefined);
    const ok = await Promise.race([check.run(), late]);
    if (ok === false) onFailure(check.name, new Error('not ready'));
    return ok;
  } catch (error) {
    onFailure(check.name, error);
    return false;
  } finally {
    timer.abort();
  }
}

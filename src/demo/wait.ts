import { setTimeout as pause } from 'node:timers/promises';

/** Asks again and again until the answer fits; after the limit says what was waited for. */
export async function waitFor<T>(
  what: string,
  limitMs: number,
  ask: () => Promise<T | null | undefined | false>,
): Promise<T> {
  const deadline = Date.now() + limitMs;
  for (;;) {
    const answer = await ask();
    if (answer !== null && answer !== undefined && answer !== false) return answer;
    if (Date.now() > deadline) throw new Error(`waited ${Math.round(limitMs / 1000)} s in vain for ${what}`);
    await pause(200);
  }
}

import { setTimeout as pause } from 'node:timers/promises';
import type { Logger } from '../core/log.ts';

export interface Loop {
  /** Ends after the round that is running. */
  stop(): Promise<void>;
}

const BACK_OFF_MAX_MS = 10_000;

/**
 * Repeats `round` for ever with `everyMs` between rounds: for work that is wanted every second, where a job per round would
 * cost more than the round. A round that answers `true` has more to do and is followed by the next one at once. One that throws is
 * logged and followed by growing pauses.
 */
export function startLoop(name: string, everyMs: number, round: () => Promise<unknown>, logger: Logger): Loop {
  const abort = new AbortController();
  const run = async (): Promise<void> => {
    let failures = 0;
    while (!abort.signal.aborted) {
      let isMore = false;
      try {
        isMore = (await round()) === true;
        failures = 0;
      } catch (error) {
        failures += 1;
        logger.warn({ loop: name, failures, err: error }, 'a round failed');
      }
      if (isMore) continue;
      const wait = failures === 0 ? everyMs : Math.min(everyMs * 2 ** failures, BACK_OFF_MAX_MS);
      await pause(wait, undefined, { signal: abort.signal }).catch(() => undefined);
    }
  };
  const done = run();
  return {
    async stop() {
      abort.abort();
      await done;
    },
  };
}

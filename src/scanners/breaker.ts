import type { OutsideScanner } from '../core/filter.ts';
import type { Logger } from '../core/log.ts';

export interface BreakerOptions {
  /** Failures one after another after which the scanner is not asked any more. */
  readonly failures?: number;
  /** Milliseconds until one message tries it again. */
  readonly pauseMs?: number;
  /** Milliseconds of a clock that only goes forward. */
  readonly monotonic?: () => number;
  readonly logger: Logger;
}

/** Thrown instead of asking a scanner that was down a moment ago. */
export class ScannerResting extends Error {
  override readonly name = 'ScannerResting';
}

/**
 * A scanner that is down is not asked by every message: after `failures` in a row all are answered at once for `pauseMs`, then
 * one message tries it, and either all ask again or the pause begins anew. A sender that went away is no failure of the
 * scanner; a deadline that passed is.
 */
export function withBreaker(scanner: OutsideScanner, options: BreakerOptions): OutsideScanner {
  const most = options.failures ?? 3;
  const pause = options.pauseMs ?? 30_000;
  const now = options.monotonic ?? (() => performance.now());
  let failures = 0;
  let openUntil = Number.NEGATIVE_INFINITY;
  let isProbing = false;

  const fail = (error: unknown) => {
    failures += 1;
    if (failures < most) return;
    openUntil = now() + pause;
    if (failures === most) options.logger.warn({ scanner: scanner.name, err: error }, 'an outside scanner is down');
  };
  return {
    name: scanner.name,
    async scan(task, signal) {
      const isOpen = failures >= most;
      if (isOpen && (isProbing || now() < openUntil)) throw new ScannerResting(`${scanner.name} is down`);
      if (isOpen) isProbing = true;
      try {
        const result = await scanner.scan(task, signal);
        if (isOpen) options.logger.info({ scanner: scanner.name }, 'an outside scanner answers again');
        failures = 0;
        return result;
      } catch (error) {
        if (!isAbandoned(signal)) fail(error);
        throw error;
      } finally {
        if (isOpen) isProbing = false;
      }
    },
  };
}

/** The message was given up for another reason than the scanner's time. */
function isAbandoned(signal: AbortSignal): boolean {
  return signal.aborted && !(signal.reason instanceof DOMException && signal.reason.name === 'TimeoutError');
}

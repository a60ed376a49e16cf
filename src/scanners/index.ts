import type { OutsideScanner } from '../core/filter.ts';
import type { Logger } from '../core/log.ts';
import { withBreaker } from './breaker.ts';
import { type ClamdAddress, clamdScanner } from './clamd.ts';
import { rspamdScanner } from './rspamd.ts';

/** Config `scanners`. */
export interface ScannerSettings {
  readonly rspamdUrl: string | null;
  readonly clamd: ClamdAddress | null;
}

/** The outside scanners that are configured, each behind a breaker of its own. */
export function createScanners(settings: ScannerSettings, logger: Logger): OutsideScanner[] {
  const scanners: OutsideScanner[] = [];
  if (settings.clamd !== null) scanners.push(clamdScanner(settings.clamd));
  if (settings.rspamdUrl !== null) scanners.push(rspamdScanner(settings.rspamdUrl));
  return scanners.map((scanner) => withBreaker(scanner, { logger }));
}

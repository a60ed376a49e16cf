import { constants, gunzipSync, inflateRawSync, inflateSync } from 'node:zlib';
import type { Budget } from './budget.ts';

export const RATIO_FROM = 1_048_576;

/**
 * Inflates within the budget. Null, and a flag, when the data is damaged or would come out too large: zlib stops at the
 * bound, so a bomb costs no more than the bound.
 */
export function inflate(
  compressed: Buffer,
  kind: 'raw' | 'gzip' | 'zlib',
  budget: Budget,
  flag: (code: string) => void,
): Buffer | null {
  const byRatio = Math.max(RATIO_FROM, compressed.length * budget.limits.ratio);
  const bound = Math.min(budget.inflatable, byRatio);
  if (!budget.takeRead(compressed.length)) {
    flag('archive.work');
    return null;
  }
  if (bound === 0) {
    flag('archive.size');
    return null;
  }
  try {
    const options = { maxOutputLength: bound };
    // What follows a stream of a PDF up to the keyword is no fault, and a cut one is read by viewers.
    const content =
      kind === 'raw'
        ? inflateRawSync(compressed, options)
        : kind === 'gzip'
          ? gunzipSync(compressed, options)
          : inflateSync(compressed, { ...options, finishFlush: constants.Z_SYNC_FLUSH });
    budget.inflatedUsed += content.length;
    return content;
  } catch (error) {
    const tooLarge = (error as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE';
    if (tooLarge) budget.inflatedUsed += bound;
    flag(!tooLarge ? 'archive.damaged' : bound === byRatio ? 'archive.ratio' : 'archive.size');
    return null;
  }
}

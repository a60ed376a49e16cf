import type { HoldReason } from '../billing/line.ts';
import type { LineCounts } from '../billing/read.ts';

export const NO_LINES: LineCounts = { applied: 0, unchanged: 0, held: 0, failed: 0, waiting: 0 };

/**
 * How a plan ended, in one word. The state of a plan says that it is done with, also when lines of it are held, which are then
 * written by no one: that is not "applied" to whoever reads the answer.
 */
export function outcomeOf(state: string, { applied, held }: LineCounts): string {
  if (state !== 'applied' || held === 0) return state;
  return applied > 0 ? 'applied_in_part' : 'nothing_applied';
}

/** `2 applied and read back, 1 held`. */
export function outcomeWords(counts: LineCounts): string {
  const parts = [
    [counts.applied, 'applied and read back'],
    [counts.unchanged, 'unchanged'],
    [counts.waiting, 'to be written'],
    [counts.held, 'held'],
    [counts.failed, 'failed'],
  ] as const;
  const said = parts.filter(([count]) => count > 0).map(([count, what]) => `${count} ${what}`);
  return said.length === 0 ? 'no lines: no client has usage of that day or a line in the PSA' : said.join(', ');
}

const HELD: Readonly<Record<HoldReason, string>> = {
  no_snapshot: 'no usage of that day: billing snapshot',
  no_subscription: 'linked to no line of the PSA: billing link',
  client_suspended: 'the client is suspended',
  not_mapped: 'no company in the PSA: psa map',
  mapping_needs_attention: 'its company in the PSA is gone or inactive: psa map',
  other_connection: 'company and line are in different PSAs',
  line_not_found: 'the PSA has no such line: billing link',
  line_of_another_company: "the line is another company's",
  line_not_active: 'the line is not active in the PSA',
  quantity_not_whole: 'the PSA holds no whole number',
  read_failed: 'the PSA could not be read: plan again',
  beyond_limits: 'an unusual change: billing plan --large-changes',
};

/** A machine word of a hold in words; what a PSA or the protocol said stays as it is. */
export const whyHeld = (reason: string): string => (HELD as Readonly<Record<string, string>>)[reason] ?? reason;

import type { Subscription } from '../core/psa.ts';

/** Why a line is not written. Machine words: pages and tickets explain them. */
export type HoldReason =
  | 'no_snapshot'
  | 'no_subscription'
  | 'client_suspended'
  | 'not_mapped'
  | 'mapping_needs_attention'
  | 'other_connection'
  | 'line_not_found'
  | 'line_of_another_company'
  | 'line_not_active'
  | 'quantity_not_whole'
  | 'read_failed'
  | 'beyond_limits';

/**
 * How far a line may go in one plan: a directory that was emptied or filled by mistake must not reach the invoice. A line is
 * held when it drops to zero, or when it changes by more than `maxUnits` and by more than `maxFactor` times at once.
 */
export interface PlanLimits {
  readonly maxUnits: number;
  readonly maxFactor: number;
}

export const DEFAULT_LIMITS: PlanLimits = { maxUnits: 50, maxFactor: 3 };

/** What is known of a client's usage and its line, before the PSA is asked. */
export interface LineInput {
  readonly clientId: string;
  readonly product: string;
  readonly clientStatus: 'active' | 'suspended';
  readonly timeZone: string;
  /** Null: no snapshot of that day. */
  readonly quantity: number | null;
  readonly subscription: { readonly connectionId: string; readonly contractId: string; readonly lineId: string } | null;
  readonly mapping: {
    readonly connectionId: string;
    readonly companyId: string;
    readonly state: 'ok' | 'needs_attention';
  } | null;
}

/** The PSA's answer about a line, on the day from which a change would hold. */
export type LineRead =
  | { readonly kind: 'read'; readonly subscription: Subscription; readonly effectiveDate: string }
  | { readonly kind: 'missing' }
  | { readonly kind: 'failed' };

export interface PlannedLine {
  readonly state: 'unchanged' | 'planned' | 'held';
  readonly reason: HoldReason | null;
  readonly before: number | null;
  readonly target: number | null;
  readonly effectiveDate: string | null;
}

const held = (reason: HoldReason, known: Partial<PlannedLine> = {}): PlannedLine => ({
  before: null,
  target: null,
  effectiveDate: null,
  ...known,
  state: 'held',
  reason,
});

/** What holds a line already, before the PSA is asked; null: ask. */
export function heldBefore(input: LineInput): HoldReason | null {
  if (input.subscription === null) return 'no_subscription';
  if (input.clientStatus !== 'active') return 'client_suspended';
  if (input.quantity === null) return 'no_snapshot';
  if (input.mapping === null) return 'not_mapped';
  if (input.mapping.state !== 'ok') return 'mapping_needs_attention';
  return input.mapping.connectionId === input.subscription.connectionId ? null : 'other_connection';
}

/** Whether a line as read may be written to at all; null: it may. */
export function lineFault(subscription: Subscription, companyId: string): HoldReason | null {
  if (subscription.companyId !== companyId) return 'line_of_another_company';
  if (subscription.status !== 'active') return 'line_not_active';
  return Number.isSafeInteger(subscription.quantity) ? null : 'quantity_not_whole';
}

/** One line of a plan. Whatever is not known stays null, and its line is held: an unknown never becomes a number (rule 4). */
export function planLine(input: LineInput, read: LineRead | null, limits: PlanLimits | null): PlannedLine {
  const target = input.quantity;
  const early = heldBefore(input);
  if (early !== null || input.mapping === null || target === null) return held(early ?? 'no_snapshot', { target });
  if (read === null || read.kind === 'failed') return held('read_failed', { target });
  if (read.kind === 'missing') return held('line_not_found', { target });
  const { subscription, effectiveDate } = read;
  const fault = lineFault(subscription, input.mapping.companyId);
  const before = Number.isSafeInteger(subscription.quantity) ? subscription.quantity : null;
  if (fault !== null || before === null) return held(fault ?? 'quantity_not_whole', { before, target });
  if (before === target) return { state: 'unchanged', reason: null, before, target, effectiveDate };
  if (limits !== null && isBeyond(before, target, limits))
    return held('beyond_limits', { before, target, effectiveDate });
  return { state: 'planned', reason: null, before, target, effectiveDate };
}

function isBeyond(before: number, target: number, limits: PlanLimits): boolean {
  if (target === 0) return true;
  const isLarge = Math.abs(target - before) > limits.maxUnits;
  return isLarge && (target > before * limits.maxFactor || target * limits.maxFactor < before);
}

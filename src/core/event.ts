import type { Direction, Disposition, Verdict } from './verdict.ts';

/**
 * What can happen to a delivery. `accepted` starts it; the kinds that follow in FINAL end it.
 * `refused` is about a recipient that never became a delivery (unknown, over a limit).
 * `rejected` is a delivery that was decided before 250 and answered 5xx: it starts and ends at once.
 * `original_released` and `original_failed` say how the release of a stripped delivery's original ended; they end no delivery.
 */
export const EVENT_KINDS = [
  'accepted',
  'rejected',
  'refused',
  'quarantined',
  'deferred',
  'delivered',
  'bounced',
  'expired',
  'discarded',
  'release_requested',
  'original_released',
  'original_failed',
] as const;
export type EventKind = (typeof EVENT_KINDS)[number];

/** One immutable row of the ledger. */
export interface LedgerEvent {
  readonly id: string;
  readonly partnerId: string;
  readonly clientId: string;
  /** When it happened; an event is counted at this time and no other (rule 5). */
  readonly occurredAt: Date;
  readonly kind: EventKind;
  readonly direction: Direction;
  readonly messageId: string | null;
  readonly deliveryId: string | null;
  readonly mailboxId: string | null;
  /** The recipient (inbound: ours; outbound: theirs), normalised. */
  readonly recipient: string;
  /** The protected domain that the event belongs to. */
  readonly domain: string;
  /** Envelope sender, normalised; empty for the null sender. */
  readonly sender: string;
  readonly verdict: Verdict | null;
  /** The disposition that the delivery has from this event on. */
  readonly disposition: Disposition | null;
  readonly reasons: readonly string[];
  /** Bytes of the message as received. */
  readonly bytes: number;
  /**
   * For which scopes this is the first delivery of its message, so that messages can be counted by adding:
   * bit 0 partner, bit 1 client, bit 2 domain, bit 3 mailbox. Set on `accepted` and `rejected` only.
   */
  readonly leads: number;
  /** Milliseconds from acceptance to this event; null where it makes no sense. */
  readonly latencyMs: number | null;
  readonly node: string;
}

export const LEADS_PARTNER = 1;
export const LEADS_CLIENT = 2;
export const LEADS_DOMAIN = 4;
export const LEADS_MAILBOX = 8;

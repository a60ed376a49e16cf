/** `queue.held_reason` of outbound mail that the client's policy holds; those of limits are made by outbound-counts.ts. */
export const HOLD_POLICY = 'hold.policy';

/**
 * Why a recipient was refused before there was a message: the reason codes of events of the kind `refused`. Stable for ever,
 * like the filter's; docs/edge.md lists the same and a test compares the two.
 */
export const REFUSALS = {
  'recipient.unknown': 'No such mailbox',
  'recipient.greylisted': 'First mail of an unknown sender, asked to come again',
  'connection.network_blocked': 'The sending network is on a block list of the partner',
  'connection.dnsbl': 'The sending address is on a DNS list that the operator rejects by',
} as const;

export type Refusal = keyof typeof REFUSALS;

import { LEADS_CLIENT, LEADS_DOMAIN, LEADS_MAILBOX, LEADS_PARTNER, type LedgerEvent } from '../../src/core/event.ts';
import { newId } from '../../src/core/id.ts';

/** An event with everything filled in; what matters to a test is given. */
export function makeEvent(
  given: Partial<LedgerEvent> & Pick<LedgerEvent, 'partnerId' | 'clientId' | 'occurredAt'>,
): LedgerEvent {
  return {
    id: newId(),
    kind: 'accepted',
    direction: 'inbound',
    messageId: newId(),
    deliveryId: newId(),
    mailboxId: null,
    recipient: 'ann@acme.example',
    domain: 'acme.example',
    sender: 'bob@sender.example',
    verdict: 'clean',
    disposition: 'queued',
    reasons: [],
    bytes: 1000,
    leads: LEADS_PARTNER | LEADS_CLIENT | LEADS_DOMAIN | LEADS_MAILBOX,
    latencyMs: null,
    node: 'test',
    ...given,
  };
}

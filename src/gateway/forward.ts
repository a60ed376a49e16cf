import type { Forward } from '../accounts/directory.ts';
import { domainOf } from '../core/address.ts';
import { LEADS_CLIENT, LEADS_DOMAIN, LEADS_MAILBOX, LEADS_PARTNER } from '../core/event.ts';
import { newId } from '../core/id.ts';
import { fieldValue, splitFields } from '../mail/fields.ts';
import { countHops } from '../mail/received.ts';
import { type SrsSettings, srsSender } from '../mail/srs.ts';
import type { AcceptedDelivery, AcceptedMessage } from './acceptance.ts';
import { readHeader } from './header.ts';
import type { Spool } from './spool.ts';

/** Received fields from which on a message is in a loop (RFC 5321 section 6.3 wants to see more than any honest way has). */
const HOPS_MAX = 25;

export const FORWARDED_FOR = 'forward.from';

/**
 * Adds a forwarded copy for each inbound delivery whose mailbox forwards: an outbound message of the client with one delivery,
 * decided as the original was. Where no copy is kept the original ends as delivered with it. A message in a loop is not
 * forwarded but left to the mailbox. What is quarantined, held or refused is not forwarded.
 */
export async function withForwards(
  deps: { readonly spool: Spool; readonly hostName: string; readonly srs: SrsSettings },
  messages: readonly AcceptedMessage[],
  forwardOf: (recipient: string) => Forward | null,
  now: Date,
): Promise<readonly AcceptedMessage[]> {
  const wants = (delivery: AcceptedDelivery) =>
    delivery.disposition === 'queued' && delivery.held === null ? forwardOf(delivery.context.recipient) : null;
  const content = messages.find((message) => message.deliveries.some((one) => wants(one) !== null))?.content;
  if (content === undefined) return messages;
  const trail = trailOf(await readHeader(deps.spool, content.id), deps.hostName);
  const copies: AcceptedMessage[] = [];
  const kept = messages.map((message) => ({
    ...message,
    deliveries: message.deliveries.map((delivery): AcceptedDelivery => {
      const forward = wants(delivery);
      if (forward === null) return delivery;
      const { recipient } = delivery.context;
      if (trail.hops >= HOPS_MAX || trail.deliveredTo.has(recipient) || trail.deliveredTo.has(forward.to))
        return noted(delivery, 'forward.loop', 'the message was here before, so it is not forwarded again');
      copies.push(copyOf(message, delivery, forward, deps.srs, now));
      const sent = noted(delivery, 'forward.to', forward.to);
      return forward.keep ? sent : { ...sent, disposition: 'delivered' };
    }),
  }));
  return [...kept, ...copies];
}

function copyOf(
  message: AcceptedMessage,
  delivery: AcceptedDelivery,
  forward: Forward,
  srs: SrsSettings,
  now: Date,
): AcceptedMessage {
  const { context } = delivery;
  const { sender } = message.envelope;
  // The client's own name needs no other, and the null sender must stay one.
  const isOwn = sender === '' || context.ownDomains.includes(domainOf(sender));
  return {
    ...message,
    id: newId(),
    kind: 'forward',
    envelope: {
      ...message.envelope,
      direction: 'outbound',
      // What the first sender asked for ends here: the copy is mail of the client's own.
      dsn: { ret: null, envid: null, recipients: new Map() },
      sender: isOwn ? sender : srsSender(sender, context.clientId, srs, now),
    },
    deliveries: [
      {
        ...noted(delivery, FORWARDED_FOR, context.recipient),
        id: newId(),
        context: { ...context, recipient: forward.to },
        leads: LEADS_PARTNER | LEADS_CLIENT | LEADS_DOMAIN | (context.mailboxId === null ? 0 : LEADS_MAILBOX),
      },
    ],
  };
}

function noted(delivery: AcceptedDelivery, code: string, detail: string): AcceptedDelivery {
  const { decision } = delivery;
  return { ...delivery, decision: { ...decision, reasons: [...decision.reasons, { code, detail }] } };
}

function trailOf(header: Buffer, hostName: string): { hops: number; deliveredTo: ReadonlySet<string> } {
  const deliveredTo = splitFields(header)
    .filter((field) => field.name === 'delivered-to')
    .map((field) => fieldValue(field).replace(/^<|>$/g, '').toLowerCase());
  return { hops: countHops(header, hostName).hops, deliveredTo: new Set(deliveredTo) };
}

import type pg from 'pg';
import type { LedgerEvent } from '../../src/core/event.ts';
import { campaignOf } from '../../src/mail/campaign.ts';

/** What a message is, for events whose gateway is not there. */
export interface MessageFacts {
  readonly subject: string;
  readonly attachments: readonly { readonly name: string; readonly type: string; readonly bytes: number }[];
}

/** Puts the message of an event down as the gateway would have; one that is there already stays. */
export async function seedMessage(owner: pg.Client, event: LedgerEvent, facts: MessageFacts): Promise<void> {
  await owner.query(
    `insert into messages (partner_id, id, content_id, direction, sender, remote_address, helo, tls, header_message_id,
       from_address, from_name, subject, attachments, bytes, sha256, received_at, node, campaign)
     values ($1, $2, $2::uuid::text, $3, $4, '192.0.2.1', 'x', true, '', '', '', $5, $6, $7, '\\x00', $8, 'test', $9)
     on conflict do nothing`,
    [
      event.partnerId,
      event.messageId,
      event.direction,
      event.sender,
      facts.subject,
      JSON.stringify(facts.attachments),
      event.bytes,
      event.occurredAt,
      campaignOf(facts.subject),
    ],
  );
}

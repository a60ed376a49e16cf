import { createHash } from 'node:crypto';

export interface TicketSubject {
  readonly partnerId: string;
  readonly clientId: string;
  readonly rule: string;
  readonly subject: string;
}

const digest = (parts: readonly string[], length: number) =>
  // The length of each part goes first, so that no two lists of parts read the same.
  createHash('sha256')
    .update(parts.map((part) => `${Buffer.byteLength(part)}:${part}`).join('|'))
    .digest('hex')
    .slice(0, length);

/**
 * The key that a ticket carries in the PSA's own external-reference field, 44 characters (Autotask's `externalID` takes
 * 50): `tg-`, 16 hex digits for (partner, client, rule, subject), `-`, 24 hex digits for the incident as well. The first part
 * is shared by all tickets of one matter; the whole finds the ticket of exactly this incident (rule 8). No text that people
 * read goes in, so a time in a title does not make a new ticket (CyberDrain/CIPP#693).
 */
export function ticketKey(subject: TicketSubject, incidentId: string): string {
  const matter = [subject.partnerId, subject.clientId, subject.rule, subject.subject];
  return `tg-${digest(matter, 16)}-${digest([...matter, incidentId], 24)}`;
}

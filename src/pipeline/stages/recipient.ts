import type { RecipientStage } from '../stage.ts';
import { type Hit, hit, voteOf } from '../votes.ts';

/** What the message says of this one recipient. Suspended clients never get here: the gateway defers them at RCPT. */
export const recipientStage: RecipientStage = ({ inspected, envelope, recipient }) => {
  const hits: Hit[] = [];
  if (envelope.direction === 'inbound') {
    if (!inspected.isList && !inspected.to.includes(recipient.recipient)) hits.push(hit('recipient.not_addressed'));
    if (greetsByLocalPart(inspected.subject, recipient.recipient)) hits.push(hit('recipient.local_part_in_subject'));
  }
  return voteOf('recipient', hits);
};

function greetsByLocalPart(subject: string, address: string): boolean {
  const local = address.slice(0, address.lastIndexOf('@'));
  // A local part that is a plain word or a name is found in honest subjects too.
  if (local.length < 4 || !/[\d._-]/.test(local)) return false;
  return subject.toLowerCase().includes(local);
}

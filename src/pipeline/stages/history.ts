import { domainOf } from '../../core/address.ts';
import { isWithin } from '../domains.ts';
import type { RecipientStage } from '../stage.ts';
import { type Hit, hit, voteOf } from '../votes.ts';
import { hasAlignedPass } from './authentication.ts';

/** Of a younger client nearly everybody is a first contact. */
const YOUNG_MS = 14 * 86_400_000;
/** Clean messages that make a sender known. */
const KNOWN_FROM = 3;
/** Unwanted mail in a sender's name, for each clean one, up to which it stays known. */
const SPAM_SHARE = 0.1;

/**
 * Whether the client has had to do with the sender before. That somebody is known counts only where something proves that it
 * is the sender; that somebody is not known counts little, since every good correspondent wrote a first time.
 */
export const historyStage: RecipientStage = ({ inspected, authentication, envelope, recipient, history }) => {
  const [from, another] = inspected.from;
  if (history === undefined || from === undefined || another !== undefined || envelope.direction === 'outbound') {
    return voteOf('history', []);
  }
  const hits: Hit[] = [];
  if (history.isReply) hits.push(hit('history.reply'));
  const isOwn = recipient.ownDomains.some((own) => isWithin(domainOf(from.address), own));
  const { received, sent, spam, clientSince } = history;
  const isKnown = (sent > 0 || received >= KNOWN_FROM) && spam <= SPAM_SHARE * (received + sent);
  if (isKnown && hasAlignedPass(authentication) && !isOwn) {
    hits.push(hit('history.known_good', `${received} received, ${sent} sent`));
  }
  const isOld = envelope.receivedAt.getTime() - clientSince.getTime() >= YOUNG_MS;
  if (received + sent === 0 && isOld && !isOwn && !history.isReply)
    hits.push(hit('history.first_contact', from.address));
  return voteOf('history', hits);
};

import type { RecipientStage } from '../stage.ts';
import { type Hit, hit, voteOf } from '../votes.ts';

/** From this standing on, either way, the network's history counts. */
const STANDS_OUT = 0.4;
/** The part of the client's threshold that a bad reputation can reach. */
const SHARE = 0.4;
/** What DNS lists give at most together: several block lists often copy one another. */
const LISTED_MAX = 5;
const ALLOWED_MAX = -2;

/**
 * What is known of the sending network: its history here, and DNS lists. A network's reputation alone never decides; nothing
 * is said where the partner allows the network.
 */
export const connectionStage: RecipientStage = ({ envelope, recipient }) => {
  const { connection } = envelope;
  if (connection === undefined || envelope.direction === 'outbound' || recipient.networkAllowed === true) {
    return voteOf('connection', []);
  }
  const hits: Hit[] = [];
  const { reputation, dnsLists } = connection;
  const share = Math.min(1, (Math.abs(reputation) - STANDS_OUT) / (1 - STANDS_OUT));
  const standing = `the network stands at ${reputation.toFixed(2)}`;
  if (reputation <= -STANDS_OUT) {
    const most = SHARE * recipient.policy.spamScore;
    hits.push(hit('reputation.bad', standing, Math.min(most, 1 + 1.5 * share)));
  }
  if (reputation >= STANDS_OUT) hits.push(hit('reputation.good', standing, -1 * share));
  const listed = dnsLists.filter((one) => one.points > 0);
  const allowed = dnsLists.filter((one) => one.points < 0);
  const total = (lists: typeof dnsLists) => lists.reduce((sum, one) => sum + one.points, 0);
  const names = (lists: typeof dnsLists) => lists.map((one) => one.zone).join(', ');
  if (listed.length > 0) hits.push(hit('connection.listed', names(listed), Math.min(LISTED_MAX, total(listed))));
  if (allowed.length > 0) hits.push(hit('connection.allowed', names(allowed), Math.max(ALLOWED_MAX, total(allowed))));
  return voteOf('connection', hits);
};

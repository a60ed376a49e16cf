import type { RecipientStage } from '../stage.ts';
import { hit, voteOf } from '../votes.ts';

/** Hosts named in the trace. */
const NAMED_MAX = 3;

/** Links to hosts that the operator's own list names. Once per message, however many. */
export const linksStage: RecipientStage = ({ listedHosts = [] }) =>
  voteOf('links', listedHosts.length === 0 ? [] : [hit('links.listed', listedHosts.slice(0, NAMED_MAX).join(', '))]);

import type { StoredModel } from '../../core/message.ts';
import { decodeLearned, type Learned, learnedPoints, NOTHING_LEARNED } from '../learned.ts';
import type { RecipientStage } from '../stage.ts';
import { hit, voteOf } from '../votes.ts';

const decoded = new WeakMap<StoredModel, Learned>();

/** Points that are no more than noise. */
const SMALL = 0.1;

/** What the recipient's client has taught by what its people release and report. decide.ts bounds it once more. */
export const learningStage: RecipientStage = ({ inspected, envelope, recipient }) => {
  const { learned, mailboxId } = recipient;
  if (learned === undefined || envelope.direction === 'outbound') return voteOf('learning', []);
  const model = decoded.get(learned) ?? decodeLearned(learned.bytes) ?? NOTHING_LEARNED;
  decoded.set(learned, model);
  const points = Math.round(100 * learnedPoints(model, mailboxId, inspected.learnable.features)) / 100;
  if (Math.abs(points) < SMALL) return voteOf('learning', []);
  const code = points > 0 ? 'content.client_spam' : 'content.client_ham';
  return voteOf('learning', [hit(code, `version ${learned.version}`, points)]);
};

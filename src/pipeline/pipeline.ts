import type { Decision } from '../core/verdict.ts';
import { decide } from './decide.ts';
import type { ContentModel } from './model.ts';
import type { MessageStage, RecipientInput, RecipientStage } from './stage.ts';
import { attachmentsStage } from './stages/attachments.ts';
import { authenticationStage } from './stages/authentication.ts';
import { connectionStage } from './stages/connection.ts';
import { contentStage } from './stages/content.ts';
import { historyStage } from './stages/history.ts';
import { learningStage } from './stages/learning.ts';
import { linksStage } from './stages/links.ts';
import { listsStage } from './stages/lists.ts';
import { recipientStage } from './stages/recipient.ts';
import { rulesStage } from './stages/rules.ts';

/**
 * The filter, in order. First the stages that see the whole message and no recipient: they run once, in a worker thread
 * (worker.ts), since what they read is hostile. Then, once per recipient, those that know the recipient, its client's
 * policy and lists, and who the sender is. Each gives one vote; decide.ts makes one decision of them. Outside scanners
 * (create.ts) vote beside them. Adding a stage means one file in stages/, one line here and its symbols in symbols.ts.
 */
export function messageStages(model: ContentModel): readonly MessageStage[] {
  return [rulesStage, contentStage(model)];
}

const RECIPIENT_STAGES: readonly RecipientStage[] = [
  connectionStage,
  recipientStage,
  authenticationStage,
  listsStage,
  attachmentsStage,
  learningStage,
  historyStage,
  linksStage,
];

/** The decision for one recipient. It depends on nothing of any other. */
export function decideFor(input: RecipientInput, further: RecipientInput['inspected']['votes'] = []): Decision {
  const votes = RECIPIENT_STAGES.map((stage) => stage(input));
  return decide([...votes, ...input.inspected.votes, ...further], input.recipient.policy);
}

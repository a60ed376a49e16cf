import { recordAudit } from '../accounts/audit.ts';
import type { ContentStore } from '../core/content.ts';
import { AppError } from '../core/errors.ts';
import type { Logger } from '../core/log.ts';
import type { SystemDb } from '../db/db.ts';
import { encodeLearned } from '../pipeline/learned.ts';
import type { FeatureReader } from '../pipeline/reader.ts';
import {
  type Client,
  clientsDue,
  examplesOf,
  keepExamples,
  keepModel,
  lockModel,
  type ReadExample,
  saidOf,
} from './rows.ts';
import { countedOf, train } from './train.ts';

export interface LearnDeps {
  readonly db: SystemDb;
  readonly content: ContentStore;
  readonly reader: FeatureReader;
  readonly logger: Logger;
}

/** Of one run; what is left is done by the next. */
const CLIENTS_MAX = 200;

/** Trains every client whose people said something new. One client that fails is left to the next run. Answers how many changed. */
export async function learn(deps: LearnDeps): Promise<number> {
  const due = await deps.db.system((tx) => clientsDue(tx, CLIENTS_MAX), { readOnly: true });
  let changed = 0;
  for (const client of due) {
    try {
      if (await learnClient(deps, client)) changed += 1;
    } catch (error) {
      deps.logger.error({ clientId: client.clientId, err: error }, "a client's own model could not be trained");
    }
  }
  return changed;
}

/**
 * Reads the features of what was said since the last time, then makes the client's model anew from all rows that count. The
 * same rows on the same day make the same bytes; only a model that is another is written as a new version, with its audit row.
 */
export async function learnClient(deps: LearnDeps, client: Client): Promise<boolean> {
  const { db, reader } = deps;
  const { said, now } = await db.system(
    async (tx) => ({ said: await saidOf(tx, client, reader.modelVersion), now: tx.now }),
    { readOnly: true },
  );
  const read: ReadExample[] = [];
  for (const one of countedOf(said, now).filter(({ example }) => example === null)) {
    read.push({ feedbackId: one.id, learnable: await readBody(deps, one.contentId) });
  }
  return db.system(async (tx) => {
    const before = await lockModel(tx, client);
    await keepExamples(tx, client, reader.modelVersion, read);
    const examples = examplesOf(await saidOf(tx, client, reader.modelVersion));
    const asOf = tx.now.toISOString().slice(0, 10);
    const model = encodeLearned(train(examples, new Date(`${asOf}T00:00:00Z`)));
    const isSame = before?.model.equals(model) ?? false;
    const version = (before?.version ?? 0) + (isSame ? 0 : 1);
    const counted = countedOf(examples, new Date(`${asOf}T00:00:00Z`));
    await keepModel(tx, client, { version, model, examples: counted.length, asOf });
    if (isSame) return false;
    await recordAudit(tx, {
      partnerId: client.partnerId,
      actor: 'job:learning.train',
      action: 'learning.train',
      subject: client.clientId,
      details: { version, messages: counted.length, voices: new Set(counted.map((one) => one.voice)).size },
    });
    return true;
  });
}

/** Null also when the body is gone: what was said of it can not be learnt from any more. */
async function readBody({ content, reader }: LearnDeps, contentId: string) {
  try {
    return await reader.read(await content.path(contentId));
  } catch (error) {
    if (error instanceof AppError && error.code === 'not_found') return null;
    throw error;
  }
}

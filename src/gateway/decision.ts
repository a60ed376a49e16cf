import type { ArrivingContent } from '../core/content.ts';
import { AppError } from '../core/errors.ts';
import type { Envelope, Pipeline, PipelineResult, RecipientContext } from '../core/message.ts';
import { type AcceptedMessage, acceptanceOf } from './acceptance.ts';
import type { Committer } from './commit.ts';
import type { Peer } from './peer.ts';
import { Reply } from './replies.ts';
import type { Spool } from './spool.ts';

export interface DecisionDeps {
  readonly spool: Spool;
  readonly pipeline: Pipeline;
  readonly committer: Committer;
  readonly scanMs: number;
}

/** What a port adds to the common way. */
export interface DecisionHooks {
  /** Who waits for the answer; absent: our own code, which hears it. */
  readonly peer?: Peer;
  /** Throws Reply for what the port does not take, once the content is known. */
  check?(result: PipelineResult): void | Promise<void>;
  /** Further messages that come of the accepted ones, such as forwarded copies. All are committed together. */
  expand?(messages: readonly AcceptedMessage[]): Promise<readonly AcceptedMessage[]>;
}

/**
 * Decides a message while it goes to the disk, and commits what was decided once it is there: the one way from DATA to 250 of
 * both ports. Answers the text after 250. Throws Reply 550 when every recipient rejects (that is committed too), and anything else as a failure of ours.
 */
export async function decide(
  deps: DecisionDeps,
  content: ArrivingContent,
  envelope: Envelope,
  contexts: readonly RecipientContext[],
  signal: AbortSignal,
  hooks: DecisionHooks = {},
): Promise<string> {
  const { messages, rejected, result } = await prepare(deps, content, envelope, contexts, signal, hooks).catch(
    async (error: unknown) => {
      // Nothing was committed, and who was told to come back sends the body again.
      await content.stored.catch(() => undefined);
      await deps.spool.remove(content.id).catch(() => undefined);
      throw error;
    },
  );
  const left = (await hooks.peer?.hasLeft()) ?? false;
  const repeated = await deps.committer.accept(messages, left);
  // Told 451 meanwhile, or gone: it comes again, and that is the same mail.
  if (signal.aborted || (!left && (await hooks.peer?.hasLeft()) === true)) {
    await deps.committer.unheard(messages, repeated?.contentId ?? content.id).catch(() => undefined);
  }
  // After an unclear commit the batch is written again and meets its own digests: then it was written, body and all.
  if (repeated !== null && repeated.contentId !== content.id) {
    await deps.spool.remove(content.id).catch(() => undefined);
    if (repeated.rejected) throw new RejectedReply('Rejected, as before');
    return `2.0.0 Accepted as ${repeated.contentId}`;
  }
  if (!rejected) return `2.0.0 Accepted as ${content.id}`;
  const reasons = new Set(result.decisions.flatMap((one) => one.reasons.map((reason) => reason.code)));
  throw new RejectedReply(`Rejected: ${[...reasons].slice(0, 4).join(', ') || 'policy'}`);
}

/** All up to the commit: what is decided, and the body safe. */
async function prepare(
  deps: DecisionDeps,
  content: ArrivingContent,
  envelope: Envelope,
  contexts: readonly RecipientContext[],
  signal: AbortSignal,
  hooks: DecisionHooks,
): Promise<{ messages: readonly AcceptedMessage[]; rejected: boolean; result: PipelineResult }> {
  const { bytes, message, stored } = content;
  const path = deps.spool.placeOf(content.id);
  const result = await withinTime(deps.scanMs, signal, (limit) =>
    deps.pipeline.run({ path, bytes, message, stored, envelope, recipients: contexts }, limit),
  );
  if (result.deferred !== undefined) throw new AppError('unavailable', `${result.deferred}, try again later`);
  await hooks.check?.(result);
  const { rejected, ...acceptance } = acceptanceOf(content, envelope, contexts, result);
  const messages = (await hooks.expand?.(acceptance.messages)) ?? acceptance.messages;
  // Rule 1: no row before its body is safe.
  await stored;
  signal.throwIfAborted();
  return { messages, rejected, result };
}

/** The message is kept: its rows point to it. */
export class RejectedReply extends Reply {
  constructor(text: string) {
    super(550, '5.7.1', text);
  }
}

async function withinTime(
  ms: number,
  signal: AbortSignal,
  run: (limit: AbortSignal) => Promise<PipelineResult>,
): Promise<PipelineResult> {
  const limit = AbortSignal.any([signal, AbortSignal.timeout(ms)]);
  limit.throwIfAborted();
  let late: (() => void) | undefined;
  try {
    return await Promise.race([
      run(limit),
      new Promise<never>((_, reject) => {
        late = () => reject(new AppError('unavailable', 'the filter did not answer in time'));
        limit.addEventListener('abort', late, { once: true });
      }),
    ]);
  } finally {
    if (late !== undefined) limit.removeEventListener('abort', late);
  }
}

import { later as byTimer, type Later } from '../core/clock.ts';
import type { Logger } from '../core/log.ts';
import { Reply, replyFor } from './replies.ts';

/**
 * Runs a handler of smtp-server: its callback is called exactly once, whatever the handler does: resolve, reject, throw,
 * never end (`deadlineMs`, milliseconds, then 451). smtp-server itself turns errors into 550, hangs with a handler
 * that hangs, dies of an async one that rejects, and answers twice when called twice.
 */
export function guard<T>(
  work: (signal: AbortSignal) => T | Promise<T>,
  callback: (error: Reply | null, value?: T) => void,
  options: {
    readonly deadlineMs: number;
    /** When the deadline begins to run; absent: now. */
    readonly from?: Promise<void>;
    readonly logger: Logger;
    readonly what: string;
    /** How the deadline is waited for. */
    readonly later?: Later | undefined;
  },
): void {
  const abort = new AbortController();
  let done = false;
  const finish = (error: unknown, value?: T) => {
    if (done) return;
    done = true;
    cancel();
    if (error === null) {
      callback(null, value);
      return;
    }
    const reply = replyFor(error);
    if (!(error instanceof Reply) && reply.responseCode < 500) {
      options.logger.error({ err: error }, `${options.what} failed, the client was told to come back`);
    }
    callback(reply);
  };
  let cancel: () => void = () => undefined;
  const tooLate = () => {
    const late = new Reply(451, '4.3.0', 'That took too long, try again later');
    abort.abort(late);
    options.logger.warn({ ms: options.deadlineMs }, `${options.what} did not end in time`);
    finish(late);
  };
  const begin = () => {
    if (!done) cancel = (options.later ?? byTimer)(options.deadlineMs, tooLate);
  };
  if (options.from === undefined) begin();
  else void options.from.then(begin);
  Promise.resolve()
    .then(() => work(abort.signal))
    .then(
      (value) => finish(null, value),
      (error: unknown) => finish(error ?? new Error('a handler failed without saying why')),
    );
}

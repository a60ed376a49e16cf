import { Readable } from 'node:stream';
import { setTimeout as pause } from 'node:timers/promises';
import type { FastifyReply } from 'fastify';
import type { ApiCaller } from '../accounts/keys.ts';
import { AppError } from '../core/errors.ts';
import type { Outcome } from '../graphql/engine.ts';
import type { LiveAnswers } from '../graphql/live/answers.ts';
import { STREAM_TYPE } from './negotiate.ts';
import type { Streams } from './streams.ts';

/** Milliseconds of silence after which a comment is sent, so that nobody between takes the connection for dead. */
const PING_MS = 15_000;
/** Milliseconds that a reader may leave what was sent unread before it is cut off. */
const STUCK_MS = 30_000;

const TYPE = `${STREAM_TYPE}; charset=utf-8`;
const event = (name: 'next' | 'complete', data: string) => `event: ${name}\ndata: ${data}\n\n`;

/** One answer as a stream of one event (graphql-sse, distinct connections mode). */
export function sendOnce(reply: FastifyReply, outcome: Outcome): FastifyReply {
  return reply
    .code(outcome.status === 429 || outcome.status === 405 ? outcome.status : 200)
    .type(TYPE)
    .send(event('next', JSON.stringify(outcome.body)) + event('complete', ''));
}

/**
 * The answers of a subscription as server-sent events. The next one is made when the one before has been taken by the
 * connection, so a slow reader makes events run together and nothing pile up.
 */
export function sendStream(
  reply: FastifyReply,
  streams: Streams,
  caller: ApiCaller,
  answers: LiveAnswers,
): FastifyReply {
  let blockedSince: number | null = null;
  const stream = Readable.from(
    written(answers, (now) => (blockedSince = now)),
    { objectMode: false, highWaterMark: 1 },
  );
  let release: () => void;
  try {
    release = streams.add(caller, {
      end(reason) {
        const closing = new AppError('unavailable', 'the server is closing');
        answers.stop(reason === 'revoked' ? new AppError('unauthenticated', 'the key is not live any more') : closing);
      },
      isStuck: () => blockedSince !== null && performance.now() - blockedSince > STUCK_MS,
      destroy: () => stream.destroy(),
    });
  } catch (error) {
    // What was begun and may not stay open must not go on unheard.
    answers.stop();
    stream.destroy();
    throw error;
  }
  // What is waited for must end before the stream can: else it would stay until the next ping.
  if (reply.raw.destroyed) answers.stop();
  reply.raw.once('close', () => answers.stop());
  stream.once('close', () => {
    answers.stop();
    release();
  });
  return reply.code(200).type(TYPE).header('x-accel-buffering', 'no').send(stream);
}

/** `onBlocked` is told when something was handed over, and with null when the reader asks for more. */
async function* written(answers: LiveAnswers, onBlocked: (at: number | null) => void): AsyncGenerator<Buffer> {
  const hand = (text: string): Buffer => {
    onBlocked(performance.now());
    return Buffer.from(text);
  };
  try {
    // At once, so that the reader knows that it listens.
    yield hand(':\n\n');
    for (;;) {
      onBlocked(null);
      const next = answers.next();
      let result = await soon(next);
      while (result === null) {
        yield hand(':\n\n');
        onBlocked(null);
        result = await soon(next);
      }
      if (result.done === true) break;
      yield hand(event('next', JSON.stringify(result.value)));
    }
    yield hand(event('complete', ''));
  } finally {
    await answers.return();
  }
}

/** What a promise becomes, or null when it takes longer than a ping's time. */
async function soon<T>(promise: Promise<T>): Promise<T | null> {
  const timer = new AbortController();
  const late = pause(PING_MS, null, { signal: timer.signal, ref: false }).catch(() => null);
  try {
    return await Promise.race([promise, late]);
  } finally {
    timer.abort();
  }
}

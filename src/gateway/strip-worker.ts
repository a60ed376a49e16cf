import { parentPort, workerData } from 'node:worker_threads';
import type { FilterClass } from '../core/message.ts';
import { stripAttachments } from '../mail/strip.ts';
import { isOneOf } from './strip.ts';
import type { StripAnswer, StripTask } from './strip-thread.ts';

/** The body of a thread that takes files out of one message and ends. */
const { message, classes } = workerData as StripTask;
const wanted: readonly FilterClass[] = classes;
const found = await stripAttachments(Buffer.from(message.buffer, message.byteOffset, message.byteLength), (file) =>
  isOneOf(wanted, file.inspection),
);
const answer: StripAnswer = { message: found.message, removed: found.removed };
parentPort?.postMessage(answer);

import { readFileSync } from 'node:fs';
import { parentPort } from 'node:worker_threads';
import type { Envelope } from '../core/message.ts';
import { parseMail } from '../mail/parse.ts';
import { inspect } from './inspect.ts';
import { loadModel } from './model.ts';
import { messageStages } from './pipeline.ts';
import type { Answer } from './pool.ts';
import type { Inspected } from './stage.ts';

/** The body of a filter thread: reads the file, parses, runs the message stages. It keeps nothing from task to task. */
export interface InspectTask {
  readonly path: string;
  /** Null: it is read at `path`. */
  readonly message: Uint8Array | null;
  readonly envelope: Envelope;
}

const model = loadModel();
const stages = messageStages(model);

async function run(task: InspectTask): Promise<Answer<Inspected>> {
  let bytes: Buffer;
  try {
    // This thread has nothing else to do, and the asynchronous way costs four trips through the thread pool.
    const { message } = task;
    bytes =
      message === null ? readFileSync(task.path) : Buffer.from(message.buffer, message.byteOffset, message.length);
  } catch (error) {
    return { failed: 'scan.unavailable', detail: textOf(error) };
  }
  try {
    return { result: inspect(await parseMail(bytes), task.envelope, stages, model) };
  } catch (error) {
    return { failed: 'scan.unparsable', detail: textOf(error) };
  }
}

function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

parentPort?.on('message', ({ task }: { task: InspectTask }) => {
  void run(task).then((answer) => parentPort?.postMessage(answer));
});
parentPort?.postMessage('ready');

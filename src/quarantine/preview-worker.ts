import { readFileSync } from 'node:fs';
import { parentPort } from 'node:worker_threads';
import { type MailPreview, previewMail } from '../mail/preview.ts';
import type { Answer } from '../pipeline/pool.ts';

/** The body of a preview thread: reads the file, makes it safe. It keeps nothing from task to task. */
async function run(path: string): Promise<Answer<MailPreview>> {
  let bytes: Buffer;
  try {
    bytes = readFileSync(path);
  } catch (error) {
    return { failed: 'scan.unavailable', detail: String(error) };
  }
  try {
    return { result: await previewMail(bytes) };
  } catch (error) {
    return { failed: 'scan.crashed', detail: String(error) };
  }
}

parentPort?.on('message', ({ task }: { task: string }) => {
  void run(task).then((answer) => parentPort?.postMessage(answer));
});
parentPort?.postMessage('ready');

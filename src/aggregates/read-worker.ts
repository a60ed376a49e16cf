import { parentPort } from 'node:worker_threads';
import type { Answer } from '../pipeline/pool.ts';
import { type PackedFile, packFile } from './packed.ts';
import { readMail } from './read-file.ts';
import type { ReadTask } from './read-thread.ts';

/** The body of a thread that reads mails with reports. It keeps nothing from task to task. */
async function run({ path, now }: ReadTask): Promise<Answer<PackedFile[] | null>> {
  try {
    const files = await readMail(path, now);
    return { result: files?.map(packFile) ?? null };
  } catch (error) {
    return { failed: 'scan.crashed', detail: String(error) };
  }
}

/** What is handed over and not copied. */
function buffersOf(answer: Answer<PackedFile[] | null>): ArrayBuffer[] {
  if (answer === 'ready' || 'failed' in answer) return [];
  const reports = answer.result?.flatMap(({ result }) => ('reports' in result ? result.reports : [])) ?? [];
  return reports.flatMap(({ rows, results }) => [rows.buffer as ArrayBuffer, results.buffer as ArrayBuffer]);
}

parentPort?.on('message', ({ task }: { task: ReadTask }) => {
  void run(task).then((answer) => parentPort?.postMessage(answer, buffersOf(answer)));
});
parentPort?.postMessage('ready');

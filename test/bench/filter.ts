import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { silentLogger } from '../../src/core/log.ts';
import { createPipeline } from '../../src/pipeline/create.ts';
import { businessMail } from '../fixtures/business/index.ts';
import { corpusMail } from '../support/corpus.ts';
import { type Input, labelled, type Skipped } from './filter-folder.ts';
import { peers } from './filter-peers.ts';
import { scoreFiles } from './filter-run.ts';
import { type Scored, summary } from './filter-score.ts';

/**
 * `npm run bench:filter -- --folder DIR --labels FILE [--json]` scores a folder of .eml; the labels are a CSV with the
 * columns file,label (ham or spam). Without a folder: the part of the SpamAssassin corpus that was held out of training,
 * and the business set. No look-ups: sender authentication is left out. `--no-peers` asks no other filter, which takes a second a message.
 */
const { values } = parseArgs({
  options: {
    folder: { type: 'string' },
    labels: { type: 'string' },
    json: { type: 'boolean', default: false },
    worst: { type: 'string' },
    'no-peers': { type: 'boolean', default: false },
  },
});

/** Writes the held-out mail to files, since the threads read files. */
function heldOut(folder: string): Input[] {
  const inputs: Input[] = [];
  const add = (raw: Buffer, name: string, isSpam: boolean) => {
    const file = path.join(folder, `${name.replace(/\W+/g, '-')}.eml`);
    writeFileSync(file, raw);
    inputs.push({ file, isSpam });
  };
  for (const mail of corpusMail()) if (mail.heldOut) add(mail.raw, mail.name, mail.isSpam);
  for (const mail of businessMail()) if (mail.heldOut) add(mail.raw, `business-${mail.name}`, false);
  return inputs;
}

const temporary = mkdtempSync(path.join(tmpdir(), 'filter-'));
const pipeline = createPipeline({ threads: 1, resolver: null, hostName: 'bench.example', logger: silentLogger });
try {
  const { inputs, skipped }: { inputs: Input[]; skipped: Skipped[] } =
    values.folder === undefined
      ? { inputs: heldOut(temporary), skipped: [] }
      : labelled(values.folder, values.labels ?? path.join(values.folder, 'labels.csv'), temporary);
  for (const { file, why } of skipped) process.stderr.write(`skipped ${file}: ${why}\n`);
  const { scored, messagesPerCpuSecond } = await scoreFiles(pipeline, inputs);
  const result = {
    ...summary(scored),
    messagesPerCpuSecond,
    skipped: skipped.length,
    peers: values['no-peers'] ? {} : await peers(inputs),
  };
  if (values.json) process.stdout.write(`${JSON.stringify(result)}\n`);
  else print(result, scored);
} finally {
  await pipeline.close();
  rmSync(temporary, { recursive: true, force: true });
}

function print(result: object, scored: readonly Scored[]): void {
  process.stdout.write(`${JSON.stringify(result, null, 2)}\n`);
  const count = Number(values.worst ?? 0);
  const ham = scored.filter((one) => !one.isSpam).toSorted((a, b) => b.score - a.score);
  const spam = scored.filter((one) => one.isSpam).toSorted((a, b) => a.score - b.score);
  for (const one of [...ham.slice(0, count), ...spam.slice(0, count)]) {
    process.stdout.write(
      `${one.isSpam ? 'spam' : 'ham '} ${one.score.toFixed(2)} ${path.basename(one.file)} ${one.codes.join(' ')}\n`,
    );
  }
}

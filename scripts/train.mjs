// Trains data/model.bin: `npm run build && node scripts/train.mjs`. The same input gives the same file, byte for byte.
// Training mail: 70 % of the SpamAssassin corpus (by hash) and the halves of test/fixtures/business,
// test/fixtures/spam and test/fixtures/raw that are not held out.
import { writeFileSync } from 'node:fs';
import { encodeModel, modelPath } from '../dist/src/pipeline/model.js';
import { filterRows } from './filter-data.mjs';
import { trainContent } from './filter-learn.mjs';

const VERSION = 3;

const rows = await filterRows((mail) => !mail.heldOut);
const { weights, bias } = trainContent(rows);
writeFileSync(modelPath(), encodeModel(weights, bias, VERSION));
const spam = rows.filter((row) => row.isSpam).length;
process.stdout.write(`${rows.length} messages, ${spam} spam -> ${modelPath()}\n`);

// Trains data/model.bin: `npm run build && node scripts/train.mjs`. The same input gives the same file, byte for byte.
// Training mail: 70 % of the SpamAssassin corpus (by hash) and the halves of test/fixtures/business and
// test/fixtures/spam that are not held out.
import { writeFileSync } from 'node:fs';
import { parseMail } from '../dist/src/mail/parse.js';
import { BUCKETS, featuresOf } from '../dist/src/pipeline/features.js';
import { encodeModel, modelPath } from '../dist/src/pipeline/model.js';
import { businessMail } from '../dist/test/fixtures/business/index.js';
import { spamMail } from '../dist/test/fixtures/spam/index.js';
import { corpusMail } from '../dist/test/support/corpus.js';

const VERSION = 1;
const EPOCHS = 30;
const RATE = 2;
/** L2: weights that only a few messages support stay small. */
const DECAY = 2e-5;
/** A generated message stands for many of its kind, which public corpora do not hold. */
const GENERATED_WEIGHT = 3;

const rows = [];
for (const mail of corpusMail()) {
  if (!mail.heldOut)
    rows.push({ features: featuresOf(await parseMail(mail.raw)), label: mail.isSpam ? 1 : 0, weight: 1 });
}
for (const mail of businessMail()) {
  if (!mail.heldOut) rows.push({ features: featuresOf(await parseMail(mail.raw)), label: 0, weight: GENERATED_WEIGHT });
}
for (const mail of spamMail()) {
  if (!mail.heldOut) rows.push({ features: featuresOf(await parseMail(mail.raw)), label: 1, weight: GENERATED_WEIGHT });
}
const spam = rows.filter((row) => row.label === 1).length;
const balance = (rows.length - spam) / spam;

const weights = new Float32Array(BUCKETS);
let bias = 0;
let seed = 12345;
const random = () => {
  seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
  return seed / 2 ** 32;
};
for (let epoch = 0; epoch < EPOCHS; epoch += 1) {
  for (let at = rows.length - 1; at > 0; at -= 1) {
    const other = Math.floor(random() * (at + 1));
    [rows[at], rows[other]] = [rows[other], rows[at]];
  }
  const rate = RATE / (1 + epoch / 4);
  for (const { features, label, weight } of rows) {
    const scale = 1 / Math.sqrt(Math.max(features.length, 1));
    let margin = bias;
    for (const feature of features) margin += weights[feature] * scale;
    const error = (label - 1 / (1 + Math.exp(-margin))) * weight * (label === 1 && weight === 1 ? balance : 1);
    const step = Math.max(-2, Math.min(2, error)) * rate;
    for (const feature of features) weights[feature] += step * scale - rate * DECAY * weights[feature];
    bias += step * 0.1;
  }
}
writeFileSync(modelPath(), encodeModel(weights, bias, VERSION));
process.stdout.write(`${rows.length} messages, ${spam} spam -> ${modelPath()}\n`);

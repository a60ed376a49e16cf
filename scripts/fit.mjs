// Fits the weights of the rules: `npm run build && node scripts/fit.mjs [--check]`. Prints a table to be reviewed into
// src/pipeline/symbols.ts; the same input gives the same table. The content model's part is taken from models that have not seen the
// message (five folds), since a model is surer of what it was trained on. `--check` also fits without one source, or without
// some kinds of templates, and scores what was left out. `--cross` keeps the weights of the table and trains the model on one source.
import { readFileSync } from 'node:fs';
import { boundForm } from '../dist/src/pipeline/decide.js';
import { CONTENT } from '../dist/src/pipeline/stages/content.js';
import { SYMBOLS } from '../dist/src/pipeline/symbols.js';
import { summary } from '../dist/test/bench/filter-score.js';
import { filterRows } from './filter-data.mjs';
import { contentPoints, fitWeights, marginOf, outOfFold, trainContent } from './filter-learn.mjs';

const PRIORS = JSON.parse(readFileSync(new URL('./filter-priors.json', import.meta.url), 'utf8'));
const SHAPE = { ...CONTENT, most: SYMBOLS['content.spam'].weight, least: SYMBOLS['content.ham'].weight };

const rows = await filterRows();
const training = rows.filter((row) => !row.heldOut);

/** Points of the content model for rows of which `model` has seen none. */
function prepared(list, margins) {
  return list.map((row, at) => ({
    ...row,
    weight: 1,
    points: contentPoints(margins[at], row.features.length, SHAPE),
  }));
}

function learn(list) {
  const fitted = prepared(list, outOfFold(list)).filter((row) => row.source !== 'dressed');
  return { model: trainContent(list), weights: fitWeights(fitted, PRIORS) };
}

function check(name, learnt, list, weights = learnt.weights) {
  const scored = prepared(
    list,
    list.map((row) => marginOf(learnt.model, row.features)),
  ).map(({ name: file, isSpam, codes, points }) => {
    const found = [...new Set(codes)];
    const sum = (list, start) => list.reduce((total, code) => total + (weights[code] ?? 0), start);
    const form = sum(
      found.filter((code) => SYMBOLS[code].form === true),
      0,
    );
    const score = boundForm(sum(found, points), form, 6);
    return { file, isSpam, score, isCaught: score >= 6, codes };
  });
  const { messages, auc, falsePositiveRate, recall, recallAtFpr } = summary(scored);
  process.stdout.write(
    `${name}: ${messages.ham} ham, ${messages.spam} spam, AUC ${auc}, false positives ${falsePositiveRate}, recall ${recall}, at 0.1 % ${recallAtFpr['0.001']}, at 0.5 % ${recallAtFpr['0.005']}, at 1 % ${recallAtFpr['0.01']}\n`,
  );
}

if (process.argv.includes('--cross')) {
  // The weights of the table, and the content model of one source alone: what is left on mail from elsewhere.
  const table = Object.fromEntries(Object.entries(SYMBOLS).map(([code, row]) => [code, row.weight]));
  const honest = rows.filter((row) => row.heldOut && row.source !== 'corpus' && !row.isSpam);
  const of = (source) => rows.filter((row) => row.source === source);
  for (const [name, sources, list] of [
    ['all -> corpus, held out', null, of('corpus').filter((row) => row.heldOut)],
    [
      'all -> hand-written frauds, held out, and honest mail',
      null,
      [...of('raw').filter((row) => row.heldOut && row.isSpam), ...honest],
    ],
    [
      'corpus -> hand-written frauds, all, and honest mail',
      ['corpus', 'dressed'],
      [...of('raw').filter((row) => row.isSpam), ...honest],
    ],
    ['corpus -> templates, all', ['corpus', 'dressed'], of('templates')],
    ['corpus and templates -> hand-written mail, all', ['corpus', 'dressed', 'templates'], of('raw')],
    ['templates and hand-written mail -> corpus, all', ['templates', 'raw'], of('corpus')],
  ]) {
    const model = trainContent(training.filter((row) => sources === null || sources.includes(row.source)));
    check(name, { model, weights: table }, list);
  }
  process.exit(0);
}

const learnt = learn(training);
process.stdout.write('code | hand | fitted | in the table | ham | spam\n');
for (const [code, hand] of Object.entries(PRIORS)) {
  const found = training.filter((row) => row.codes.includes(code));
  const spam = found.filter((row) => row.isSpam).length;
  const fitted = learnt.weights[code];
  process.stdout.write(`${code} | ${hand} | ${fitted} | ${SYMBOLS[code].weight} | ${found.length - spam} | ${spam}\n`);
}
const heldOut = rows.filter((row) => row.heldOut);
const of = (source) => heldOut.filter((row) => row.source === source);
check('corpus, held out', learnt, of('corpus'));
check('templates, held out', learnt, of('templates'));
const isHonestTemplate = (row) => row.source === 'templates' && !row.isSpam;
check(
  'hand-written frauds and honest mail, held out',
  learnt,
  heldOut.filter((row) => row.source === 'raw' || isHonestTemplate(row)),
);

if (process.argv.includes('--check')) {
  const modern = (row) => row.source === 'templates' || row.source === 'raw';
  const corpus = learn(training.filter((row) => !modern(row)));
  check(
    'templates, learnt from the corpus alone',
    corpus,
    rows.filter((row) => row.source === 'templates'),
  );
  check(
    'hand-written frauds and all honest mail, learnt from the corpus alone',
    corpus,
    rows.filter((row) => row.source === 'raw' || isHonestTemplate(row)),
  );
  const withoutRaw = learn(training.filter((row) => row.source !== 'raw'));
  check(
    'hand-written frauds and honest mail, all, learnt without them',
    withoutRaw,
    rows.filter((row) => row.source === 'raw' || (row.heldOut && isHonestTemplate(row))),
  );
  const templates = learn(training.filter(modern));
  check(
    'corpus, learnt from the templates alone',
    templates,
    rows.filter((row) => row.source === 'corpus'),
  );
  for (const kinds of [
    ['account', 'mailbox', 'document', 'transaction'],
    ['health', 'goods', 'prize', 'casino', 'dating', 'newsletter'],
    ['bec', 'callback', 'extortion', 'fee', 'seo', 'leads', 'loan', 'factory', 'job', 'person'],
  ]) {
    const without = learn(training.filter((row) => !kinds.includes(row.kind)));
    check(
      `kinds left out (${kinds.join(', ')})`,
      without,
      rows.filter((row) => kinds.includes(row.kind)),
    );
  }
}

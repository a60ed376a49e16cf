import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DEFAULT_POLICY } from '../../src/accounts/policy.ts';
import { parseMail } from '../../src/mail/parse.ts';
import { decide } from '../../src/pipeline/decide.ts';
import { loadModel } from '../../src/pipeline/model.ts';
import { messageStages } from '../../src/pipeline/pipeline.ts';
import { envelopeOf } from '../bench/filter-run.ts';
import { type Scored, summary } from '../bench/filter-score.ts';
import { spamMail } from '../fixtures/spam/index.ts';
import { corpusMail } from '../support/corpus.ts';

const stages = messageStages(loadModel());

async function scored(name: string, raw: Buffer, isSpam: boolean): Promise<Scored> {
  const envelope = envelopeOf(raw.subarray(0, 30_000).toString('latin1'));
  const mail = await parseMail(raw);
  const { verdict, score, reasons } = decide(
    stages.map((stage) => stage({ mail, envelope })),
    DEFAULT_POLICY,
  );
  const isCaught = verdict !== 'clean' && verdict !== 'bulk';
  return { file: name, isSpam, score, isCaught, codes: reasons.map((reason) => reason.code) };
}

test('on held-out mail of the corpus the filter stays as good as it was', async () => {
  const sample = [...corpusMail()].filter((mail) => mail.heldOut).filter((_, index) => index % 3 === 0);
  const rows: Scored[] = [];
  for (const mail of sample) rows.push(await scored(mail.name, mail.raw, mail.isSpam));
  const { auc, falsePositiveRate, recall } = summary(rows);
  assert.ok((auc ?? 0) >= 0.995, `AUC ${auc}`);
  assert.ok((falsePositiveRate ?? 1) <= 0.005, `false positives ${falsePositiveRate}`);
  assert.ok((recall ?? 0) >= 0.8, `recall ${recall}`);
});

test('frauds and advertising of the 2020s score above ordinary mail', async () => {
  const rows = await Promise.all(
    spamMail()
      .filter((mail) => mail.heldOut)
      .map((mail) => scored(mail.name, mail.raw, true)),
  );
  assert.ok(rows.filter((row) => row.score >= 3).length >= 0.8 * rows.length);
});

test('summary: a perfect and a useless filter', () => {
  const one = (isSpam: boolean, score: number): Scored => ({
    file: '',
    isSpam,
    score,
    isCaught: score >= 6,
    codes: [],
  });
  const perfect = summary([one(true, 9), one(true, 8), one(false, 1), one(false, 2)]);
  assert.deepEqual(
    [perfect.auc, perfect.recall, perfect.falsePositiveRate, perfect.recallAtFpr['0.001']],
    [1, 1, 0, 1],
  );
  const useless = summary([one(true, 5), one(false, 5)]);
  assert.deepEqual([useless.auc, useless.recallAtFpr['0.001']], [0.5, 0]);
});

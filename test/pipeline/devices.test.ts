import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DEFAULT_POLICY } from '../../src/accounts/policy.ts';
import { parseMail } from '../../src/mail/parse.ts';
import { boundForm, FORM_SHARE } from '../../src/pipeline/decide.ts';
import { inspect } from '../../src/pipeline/inspect.ts';
import { loadModel } from '../../src/pipeline/model.ts';
import { decideFor, messageStages } from '../../src/pipeline/pipeline.ts';
import { SYMBOLS } from '../../src/pipeline/symbols.ts';
import { deviceMail, fraudMail, type RawMail } from '../fixtures/raw/index.ts';
import { envelope, passing, recipient, unsigned } from '../support/pipeline.ts';

const model = loadModel();
const stages = messageStages(model);

async function inspectedOf(mail: RawMail, helo = mail.helo) {
  const sent = envelope({ sender: mail.sender, helo, remoteName: null });
  return { sent, inspected: inspect(await parseMail(mail.raw), sent, stages, model) };
}

test('no mail of a device, a script, a service or a person in a hurry is held back, proven or not', async () => {
  const all = deviceMail();
  assert.ok(all.length >= 80, `${all.length} messages`);
  const wrong: string[] = [];
  for (const mail of all) {
    for (const helo of [mail.helo, '[127.0.0.1]']) {
      const { sent, inspected } = await inspectedOf(mail, helo);
      const spfOnly = unsigned({ spf: { result: 'pass', domain: mail.domain, aligned: true } });
      for (const authentication of [unsigned(), spfOnly, passing(mail.domain), null]) {
        for (const to of ['bob@client.example', 'archive@client.example']) {
          const input = { inspected, authentication, envelope: sent, recipient: recipient({ recipient: to }) };
          const { verdict, score, reasons } = decideFor(input);
          if (verdict === 'clean' || verdict === 'bulk') continue;
          wrong.push(`${mail.name}: ${verdict} ${score} ${reasons.map((reason) => reason.code).join(' ')}`);
        }
      }
    }
  }
  assert.deepEqual(wrong, []);
});

test('matters of form never quarantine by themselves, whatever they are together', () => {
  const most = Object.values(SYMBOLS).reduce((sum, row) => sum + ('form' in row ? row.weight : 0), 0);
  assert.ok(most > 2 * DEFAULT_POLICY.spamScore);
  for (const spamScore of [1, 4, 6, 20]) {
    assert.ok(boundForm(most, most, spamScore) <= FORM_SHARE * spamScore + 1e-9);
    // What is more never counts less.
    assert.ok(boundForm(most + 2, most, spamScore) >= boundForm(most, most, spamScore));
    assert.ok(boundForm(most + 1, most + 1, spamScore) >= boundForm(most, most, spamScore));
  }
});

test('most frauds that no template and no training held are over the threshold or near it', async () => {
  const scores: number[] = [];
  for (const mail of fraudMail().filter((one) => one.heldOut)) {
    const { sent, inspected } = await inspectedOf(mail);
    scores.push(decideFor({ inspected, authentication: null, envelope: sent, recipient: recipient() }).score);
  }
  const over = (bound: number) => scores.filter((score) => score >= bound).length / scores.length;
  assert.ok(over(DEFAULT_POLICY.spamScore) >= 0.6, `${over(6)} at the threshold`);
  assert.ok(over(4.5) >= 0.75, `${over(4.5)} at 4.5`);
});

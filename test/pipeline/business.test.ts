import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseMail } from '../../src/mail/parse.ts';
import { inspect } from '../../src/pipeline/inspect.ts';
import { loadModel } from '../../src/pipeline/model.ts';
import { decideFor, messageStages } from '../../src/pipeline/pipeline.ts';
import { businessMail } from '../fixtures/business/index.ts';
import { envelope, passing, recipient, unsigned } from '../support/pipeline.ts';

test('ordinary business mail has no false positive, signed or not, trained on or not', async () => {
  const model = loadModel();
  const stages = messageStages(model);
  const all = businessMail();
  assert.ok(all.length >= 500, `${all.length} messages`);
  assert.ok(all.filter((mail) => mail.heldOut).length >= 250);
  const wrong: string[] = [];
  for (const mail of all) {
    const { domain } = mail;
    const sent = envelope({ sender: mail.sender, helo: `mail.${domain}` });
    const inspected = inspect(await parseMail(mail.raw), sent, stages, model);
    for (const authentication of [mail.signed ? passing(domain) : unsigned(), null]) {
      const { verdict, score, reasons } = decideFor({
        inspected,
        authentication,
        envelope: sent,
        recipient: recipient(),
      });
      if (verdict === 'clean' || verdict === 'bulk') continue;
      wrong.push(`${mail.name}: ${verdict} ${score} ${reasons.map((reason) => reason.code).join(' ')}`);
    }
  }
  assert.deepEqual(wrong, []);
});

test('newsletters are bulk, people and transactions are not', async () => {
  const model = loadModel();
  const stages = messageStages(model);
  for (const mail of businessMail()) {
    const inspected = inspect(await parseMail(mail.raw), envelope(), stages, model);
    const isBulk = inspected.votes.some((vote) => vote.verdict === 'bulk');
    assert.equal(isBulk, mail.isNewsletter, mail.name);
  }
});

test('a message of a few words, even without Date and Message-ID, is clean', async () => {
  const model = loadModel();
  const stages = messageStages(model);
  for (const [subject, body] of [
    ['hi', 'hello'],
    ['', ''],
    ['Test', 'This is a test.'],
  ]) {
    const raw = `From: a@partner.example\r\nTo: bob@client.example\r\nSubject: ${subject}\r\n\r\n${body}\r\n`;
    const inspected = inspect(await parseMail(Buffer.from(raw)), envelope(), stages, model);
    const input = { inspected, authentication: unsigned(), envelope: envelope(), recipient: recipient() };
    assert.equal(decideFor(input).verdict, 'clean', subject);
  }
});

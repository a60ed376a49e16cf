import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { HistoryFacts } from '../../src/core/filter.ts';
import { decide } from '../../src/pipeline/decide.ts';
import { encodeLearned, type Learned } from '../../src/pipeline/learned.ts';
import { decideFor } from '../../src/pipeline/pipeline.ts';
import { historyStage } from '../../src/pipeline/stages/history.ts';
import { learningStage } from '../../src/pipeline/stages/learning.ts';
import { envelope, inspected, passing, RECEIVED_AT, recipient, recipientInput, unsigned } from '../support/pipeline.ts';

const DAY_MS = 86_400_000;
const ago = (days: number) => new Date(RECEIVED_AT.getTime() - days * DAY_MS);
const facts = (over: Partial<HistoryFacts> = {}): HistoryFacts => ({
  clientSince: ago(100),
  ...{ received: 0, sent: 0, spam: 0, isReply: false },
  ...over,
});
const codesOf = (over: Parameters<typeof recipientInput>[0]) =>
  historyStage(recipientInput(over)).reasons.map((one) => one.code);

test('a first contact is a small sign, and none while the client is younger than 14 days', () => {
  assert.deepEqual(codesOf({ history: facts() }), ['history.first_contact']);
  assert.ok(historyStage(recipientInput({ history: facts() })).score <= 0.5);
  assert.deepEqual(codesOf({ history: facts({ clientSince: ago(13) }) }), []);
  assert.deepEqual(codesOf({ history: facts({ received: 1 }) }), []);
  assert.deepEqual(codesOf({}), [], 'nothing looked up, nothing said');
  const own = inspected({ from: [{ address: 'eve@client.example', name: '' }] });
  assert.deepEqual(codesOf({ inspected: own, history: facts() }), []);
  const several = inspected({
    from: [
      { address: 'a@x.example', name: '' },
      { address: 'b@y.example', name: '' },
    ],
  });
  assert.deepEqual(codesOf({ inspected: several, history: facts() }), []);
  assert.deepEqual(codesOf({ envelope: envelope({ direction: 'outbound' }), history: facts() }), []);
});

test('known is whom the client wrote to, or who sent three clean messages, with proof only', () => {
  const known = ['history.known_good'];
  assert.deepEqual(codesOf({ history: facts({ sent: 1 }) }), known);
  assert.deepEqual(codesOf({ history: facts({ received: 3 }) }), known);
  assert.deepEqual(codesOf({ history: facts({ received: 2 }) }), []);
  assert.deepEqual(codesOf({ history: facts({ received: 30, spam: 3 }) }), known);
  assert.deepEqual(codesOf({ history: facts({ received: 30, spam: 4 }) }), [], 'an account that was taken over');
  assert.deepEqual(codesOf({ authentication: unsigned(), history: facts({ sent: 9 }) }), []);
  assert.deepEqual(codesOf({ authentication: null, history: facts({ sent: 9 }) }), []);
});

test('an answer to what the client sent speaks for itself, and is no first contact', () => {
  assert.deepEqual(codesOf({ authentication: null, history: facts({ isReply: true }) }), ['history.reply']);
});

const learnedBy = (value: number) => {
  const ids = Uint32Array.from({ length: 100 }, (_, index) => index);
  const model: Learned = { shared: { ids, values: new Float32Array(100).fill(value) }, own: new Map() };
  return {
    inspected: inspected({ learnable: { features: ids, margin: 0 } }),
    recipient: recipient({ learned: { version: 3, bytes: encodeLearned(model) } }),
  };
};

test("a client's own model gives its symbol with its version, for mail that comes in", () => {
  const spam = learningStage(recipientInput(learnedBy(0.5)));
  assert.deepEqual(spam.reasons, [{ code: 'content.client_spam', detail: 'version 3' }]);
  assert.ok(spam.score > 1 && spam.score <= 1.5);
  const ham = learningStage(recipientInput(learnedBy(-0.5)));
  assert.deepEqual([ham.reasons[0]?.code, ham.score], ['content.client_ham', -spam.score]);
  assert.deepEqual(learningStage(recipientInput(learnedBy(0.001))).reasons, []);
  assert.deepEqual(
    learningStage(recipientInput({ ...learnedBy(0.5), envelope: envelope({ direction: 'outbound' }) })).reasons,
    [],
  );
  const damaged = recipient({ learned: { version: 1, bytes: Buffer.from('TGLM') } });
  assert.deepEqual(learningStage(recipientInput({ recipient: damaged })).reasons, []);
});

test('content and learning together never reach a threshold by themselves', () => {
  fc.assert(
    fc.property(
      fc.double({ min: 1, max: 100, noNaN: true }),
      fc.double({ min: 0, max: 100, noNaN: true }),
      (spamScore, score) => {
        const votes = ['content', 'learning'].map((stage) => ({ stage, score, reasons: [] }));
        assert.equal(decide(votes, { ...recipient().policy, spamScore }).verdict, 'clean');
      },
    ),
  );
});

test('what was learnt and who is known lift neither a fraud nor a verdict that hangs on no points', () => {
  const milder = ['learning', 'history'].map((stage) => ({ stage, score: -1.5, reasons: [] }));
  const { policy } = recipient();
  const fraud = { stage: 'rules', score: 6.2, reasons: [{ code: 'rules.link_lookalike', detail: '' }] };
  assert.equal(decide([fraud, ...milder], policy).verdict, 'phish');
  const advert = { stage: 'rules', score: 6.2, reasons: [{ code: 'rules.spam_goods', detail: '' }] };
  assert.equal(decide([advert], policy).verdict, 'spam');
  assert.equal(decide([advert, ...milder], policy).verdict, 'clean');
  for (const verdict of ['malware', 'spoof', 'unscannable'] as const) {
    assert.equal(decide([{ stage: 'x', score: 0, verdict, reasons: [] }, ...milder], policy).verdict, verdict);
  }
  const all = recipientInput({
    ...learnedBy(-0.5),
    history: facts({ sent: 5, isReply: true }),
    authentication: passing(),
  });
  assert.ok(decideFor(all).score >= -1.5 - 1.8 - 1.5);
});

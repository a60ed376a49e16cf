import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { DEFAULT_POLICY } from '../../src/accounts/policy.ts';
import { FILTER_CLASSES, type Policy } from '../../src/core/message.ts';
import { VERDICTS, type Vote } from '../../src/core/verdict.ts';
import { decide } from '../../src/pipeline/decide.ts';
import { SYMBOLS, type SymbolCode } from '../../src/pipeline/symbols.ts';
import { hit, voteOf } from '../../src/pipeline/votes.ts';

const SEVERITY = ['deliver', 'tag', 'strip', 'quarantine', 'reject', 'discard'];
const codes = Object.keys(SYMBOLS) as SymbolCode[];

/** Votes as stages make them: every symbol in a vote of its own stage. */
const votes = fc.uniqueArray(fc.constantFrom(...codes), { maxLength: 12 }).map((found) => found.map(votesOf));
const policies = fc.record({
  spamScore: fc.integer({ min: 1, max: 20 }),
  spamAction: fc.constantFrom('tag' as const, 'quarantine' as const, 'reject' as const, 'deliver' as const),
  phishAction: fc.constantFrom('quarantine' as const, 'reject' as const),
  spoofAction: fc.constantFrom('tag' as const, 'quarantine' as const, 'reject' as const),
  malwareAction: fc.constantFrom('quarantine' as const, 'reject' as const, 'discard' as const),
  unscannableAction: fc.constantFrom('quarantine' as const, 'reject' as const),
  bulkAction: fc.constantFrom('deliver' as const, 'tag' as const, 'quarantine' as const),
  greylist: fc.boolean(),
  ownerNameAction: fc.constantFrom('points' as const, 'spoof' as const, 'off' as const),
  attachments: fc
    .array(fc.constantFrom('allow' as const, 'quarantine' as const, 'reject' as const, 'strip' as const), {
      minLength: 5,
      maxLength: 5,
    })
    .map((wishes) => Object.fromEntries(FILTER_CLASSES.map((name, at) => [name, wishes[at]])) as Policy['attachments']),
});

function votesOf(code: SymbolCode): Vote {
  return voteOf(SYMBOLS[code].stage, [hit(code)]);
}

test('the order of the votes does not matter', () => {
  fc.assert(
    fc.property(votes, policies, fc.infiniteStream(fc.nat(1000)), (given, policy, noise) => {
      const shuffled = given
        .map((vote) => ({ vote, key: noise.next().value ?? 0 }))
        .sort((a, b) => a.key - b.key)
        .map(({ vote }) => vote);
      assert.deepEqual(decide(shuffled, policy), decide(given, policy));
    }),
  );
});

test('a malware vote never makes the outcome milder', () => {
  const malware = votesOf('malware.eicar');
  fc.assert(
    fc.property(votes, policies, (given, policy) => {
      const before = decide(given, policy);
      const after = decide([...given, malware], policy);
      assert.equal(after.verdict, 'malware');
      assert.ok(
        SEVERITY.indexOf(after.action) >= SEVERITY.indexOf(before.action),
        `${before.action} -> ${after.action}`,
      );
      assert.notEqual(after.action, 'deliver');
    }),
  );
});

test('rule 11: an allow list lifts spam and bulk and nothing else', () => {
  const allow = votesOf('list.allow');
  fc.assert(
    fc.property(votes, policies, (given, policy) => {
      const without = given.filter((vote) => vote.reasons.every((reason) => !reason.code.startsWith('list.')));
      const plain = decide(without, policy);
      const allowed = decide([...without, allow], policy);
      if (VERDICTS.indexOf(plain.verdict) > VERDICTS.indexOf('spam')) {
        assert.equal(allowed.verdict, plain.verdict);
        assert.ok(allowed.reasons.some((reason) => reason.code === 'list.allow_overruled'));
        assert.notEqual(allowed.action, 'deliver');
      } else {
        assert.deepEqual([allowed.verdict, allowed.action], ['clean', 'deliver']);
      }
    }),
  );
});

test('the content model alone never makes spam, whatever the threshold', () => {
  fc.assert(
    fc.property(policies, fc.double({ min: 0, max: 1000, noNaN: true }), (policy, score) => {
      const decision = decide([{ stage: 'content', score, reasons: [] }], policy);
      assert.equal(decision.verdict, 'clean');
    }),
  );
});

test('every decision has an action that its verdict can have', () => {
  fc.assert(
    fc.property(votes, policies, (given, policy) => {
      const { verdict, action } = decide(given, policy);
      if (verdict === 'clean') assert.equal(action, 'deliver');
      if (verdict === 'unscannable' || verdict === 'malware' || verdict === 'phish') {
        assert.ok(['quarantine', 'reject', 'discard'].includes(action));
      }
    }),
  );
});

test('a class of attachments is done with as the client wishes', () => {
  const macro = votesOf('attachment.macro');
  const wish = (macros: Policy['attachments']['macro']) => ({
    ...DEFAULT_POLICY,
    attachments: { ...DEFAULT_POLICY.attachments, macro: macros },
  });
  assert.deepEqual(decide([macro], wish('strip')).action, 'strip');
  assert.deepEqual(decide([macro], wish('reject')).action, 'reject');
  assert.deepEqual(
    [decide([macro], wish('allow')).verdict, decide([macro], wish('allow')).action],
    ['clean', 'deliver'],
  );
  assert.equal(decide([macro, votesOf('attachment.executable')], wish('allow')).verdict, 'policy');
});

test('a fault of ours is quarantined and never answered with a rejection', () => {
  const policy: Policy = { ...DEFAULT_POLICY, unscannableAction: 'reject' };
  assert.equal(decide([votesOf('scan.unparsable')], policy).action, 'reject');
  for (const code of ['scan.timeout', 'scan.crashed', 'scan.unavailable', 'scan.aborted'] as const) {
    assert.deepEqual(
      [decide([votesOf(code)], policy).verdict, decide([votesOf(code)], policy).action],
      ['unscannable', 'quarantine'],
    );
  }
});

test('a block list quarantines even where spam is only tagged', () => {
  const policy: Policy = { ...DEFAULT_POLICY, spamAction: 'tag' };
  assert.deepEqual(decide([votesOf('list.block')], policy).action, 'quarantine');
  assert.equal(decide([voteOf('rules', [hit('rules.scam_prize', '', 8)])], policy).action, 'tag');
});

test('over the threshold a fraud is phish, advertising is spam', () => {
  assert.equal(decide([voteOf('rules', [hit('rules.scam_credentials', '', 7)])], DEFAULT_POLICY).verdict, 'phish');
  assert.equal(decide([voteOf('rules', [hit('rules.spam_pharmacy', '', 7)])], DEFAULT_POLICY).verdict, 'spam');
  assert.equal(decide([voteOf('rules', [hit('rules.scam_credentials')])], DEFAULT_POLICY).verdict, 'clean');
});

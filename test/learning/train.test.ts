import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { countedOf, type Example, TRAINING, train } from '../../src/learning/train.ts';
import { parseMail } from '../../src/mail/parse.ts';
import {
  bounded,
  decodeLearned,
  encodeLearned,
  FEATURES_MAX,
  featuresOnce,
  LEARNED_POINTS,
  type Learnable,
  learnedPoints,
} from '../../src/pipeline/learned.ts';
import { loadModel } from '../../src/pipeline/model.ts';
import { marginOf } from '../../src/pipeline/stages/content.ts';
import { businessMail } from '../fixtures/business/index.ts';

const TODAY = new Date('2026-11-24T00:00:00Z');
const DAY_MS = 86_400_000;
const daysAgo = (days: number) => new Date(TODAY.getTime() - days * DAY_MS + 3_600_000);

interface Sample extends Learnable {
  readonly name: string;
}

const model = loadModel();
const samples: Sample[] = [];
for (const { name, raw } of businessMail()) {
  const features = featuresOnce(await parseMail(raw));
  samples.push({ name, features: bounded(features), margin: marginOf(model, features) });
}
const kind = (name: string) => samples.filter((one) => one.name.startsWith(name));
const halves = (of: readonly Sample[]) =>
  [of.filter((_, index) => index % 2 === 0), of.filter((_, index) => index % 2 === 1)] as const;

let ids = 0;
function said(sample: Learnable, over: Partial<Example> = {}): Example {
  ids += 1;
  const mailboxId = over.isStaff === true ? null : '00000000-0000-4000-8000-00000000000a';
  const { features, margin } = sample;
  return {
    ...{ id: String(ids).padStart(8, '0'), kind: 'spam', isStaff: false, at: daysAgo(0), features, margin, mailboxId },
    voice: `m ${over.mailboxId ?? mailboxId}`,
    ...over,
  };
}

const A = '00000000-0000-4000-8000-00000000000a';
const B = '00000000-0000-4000-8000-00000000000b';
const C = '00000000-0000-4000-8000-00000000000c';
const of = (mailboxId: string, over: Partial<Example> = {}) => ({ mailboxId, voice: `m ${mailboxId}`, ...over });

test('learning works: what two mailboxes report is told from other mail, on mail that was not trained on', () => {
  for (const [name, direction, most] of [
    ['invoice', 'spam', 0.5],
    ['shipping', 'spam', 0.5],
    ['invoice', 'ham', 0.2],
  ] as const) {
    const [seen, heldOut] = halves(kind(name));
    const before = train([], TODAY);
    const learned = train(
      seen.map((one, index) => said(one, of(index % 2 === 0 ? A : B, { kind: direction }))),
      TODAY,
    );
    const points = (one: Sample) => (direction === 'spam' ? 1 : -1) * learnedPoints(learned, C, one.features);
    for (const one of heldOut) {
      assert.equal(learnedPoints(before, C, one.features), 0);
      assert.ok(points(one) >= most, `${direction} ${one.name}: ${points(one)}`);
    }
    const others = samples.filter((one) => !one.name.startsWith(name)).map((one) => Math.abs(points(one)));
    assert.ok(others.filter((one) => one > 0.5).length <= 0.02 * others.length, 'other mail is left alone');
  }
});

test('one user who marks 1,000 newsletters is heard for no mailbox but the own, and five a day there', () => {
  const [seen, heldOut] = halves(kind('newsletter'));
  const flood = Array.from({ length: 1000 }, (_, index) => said(seen[index % seen.length] ?? assert.fail()));
  assert.equal(countedOf(flood, TODAY).length, TRAINING.perVoiceAndDay);
  const learned = train(flood, TODAY);
  assert.equal(learned.shared.ids.length, 0);
  for (const one of samples) assert.equal(learnedPoints(learned, B, one.features), 0);
  assert.ok(
    heldOut.some((one) => learnedPoints(learned, A, one.features) > 0.3),
    'for the own mailbox it counts',
  );
  const patient = flood.map((one, index) => ({ ...one, at: daysAgo(index % 170) }));
  const after = train(patient, TODAY);
  assert.ok(countedOf(patient, TODAY).length <= TRAINING.perVoice);
  for (const one of samples) assert.equal(learnedPoints(after, B, one.features), 0);
});

test('a technician is heard for all mailboxes at once; a second user makes a direction count, in what both have said', () => {
  const [seen, heldOut] = halves(kind('webinar'));
  const alone = train(
    seen.slice(0, 4).map((one) => said(one, { isStaff: true, voice: 'a tom' })),
    TODAY,
  );
  assert.ok(heldOut.every((one) => learnedPoints(alone, B, one.features) > 0.3));
  const second = seen.slice(0, 4).flatMap((one) => [said(one, of(A)), said(one, of(B))]);
  assert.ok(heldOut.every((one) => learnedPoints(train(second, TODAY), C, one.features) > 0.3));
  const against = [
    ...seen.slice(0, 4).map((one) => said(one, of(A))),
    ...seen.slice(0, 4).map((one) => said(one, of(B, { kind: 'ham' }))),
  ];
  for (const one of samples) assert.equal(learnedPoints(train(against, TODAY), C, one.features), 0);
});

const sampleArbitrary = fc.constantFrom(...samples);
const exampleArbitrary = fc
  .record({
    sample: sampleArbitrary,
    who: fc.constantFrom(A, B, 'tom'),
    kind: fc.constantFrom('spam' as const, 'ham' as const),
    days: fc.integer({ min: 0, max: 200 }),
  })
  .map(({ sample, who, kind: direction, days }) =>
    who === 'tom'
      ? said(sample, { isStaff: true, voice: 'a tom', kind: direction, at: daysAgo(days) })
      : said(sample, of(who, { kind: direction, at: daysAgo(days) })),
  );

test('whatever is said, points stay within bounds, the bytes are bounded and the order of the rows does not matter', () => {
  fc.assert(
    fc.property(fc.array(exampleArbitrary, { maxLength: 30 }), sampleArbitrary, (examples, sample) => {
      const learned = train(examples, TODAY);
      for (const mailbox of [A, B, C, null]) {
        assert.ok(Math.abs(learnedPoints(learned, mailbox, sample.features)) <= LEARNED_POINTS);
      }
      const bytes = encodeLearned(learned);
      assert.ok(bytes.length <= 131_072);
      assert.ok(bytes.equals(encodeLearned(train(examples.toReversed(), TODAY))));
      const read = decodeLearned(bytes) ?? assert.fail();
      assert.ok(Math.abs(learnedPoints(read, A, sample.features) - learnedPoints(learned, A, sample.features)) < 0.15);
    }),
    { numRuns: 25 },
  );
});

test('poisoning: however much one mailbox says, in a direction it weighs no more than the others together', () => {
  const spam = kind('invoice').slice(0, 3);
  const others = spam.map((one) => said(one, of(B)));
  const target = kind('newsletter');
  fc.assert(
    fc.property(
      fc.array(fc.record({ at: fc.integer({ min: 0, max: 179 }), which: fc.nat() }), { minLength: 1, maxLength: 300 }),
      (attack) => {
        const flood = attack.map(({ at, which }) =>
          said(target[which % target.length] ?? assert.fail(), of(A, { at: daysAgo(at) })),
        );
        const learned = train([...others, ...flood], TODAY);
        const usedByOthers = new Set(others.flatMap((one) => [...one.features]));
        for (const id of learned.shared.ids) assert.ok(usedByOthers.has(id), 'only what another has used counts');
        for (const one of target) {
          const moved = learnedPoints(learned, C, one.features);
          assert.ok(moved <= 0.5, `newsletters of others are moved by ${moved}`);
        }
      },
    ),
    { numRuns: 15 },
  );
});

test('what was said is forgotten by and by', () => {
  const [seen, heldOut] = halves(kind('event'));
  const at = (days: number) =>
    train(
      seen.flatMap((one) => [said(one, of(A, { at: daysAgo(days) })), said(one, of(B, { at: daysAgo(days) }))]),
      TODAY,
    );
  const sum = (days: number) => heldOut.reduce((total, one) => total + learnedPoints(at(days), C, one.features), 0);
  assert.ok(sum(0) > sum(100) && sum(100) >= 0);
  assert.equal(at(TRAINING.keptDays + 1).shared.ids.length, 0);
});

test('a damaged or foreign model is none, and long messages keep the same features', () => {
  const bytes = encodeLearned(
    train([said(kind('order')[0] ?? assert.fail(), { isStaff: true, voice: 'a tom' })], TODAY),
  );
  assert.equal(decodeLearned(Buffer.alloc(0)), null);
  assert.equal(decodeLearned(bytes.subarray(0, bytes.length - 1)), null);
  assert.equal(decodeLearned(Buffer.from(bytes).fill(9, 4, 6)), null);
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (junk) => {
      decodeLearned(Buffer.concat([bytes.subarray(0, 10), junk]));
    }),
  );
  const long = Uint32Array.from({ length: 3000 }, (_, index) => index * 7);
  const kept = bounded(long);
  assert.equal(kept.length, FEATURES_MAX);
  const shorter = new Set(bounded(long.subarray(0, 2000)));
  assert.ok(
    kept.filter((id) => id < 14_000).every((id) => shorter.has(id)),
    'the choice hangs on the feature alone',
  );
  assert.deepEqual(bounded(Uint32Array.of(5, 3, 4)), Uint32Array.of(3, 4, 5));
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { campaignOf } from '../../src/mail/campaign.ts';

test('the subjects of one campaign are one', () => {
  const cases: readonly [string, string][] = [
    ['Invoice 4711', 'invoice #'],
    ['RE: Re: FWD: Invoice  4712 ', 'invoice #'],
    ['AW: WG: Rechnung Nr. 12-34', 'rechnung nr. #-#'],
    ['[EXTERNAL] Re[2]: hello', 'hello'],
    ['Antw.: hello', 'antw.: hello'],
    ['RV: hola', 'hola'],
    ['Réf : salut', 'salut'],
    ['SV: hej', 'hej'],
    ['回复：你好', '你好'],
    ['Ответ: привет', 'привет'],
    ['Reminder: pay', 'reminder: pay'],
    ['Ｆｒｅｅ\u200b gift\t９９', 'free gift #'],
    ['Re:', ''],
    ['', ''],
  ];
  for (const [subject, campaign] of cases) assert.equal(campaignOf(subject), campaign, subject);
});

test('a campaign is short, has no digits and no control signs', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 400 }), (subject) => {
      const campaign = campaignOf(subject);
      assert.ok(campaign.length <= 120);
      assert.doesNotMatch(campaign, /[\p{Nd}\p{Cc}]/u);
      assert.ok(campaign.isWellFormed());
    }),
    { numRuns: 500 },
  );
});

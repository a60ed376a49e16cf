import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decideFor } from '../../src/pipeline/pipeline.ts';
import { listsStage } from '../../src/pipeline/stages/lists.ts';
import { envelope, inspected, listEntry, passing, recipient, recipientInput, unsigned } from '../support/pipeline.ts';

const SPAMMY = [{ stage: 'rules', score: 9, reasons: [{ code: 'rules.spam_goods', detail: '' }] }];

function codesWith(lists: ReturnType<typeof listEntry>[], authentication = passing()): string[] {
  return listsStage(recipientInput({ recipient: recipient({ lists }), authentication }))
    .reasons.map((one) => one.code)
    .filter((code) => code !== 'list.overruled');
}

test('the narrower scope decides: mailbox, client, partner, master', () => {
  const scopes = ['mailbox', 'client', 'partner', 'master'] as const;
  for (const [index, narrow] of scopes.entries()) {
    for (const wide of scopes.slice(index + 1)) {
      const allowed = [listEntry(wide, 'block', 'partner.example'), listEntry(narrow, 'allow', 'partner.example')];
      const blocked = [listEntry(wide, 'allow', 'partner.example'), listEntry(narrow, 'block', 'partner.example')];
      assert.deepEqual(codesWith(allowed), ['list.allow'], `${narrow} over ${wide}`);
      assert.deepEqual(codesWith(blocked), ['list.block'], `${narrow} over ${wide}`);
    }
  }
});

test('within a scope the more precise pattern decides, and at a tie the block', () => {
  const address = listEntry('client', 'allow', 'anna@partner.example');
  assert.deepEqual(codesWith([listEntry('client', 'block', 'partner.example'), address]), ['list.allow']);
  assert.deepEqual(
    codesWith([listEntry('client', 'block', '.example'), listEntry('client', 'allow', 'partner.example')]),
    ['list.allow'],
  );
  assert.deepEqual(codesWith([address, listEntry('client', 'block', 'anna@partner.example')]), ['list.block']);
});

test('rule 11: an allow entry counts only with an aligned pass; otherwise the next entry decides', () => {
  const lists = [listEntry('mailbox', 'allow', 'partner.example')];
  assert.deepEqual(codesWith(lists, unsigned()), ['list.allow_unauthenticated']);
  assert.deepEqual(
    codesWith(lists, {
      ...passing(),
      available: false,
      dmarc: { result: 'temperror', policy: '', domain: '' },
      spf: { result: 'temperror', domain: '', aligned: false },
      dkim: [],
    }),
    ['list.allow_unauthenticated'],
  );
  // A pass of another domain proves nothing.
  assert.deepEqual(codesWith(lists, unsigned({ spf: { result: 'pass', domain: 'evil.example', aligned: false } })), [
    'list.allow_unauthenticated',
  ]);
  assert.deepEqual(codesWith([...lists, listEntry('client', 'block', 'partner.example')], unsigned()), [
    'list.allow_unauthenticated',
    'list.block',
  ]);
});

test('rule 11: an allowed sender is delivered, an allowed address without proof is not, malware never', () => {
  const lists = [listEntry('mailbox', 'allow', 'anna@partner.example')];
  const spammy = inspected({ votes: SPAMMY });
  const decision = (over: object) =>
    decideFor(recipientInput({ inspected: spammy, recipient: recipient({ lists }), ...over }));
  assert.equal(decision({}).verdict, 'clean');
  assert.equal(decision({ authentication: unsigned() }).verdict, 'spam');
  assert.equal(decision({ inspected: inspected({ eicar: ['a.com'] }) }).verdict, 'malware');
  const failed = unsigned({ dmarc: { result: 'fail', policy: 'reject', domain: 'partner.example' } });
  assert.equal(decision({ authentication: failed }).verdict, 'spoof');
});

test('an allow entry matches what people see, a block also the envelope', () => {
  const hidden = recipientInput({
    envelope: envelope({ sender: 'x@bounces.example' }),
    recipient: recipient({ lists: [listEntry('client', 'allow', 'bounces.example')] }),
  });
  assert.deepEqual(listsStage(hidden).reasons, []);
  const blocked = { ...hidden, recipient: recipient({ lists: [listEntry('client', 'block', 'bounces.example')] }) };
  assert.equal(listsStage(blocked).verdict, 'spam');
});

test('with two addresses in From no allow entry counts', () => {
  const from = [
    { address: 'anna@partner.example', name: '' },
    { address: 'eve@evil.example', name: '' },
  ];
  const input = recipientInput({
    inspected: inspected({ from }),
    recipient: recipient({ lists: [listEntry('client', 'allow', 'partner.example')] }),
  });
  assert.deepEqual(listsStage(input).reasons, []);
});

test('the trace names the entry that decided and those that it overruled', () => {
  const lists = [
    listEntry('master', 'block', '.example'),
    listEntry('partner', 'allow', 'partner.example'),
    listEntry('mailbox', 'block', 'anna@partner.example'),
    listEntry('client', 'block', 'elsewhere.example'),
  ];
  assert.deepEqual(listsStage(recipientInput({ recipient: recipient({ lists }) })).reasons, [
    { code: 'list.block', detail: 'anna@partner.example (mailbox)' },
    { code: 'list.overruled', detail: 'allow partner.example (partner) by anna@partner.example (mailbox)' },
    { code: 'list.overruled', detail: 'block .example (master) by anna@partner.example (mailbox)' },
  ]);
});

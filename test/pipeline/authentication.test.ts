import assert from 'node:assert/strict';
import { test } from 'node:test';
import { authenticationStage } from '../../src/pipeline/stages/authentication.ts';
import { envelope, inspected, passing, recipientInput, unsigned } from '../support/pipeline.ts';

function voteFor(from: { address: string; name?: string }, authentication = unsigned(), over: object = {}) {
  return authenticationStage(
    recipientInput({ inspected: inspected({ from: [{ name: '', ...from }] }), authentication, ...over }),
  );
}
const codes = (vote: { reasons: readonly { code: string }[] }) => vote.reasons.map((reason) => reason.code);

test('own domain without an aligned pass is a spoof, with one it is not', () => {
  const vote = voteFor({ address: 'ceo@client.example' });
  assert.deepEqual([vote.verdict, codes(vote)], ['spoof', ['auth.none', 'auth.own_domain_spoof']]);
  assert.equal(voteFor({ address: 'ceo@mail.client.example' }).verdict, 'spoof');
  assert.equal(voteFor({ address: 'ceo@client.example' }, passing('client.example')).verdict, undefined);
});

test('own domain when nothing could be looked up is left out', () => {
  const vote = voteFor({ address: 'ceo@client.example' }, { ...unsigned(), available: false });
  assert.deepEqual([vote.verdict, vote.score, codes(vote)], [undefined, 0, ['auth.unavailable']]);
});

test('a display name that is an address of the own domain is a spoof, also from an authenticated stranger', () => {
  for (const name of ['ceo@client.example', '"CEO <ceo@client.example>"', 'Ann (ann@CLIENT.example)']) {
    assert.equal(voteFor({ address: 'x@gmail.example', name }, passing('gmail.example')).verdict, 'spoof', name);
  }
  assert.equal(voteFor({ address: 'x@gmail.example', name: 'Ann' }).verdict, undefined);
});

test('lookalikes of the own domain', () => {
  assert.deepEqual(codes(voteFor({ address: 'x@c1ient.test' })), ['auth.none', 'auth.lookalike_own']);
  assert.deepEqual(codes(voteFor({ address: 'x@cliient.test' })), ['auth.none', 'auth.near_own']);
  assert.deepEqual(codes(voteFor({ address: 'x@xn--lient-0ye.test' })), ['auth.none', 'auth.lookalike_own']);
  assert.deepEqual(codes(voteFor({ address: 'x@silent.test' })), ['auth.none']);
});

test('a DMARC failure weighs as the domain asks', () => {
  const failed = (policy: string) => unsigned({ dmarc: { result: 'fail', policy, domain: 'partner.example' } });
  assert.equal(voteFor({ address: 'a@partner.example' }, failed('reject')).verdict, 'spoof');
  assert.equal(voteFor({ address: 'a@partner.example' }, failed('quarantine')).verdict, 'spoof');
  assert.equal(voteFor({ address: 'a@partner.example' }, failed('none')).verdict, undefined);
});

test('mail that nothing speaks for says so, and one signature is enough', () => {
  assert.deepEqual(codes(voteFor({ address: 'a@partner.example' })), ['auth.none']);
  const signed = unsigned({ dkim: [{ result: 'pass', domain: 'other.example', aligned: false }] });
  assert.deepEqual(codes(voteFor({ address: 'a@partner.example' }, signed)), []);
});

test('submitted mail is authenticated by its login', () => {
  const vote = voteFor({ address: 'ceo@client.example' }, unsigned(), {
    envelope: envelope({ direction: 'outbound', authenticatedAs: 'ceo' }),
  });
  assert.deepEqual([vote.verdict, vote.score, codes(vote)], [undefined, 0, []]);
});

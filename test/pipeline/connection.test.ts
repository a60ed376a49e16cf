import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ConnectionFacts, OwnName } from '../../src/core/message.ts';
import { nameKey, ownerOf } from '../../src/pipeline/people.ts';
import { decideFor } from '../../src/pipeline/pipeline.ts';
import { authenticationStage } from '../../src/pipeline/stages/authentication.ts';
import { connectionStage } from '../../src/pipeline/stages/connection.ts';
import { envelope, inspected, passing, recipient, recipientInput } from '../support/pipeline.ts';

const from = (connection: ConnectionFacts, over: object = {}) =>
  recipientInput({ envelope: envelope({ connection }), ...over });
const facts = (reputation: number, ...points: number[]): ConnectionFacts => ({
  reputation,
  dnsLists: points.map((one, index) => ({ zone: `z${index}.example`, points: one })),
});
const codes = (vote: { reasons: readonly { code: string }[] }) => vote.reasons.map((reason) => reason.code);

test('a network of bad or good reputation gives bounded points, one in between none', () => {
  assert.deepEqual(codes(connectionStage(from(facts(0.39)))), []);
  assert.deepEqual(codes(connectionStage(from(facts(-0.39)))), []);
  const worst = connectionStage(from(facts(-1)));
  assert.deepEqual(codes(worst), ['reputation.bad']);
  assert.ok(worst.score > 2.3 && worst.score <= 2.5, String(worst.score));
  const best = connectionStage(from(facts(1)));
  assert.deepEqual([codes(best), best.score], [['reputation.good'], -1]);
});

test('a bad reputation alone never decides, whatever the threshold', () => {
  for (const spamScore of [1, 2, 6, 100]) {
    const input = from(facts(-1), { recipient: recipient({ policy: { ...recipient().policy, spamScore } }) });
    assert.equal(decideFor({ ...input, authentication: passing() }).verdict, 'clean', String(spamScore));
  }
});

test('DNS lists add up within their bounds', () => {
  assert.equal(connectionStage(from(facts(0, 2, 2))).score, 4);
  assert.equal(connectionStage(from(facts(0, 5, 5, 5))).score, 5);
  assert.equal(connectionStage(from(facts(0, -2, -2))).score, -2);
  assert.equal(connectionStage(from(facts(0, 3, -1))).score, 2);
});

test('nothing is said of allowed networks and of submitted mail', () => {
  assert.deepEqual(codes(connectionStage(from(facts(-1, 5), { recipient: recipient({ networkAllowed: true }) }))), []);
  const outbound = recipientInput({ envelope: envelope({ connection: facts(-1), direction: 'outbound' }) });
  assert.deepEqual(codes(connectionStage(outbound)), []);
});

const NAMES: readonly OwnName[] = [
  { name: 'Anna Schmidt', address: 'anna@client.example', own: true },
  { name: 'Zoë Müller-Lüdenscheidt', address: 'zoe@client.example', own: true },
  { name: 'Sales Team', address: 'sales@client.example', own: true },
  { name: 'Bo Li', address: 'bo@client.example', own: true },
  { name: 'Anna', address: 'a@client.example', own: true },
  { name: 'Peter Privat', address: 'peter@client.example', own: true },
  { name: 'Peter Privat', address: 'peter@home.example', own: false },
];

test('a name is the same whatever its case, order, accents, alphabet and additions', () => {
  for (const shown of [
    'anna schmidt',
    'SCHMIDT, Anna',
    'Schmidt Anna (CEO)',
    'Аnnа Schmidt',
    'Anna  Schm1dt',
    'Ａｎｎａ Schmidt',
  ]) {
    assert.equal(ownerOf(NAMES, shown, 'x@gmail.example'), 'anna@client.example', shown);
  }
  assert.equal(ownerOf(NAMES, 'Muller-Ludenscheidt, Zoe', 'x@gmail.example'), 'zoe@client.example');
  for (const other of ['Anna', 'Anna Schmitz', 'Sales Team', 'Bo Li', 'Anna Maria Schmidt', '', 'x'.repeat(10_000)]) {
    assert.equal(ownerOf(NAMES, other, 'x@gmail.example'), null, other.slice(0, 30));
  }
  assert.equal(ownerOf(NAMES, 'Peter Privat', 'peter@home.example'), null, 'a contact bears its own name');
  assert.equal(ownerOf(NAMES, 'Peter Privat', 'peter@evil.example'), 'peter@client.example');
  assert.equal(nameKey('a b c d e f g h i j'), null);
});

test("a stranger under a user's name: points, a spoof or nothing, as the policy says; the user and lists are spared", () => {
  const policy = recipient().policy;
  const vote = (address: string, ownerNameAction: 'points' | 'spoof' | 'off', over: object = {}) =>
    authenticationStage(
      recipientInput({
        inspected: inspected({ from: [{ name: 'Schmidt, Anna', address }], ...over }),
        authentication: passing('gmail.example'),
        recipient: recipient({ ownNames: NAMES, policy: { ...policy, ownerNameAction } }),
      }),
    );
  const owner = 'auth.display_name_owner';
  const points = vote('ceo@gmail.example', 'points');
  assert.deepEqual([points.verdict, codes(points).includes(owner)], [undefined, true]);
  assert.equal(vote('ceo@gmail.example', 'spoof').verdict, 'spoof');
  assert.equal(codes(vote('ceo@gmail.example', 'off')).includes(owner), false);
  assert.equal(codes(vote('anna@client.example', 'spoof')).includes(owner), false);
  assert.equal(codes(vote('list@gmail.example', 'spoof', { isList: true })).includes(owner), false);
});

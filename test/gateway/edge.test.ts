import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { type TestContext, test } from 'node:test';
import { addListEntry, addMasterEntries } from '../../src/accounts/lists.ts';
import { packageRoot } from '../../src/config/root.ts';
import { silentLogger } from '../../src/core/log.ts';
import type { ConnectionFacts, Pipeline } from '../../src/core/message.ts';
import type { SystemDb } from '../../src/db/db.ts';
import { HARVEST, isHarvesting, THROTTLE } from '../../src/gateway/edge.ts';
import { pruneEdge } from '../../src/gateway/prune.ts';
import { REFUSALS } from '../../src/gateway/refusals.ts';
import { Reputation } from '../../src/gateway/reputation.ts';
import { zoneResolver } from '../../src/mail/resolver.ts';
import { gate } from '../support/gate.ts';
import { seedClient, seedPartner } from '../support/seed.ts';
import { byLocalPart, openRig, type RigOptions, Talker } from './support/rig.ts';

const MINUTE = 60_000;

async function open(t: TestContext, options: RigOptions & { policy?: object } = {}) {
  const { policy = {}, ...rest } = options;
  const waits: number[] = [];
  const rig = await openRig(t, {
    ...rest,
    delay: async (ms) => {
      waits.push(ms);
    },
  });
  const partner = await seedPartner(rig.db);
  const clientId = await seedClient(rig.db, partner.id);
  await rig.owner.query('update clients set policy = $1', [policy]);
  /** Answers RCPT of one transaction. */
  const rcpt = async (to: string, from = 'eve@far.example', address = '127.1.0.1') => {
    const client = await Talker.open(rig.smtp, address);
    await client.say(`MAIL FROM:<${from}>`);
    const answer = await client.say(`RCPT TO:<${to}>`);
    client.close();
    return answer;
  };
  const refused = async () =>
    (
      await rig.owner.query(
        `select recipient, reasons[1] as reason, occurred_at from ledger where kind = 'refused' order by 3`,
      )
    ).rows;
  const list = (pattern: string, kind: 'allow' | 'block') =>
    rig.db.tenant(partner.id, (tx) =>
      addListEntry(tx, { clientId: null, mailboxId: null, kind, pattern, actor: 'test' }),
    );
  return { rig, partner, clientId, waits, rcpt, refused, list };
}

const ANN = 'ann@acme.example';

test('greylisting is off unless a client wants it', async (t) => {
  const { rcpt } = await open(t);
  assert.match(await rcpt(ANN), /^250/);
});

test('greylisting: deferred for four minutes, then the triplet, the sender and the network are known', async (t) => {
  const { rig, rcpt, refused } = await open(t, { policy: { greylist: true } });
  const start = rig.clock.now();
  assert.match(await rcpt(ANN), /^451 4\.7\.1 Greylisted, try again in 240 seconds/);
  rig.clock.advance(3 * MINUTE);
  assert.match(await rcpt(ANN), /^451 4\.7\.1 Greylisted, try again in 60 seconds/);
  rig.clock.advance(MINUTE);
  assert.match(await rcpt(ANN, 'eve@far.example', '127.1.0.99'), /^250/, 'the same /24');
  assert.match(await rcpt('bob@acme.example', 'other@far.example'), /^250/, 'the network has passed');
  assert.match(await rcpt(ANN, 'eve@far.example', '127.2.0.1'), /^250/, 'the sender has passed');
  assert.match(await rcpt(ANN, 'new@far.example', '127.2.0.1'), /^451/);
  rig.clock.advance(36 * 86_400_000);
  assert.match(await rcpt(ANN), /^451/, 'forgotten after 35 days');
  // Each wait is one event, at the time when it began; nothing is written when it ends or expires.
  const events = await refused();
  assert.deepEqual(
    events.map((one) => one.reason),
    Array.from({ length: 3 }, () => 'recipient.greylisted'),
  );
  assert.deepEqual(events[0]?.occurred_at, start);
  assert.equal((await rig.owner.query('select from deliveries')).rowCount, 0);
});

test('greylisting: a try after the window of two days begins anew, and old rows are pruned', async (t) => {
  const { rig, rcpt, refused } = await open(t, { policy: { greylist: true } });
  assert.match(await rcpt(ANN), /^451/);
  rig.clock.advance(2 * 86_400_000 + 1000);
  assert.match(await rcpt(ANN), /^451 4\.7\.1 Greylisted, try again in 240/);
  assert.equal((await refused()).length, 2);
  rig.clock.advance(2 * 86_400_000 + 1000);
  await pruneEdge(rig.db);
  assert.equal((await rig.owner.query('select from greylist')).rowCount, 0);
});

test('greylisting: the null sender waits too, and its passing says nothing of other networks', async (t) => {
  const { rig, rcpt } = await open(t, { policy: { greylist: true } });
  assert.match(await rcpt(ANN, ''), /^451/);
  rig.clock.advance(4 * MINUTE);
  assert.match(await rcpt(ANN, ''), /^250/);
  assert.match(await rcpt(ANN, '', '127.2.0.1'), /^451/);
});

test('greylisting: SPF pass, and networks on an allow list, are not kept waiting; unknown recipients get their 550', async (t) => {
  const resolver = zoneResolver({
    'far.example': { TXT: ['v=spf1 ip4:127.1.0.0/24 -all'] },
    'slow.example': { FAIL: ['ETIMEOUT'] },
  });
  const { rig, rcpt, list } = await open(t, { policy: { greylist: true }, resolver });
  assert.match(await rcpt(ANN), /^250/);
  assert.match(await rcpt(ANN, 'eve@far.example', '127.2.0.1'), /^451/);
  assert.match(await rcpt(ANN, 'eve@slow.example'), /^451/);
  rig.clock.advance(1000);
  assert.match(await rcpt('nobody@acme.example', 'eve@slow.example'), /^550 5\.1\.1/);
  await list('127.3.0.0/16', 'allow');
  // The gateway hears of it a moment later.
  while (!(await rcpt(ANN, 'eve@slow.example', '127.3.4.5')).startsWith('250'));
});

test('networks: the partner blocks at RCPT with an event, existing or not alike; the operator at connect', async (t) => {
  const { rig, rcpt, refused, list } = await open(t);
  await list('127.4.0.0/16', 'block');
  await list('127.4.4.0/24', 'allow');
  rig.clock.advance(1000);
  assert.match(await rcpt(ANN, 'eve@far.example', '127.4.0.1'), /^554 5\.7\.1/);
  assert.match(await rcpt('nobody@acme.example', 'eve@far.example', '127.4.0.1'), /^554 5\.7\.1/);
  assert.match(await rcpt(ANN, 'eve@far.example', '127.4.4.1'), /^250/, 'the longer prefix decides');
  assert.deepEqual(
    (await refused()).map((one) => one.reason),
    ['connection.network_blocked', 'connection.network_blocked'],
  );
  await rig.db.system((tx) => addMasterEntries(tx, [{ kind: 'block', pattern: '127.5.0.0/16' }]));
  for (let greeting = ''; !greeting.startsWith('554 5.7.1'); ) {
    const talker = new Talker(rig.smtp, '127.5.1.1');
    greeting = await talker.reply();
    talker.close();
  }
});

test('DNS lists: refused at RCPT where the operator says so, else told to the filter, and left out when down', async (t) => {
  const seen: (ConnectionFacts | undefined)[] = [];
  const pipeline: Pipeline = {
    ...byLocalPart,
    run(input, signal) {
      seen.push(input.envelope.connection);
      return byLocalPart.run(input, signal);
    },
  };
  const listed = (...names: string[]) => Object.fromEntries(names.map((name) => [name, { A: ['127.0.0.3'] }]));
  const resolver = zoneResolver({
    ...listed('2.0.0.127.hard.example', '1.0.6.127.hard.example', '2.0.0.127.soft.example', '1.0.7.127.soft.example'),
    'down.example': { FAIL: ['ESERVFAIL'] },
    '2.0.0.127.down.example': { FAIL: ['ESERVFAIL'] },
  });
  const dnsLists = [
    { zone: 'hard.example', points: 5, reject: true },
    { zone: 'soft.example', points: 2, reject: false },
    { zone: 'down.example', points: 5, reject: true },
  ];
  const { rig, rcpt, refused, list } = await open(t, { pipeline, resolver, config: { dnsLists } });
  assert.match(await rcpt(ANN, 'eve@far.example', '127.6.0.1'), /^554 5\.7\.1 .*hard\.example/);
  assert.deepEqual(
    (await refused()).map((one) => one.reason),
    ['connection.dnsbl'],
  );
  const client = await Talker.open(rig.smtp, '127.7.0.1');
  assert.match((await client.send('eve@far.example', [ANN])).at(-1) ?? '', /^250/);
  client.close();
  assert.deepEqual(seen[0]?.dnsLists, [{ zone: 'soft.example', points: 2 }]);
  await list('127.6.0.0/16', 'allow');
  while (!(await rcpt(ANN, 'eve@far.example', '127.6.0.1')).startsWith('250'));
});

test('harvest: a network that tries addresses is slowed down and then deferred, existing or not alike', async (t) => {
  const { rig, rcpt, waits } = await open(t);
  rig.clock.advance(1000);
  const client = await Talker.open(rig.smtp, '127.8.0.1');
  await client.say('MAIL FROM:<eve@far.example>');
  for (let index = 0; index < HARVEST.stopAt; index += 1) {
    assert.match(await client.say(`RCPT TO:<try${index}@acme.example>`), /^550 5\.1\.1/);
  }
  assert.equal(waits.length, HARVEST.stopAt - HARVEST.slowFrom);
  assert.ok(waits.every((ms) => ms > 0 && ms <= HARVEST.maxMs));
  const before = waits.length;
  const answers = [await client.say(`RCPT TO:<${ANN}>`), await client.say('RCPT TO:<nobody@acme.example>')];
  client.close();
  assert.match(answers[0] ?? '', /^450 4\.7\.1/);
  assert.equal(answers[0], answers[1], 'the answer does not tell');
  assert.equal(waits[before], waits[before + 1], 'nor does the time');
  assert.match(await rcpt(ANN, 'eve@far.example', '127.8.1.1'), /^250/, 'another network');
  rig.clock.advance(10 * MINUTE);
  assert.match(await rcpt(ANN, 'eve@far.example', '127.8.0.1'), /^250/, 'the window has passed');
});

test('harvest: one good address, given again and again and with details, hides no tries', async (t) => {
  const { rig } = await open(t);
  rig.clock.advance(1000);
  const client = await Talker.open(rig.smtp, '127.8.0.1');
  await client.say('MAIL FROM:<eve@far.example>');
  const answers: string[] = [];
  for (let index = 0; index <= HARVEST.stopAt; index += 1) {
    await client.say(`RCPT TO:<${index % 2 === 0 ? ANN : ANN.replace('@', `+${index}@`)}>`);
    answers.push((await client.say(`RCPT TO:<try${index}@acme.example>`)).slice(0, 3));
    // No transaction may have more recipients than that.
    if (index % 3 === 2) for (const line of ['RSET', 'MAIL FROM:<eve@far.example>']) await client.say(line);
  }
  client.close();
  assert.equal(answers.indexOf('450'), HARVEST.stopAt);
});

test('harvest: who repeats stale addresses, or has a list of which a fifth is gone, is not harmed', async (t) => {
  const { rig, waits } = await open(t);
  rig.clock.advance(1000);
  const client = await Talker.open(rig.smtp, '127.8.0.1');
  await client.say('MAIL FROM:<news@far.example>');
  for (let index = 0; index < 2 * HARVEST.stopAt; index += 1) {
    assert.match(await client.say(`RCPT TO:<gone${index % 5}@acme.example>`), /^550/);
  }
  assert.match(await client.say(`RCPT TO:<${ANN}>`), /^250/);
  client.close();
  assert.deepEqual(waits, []);
  assert.equal(isHarvesting({ known: 160, unknown: 40 }), false);
  assert.equal(isHarvesting({ known: 5, unknown: 9 }), false, 'too few to say');
  assert.equal(isHarvesting({ known: 40, unknown: 40 }), true, 'half of it is no list');
});

test('harvest: one network, two nodes, one count; and the client has its windows', async (t) => {
  const { rig, partner, clientId } = await open(t);
  const one = new Reputation(rig.db, rig.clock, silentLogger);
  const two = new Reputation(rig.db, rig.clock, silentLogger);
  const owner = { partnerId: partner.id, clientId, domain: 'acme.example' };
  for (let index = 0; index < 4; index += 1) {
    one.noteUnknown('127.8.0.1', owner, `one${index}@acme.example`);
    two.noteUnknown('127.8.0.2', owner, `two${index}@acme.example`);
  }
  await Promise.all([one.flush(), two.flush()]);
  rig.clock.advance(MINUTE);
  assert.equal((await one.standing('127.8.0.3')).unknown, 8);
  assert.equal((await two.standing('127.8.0.3')).unknown, 8);
  const { rows } = await rig.owner.query('select domain, network, unknown from harvest_windows');
  assert.deepEqual(rows, [{ domain: 'acme.example', network: '127.8.0.0/24', unknown: 8 }]);
});

test('harvest: what is being told to the other nodes counts meanwhile, and once', async (t) => {
  const { rig, partner, clientId } = await open(t);
  const [begun, held] = [gate(), gate()];
  const slow: SystemDb = {
    async system(work, options) {
      if (options?.readOnly === true) return rig.db.system(work, options);
      begun.open();
      await held.passed;
      return rig.db.system(work, options);
    },
  };
  const reputation = new Reputation(slow, rig.clock, silentLogger);
  const owner = { partnerId: partner.id, clientId, domain: 'acme.example' };
  const tries = (...names: string[]) => {
    for (const name of names) reputation.noteUnknown('127.8.0.1', owner, `${name}@acme.example`);
  };
  const unknown = async () => (await reputation.standing('127.8.0.1')).unknown;
  tries('a', 'b', 'c');
  const told = reputation.flush();
  await begun.passed;
  assert.equal(await unknown(), 3);
  tries('d');
  assert.equal(await unknown(), 4);
  held.open();
  await told;
  assert.equal(await unknown(), 4);
  await reputation.flush();
  assert.equal(await unknown(), 4);
});

test('reputation: counts halve in a day, survive a database that is away, and never refuse for good', async (t) => {
  const { rig, rcpt } = await open(t);
  const reputation = new Reputation(rig.db, rig.clock, silentLogger);
  assert.equal((await reputation.standing('127.9.0.1')).score, 0);
  reputation.note('127.9.0.1', 'spam', 80);
  await rig.owner.query('alter table network_reputation rename to gone');
  await reputation.flush();
  assert.equal((await reputation.standing('127.9.0.1')).score, -0.8, 'what could not be told is not lost');
  await rig.owner.query('alter table gone rename to network_reputation');
  await reputation.flush();
  assert.equal((await reputation.standing('127.9.0.1')).score, -0.8);
  // The gateway itself: so many transactions a minute, then 421, and a minute later again.
  const answers: string[] = [];
  for (let index = 0; index <= THROTTLE.perMinute; index += 1) {
    const client = new Talker(rig.smtp, '127.9.0.1');
    const greeting = await client.reply();
    if (greeting.startsWith('220')) {
      await client.say('EHLO x.example');
      answers.push(await client.say('MAIL FROM:<eve@far.example>'));
    } else answers.push(greeting);
    client.close();
  }
  assert.ok(answers.slice(0, -1).every((answer) => answer.startsWith('250')));
  assert.match(answers.at(-1) ?? '', /^421 4\.7\.0/);
  rig.clock.advance(MINUTE);
  assert.match(await rcpt(ANN, 'eve@far.example', '127.9.0.1'), /^250/);
  rig.clock.advance(86_400_000);
  const later = (await reputation.standing('127.9.0.1')).score;
  assert.ok(Math.abs(later - -40 / 60) < 0.02, `${later} after a day`);
});

test('reputation: verdicts, failed logins and what is not SMTP are counted for their network', async (t) => {
  const { rig } = await open(t);
  await rig.owner.query(`insert into mailboxes select partner_id, client_id, gen_random_uuid(), 'quarantine@acme.example', 'q',
    'user', 'active', created_at, updated_at from mailboxes limit 1`);
  await rig.owner.query(`insert into addresses select partner_id, client_id, address, id, 'primary', created_at
    from mailboxes where address = 'quarantine@acme.example'`);
  const client = await Talker.open(rig.smtp, '127.10.0.1');
  assert.match((await client.send('eve@far.example', [ANN])).at(-1) ?? '', /^250/);
  assert.match((await client.send('eve@far.example', ['quarantine@acme.example'])).at(-1) ?? '', /^250/);
  await client.say('NONSENSE');
  client.close();
  const login = await Talker.open(rig.submission, '127.10.0.2');
  assert.match(await login.say(`AUTH PLAIN ${Buffer.from('\0eve\0wrong').toString('base64')}`), /^535/);
  login.close();
  await rig.gateway.stop(500);
  const { rows } = await rig.owner.query(
    'select network, ham, spam, auth_failures, protocol_errors from network_reputation',
  );
  assert.deepEqual(rows, [{ network: '127.10.0.0/24', ham: 1, spam: 1, auth_failures: 1, protocol_errors: 1 }]);
});

test('docs/edge.md lists the reasons for refusals as the code has them', () => {
  const text = readFileSync(path.join(packageRoot(), 'docs/edge.md'), 'utf8');
  for (const [code, words] of Object.entries(REFUSALS)) assert.ok(text.includes(`| \`${code}\` | ${words} |`), code);
});

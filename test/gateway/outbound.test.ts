import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { createCredential, listCredentials, revokeCredential } from '../../src/accounts/credentials.ts';
import { addNetwork, parseNetwork, removeNetwork } from '../../src/accounts/networks.ts';
import { setLimits } from '../../src/accounts/outbound-limits.ts';
import { outboundPolicies, resolveOutboundPolicy, setOutboundPolicy } from '../../src/accounts/policy.ts';
import { AppError } from '../../src/core/errors.ts';
import { silentLogger } from '../../src/core/log.ts';
import { createGateway, forgetOldCounts } from '../../src/gateway/index.ts';
import { zoneResolver } from '../../src/mail/resolver.ts';
import { watchOutbound } from '../../src/monitor/outbound.ts';
import { decide } from '../../src/pipeline/decide.ts';
import { listHeld, purgeHeld, releaseHeld } from '../../src/quarantine/held-outbound.ts';
import { seedClient, seedPartner } from '../support/seed.ts';
import { byLocalPart, CONFIG, openRig, openSink, type RigOptions, Talker } from './support/rig.ts';
import { login, PASSWORD, seedSubmitter } from './support/submitter.ts';

async function openOutbound(t: TestContext, options: RigOptions = {}) {
  const sink = await openSink(t);
  const resolver = zoneResolver({
    'far.example': { MX: [{ exchange: 'mx.far.example', priority: 10 }] },
    'mx.far.example': { A: ['127.0.0.1'] },
  });
  const rig = await openRig(t, { resolver, mxPort: sink.port, ...options });
  const seeded = await seedSubmitter(rig.db);
  const mailbox = async (address: string) =>
    (await rig.owner.query<{ id: string }>('select id from mailboxes where address = $1', [address])).rows[0]?.id ?? '';
  return { sink, rig, mailbox, ...seeded };
}

/** The pipeline of the rig, with a From that the test chooses. */
const from = (address: string) => ({
  ...byLocalPart,
  run: async (...args: Parameters<typeof byLocalPart.run>) => {
    const result = await byLocalPart.run(...args);
    return { ...result, facts: { ...result.facts, fromAddress: address } };
  },
});

async function sendOne(port: number, sender: string, recipients: readonly string[], user = 'ann@acme.example') {
  const client = await Talker.open(port);
  assert.match(await login(client, PASSWORD, 'PLAIN', user), /^235/);
  const replies = await client.send(sender, recipients);
  client.close();
  return replies;
}

const refusedAs = (code: string) => (error: unknown) => error instanceof AppError && error.code === code;

test("a mailbox's login sends as that mailbox's addresses and aliases only, in the envelope and in From", async (t) => {
  const { rig, partner, clientId, mailbox } = await openOutbound(t, { pipeline: from('ann@acme.example') });
  const ann = await mailbox('ann@acme.example');
  const make = (mailboxId: string) =>
    rig.db.tenant(partner.id, (tx) =>
      createCredential(tx, { clientId, mailboxId, username: 'ann-laptop', password: PASSWORD, actor: 'test' }),
    );
  await rig.owner.query(
    `insert into addresses (partner_id, client_id, address, mailbox_id, kind, created_at)
     values ($1, $2, 'sales@acme.example', $3, 'alias', now())`,
    [partner.id, clientId, ann],
  );
  await assert.rejects(make('00000000-0000-7000-8000-000000000000'), refusedAs('not_found'));
  const { id } = await make(ann);
  const client = await Talker.open(rig.submission);
  assert.match(await login(client, PASSWORD, 'PLAIN', 'ann-laptop'), /^235/);
  assert.match(await client.say('MAIL FROM:<bob@acme.example>'), /^553 5\.7\.1/);
  for (const own of ['sales@acme.example', 'ann+news@acme.example', 'ann@acme.example']) {
    assert.match((await client.send(own, ['x@far.example'])).at(-1) ?? '', /^250/, own);
  }
  client.close();
  const { rows } = await rig.owner.query('select distinct mailbox_id from deliveries');
  assert.deepEqual(rows, [{ mailbox_id: ann }], 'counted for the mailbox');

  // Revoked, and a blocked mailbox: from the next login on.
  await rig.owner.query(`update mailboxes set status = 'blocked' where id = $1`, [ann]);
  const late = await Talker.open(rig.submission);
  assert.match(await login(late, PASSWORD, 'PLAIN', 'ann-laptop'), /^535/);
  await rig.owner.query(`update mailboxes set status = 'active' where id = $1`, [ann]);
  await rig.db.tenant(partner.id, async (tx) => {
    assert.equal(await revokeCredential(tx, id, 'test'), true);
    assert.equal(await revokeCredential(tx, id, 'test'), false);
    const listed = await listCredentials(tx, clientId, { first: 10, after: null });
    assert.deepEqual(
      listed.map((one) => [one.username, one.revokedAt !== null]),
      [
        ['ann-laptop', true],
        ['ann@acme.example', false],
      ],
    );
  });
  assert.match(await login(late, PASSWORD, 'PLAIN', 'ann-laptop'), /^535/);
  late.close();
});

test("a mailbox's login does not write in another's name", async (t) => {
  const { rig, partner, clientId, mailbox } = await openOutbound(t, { pipeline: from('boss@acme.example') });
  const mailboxId = await mailbox('ann@acme.example');
  await rig.db.tenant(partner.id, (tx) =>
    createCredential(tx, { clientId, mailboxId, username: 'ann-laptop', password: PASSWORD, actor: 'test' }),
  );
  const replies = await sendOne(rig.submission, 'ann@acme.example', ['x@far.example'], 'ann-laptop');
  assert.match(replies.at(-1) ?? '', /^550 5\.7\.1/);
  const own = await openOutbound(t, { pipeline: from('ann@acme.example') });
  const annId = await own.mailbox('ann@acme.example');
  await own.rig.db.tenant(own.partner.id, (tx) =>
    createCredential(tx, {
      clientId: own.clientId,
      mailboxId: annId,
      username: 'ann-laptop',
      password: PASSWORD,
      actor: 'test',
    }),
  );
  const talker = await Talker.open(own.rig.submission);
  assert.match(await login(talker, PASSWORD, 'PLAIN', 'ann-laptop'), /^235/);
  for (const [header, code] of [
    ['From: ann@acme.example\r\nFrom: boss@acme.example', /^550 5\.7\.1/],
    ['From: ann@acme.example, Boss <boss@acme.example>', /^550 5\.7\.1/],
    ['From: <ann@acme.example> <boss@acme.example>', /^550 5\.7\.1/],
    ['From: "Doe, Ann, me@home" <ann@acme.example> (or a@b.example, c@d.example)', /^250/],
    ['From: Doe, Ann <ann@acme.example>', /^250/],
  ] as const) {
    const said = await talker.send('ann@acme.example', ['x@far.example'], `${header}\r\nSubject: x\r\n\r\nHi\r\n`);
    assert.match(said.at(-1) ?? '', code, header);
  }
  talker.close();
  // The client as a whole may: its server forwards what it got.
  assert.match((await sendOne(rig.submission, 'ann@acme.example', ['x@far.example'])).at(-1) ?? '', /^250/);
});

test('an allowed network sends without a login, as the domains of its client only', async (t) => {
  const { rig, partner, clientId } = await openOutbound(t, { pipeline: from('bounce@acme.example') });
  const client = await Talker.open(rig.submission);
  assert.match(await client.say('MAIL FROM:<ann@acme.example>'), /^530 5\.7\.0/);
  const { id, network } = await rig.db.tenant(partner.id, (tx) =>
    addNetwork(tx, { clientId, network: '127.0.0.9/24', actor: 'test' }),
  );
  assert.equal(network, '127.0.0.0/24');
  assert.match(await client.say('MAIL FROM:<ann@other.example>'), /^553 5\.7\.1/);
  assert.match((await client.send('ann@acme.example', ['x@far.example'])).at(-1) ?? '', /^250/);
  assert.match((await client.send('', ['x@far.example'])).at(-1) ?? '', /^250/, 'a notification of its server');
  await rig.db.tenant(partner.id, (tx) => removeNetwork(tx, id, 'test'));
  assert.match(await client.say('MAIL FROM:<ann@acme.example>'), /^530 5\.7\.0/);
  client.close();
});

test("a network's notification needs a From of the client's own", async (t) => {
  const { rig, partner, clientId } = await openOutbound(t, { pipeline: from('ann@other.example') });
  await rig.db.tenant(partner.id, (tx) => addNetwork(tx, { clientId, network: '127.0.0.1', actor: 'test' }));
  const client = await Talker.open(rig.submission);
  assert.match((await client.send('', ['x@far.example'])).at(-1) ?? '', /^550 5\.7\.1/);
  client.close();
});

test('a network belongs to one client of the whole gateway, and one that is too wide to none', async (t) => {
  const { rig, partner, clientId } = await openOutbound(t);
  const other = await seedPartner(rig.db, 'Other IT');
  const theirs = await seedClient(rig.db, other.id, { domain: 'other.example' });
  const add = (who: typeof partner.id, client: string, network: string) =>
    rig.db.tenant(who, (tx) => addNetwork(tx, { clientId: client, network, actor: 'test' }));
  await add(partner.id, clientId, '192.0.2.0/26');
  for (const touching of ['192.0.2.0/26', '192.0.2.7', '192.0.2.0/24']) {
    await assert.rejects(add(other.id, theirs, touching), refusedAs('conflict'), touching);
  }
  await add(other.id, theirs, '192.0.2.64/26');
  await assert.rejects(add(partner.id, theirs, '203.0.113.1'), refusedAs('not_found'), 'the client of another tenant');
  for (const bad of [
    '0.0.0.0/0',
    '10.0.0.0/8',
    '::/0',
    '2001:db8::/32',
    '1.2',
    '192.0.2.0/33',
    'x',
    '',
    '::ffff:192.0.2.1',
    '224.0.0.0/24',
    '198.51.96.0/20',
    '198.51.100.0/23',
    '2001:db8::/47',
    '10.0.0.0/19',
  ]) {
    assert.throws(() => parseNetwork(bad), refusedAs('invalid_input'), bad);
  }
  for (const [given, kept] of [
    ['198.51.100.9/24', '198.51.100.0/24'],
    ['10.1.16.0/20', '10.1.16.0/20'],
    ['127.0.0.0/20', '127.0.0.0/20'],
    ['2001:db8:1::/48', '2001:db8:1::/48'],
  ] as const)
    assert.equal(parseNetwork(given), kept);
  assert.equal(parseNetwork(' 2001:DB8:1:2::5/64 '), '2001:db8:1:2::/64');
});

test('outbound policy: spam is held, malware is never delivered and opens an incident', async (t) => {
  const { rig, partner, clientId, sink } = await openOutbound(t, {
    pipeline: {
      ...byLocalPart,
      async run(input) {
        const base = await byLocalPart.run(input, AbortSignal.timeout(1000));
        const policy = input.recipients[0]?.policy ?? assert.fail();
        const vote = { stage: 'attachments', verdict: 'malware' as const, score: 0, reasons: [] };
        const spam = { stage: 'rules', score: policy.spamScore, reasons: [] };
        return {
          ...base,
          decisions: input.recipients.map(({ recipient }) =>
            decide(recipient.startsWith('virus') ? [vote] : recipient.startsWith('spam') ? [spam] : [], policy),
          ),
        };
      },
    },
  });
  await sendOne(rig.submission, 'ann@acme.example', ['spam@far.example']);
  await sendOne(rig.submission, 'ann@acme.example', ['virus@far.example']);
  assert.equal(await rig.delivery.drainOnce(), 0);
  const states = await rig.owner.query(
    'select d.verdict, d.disposition, q.held_reason from deliveries d left join queue q on q.delivery_id = d.id order by 1',
  );
  assert.deepEqual(
    states.rows.map((row) => Object.values(row)),
    [
      ['malware', 'quarantined', null],
      ['spam', 'queued', 'hold.policy'],
    ],
  );
  assert.equal(await watchOutbound(rig.db), 2);
  assert.equal(await watchOutbound(rig.db), 0, 'told once');
  const incidents = await rig.owner.query('select rule, subject, severity from incidents order by rule');
  assert.deepEqual(
    incidents.rows.map((row) => [row.rule, row.subject, row.severity]),
    [
      ['outbound.held', 'policy ann@acme.example 2026-10-14', 'high'],
      ['outbound.malware', 'ann@acme.example 2026-10-14', 'critical'],
    ],
  );

  await rig.db.tenant(partner.id, (tx) => setOutboundPolicy(tx, clientId, { spamAction: 'reject' }, 'test'));
  assert.match((await sendOne(rig.submission, 'ann@acme.example', ['spam@far.example'])).at(-1) ?? '', /^550/);
  await rig.db.tenant(partner.id, async (tx) => {
    await assert.rejects(setOutboundPolicy(tx, clientId, { spamScore: 1000 }, 'test'), refusedAs('invalid_input'));
  });
  assert.deepEqual(await (await rig.db.tenant(partner.id, (tx) => outboundPolicies(tx, [clientId]))).get(clientId), {
    spamScore: 8,
    spamAction: 'reject',
    phishAction: 'quarantine',
    malwareAction: 'quarantine',
  });
  assert.equal(sink.mail.length, 0);
});

test('the outbound part of a policy is its own: the inbound part stays, and nothing is tagged or stripped on the way out', () => {
  const stored = { spamScore: 5, spamAction: 'tag', attachments: { macro: 'strip' }, outbound: { spamScore: 9 } };
  const policy = resolveOutboundPolicy(stored);
  assert.deepEqual(
    [policy.spamScore, policy.spamAction, policy.attachments.macro, policy.bulkAction],
    [9, 'hold', 'quarantine', 'deliver'],
  );
  assert.equal(resolveOutboundPolicy({ outbound: { spamScore: 'x' } }).spamScore, 8);
});

test('over the hourly limit mail is held, counted as queued, and let go or purged by a person', async (t) => {
  const { rig, partner, clientId, mailbox, sink } = await openOutbound(t);
  const mailboxId = await mailbox('ann@acme.example');
  await rig.db.tenant(partner.id, (tx) => setLimits(tx, { clientId, mailboxId, recipientsPerHour: 3, actor: 'test' }));
  await sendOne(rig.submission, 'ann@acme.example', ['a@far.example', 'b@far.example']);
  await sendOne(rig.submission, 'ann@acme.example', ['c@far.example', 'd@far.example']);
  await sendOne(rig.submission, 'ann@acme.example', ['e@far.example']);
  await sendOne(rig.submission, 'bob@acme.example', ['f@far.example']);
  assert.equal(await rig.delivery.drainOnce(), 4);
  assert.deepEqual(sink.mail.flatMap((one) => one.to).sort(), [
    'a@far.example',
    'b@far.example',
    'e@far.example',
    'f@far.example',
  ]);
  const held = await rig.db.tenant(partner.id, (tx) => listHeld(tx, clientId, { first: 10, after: null }));
  assert.deepEqual(held.map((one) => [one.recipient, one.reason]).sort(), [
    ['c@far.example', 'hold.mailbox_recipients'],
    ['d@far.example', 'hold.mailbox_recipients'],
  ]);
  const queued = await rig.owner.query(`select count(*)::int as n from deliveries where disposition = 'queued'`);
  assert.equal(queued.rows[0]?.n, 2, 'rule 2: still queued');
  assert.equal(await watchOutbound(rig.db), 1);
  assert.equal(await watchOutbound(rig.db), 0);

  // Flushing is for servers that are down; it lets nothing go.
  await rig.delivery.flush(clientId);
  rig.clock.advance(15 * 86_400_000);
  assert.equal(await rig.delivery.drainOnce(), 0);
  assert.equal(await watchOutbound(rig.db), 1, 'after 14 days somebody is reminded');

  const other = await seedPartner(rig.db, 'Other IT');
  const ids = held.map((one) => one.id);
  await rig.db.tenant(other.id, async (tx) => {
    assert.equal(await releaseHeld(tx, { ids }, 'test'), 0, "another tenant's mail");
    assert.equal(await purgeHeld(tx, { ids }, 'test'), 0);
  });
  await rig.db.tenant(partner.id, async (tx) => {
    await assert.rejects(releaseHeld(tx, {}, 'test'), refusedAs('invalid_input'));
    assert.equal(await releaseHeld(tx, { ids: ids.slice(0, 1) }, 'test'), 1);
    assert.equal(await releaseHeld(tx, { ids: ids.slice(0, 1) }, 'test'), 0);
    assert.equal(await purgeHeld(tx, { clientId, mailboxId }, 'test'), 1);
  });
  assert.equal(await rig.delivery.drainOnce(), 1, 'it has its full time from the release on');
  assert.equal(sink.mail.length, 4);
  const ends = await rig.owner.query(
    `select l.kind, l.disposition, l.latency_ms from ledger l join deliveries d on d.id = l.delivery_id where d.id = any($1) order by 1`,
    [ids],
  );
  assert.equal(ends.rows[2]?.latency_ms, null, 'the two weeks are not the time that delivery takes');
  assert.deepEqual(
    ends.rows.map((row) => row.kind),
    ['accepted', 'accepted', 'delivered', 'discarded'],
  );
  assert.equal(await watchOutbound(rig.db), 2, 'both incidents end');
  const audit = await rig.owner.query(`select action from audit where action like 'held.%' order by at, id`);
  assert.equal(audit.rows.length, 3 + 2);
});

test('the sender of released mail is told that it is late, four hours after the release', async (t) => {
  const { rig, partner, clientId } = await openOutbound(t);
  await rig.db.tenant(partner.id, (tx) =>
    setLimits(tx, { clientId, mailboxId: null, recipientsPerHour: 0, actor: 'test' }),
  );
  await sendOne(rig.submission, 'ann@acme.example', ['z@nowhere.example']);
  rig.clock.advance(5 * 3_600_000);
  await rig.delivery.drainOnce();
  const notices = async () => (await rig.owner.query("select from queue where kind = 'dsn'")).rowCount;
  assert.equal(await rig.db.tenant(partner.id, (tx) => releaseHeld(tx, { clientId }, 'test')), 1);
  assert.equal(await notices(), 0);
  await rig.owner.query("update queue set due_at = due_at + interval '2 days'");
  rig.clock.advance(4 * 3_600_000);
  await rig.delivery.drainOnce();
  const { rows } = await rig.owner.query("select from messages where subject = 'Delayed mail, still being tried'");
  assert.equal(rows.length, 1);
});

test('first-time recipients are counted for 24 hours, known ones are not, and are forgotten after 90 days', async (t) => {
  const { rig, partner, clientId } = await openOutbound(t);
  await rig.db.tenant(partner.id, (tx) =>
    setLimits(tx, { clientId, mailboxId: null, firstTimeRecipientsPerDay: 2, actor: 'test' }),
  );
  const send = async (...to: string[]) => {
    await sendOne(rig.submission, 'ann@acme.example', to);
    const { rows } = await rig.owner.query<{ held: string | null }>(
      'select q.held_reason as held from deliveries d left join queue q on q.delivery_id = d.id order by d.accepted_at desc, d.id desc limit 1',
    );
    await rig.delivery.drainOnce();
    rig.clock.advance(1000);
    return rows[0]?.held ?? null;
  };
  assert.equal(await send('a@far.example', 'b@far.example'), null);
  assert.equal(await send('a@far.example'), null, 'known');
  assert.equal(await send('c@far.example'), 'hold.client_first_time');
  rig.clock.advance(24 * 3_600_000 + 300_000);
  assert.equal(await send('c@far.example', 'd@far.example'), null, 'a new day');
  assert.equal(await send('a@far.example'), null, 'still known');
  rig.clock.advance(91 * 86_400_000);
  assert.ok((await rig.db.system(forgetOldCounts)) > 0);
  const left = await rig.owner.query(
    'select (select count(*) from outbound_known)::int + (select count(*) from outbound_counts)::int as n',
  );
  assert.equal(left.rows[0]?.n, 0);
  assert.equal(await send('a@far.example', 'b@far.example', 'c@far.example'), 'hold.client_first_time');
});

test('a client that begins is learned for a week before first-time recipients are limited, unless somebody set a limit', async (t) => {
  const { rig, partner, clientId, mailbox } = await openOutbound(t, { config: { maxRecipients: 300 } });
  let next = 0;
  const many = (count: number) => Array.from({ length: count }, () => `r${next++}@far.example`);
  const send = async (to: readonly string[]) => {
    await sendOne(rig.submission, 'ann@acme.example', to);
    const { rows } = await rig.owner.query<{ held: string | null }>(
      'select q.held_reason as held from deliveries d join queue q on q.delivery_id = d.id order by d.accepted_at desc, d.id desc limit 1',
    );
    rig.clock.advance(3_600_000 + 300_000);
    return rows[0]?.held ?? null;
  };
  const first = many(250);
  assert.equal(await send(first), null, 'a mailbox of an old client may write to 200');
  assert.equal(await send(many(250)), null);
  rig.clock.advance(6 * 86_400_000);
  assert.equal(await send(many(250)), null);
  const counts = await rig.owner.query('select sum(first_time)::int as n from outbound_counts');
  assert.equal(counts.rows[0]?.n, 0, 'nor are they counted of the client or the partner');
  rig.clock.advance(86_400_000);
  assert.equal(await send(many(201)), 'hold.mailbox_first_time', 'a week later');
  assert.equal(await send(first), null, 'who was learned is known');
  assert.equal(await send(many(150)), null);

  const set = (mailboxId: string | null, limit: number | null) =>
    rig.db.tenant(partner.id, (tx) =>
      setLimits(tx, { clientId, mailboxId, firstTimeRecipientsPerDay: limit, actor: 'test' }),
    );
  await rig.owner.query('delete from outbound_starts');
  await set(null, 3);
  assert.equal(await send(many(4)), 'hold.client_first_time', 'a limit that was set holds from the first mail on');
  await set(null, null);
  await set(await mailbox('ann@acme.example'), 2);
  assert.equal(await send(many(4)), 'hold.mailbox_first_time');
  const starts = await rig.owner.query('select from outbound_starts');
  assert.equal(starts.rowCount, 0, 'what is held is no beginning');
});

test('two nodes at once never pass a limit, whatever the interleaving', async (t) => {
  const { rig, partner } = await openOutbound(t);
  await rig.db.tenant(partner.id, (tx) =>
    setLimits(tx, { clientId: null, mailboxId: null, recipientsPerHour: 25, actor: 'test' }),
  );
  const second = createGateway({
    db: rig.db,
    clock: rig.clock,
    logger: silentLogger,
    spool: rig.spool,
    pipeline: byLocalPart,
    config: { ...CONFIG, nodeId: 'second' },
  });
  const where = await second.start();
  rig.before(() => second.stop(0));
  const ports = [rig.submission, Number(where.submission.split(':').at(-1))];
  const sessions = Array.from({ length: 12 }, async (_, index) => {
    const client = await Talker.open(ports[index % 2] ?? 0);
    assert.match(await login(client, PASSWORD), /^235/);
    for (let turn = 0; turn < 5; turn += 1) {
      const replies = await client.send('ann@acme.example', [`r${index}-${turn}@far.example`]);
      assert.match(replies.at(-1) ?? '', /^250/, 'held mail is taken, not refused');
    }
    client.close();
  });
  await Promise.all(sessions);
  const { rows } = await rig.owner.query(
    `select count(*) filter (where held_at is null)::int as free, count(*) filter (where held_reason = 'hold.partner_recipients')::int as held from queue`,
  );
  assert.deepEqual(rows, [{ free: 25, held: 35 }]);
  const counts = await rig.owner.query(
    `select scope, sum(recipients)::int as n from outbound_counts group by 1 order by 1`,
  );
  assert.deepEqual(
    counts.rows.map((row) => [row.scope, row.n]),
    [
      ['client', 25],
      ['mailbox', 25],
      ['partner', 25],
    ],
  );
  const nodes = await rig.owner.query('select distinct node from messages');
  assert.equal(nodes.rows.length, 2);
});

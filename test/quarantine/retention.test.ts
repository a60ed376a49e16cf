import assert from 'node:assert/strict';
import { access, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Readable } from 'node:stream';
import { type TestContext, test } from 'node:test';
import { resolvePolicy } from '../../src/accounts/policy.ts';
import { retentionOf, setRetention } from '../../src/accounts/retention.ts';
import { AppError } from '../../src/core/errors.ts';
import { sql } from '../../src/db/sql.ts';
import { Spool } from '../../src/gateway/index.ts';
import { deliveryBalance, deliveryEvents, detailFrom } from '../../src/ledger/read.ts';
import { retainDetail } from '../../src/ledger/retention.ts';
import { discardDelivery, releaseDelivery } from '../../src/quarantine/decide.ts';
import { requestRelease } from '../../src/quarantine/requests.ts';
import { expireHeld, sweepContent } from '../../src/quarantine/retention.ts';
import { readStatistics } from '../../src/rollups/read.ts';
import { openDatabase } from '../support/db.ts';
import { asOwner } from '../support/owner.ts';
import { type SeededDelivery, seedQuarantined } from '../support/quarantined.ts';
import { rollAll } from '../support/roll.ts';
import { seedClient, seedPartner } from '../support/seed.ts';

const DAY = 86_400_000;

async function world(t: TestContext) {
  const { db, clock, owner, ownerUrl } = await openDatabase(t);
  const partner = (await seedPartner(db)).id;
  const clientId = await seedClient(db, partner);
  const folder = await mkdtemp(path.join(tmpdir(), 'tollgate-retention-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const spool = await Spool.open(folder);
  const put = async () => (await spool.write(Readable.from([Buffer.from('Subject: x\r\n\r\nx\r\n')]))).id;
  const seed = (given: SeededDelivery = {}, client = clientId) => seedQuarantined(db, partner, client, given);
  const keep = (days: number, malwareDays: number | null = null, client = clientId) =>
    db.tenant(partner, (tx) => setRetention(tx, client, { days, malwareDays }, 'test'));
  const states = async () =>
    Object.fromEntries(
      (await owner.query<{ id: string; disposition: string }>('select id, disposition from deliveries')).rows.map(
        (row) => [row.id, row.disposition],
      ),
    );
  const isStored = (id: string) =>
    access(path.join(folder, id.slice(-2), `${id}.eml`)).then(
      () => true,
      () => false,
    );
  const balance = async () => {
    const { accepted, byDisposition } = await db.tenant(partner, (tx) => deliveryBalance(tx, partner, clientId));
    assert.equal(
      [...byDisposition.values()].reduce((a, b) => a + b, 0),
      accepted,
      'rule 2',
    );
    return Object.fromEntries(byDisposition);
  };
  const pass = (days: number) => clock.advance(days * DAY);
  return { db, clock, owner, ownerUrl, partner, clientId, spool, put, seed, keep, states, isStored, balance, pass };
}

test('a policy says how long held mail is kept; what does not parse counts as not said', () => {
  assert.deepEqual(retentionOf({}), { days: 30, malwareDays: 30 });
  assert.deepEqual(retentionOf({ quarantineDays: 7 }), { days: 7, malwareDays: 7 });
  assert.deepEqual(retentionOf({ quarantineDays: 7, quarantineMalwareDays: 90 }), { days: 7, malwareDays: 90 });
  for (const days of [0, 366, 1.5, '7', null, Number.NaN]) {
    assert.deepEqual(retentionOf({ quarantineDays: days, quarantineMalwareDays: 2 }), { days: 30, malwareDays: 2 });
  }
  assert.deepEqual(retentionOf('rubbish'), { days: 30, malwareDays: 30 });
  assert.equal(resolvePolicy({ quarantineDays: 7, spamScore: 9 }).spamScore, 9, 'the filter keeps its settings');
  assert.ok(!('quarantineDays' in resolvePolicy({ quarantineDays: 7 })));
});

test('setting it keeps the rest of the policy, is audited, and is bounded', async (t) => {
  const { db, owner, partner, clientId, keep } = await world(t);
  await owner.query(`update clients set policy = '{"spamScore": 9}'`);
  await keep(7, 90);
  const policy = async () => (await owner.query('select policy from clients')).rows[0]?.policy;
  assert.deepEqual(await policy(), { spamScore: 9, quarantineDays: 7, quarantineMalwareDays: 90 });
  await keep(8);
  assert.deepEqual(await policy(), { spamScore: 9, quarantineDays: 8 });
  const bad = (days: number, malwareDays: number | null) =>
    assert.rejects(
      keep(days, malwareDays),
      (error: unknown) => error instanceof AppError && error.code === 'invalid_input',
    );
  await bad(0, null);
  await bad(366, null);
  await bad(30, 0);
  const stranger = (await seedPartner(db, 'Else')).id;
  await assert.rejects(
    db.tenant(stranger, (tx) => setRetention(tx, clientId, { days: 1, malwareDays: null }, 'x')),
    /no such client/,
  );
  assert.equal((await owner.query("select from audit where action = 'client.retention'")).rowCount, 2);
  assert.ok(partner);
});

test('held mail ends once when its client keeps it no longer, malware by its own days', async (t) => {
  const { db, owner, partner, clientId, seed, keep, states, balance, pass } = await world(t);
  const other = await seedClient(db, partner, { name: 'Other', domain: 'other.example' });
  await keep(10, 20);
  await keep(3, null, other);
  const [spam, malware, foreign, released] = [
    await seed(),
    await seed({ verdict: 'malware' }),
    await seed({}, other),
    await seed(),
  ];
  const actor = { role: 'user', name: 'ann', mailboxIds: [], clientId } as const;
  await db.tenant(partner, (tx) => releaseDelivery(tx, released, 'test'));
  await db.tenant(partner, (tx) =>
    requestRelease(tx, { ...actor, role: 'client_admin', mailboxIds: null }, malware, ''),
  );
  assert.equal(await expireHeld(db), 0);
  pass(4);
  assert.equal(await expireHeld(db), 1);
  assert.deepEqual(await states(), {
    [spam]: 'quarantined',
    [malware]: 'quarantined',
    [foreign]: 'discarded',
    [released]: 'queued',
  });
  pass(7);
  assert.equal(await expireHeld(db), 1);
  assert.equal((await states())[malware], 'quarantined');
  pass(10);
  assert.equal(await expireHeld(db), 1);
  assert.equal(await expireHeld(db), 0);
  assert.deepEqual(await balance(), { discarded: 2, queued: 1 });
  const events = await owner.query(
    'select kind, disposition, reasons from ledger where delivery_id = $1 order by occurred_at, id',
    [malware],
  );
  assert.deepEqual(events.rows.slice(2), [
    { kind: 'discarded', disposition: 'discarded', reasons: ['quarantine.retention'] },
  ]);
  const requests = await owner.query('select state, decided_by from release_requests');
  assert.deepEqual(requests.rows, [{ state: 'expired', decided_by: 'job:quarantine.retention' }]);
});

test('more than a batch goes in one run, and runs at once end nothing twice', async (t) => {
  const { db, owner, seed, pass, balance } = await world(t);
  const one = await seed();
  await owner.query(
    `insert into messages select partner_id, gen_random_uuid(), content_id, direction, sender, remote_address, helo, tls,
       header_message_id, from_address, from_name, subject, attachments, bytes, sha256, authentication_results, received_at, node
     from messages, generate_series(1, 1200)`,
  );
  await owner.query(
    `insert into deliveries (partner_id, client_id, id, message_id, recipient, domain, direction, verdict, disposition, score,
       accepted_at, ended_at)
     select m.partner_id, d.client_id, gen_random_uuid(), m.id, d.recipient, d.domain, d.direction, d.verdict, d.disposition, 1,
       d.accepted_at, d.ended_at
     from messages m, deliveries d where d.id = $1 and m.id <> d.message_id`,
    [one],
  );
  pass(31);
  const counts = await Promise.all([expireHeld(db), expireHeld(db), expireHeld(db)]);
  assert.equal(counts.reduce((a, b) => a + b, 0) + (await expireHeld(db)), 1_201);
  const { rows } = await owner.query(
    "select count(*)::int as n, count(distinct delivery_id)::int as d from ledger where kind = 'discarded'",
  );
  assert.deepEqual(rows, [{ n: 1_201, d: 1_201 }]);
  await owner.query('delete from deliveries where id <> $1', [one]);
  assert.deepEqual(await balance(), { discarded: 1 });
});

test('a body goes when all deliveries of it have ended and are old, whoever shares it', async (t) => {
  const { db, clock, owner, partner, clientId, spool, put, seed, keep, isStored, pass } = await world(t);
  const stranger = (await seedPartner(db, 'Else')).id;
  const theirs = await seedClient(db, stranger, { domain: 'else.example' });
  await keep(10);
  const contents = {
    delivered: await put(),
    held: await put(),
    shared: await put(),
    queued: await put(),
    fresh: await put(),
  };
  await seed({ contentId: contents.delivered, disposition: 'delivered' });
  const held = await seed({ contentId: contents.held });
  await seed({ contentId: contents.shared, disposition: 'delivered' });
  await seedQuarantined(db, stranger, theirs, { contentId: contents.shared, disposition: 'delivered' });
  await db.tenant(partner, async (tx) => releaseDelivery(tx, await seed({ contentId: contents.queued }), 'test'));
  pass(11);
  await seed({ contentId: contents.fresh, disposition: 'delivered' });
  const sweep = async () => {
    const removed = await sweepContent(db, spool);
    const left = await Promise.all(
      Object.entries(contents).map(async ([name, id]) => ((await isStored(id)) ? name : null)),
    );
    return [removed, ...left.filter((name) => name !== null)];
  };
  assert.deepEqual(await sweep(), [1, 'held', 'shared', 'queued', 'fresh']);
  assert.deepEqual(await sweep(), [0, 'held', 'shared', 'queued', 'fresh'], 'repeating it does nothing');
  await db.tenant(partner, (tx) => discardDelivery(tx, held, 'test'));
  assert.deepEqual(await sweep(), [1, 'shared', 'queued', 'fresh']);
  pass(20);
  assert.deepEqual(await sweep(), [2, 'queued'], 'the other partner keeps mail for 30 days');
  const { rows } = await owner.query('select content_id from messages where content_removed_at is null');
  assert.deepEqual(rows, [{ content_id: contents.queued }]);
  assert.ok(clock.now() && clientId);
});

test('the detail of old mail goes, its counts stay, and the trace says that it is gone', async (t) => {
  const { db, clock, owner, ownerUrl, partner, clientId, seed, balance, pass } = await world(t);
  const run = asOwner(ownerUrl);
  const from = clock.now().toISOString().slice(0, 10);
  const [old, heldId] = [await seed({ disposition: 'delivered' }), await seed()];
  await db.tenant(partner, async (tx) => releaseDelivery(tx, await seed(), 'test'));
  await owner.query(
    `insert into message_feedback (partner_id, id, client_id, delivery_id, content_id, kind, verdict, actor_kind, actor, at)
     select partner_id, gen_random_uuid(), client_id, id, 'x', 'spam', 'clean', 'user', 'ann', now() from deliveries where id = $1`,
    [old],
  );
  const statistics = async () => {
    const query = { clientId, period: { from, to: from, zone: 'Europe/London' }, granularity: 'DAY' as const };
    const { totals } = await db.tenant(partner, (tx) => readStatistics(tx, query));
    return { ...totals };
  };
  pass(40);
  const young = await seed({ disposition: 'delivered' });
  await assert.rejects(retainDetail(db, run, clock.now(), 30), /not yet counted/, 'not before the rollups hold it');
  assert.equal((await owner.query('select from messages')).rowCount, 4, 'nothing was removed');
  await rollAll(db);
  const before = await statistics();
  assert.equal(before.deliveries, 3);
  assert.equal(await db.tenant(partner, detailFrom), null);

  assert.equal(await retainDetail(db, run, clock.now(), 30), 1);
  assert.equal(await retainDetail(db, run, clock.now(), 30), 0);
  const left = await owner.query<{ id: string; disposition: string }>(
    'select id, disposition from deliveries order by accepted_at',
  );
  assert.deepEqual(left.rows.map((row) => row.disposition).toSorted(), ['delivered', 'quarantined', 'queued']);
  assert.ok(left.rows.some((row) => row.id === young) && left.rows.some((row) => row.id === heldId));
  assert.equal((await owner.query('select from message_feedback')).rowCount, 0);
  assert.deepEqual(await statistics(), before, 'rule 3: the counts stay');
  const floor = await db.tenant(partner, detailFrom);
  assert.equal(
    floor?.toISOString().slice(0, 10),
    new Date(clock.now().getTime() - 30 * DAY).toISOString().slice(0, 10),
  );
  assert.deepEqual(
    await db.tenant(partner, (tx) => deliveryEvents(tx, [heldId])),
    [],
    'its events went with their day',
  );
  assert.deepEqual(await balance(), { delivered: 1 }, 'rule 2 holds for what is whole');
  assert.equal(await expireHeld(db), 1, 'what stayed still ends in its time');
  await rollAll(db);
  assert.equal(
    await retainDetail(db, run, clock.now(), 30),
    0,
    'it ended a moment ago: it is traced until that is old too',
  );
  await db.system((tx) => tx.run(sql`delete from queue`));
});

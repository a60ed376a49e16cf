import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { Database } from '../../src/db/db.ts';
import { sql } from '../../src/db/sql.ts';
import { forgetDestinations, wakeDestinations } from '../../src/gateway/backoff.ts';
import {
  ANY,
  claim,
  claimStatement,
  giveBack,
  type Lane,
  laneKey,
  postpone,
  type Turn,
  type Want,
  wakeDue,
} from '../../src/gateway/queue.ts';
import { openDatabase } from '../support/db.ts';
import { fillQueue } from '../support/queued.ts';
import { seedClient, seedPartner } from '../support/seed.ts';

async function openQueue(t: TestContext, clients: number) {
  const database = await openDatabase(t);
  const partner = await seedPartner(database.db);
  const clientIds: string[] = [];
  for (let n = 0; n < clients; n += 1) {
    clientIds.push(await seedClient(database.db, partner.id, { domain: `c${n}.example`, mailboxes: [] }));
  }
  const fill = (queued: Omit<Parameters<typeof fillQueue>[1], 'partnerId' | 'now'>) =>
    fillQueue(database.owner, { ...queued, partnerId: partner.id, now: database.clock.now() });
  return { ...database, partner, clientIds, fill };
}

const WANT = { ...ANY, lanes: 100, domains: 4, rows: 25 };

async function take(db: Database, owner: string, want: Want) {
  return (await db.system((tx) => claim(tx, owner, want))).jobs;
}

test('a claim gives every client its turn, whatever one of them has queued before', async (t) => {
  const { db, clock, clientIds, fill } = await openQueue(t, 8);
  const [flood = '', ...others] = clientIds;
  await fill({ clientIds: [flood], rows: 5_000 });
  clock.advance(60_000);
  await fill({ clientIds: others, rows: others.length * 3 });
  const jobs = await take(db, 'one', WANT);
  const of = (id: string) => jobs.filter((job) => job.clientId === id).length;
  assert.deepEqual([of(flood), ...others.map(of)], [25, ...others.map(() => 3)]);
  assert.ok(jobs.every((job) => job.attempts === 1));
});

test('claims go round: lanes, directions of a client, and domains of a lane', async (t) => {
  const { db, owner, clock, clientIds, fill } = await openQueue(t, 4);
  await fill({ clientIds, rows: 40 });
  await fill({
    clientIds: clientIds.slice(0, 1),
    rows: 60,
    direction: 'outbound',
    domains: ['a.example', 'b.example', 'c.example'],
  });
  const seen: string[] = [];
  let after: Lane | null = null;
  for (let round = 0; round < 10; round += 1) {
    const want: Want = { ...WANT, after, lanes: 1, rows: 1, domains: 1 };
    const [job] = await take(db, 'one', want);
    assert.ok(job !== undefined);
    seen.push(laneKey(job));
    after = job;
  }
  assert.equal(new Set(seen.slice(0, 5)).size, 5, 'five lanes before the first comes again');
  assert.deepEqual(seen.slice(5), seen.slice(0, 5));

  // Lanes that have nothing to take have had their turn all the same.
  await owner.query(`update queue set due_at = $1`, [new Date(clock.now().getTime() + 60_000)]);
  const turns = new Set<string>();
  let last: Lane | null = null;
  for (let round = 0; round < 5; round += 1) {
    const turn: Turn = await db.system((tx) => claim(tx, 'one', { ...WANT, after: last, lanes: 1 }));
    assert.deepEqual(turn.jobs, []);
    assert.ok(turn.last !== null);
    turns.add(laneKey(turn.last));
    last = turn.last;
  }
  assert.equal(turns.size, 5);
  await owner.query(`update queue set due_at = $1`, [clock.now()]);

  const lane = `${clientIds[0]} outbound`;
  const others = clientIds.map((id) => `${id} inbound`);
  const domainAfter = async (domain: string, fullDomains: string[] = []) => {
    const want = {
      ...WANT,
      fullLanes: others,
      fullDomains,
      domains: 1,
      rows: 1,
      afterDomains: new Map([[lane, domain]]),
    };
    return (await take(db, 'one', want)).map((job) => job.domain);
  };
  assert.deepEqual(await domainAfter(''), ['a.example']);
  assert.deepEqual(await domainAfter('a.example'), ['b.example']);
  assert.deepEqual(await domainAfter('c.example'), ['a.example'], 'round again');
  assert.deepEqual(await domainAfter('a.example', [`${lane} b.example`]), ['c.example'], 'what is full is passed over');
  assert.deepEqual(await domainAfter('b.example', [`${lane} c.example`, `${lane} a.example`]), ['b.example']);
  const none = ['a', 'b', 'c'].map((name) => `${lane} ${name}.example`);
  assert.deepEqual(await domainAfter('a.example', none), []);
});

test('a row is taken once, by one worker; not before its time, and again after the lease', async (t) => {
  const { db, clock, clientIds, fill } = await openQueue(t, 3);
  await fill({ clientIds, rows: 90 });
  await fill({ clientIds, rows: 30, waitMinutes: 10 });
  const all = { ...WANT, rows: 1_000 };
  const [one, two] = await Promise.all([take(db, 'one', { ...all, rows: 10 }), take(db, 'two', all)]);
  assert.equal(new Set([...one, ...two].map((job) => job.deliveryId)).size, one.length + two.length);
  const rest = await take(db, 'one', all);
  assert.equal(one.length + two.length + rest.length, 90);
  clock.advance(600_000 + 1_000);
  assert.equal(await db.system((tx) => wakeDue(tx, 20)), 20, 'in bounded steps');
  assert.equal(await db.system((tx) => wakeDue(tx, 1_000)), 10);
  assert.equal((await take(db, 'one', all)).length, 30);
  clock.advance(1_200_000);
  assert.equal(await db.system((tx) => wakeDue(tx, 1_000)), 90, 'what the first claims held');
  await db.system((tx) => giveBack(tx, 'two', two));
  assert.equal((await take(db, 'three', all)).length, 90);
});

/** What the queue's statements read: rows by index, and whole scans. */
async function cost(db: Database, work: Parameters<Database['system']>[0]) {
  return db.system(async (tx) => {
    // As the service runs it after a while: one plan for all values.
    await tx.run(sql`set local plan_cache_mode = force_generic_plan`);
    // The server hands its counts on once a second: those of earlier transactions of the connection may still be among them.
    const counted = () =>
      tx.one<{ scans: number; rows: number }>(sql`
        select coalesce(sum(seq_scan), 0)::int as scans, coalesce(sum(seq_tup_read + idx_tup_fetch), 0)::int as rows
        from pg_stat_xact_user_tables where relname = 'queue'`);
    const before = await counted();
    await work(tx);
    const after = await counted();
    return { scans: after.scans - before.scans, rows: after.rows - before.rows };
  });
}

test('the cost of scheduling is flat: 100,000 deferred rows and 1,000 clients are not read', async (t) => {
  const { db, owner, clock, partner, clientIds, fill } = await openQueue(t, 2);
  await fill({ clientIds, rows: 200 });
  const many = await owner.query<{ id: string }>(
    `insert into clients select (jsonb_populate_record(c, jsonb_build_object('id', gen_random_uuid(), 'name', 'n' || n))).*
     from clients c, generate_series(1, 998) n where c.id = $1 returning id`,
    [clientIds[0]],
  );
  const buffers = async (isLarge: boolean) => {
    const { text, values } = claimStatement(clock.now(), 'explained', { ...WANT, lanes: 10, rows: 5 });
    await owner.query('begin');
    const { rows } = await owner.query(`explain (analyze, buffers, format json) ${text}`, [...values]);
    await owner.query('rollback');
    if (isLarge) assert.equal(JSON.stringify(rows[0]).match(/Seq Scan[^{}]*"queue"/)?.[0], undefined);
    const top = rows[0]['QUERY PLAN'][0].Plan;
    return top['Shared Hit Blocks'] + top['Shared Read Blocks'];
  };
  const small = await buffers(false);
  const everyone = [...clientIds, ...many.rows.map((row) => row.id)];
  await fill({ clientIds: everyone, rows: 100_000, waitMinutes: 240 });
  await fill({ clientIds: everyone, rows: 2_000 });
  const large = await buffers(true);
  // Ten lanes instead of two, and a deeper index: not a thousand times as much.
  assert.ok(large < small * 6, `${small} buffers, then ${large}`);

  const claimed = await cost(db, async (tx) => {
    await claim(tx, 'one', { ...WANT, lanes: 10, rows: 5 });
  });
  assert.equal(claimed.scans, 0);
  assert.ok(claimed.rows < 500, `a claim read ${claimed.rows} rows`);
  const idle = await cost(db, async (tx) => {
    assert.equal(await wakeDue(tx, 1_000), 0);
    assert.equal(await wakeDestinations(tx, 1_000), 0);
    await forgetDestinations(tx, 5);
  });
  assert.equal(idle.scans, 0);
  assert.ok(idle.rows < 50, `an idle look read ${idle.rows} rows`);
  clock.advance(60_000);
  const due = await cost(db, async (tx) => {
    await wakeDue(tx, 100);
  });
  assert.equal(due.scans, 0);
  assert.ok(due.rows < 1_000, `100 rows that come due read ${due.rows}`);
  assert.equal(partner.id.length, 36);
});

test('a deferral keeps its time, its destination and its count; a parked row has no attempt', async (t) => {
  const { db, owner, clock, clientIds, fill } = await openQueue(t, 1);
  await fill({ clientIds, rows: 2 });
  const [tried, parked] = await take(db, 'one', WANT);
  assert.ok(tried !== undefined && parked !== undefined);
  const dueAt = new Date(clock.now().getTime() + 60_000);
  const common = { end: 'deferred' as const, disposition: 'deferred', reply: 'later', dueAt };
  await db.system((tx) =>
    postpone(tx, 'one', [
      { ...common, job: tried },
      { ...common, job: parked, waitsFor: 'server a:25', untried: true },
    ]),
  );
  const { rows } = await owner.query(
    'select attempts, destination, waiting, due_at, lease_owner from queue order by attempts desc',
  );
  assert.deepEqual(rows, [
    { attempts: 1, destination: null, waiting: true, due_at: dueAt, lease_owner: null },
    { attempts: 0, destination: 'server a:25', waiting: true, due_at: dueAt, lease_owner: null },
  ]);
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { appendEvents } from '../../src/ledger/append.ts';
import { dropPartitions, ensurePartitions } from '../../src/ledger/partitions.ts';
import { rollOnce } from '../../src/rollups/build.ts';
import { readStatistics } from '../../src/rollups/read.ts';
import { rebuild } from '../../src/rollups/rebuild.ts';
import { verify } from '../../src/rollups/verify.ts';
import { openDatabase } from '../support/db.ts';
import { makeEvent } from '../support/events.ts';
import { asOwner } from '../support/owner.ts';
import { rollAll } from '../support/roll.ts';
import { seedClient, seedPartner } from '../support/seed.ts';

async function setup(t: Parameters<typeof openDatabase>[0]) {
  const database = await openDatabase(t);
  const partner = await seedPartner(database.db);
  const clientId = await seedClient(database.db, partner.id);
  const write = (...times: readonly (Date | string)[]) =>
    database.db.system((tx) =>
      appendEvents(
        tx,
        times.map((at) => makeEvent({ partnerId: partner.id, clientId, occurredAt: new Date(at) })),
      ),
    );
  const count = async (from: string, to: string) => {
    const query = { clientId, period: { from, to, zone: 'UTC' }, granularity: 'DAY' as const };
    return (await database.db.tenant(partner.id, (tx) => readStatistics(tx, query))).totals.deliveries;
  };
  return { ...database, run: asOwner(database.ownerUrl), write, count };
}

test('partitions are made ahead, twice, at once, and take over what lies in the default one', async (t) => {
  const { clock, owner, run, write } = await setup(t);
  await write(clock.now());
  await Promise.all([ensurePartitions(run, clock.now(), 2), ensurePartitions(run, clock.now(), 2)]);
  const rows = await owner.query<{ name: string }>('select tableoid::regclass::text as name from ledger');
  assert.deepEqual(rows.rows, [{ name: 'ledger_20261014' }]);
  await write('2026-10-16T01:00:00Z', '2031-01-01T00:00:00Z');
  const counts = await owner.query(
    'select tableoid::regclass::text as name, count(*)::int as n from ledger group by 1 order by 1',
  );
  assert.deepEqual(counts.rows, [
    { name: 'ledger_20261014', n: 1 },
    { name: 'ledger_20261016', n: 1 },
    { name: 'ledger_default', n: 1 },
  ]);
  const open = await owner.query(
    "select relname from pg_class where relname like 'ledger\\_%' and relkind = 'r' and not relforcerowsecurity",
  );
  assert.deepEqual(open.rows, []);
  const policies = await owner.query("select policyname from pg_policies where policyname like 'owner%'");
  assert.deepEqual(policies.rows, [], 'the policies of the move are gone');
});

test('events that are written and rolled while their partition is made are neither lost nor doubled', async (t) => {
  const { db, clock, run, write, count } = await setup(t);
  const writers = Array.from({ length: 40 }, () => write(clock.now(), clock.now()));
  const rolls = Array.from({ length: 5 }, () => rollOnce(db));
  await Promise.all([...writers.slice(0, 20), ensurePartitions(run, clock.now(), 1), ...writers.slice(20), ...rolls]);
  await rollAll(db);
  assert.equal(await count('2026-10-14', '2026-10-14'), 80);
  assert.deepEqual((await verify(db)).differences, []);
});

test('retention drops days but not their numbers; what comes late for them is added', async (t) => {
  const { db, clock, owner, run, write, count } = await setup(t);
  await ensurePartitions(run, new Date('2026-10-02T00:00:00Z'), 1);
  await write('2026-09-20T10:00:00Z', '2026-10-01T10:00:00Z', '2026-10-01T10:01:00Z', '2026-10-05T10:00:00Z');
  const floor = new Date('2026-10-02T00:00:00Z');
  await assert.rejects(dropPartitions(run, floor), /not yet counted/, 'not before the rollups hold them');
  await rollAll(db);
  await dropPartitions(run, floor);
  await dropPartitions(run, new Date('2026-09-01T00:00:00Z'));
  const left = await owner.query('select count(*)::int as n from ledger');
  assert.deepEqual(left.rows, [{ n: 1 }]);
  const tables = await owner.query("select relname from pg_class where relname ~ '^ledger_[0-9]+$' order by 1");
  assert.deepEqual(
    tables.rows.map((row) => row.relname),
    ['ledger_20261002', 'ledger_20261003'],
  );

  await write('2026-10-01T10:02:00Z');
  await rollAll(db);
  assert.equal(await count('2026-10-01', '2026-10-01'), 3, 'two that are gone and one that came late');
  await write('2026-10-01T10:03:00Z');
  await rebuild(db);
  await rollAll(db);
  assert.equal(await count('2026-10-01', '2026-10-01'), 4, 'a rebuild keeps what it can not count');
  assert.equal(await count('2026-09-20', clock.now().toISOString().slice(0, 10)), 6);
  assert.deepEqual((await verify(db)).differences, []);
});

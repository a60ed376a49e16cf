import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { DISTINCT_ERROR, estimate, merge, REGISTERS } from '../../src/core/hll.ts';
import { interval } from '../../src/core/period.ts';
import { appendEvents } from '../../src/ledger/append.ts';
import { ensurePartitions } from '../../src/ledger/partitions.ts';
import { retainDetail } from '../../src/ledger/retention.ts';
import { foldDue, SENDERS_KEPT } from '../../src/rollups/fold.ts';
import { type Added, type Fold, withAdded } from '../../src/rollups/fold-add.ts';
import { distinctSenders, topItems, topSenders } from '../../src/rollups/read-dimensions.ts';
import { rebuild } from '../../src/rollups/rebuild.ts';
import { verify } from '../../src/rollups/verify.ts';
import { openDatabase } from '../support/db.ts';
import { makeEvent } from '../support/events.ts';
import { seedMessage } from '../support/messages.ts';
import { asOwner } from '../support/owner.ts';
import { rollAll } from '../support/roll.ts';
import { seedClient, seedPartner } from '../support/seed.ts';

const DAY = '2026-10-10';
const RANGE = interval({ from: DAY, to: DAY, zone: 'Europe/London' });
const SENDERS = 1_400;

test('senders are counted at one moment, whatever transaction the reader has: a day that is folded meanwhile is whole', async (t) => {
  const { db, clock, ownerUrl } = await openDatabase(t);
  const partner = await seedPartner(db);
  const clientId = await seedClient(db, partner.id);
  const of = { partnerId: partner.id, clientId, occurredAt: new Date(`${DAY}T10:00:00Z`) };
  await ensurePartitions(asOwner(ownerUrl), of.occurredAt, 1);
  const events = Array.from({ length: SENDERS }, (_, n) => makeEvent({ ...of, sender: `s${n}@x.example` }));
  await db.system((tx) => appendEvents(tx, events));
  await rollAll(db);
  clock.set('2026-10-20T00:00:00Z');
  let folds = 0;
  const found = await db.tenant(
    partner.id,
    (tx) => {
      // Between any two of its statements.
      const fold = async <T>(run: () => Promise<T>): Promise<T> => {
        const result = await run();
        folds += await foldDue(db);
        return result;
      };
      return distinctSenders(
        {
          ...tx,
          one: (statement) => fold(() => tx.one(statement)),
          rows: (statement) => fold(() => tx.rows(statement)),
        },
        clientId,
        RANGE,
      );
    },
    { readOnly: true },
  );
  assert.equal(folds, 1);
  assert.ok(Math.abs(found.estimate - SENDERS) <= found.relativeError * SENDERS, JSON.stringify(found));
});

test('a day with more senders than are kept is folded; the errors are those that are stated', async (t) => {
  const { db, owner, ownerUrl, clock } = await openDatabase(t);
  const partner = await seedPartner(db);
  const clientId = await seedClient(db, partner.id);
  const of = { partnerId: partner.id, clientId, occurredAt: new Date(`${DAY}T10:00:00Z`) };
  const sender = (n: number) => `s${String(n).padStart(4, '0')}@x.example`;
  // The first 300 have three deliveries, the next 800 two, the others one.
  const truth = (n: number) => (n < 300 ? 3 : n < 1_100 ? 2 : 1);
  const events = Array.from({ length: SENDERS }, (_, n) =>
    Array.from({ length: truth(n) }, () =>
      makeEvent({ ...of, sender: sender(n), verdict: n % 2 === 0 ? 'spam' : 'clean' }),
    ),
  ).flat();
  await ensurePartitions(asOwner(ownerUrl), of.occurredAt, 1);
  await db.system((tx) => appendEvents(tx, events));
  await rollAll(db);
  const read = <T>(work: Parameters<typeof db.tenant<T>>[1]) => db.tenant(partner.id, work);
  const exact = await read((tx) => topSenders(tx, clientId, RANGE, 100));
  assert.deepEqual(await read((tx) => distinctSenders(tx, clientId, RANGE)), {
    estimate: SENDERS,
    relativeError: 0,
    exact: true,
  });

  assert.equal(await foldDue(db), 1);
  assert.equal(await foldDue(db), 0, 'once');
  const young = await owner.query('select from rollup_senders');
  assert.equal(young.rowCount, 0);
  const [fold] = (
    await owner.query<{ kept: number; deliveries: string; rest: string; bound: string }>(
      `select cardinality(items) as kept, (select sum(d) from unnest(deliveries) d) as deliveries, rest_deliveries as rest, bound
       from rollup_folds`,
    )
  ).rows;
  assert.deepEqual(fold, { kept: SENDERS_KEPT, deliveries: '2300', rest: '500', bound: '2' }, 'nothing is lost');
  const top = await read((tx) => topSenders(tx, clientId, RANGE, 100));
  assert.deepEqual(top, exact, 'the first of a single day are exact');
  const distinct = await read((tx) => distinctSenders(tx, clientId, RANGE));
  assert.equal(distinct.exact, false);
  assert.ok(Math.abs(distinct.estimate - SENDERS) <= DISTINCT_ERROR * SENDERS, String(distinct.estimate));
  assert.deepEqual((await verify(db)).differences, []);

  // Late events: while the detail is kept the day is counted anew. This sender was in the rest and gets a place.
  const late = makeEvent({ ...of, sender: sender(1_399) });
  await db.system((tx) =>
    appendEvents(tx, [late, { ...late, id: makeEvent(of).id }, { ...late, id: makeEvent(of).id }]),
  );
  await rollAll(db);
  const risen = await read((tx) => topSenders(tx, clientId, RANGE, 1));
  assert.deepEqual(risen, [{ key: sender(1_399), deliveries: 4, unwanted: 0, maxError: 0 }]);
  assert.deepEqual((await verify(db)).differences, []);
  const before = (await owner.query('select * from rollup_folds')).rows;
  await rebuild(db);
  assert.deepEqual((await owner.query('select * from rollup_folds')).rows, before);

  // Tampering is found in a fold too, and mended.
  await owner.query("update rollup_folds set deliveries[1] = 99, registers = '\\x00'");
  assert.deepEqual(
    (await verify(db)).differences.map((row) => [row.table, row.measure, row.ledger, row.rollup]),
    [
      ['folds', 'registers', 1, 0],
      ['folds', 'deliveries', 4, 99],
    ],
  );
  await rebuild(db);
  assert.deepEqual((await owner.query('select * from rollup_folds')).rows, before);

  // Without the detail they are added: the sums stay right, and the bound grows to what an unlisted sender may have.
  clock.set('2026-12-01T10:00:00Z');
  await rollAll(db);
  await retainDetail(db, asOwner(ownerUrl), clock.now(), 30);
  const more = [sender(0), sender(1_398), 'new@x.example'].map((from) => makeEvent({ ...of, sender: from }));
  await db.system((tx) => appendEvents(tx, more));
  await rollAll(db);
  const [added] = (
    await owner.query<{ kept: number; deliveries: string; rest: string; bound: string; registers: Buffer }>(
      `select cardinality(items) as kept, (select sum(d) from unnest(deliveries) d) as deliveries, rest_deliveries as rest, bound,
              registers from rollup_folds`,
    )
  ).rows;
  const total = Number(added?.deliveries) + Number(added?.rest);
  assert.deepEqual([added?.kept, total, added?.bound], [SENDERS_KEPT, events.length + 6, '3']);
  const registers = new Uint8Array(REGISTERS);
  merge(registers, added?.registers ?? assert.fail());
  assert.ok(Math.abs(estimate(registers) - SENDERS - 1) <= DISTINCT_ERROR * SENDERS);
  const week = interval({ from: '2026-10-09', to: '2026-10-12', zone: 'Europe/London' });
  const [first] = await read((tx) => topSenders(tx, null, week, 1));
  assert.deepEqual(first, { key: sender(0), deliveries: 4, unwanted: 3, maxError: 0 });
});

test('a list over several days undercounts a sender by no more than it says', async (t) => {
  const { db } = await openDatabase(t);
  const partner = await seedPartner(db);
  const clientId = await seedClient(db, partner.id);
  // On both days 1,001 senders; the steady one has one delivery on the first day and many on the second.
  const day = (date: string, steady: number) => {
    const of = { partnerId: partner.id, clientId, occurredAt: new Date(`${date}T10:00:00Z`) };
    const crowd = Array.from({ length: SENDERS_KEPT }, (_, n) => `${date}-${n}@x.example`);
    return [...crowd, ...crowd, ...Array.from({ length: steady }, () => 'steady@x.example')].map((sender) =>
      makeEvent({ ...of, sender }),
    );
  };
  await db.system((tx) => appendEvents(tx, [...day('2026-10-09', 1), ...day('2026-10-10', 9)]));
  await rollAll(db);
  await foldDue(db);
  const range = interval({ from: '2026-10-09', to: '2026-10-10', zone: 'Europe/London' });
  const [steady] = await db.tenant(partner.id, (tx) => topSenders(tx, clientId, range, 1));
  assert.deepEqual(steady, { key: 'steady@x.example', deliveries: 9, unwanted: 0, maxError: 1 });
});

test('subjects are those of unwanted mail, attachment types those of all; once for each message and recipient', async (t) => {
  const { db, owner } = await openDatabase(t);
  const partner = await seedPartner(db);
  const clientId = await seedClient(db, partner.id);
  const of = { partnerId: partner.id, clientId, occurredAt: new Date(`${DAY}T10:00:00Z`) };
  const pdf = (name: string) => ({ name, type: 'application/pdf', bytes: 1 });
  const wanted = makeEvent({ ...of, verdict: 'clean' });
  const campaign = [makeEvent({ ...of, verdict: 'phish' }), makeEvent({ ...of, verdict: 'spam' })];
  await seedMessage(owner, wanted, { subject: 'Salaries', attachments: [pdf('a.pdf'), pdf('b.PDF')] });
  for (const [n, event] of campaign.entries()) {
    await seedMessage(owner, event, { subject: `Re: Parcel ${n}`, attachments: [{ ...pdf('x'), type: 'text/HTML' }] });
  }
  await db.system((tx) => appendEvents(tx, [wanted, ...campaign]));
  const check = async () => {
    const [types, subjects] = await db.tenant(partner.id, async (tx) => [
      await topItems(tx, 'attachment_type', clientId, RANGE, 10),
      await topItems(tx, 'subject', clientId, RANGE, 10),
    ]);
    assert.deepEqual(types, [
      { key: 'text/html', deliveries: 2, unwanted: 2, maxError: 0 },
      { key: 'pdf', deliveries: 1, unwanted: 0, maxError: 0 },
    ]);
    assert.deepEqual(subjects, [{ key: 'parcel #', deliveries: 2, unwanted: 2, maxError: 0 }]);
  };
  await check();
  await rollAll(db);
  await check();
  assert.equal(await foldDue(db), 3);
  await check();
});

test('a rebuild takes what the roller has not seen yet into a fold that reaches over the edge of what is kept', async (t) => {
  const { db, owner, ownerUrl, clock } = await openDatabase(t);
  const partner = await seedPartner(db);
  const clientId = await seedClient(db, partner.id, { timeZone: 'America/New_York' });
  // The local day ends at 4 o'clock in UTC, four hours after the edge.
  const at = (time: string, sender: string) =>
    makeEvent({ partnerId: partner.id, clientId, occurredAt: new Date(time), sender });
  const append = (...events: ReturnType<typeof makeEvent>[]) => db.system((tx) => appendEvents(tx, events));
  await ensurePartitions(asOwner(ownerUrl), new Date('2026-10-11T00:00:00Z'), 1);
  await append(at('2026-10-10T12:00:00Z', 'a@x.example'), at('2026-10-11T01:00:00Z', 'b@x.example'));
  await rollAll(db);
  assert.ok((await foldDue(db)) > 0);
  clock.set('2026-11-10T12:00:00Z');
  await rollAll(db);
  await retainDetail(db, asOwner(ownerUrl), clock.now(), 30);
  const floor = await owner.query('select whole_from from retention_floor');
  assert.deepEqual(floor.rows, [{ whole_from: new Date('2026-10-11T00:00:00Z') }]);
  await append(
    at('2026-10-10T13:00:00Z', 'late@x.example'),
    at('2026-10-11T02:00:00Z', 'late@x.example'),
    at('2026-10-11T02:00:00Z', 'b@x.example'),
    at('2026-10-12T12:00:00Z', 'c@x.example'),
  );
  const traffic = async () => (await owner.query('select sum(deliveries)::int as n from rollup_traffic')).rows[0]?.n;
  // What is committed is counted when no transaction of the cluster, of other tests too, is older.
  for (let tries = 0; tries < 1_000 && (await traffic()) < 6; tries += 1) await rebuild(db);
  const top = (range: typeof RANGE) => db.tenant(partner.id, (tx) => topSenders(tx, clientId, range, 10));
  const local = interval({ from: '2026-10-10', to: '2026-10-10', zone: 'America/New_York' });
  const counted = (rows: readonly { key: string; deliveries: number }[]) =>
    Object.fromEntries(rows.map((row) => [row.key, row.deliveries]));
  const wanted = { 'a@x.example': 1, 'b@x.example': 2, 'late@x.example': 2 };
  assert.deepEqual(counted(await top(local)), wanted);
  assert.deepEqual((await verify(db)).differences, []);
  assert.equal(await traffic(), 6);
  const before = (await owner.query('select * from rollup_folds order by starts')).rows;
  await rebuild(db);
  await rollAll(db);
  assert.deepEqual((await owner.query('select * from rollup_folds order by starts')).rows, before);
  assert.deepEqual(counted(await top(local)), wanted);
});

test('whatever is added to a fold, sums are kept and no item has more than it is said to have', () => {
  const added = fc.array(
    fc.record({
      item: fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f', 'g'),
      deliveries: fc.integer({ min: 1, max: 9 }),
      unwanted: fc.constant(0),
      messages: fc.constant(1),
    }),
    { maxLength: 6 },
  );
  fc.assert(
    fc.property(fc.array(added, { maxLength: 5 }), fc.integer({ min: 1, max: 4 }), (rounds, places) => {
      const distinctItems = (round: readonly Added[]) => [...new Map(round.map((one) => [one.item, one])).values()];
      let fold: Fold = {
        items: [],
        deliveries: [],
        unwanted: [],
        messages: [],
        rest_deliveries: 0,
        rest_unwanted: 0,
        rest_messages: 0,
        bound: 0,
        registers: null,
      };
      const truth = new Map<string, number>();
      for (const round of rounds.map(distinctItems)) {
        fold = withAdded(fold, round, places);
        for (const one of round) truth.set(one.item, (truth.get(one.item) ?? 0) + one.deliveries);
      }
      const listed = new Map(fold.items.map((item, index) => [item, fold.deliveries[index] ?? 0]));
      const sum = (values: Iterable<number>) => [...values].reduce((total, one) => total + one, 0);
      assert.ok(fold.items.length <= places);
      assert.equal(sum(listed.values()) + fold.rest_deliveries, sum(truth.values()));
      for (const [item, deliveries] of truth) {
        const known = listed.get(item);
        if (known === undefined) assert.ok(deliveries <= fold.bound, `${item} has ${deliveries}`);
        else assert.equal(known, deliveries);
      }
    }),
    { numRuns: 500 },
  );
});

test('days that have waited for long are folded in one run, whichever they are', async (t) => {
  const { db, owner } = await openDatabase(t);
  const partner = await seedPartner(db);
  const clients = [
    await seedClient(db, partner.id),
    await seedClient(db, partner.id, { domain: 'b.example', timeZone: 'Asia/Tokyo' }),
  ];
  const days = [
    '2026-08-01',
    '2026-08-02',
    '2026-08-03',
    '2026-08-20',
    '2026-09-30',
    '2026-10-01',
    '2026-10-10',
    '2026-10-13',
  ];
  await db.system((tx) =>
    appendEvents(
      tx,
      days.flatMap((day) =>
        clients.map((clientId) =>
          makeEvent({ partnerId: partner.id, clientId, occurredAt: new Date(`${day}T23:30:00Z`) }),
        ),
      ),
    ),
  );
  await rollAll(db);
  assert.equal(await foldDue(db), 2 * (days.length - 1), 'all but the young one');
  assert.equal(await foldDue(db), 0);
  assert.equal((await owner.query('select from rollup_senders')).rowCount, 2);
  assert.deepEqual((await verify(db)).differences, []);
});

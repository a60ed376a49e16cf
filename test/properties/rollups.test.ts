import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { NO_TOTALS, type Totals } from '../../src/core/counts.ts';
import type { LedgerEvent } from '../../src/core/event.ts';
import { newId } from '../../src/core/id.ts';
import { type Granularity, interval } from '../../src/core/period.ts';
import type { Direction, Verdict } from '../../src/core/verdict.ts';
import { appendEvents } from '../../src/ledger/append.ts';
import { ensurePartitions } from '../../src/ledger/partitions.ts';
import { recount } from '../../src/ledger/read.ts';
import { rollOnce } from '../../src/rollups/build.ts';
import { readClientsOverview, readStatistics, readStatisticsOf } from '../../src/rollups/read.ts';
import { rebuild } from '../../src/rollups/rebuild.ts';
import { verify } from '../../src/rollups/verify.ts';
import { openDatabase } from '../support/db.ts';
import { makeEvent } from '../support/events.ts';
import { asOwner } from '../support/owner.ts';
import { rollAll } from '../support/roll.ts';
import { seedClient, seedPartner } from '../support/seed.ts';

const ZONES = ['America/New_York', 'Europe/London', 'Asia/Kathmandu', 'Australia/Lord_Howe'] as const;
// Around the days on which these zones change their clocks in 2026.
const MOMENTS = [
  '2026-03-08T06:00:00Z',
  '2026-03-29T00:30:00Z',
  '2026-04-04T14:45:00Z',
  '2026-10-03T15:20:00Z',
  '2026-10-25T00:50:00Z',
  '2026-11-01T05:10:00Z',
];

interface Life {
  readonly client: number;
  readonly at: string;
  readonly offsetMinutes: number;
  readonly verdict: Verdict;
  readonly direction: Direction;
  readonly mailboxId: string | null;
  readonly sender: string;
  readonly end: 'none' | 'delivered' | 'quarantined' | 'bounced' | 'expired';
  readonly leads: number;
  readonly bytes: number;
}

const life: fc.Arbitrary<Life> = fc.record({
  client: fc.integer({ min: 0, max: 1 }),
  at: fc.constantFrom(...MOMENTS),
  offsetMinutes: fc.integer({ min: -1500, max: 1500 }),
  verdict: fc.constantFrom<Verdict>('clean', 'spam', 'phish', 'malware'),
  direction: fc.constantFrom<Direction>('inbound', 'outbound'),
  mailboxId: fc.constantFrom(null, '01a20cbe-12e2-7287-ba26-a47f35380f19', '01a20cbe-12e2-7287-ba26-a47f35380f20'),
  sender: fc.constantFrom('', 'bob@sender.example', 'eve@sender.example'),
  end: fc.constantFrom<Life['end']>('none', 'delivered', 'quarantined', 'bounced', 'expired'),
  leads: fc.constantFrom(15, 14, 0),
  bytes: fc.integer({ min: 1, max: 50_000 }),
});

/** The events of one delivery, as the gateway would write them. */
function eventsOf(partnerId: string, clientIds: readonly string[], given: Life): LedgerEvent[] {
  const occurredAt = new Date(Date.parse(given.at) + given.offsetMinutes * 60_000);
  const common = {
    partnerId,
    clientId: clientIds[given.client] ?? '',
    messageId: newId(),
    deliveryId: newId(),
    verdict: given.verdict,
    direction: given.direction,
    mailboxId: given.mailboxId,
    sender: given.sender,
    bytes: given.bytes,
  };
  const first = makeEvent({ ...common, occurredAt, leads: given.leads, reasons: [`test.${given.verdict}`] });
  if (given.end === 'none') return [first];
  const last = makeEvent({
    ...common,
    occurredAt: new Date(occurredAt.getTime() + 1_234_567),
    kind: given.end,
    disposition: given.end,
    leads: 0,
  });
  return [first, last];
}

test('rule 3: in any order, repeated, late, over open transactions: rolled = rebuilt = recounted', async (t) => {
  const { db, owner } = await openDatabase(t);
  const partner = await seedPartner(db);
  const clientIds = [await seedClient(db, partner.id), await seedClient(db, partner.id, { domain: 'b.example' })];
  const dump = async () =>
    (
      await owner.query(
        'select * from rollup_traffic order by partner_id, client_id, bucket, domain, direction, kind, verdict, disposition',
      )
    ).rows;

  await fc.assert(
    fc.asyncProperty(
      fc.array(life, { minLength: 1, maxLength: 25 }),
      fc.infiniteStream(fc.integer({ min: 0, max: 1_000_000 })),
      async (lives, dice) => {
        const roll = () => dice.next().value ?? 0;
        const events = lives
          .flatMap((one) => eventsOf(partner.id, clientIds, one))
          .sort(() => (roll() % 2 === 0 ? 1 : -1));
        // Three writers with a third each; the first stays open over a roll.
        let release: () => void = () => undefined;
        const gate = new Promise<void>((resolve) => {
          release = resolve;
        });
        const writers = [0, 1, 2].map((writer) =>
          db.system(async (tx) => {
            await appendEvents(
              tx,
              events.filter((_, index) => index % 3 === writer),
            );
            if (writer === 0) await gate;
          }),
        );
        await Promise.all(writers.slice(1));
        await rollOnce(db);
        release();
        await writers[0];
        await db.system((tx) =>
          appendEvents(
            tx,
            events.filter(() => roll() % 2 === 0),
          ),
        );
        await rollAll(db);
        const rolled = await dump();
        assert.deepEqual((await verify(db)).differences, []);
        await rebuild(db);
        assert.deepEqual(await dump(), rolled);
      },
    ),
    { numRuns: 12, endOnFailure: true },
  );

  // What has gathered over all runs, in every zone and cut every way, is what the ledger says.
  for (const clientId of clientIds) {
    for (const zone of ZONES) {
      for (const granularity of ['HOUR', 'DAY', 'WEEK', 'MONTH'] satisfies Granularity[]) {
        const period = { from: '2026-03-07', to: '2026-11-02', zone };
        const seen = await db.tenant(partner.id, (tx) => readStatistics(tx, { clientId, period, granularity }));
        const counted = await db.tenant(partner.id, (tx) => recount(tx, partner.id, clientId, interval(period)));
        assert.deepEqual(seen.totals, counted, `${zone} ${granularity}`);
        const summed = seen.buckets.reduce((sum, bucket) => sum + bucket.totals.deliveries, 0);
        assert.equal(summed, counted.deliveries, `rule 6: ${zone} ${granularity}`);
      }
      for (const day of ['2026-03-08', '2026-03-29', '2026-04-05', '2026-10-04', '2026-10-25', '2026-11-01']) {
        const period = { from: day, to: day, zone };
        const seen = await db.tenant(partner.id, (tx) => readStatistics(tx, { clientId, period, granularity: 'DAY' }));
        assert.deepEqual(
          seen.totals,
          await db.tenant(partner.id, (tx) => recount(tx, partner.id, clientId, interval(period))),
          `${zone} ${day}`,
        );
      }
    }
  }
});

/** What may happen to rollups, in any order. */
type Step =
  | { readonly do: 'append'; readonly lives: readonly Life[]; readonly again: boolean }
  | { readonly do: 'roll'; readonly slice: number }
  | { readonly do: 'rebuild' }
  | { readonly do: 'partition'; readonly near: number }
  | { readonly do: 'zone'; readonly client: number; readonly zone: (typeof ZONES)[number] };

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('append' as const),
      lives: fc.array(life, { minLength: 1, maxLength: 8 }),
      again: fc.boolean(),
    }),
  },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('roll' as const), slice: fc.integer({ min: 1, max: 6 }) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('rebuild' as const) }) },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant('partition' as const), near: fc.nat({ max: MOMENTS.length - 1 }) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('zone' as const),
      client: fc.integer({ min: 0, max: 1 }),
      zone: fc.constantFrom(...ZONES),
    }),
  },
);

test('rule 3: adding in small rounds, among rebuilds, repetitions, moves to partitions and of zones, is counting', async (t) => {
  const { db, owner, ownerUrl } = await openDatabase(t);
  const partner = await seedPartner(db);
  const clientIds = [await seedClient(db, partner.id), await seedClient(db, partner.id, { domain: 'b.example' })];
  const dump = async () => {
    const tables: Record<string, unknown[]> = {};
    for (const table of ['traffic', 'mailboxes', 'senders', 'reasons', 'days', 'months']) {
      const { rows } = await owner.query<{ row: string }>(`select r::text as row from rollup_${table} r order by 1`);
      tables[table] = rows.map(({ row }) => row);
    }
    return tables;
  };
  let last: LedgerEvent[] = [];
  const act = async (one: Step): Promise<unknown> => {
    switch (one.do) {
      case 'append': {
        const events = one.lives.flatMap((given) => eventsOf(partner.id, clientIds, given));
        // Each event in a transaction of its own, so that small rounds have something to cut; some once more.
        for (const event of [...events, ...(one.again ? last : [])]) await db.system((tx) => appendEvents(tx, [event]));
        last = events;
        return;
      }
      case 'roll':
        return rollOnce(db, one.slice);
      case 'rebuild':
        return rebuild(db);
      case 'partition':
        return ensurePartitions(asOwner(ownerUrl), new Date(MOMENTS[one.near] ?? ''), 1);
      case 'zone':
        return owner.query('update clients set time_zone = $1 where id = $2', [one.zone, clientIds[one.client]]);
    }
  };
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 3, maxLength: 14 }), async (steps) => {
      for (const one of steps) await act(one);
      await rollAll(db);
      assert.deepEqual((await verify(db)).differences, []);
      const rolled = await dump();
      await rebuild(db);
      assert.deepEqual(await dump(), rolled, 'rebuilt');
      await owner.query(
        'truncate rollup_traffic, rollup_mailboxes, rollup_senders, rollup_reasons, rollup_days, rollup_months',
      );
      await rebuild(db);
      assert.deepEqual(await dump(), rolled, 'counted from nothing');
    }),
    { numRuns: 6, endOnFailure: true },
  );

  // Days and months say what the ledger says, in every zone that a client may have, over the days on which clocks change.
  const edges = [
    ['2026-03-07', '2026-11-02'],
    ['2026-03-29', '2026-03-29'],
    ['2026-04-05', '2026-10-25'],
  ] as const;
  for (const zone of [...ZONES, 'America/St_Johns', 'Pacific/Chatham']) {
    await owner.query('update clients set time_zone = $1', [zone]);
    await rollAll(db);
    for (const [from, to] of edges) await compareTier(zone, from, to);
  }

  async function compareTier(zone: string, from: string, to: string): Promise<void> {
    const period = { from, to, zone };
    await db.tenant(partner.id, async (tx) => {
      const counted = new Map<string, Totals>();
      for (const id of clientIds) counted.set(id, await recount(tx, partner.id, id, interval(period)));
      const hours = await readStatisticsOf(tx, { clientIds, period, granularity: 'HOUR' });
      const hourly = await readStatistics(tx, { clientId: null, period, granularity: 'HOUR' });
      for (const granularity of ['DAY', 'WEEK', 'MONTH'] satisfies Granularity[]) {
        const what = `${zone} ${from} ${to} ${granularity}`;
        const seen = await readStatisticsOf(tx, { clientIds, period, granularity });
        for (const [id, one] of seen) {
          assert.deepEqual(one.totals, counted.get(id), what);
          for (const bucket of one.buckets) {
            const inside = hours
              .get(id)
              ?.buckets.filter((hour) => hour.start >= bucket.start && hour.start < bucket.end);
            const sum = inside?.reduce((all, hour) => all + hour.totals.deliveries, 0);
            assert.equal(bucket.totals.deliveries, sum, `rule 6: ${what} ${bucket.start.toISOString()}`);
          }
        }
        const whole = await readStatistics(tx, { clientId: null, period, granularity });
        assert.deepEqual(whole.totals, hourly.totals, what);
      }
      const overview = await readClientsOverview(tx, { from, to });
      for (const [id, totals] of counted) {
        const own = overview.clients.find((client) => client.clientId === id)?.totals ?? NO_TOTALS;
        assert.deepEqual(own, totals, `overview: ${zone} ${from} ${to}`);
      }
      assert.deepEqual(overview.totals, hourly.totals, `overview of all: ${zone} ${from} ${to}`);
    });
  }
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ManualClock } from '../../src/core/clock.ts';
import type { Interval } from '../../src/core/period.ts';
import type { Tx } from '../../src/db/db.ts';
import { sql } from '../../src/db/sql.ts';
import { appendEvents } from '../../src/ledger/append.ts';
import { recount } from '../../src/ledger/read.ts';
import { NodeWatermark } from '../../src/ledger/watermark.ts';
import { rollOnce } from '../../src/rollups/build.ts';
import { completeThrough, readStatistics } from '../../src/rollups/read.ts';
import { rebuild } from '../../src/rollups/rebuild.ts';
import { verify } from '../../src/rollups/verify.ts';
import { openDatabase, openPools } from '../support/db.ts';
import { makeEvent } from '../support/events.ts';
import { rollAll } from '../support/roll.ts';
import { seedClient, seedPartner } from '../support/seed.ts';

const PERIOD = { from: '2026-10-14', to: '2026-10-15', zone: 'UTC' };
const WHOLE: Interval = { start: new Date('2026-10-14T00:00:00Z'), end: new Date('2026-10-16T00:00:00Z') };

/** One thing that happens on one of two gateways. */
type Step =
  | {
      readonly does: 'begin';
      readonly node: number;
      readonly events: number;
      readonly late: boolean;
      readonly tenant: boolean;
    }
  | { readonly does: 'commit' | 'abort'; readonly which: number }
  | { readonly does: 'beat' | 'restart' | 'crash'; readonly node: number }
  | { readonly does: 'roll' | 'rebuild' }
  | { readonly does: 'wait'; readonly minutes: number };

const node = fc.integer({ min: 0, max: 1 });
const which = fc.integer({ min: 0, max: 3 });
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      does: fc.constant('begin' as const),
      node,
      events: fc.integer({ min: 1, max: 4 }),
      late: fc.boolean(),
      tenant: fc.boolean(),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({ does: fc.constantFrom('commit' as const, 'commit' as const, 'abort' as const), which }),
  },
  { weight: 4, arbitrary: fc.record({ does: fc.constant('beat' as const), node }) },
  { weight: 1, arbitrary: fc.record({ does: fc.constantFrom('restart' as const, 'crash' as const), node }) },
  { weight: 4, arbitrary: fc.record({ does: fc.constant('roll' as const) }) },
  { weight: 1, arbitrary: fc.record({ does: fc.constant('rebuild' as const) }) },
  { weight: 3, arbitrary: fc.record({ does: fc.constant('wait' as const), minutes: fc.integer({ min: 5, max: 40 }) }) },
);

interface OpenWrite {
  /** It has written, so it has its transaction id. */
  readonly hasId: boolean;
  readonly node: number;
  readonly end: (commit: boolean) => Promise<void>;
}

test('rules 3 and 4: what was told to be complete never changes, whatever the order of commits, crashes and rolls', async (t) => {
  const clock = new ManualClock('2026-10-14T00:00:00Z');
  const { db, ownerUrl } = await openDatabase(t, { clock });
  // Two gateways, each with pools of its own that its watermark observes.
  const pools = [openPools(ownerUrl, clock), openPools(ownerUrl, clock)] as const;
  const partner = await seedPartner(db);
  let run = 0;

  const property = fc.asyncProperty(fc.array(step, { minLength: 20, maxLength: 60, size: 'max' }), async (steps) => {
    run += 1;
    clock.set('2026-10-14T00:00:00Z');
    const clientId = await seedClient(db, partner.id, { domain: `c${run}.example` });
    const open: OpenWrite[] = [];
    const marks: NodeWatermark[] = [];
    const name = (index: number) => `run ${run} node ${index}`;
    const start = async (index: number) => {
      const watermark = new NodeWatermark(db, clock, name(index), 'gateway');
      marks[index] = watermark;
      pools[index]?.observe(watermark);
      await watermark.beat();
    };
    // Nodes of earlier runs would hold everything at their last word.
    await db.system(async (tx) => {
      await tx.run(sql`delete from node_beats`);
      await tx.run(sql`delete from rollup_watermarks`);
      await tx.run(sql`delete from nodes`);
    });
    await start(0);
    await start(1);
    const told = new Map<number, number>();

    const begin = async (given: Extract<Step, { does: 'begin' }>) => {
      let decide: (commit: boolean) => void = () => undefined;
      const decided = new Promise<boolean>((resolve) => {
        decide = resolve;
      });
      let begun: () => void = () => undefined;
      const isBegun = new Promise<void>((resolve) => {
        begun = resolve;
      });
      const work = async (tx: Tx) => {
        const all = Array.from({ length: given.events }, () =>
          makeEvent({ partnerId: partner.id, clientId, occurredAt: tx.now }),
        );
        // Late: the transaction has its time, and gets its id only when it writes, just before its end.
        if (!given.late) await appendEvents(tx, all);
        begun();
        if (!(await decided)) throw new Error('aborted');
        if (given.late) await appendEvents(tx, all);
      };
      const pool = pools[given.node === 0 ? 0 : 1];
      const whole = (given.tenant ? pool.tenant(partner.id, work) : pool.system(work)).catch((error: Error) =>
        assert.equal(error.message, 'aborted'),
      );
      await isBegun;
      open.push({
        hasId: !given.late,
        node: given.node,
        end: async (commit) => {
          decide(commit);
          await whole;
        },
      });
    };

    const look = async () => {
      // Seen through the eyes of a reader: what is complete first, then the numbers.
      const rows = await db.system(async (tx) => {
        const through = await completeThrough(tx);
        if (through === null) return [];
        return tx.rows<{ bucket: Date; n: number }>(sql`
          select b.bucket, coalesce(sum(r.deliveries), 0)::bigint as n
          from generate_series(${WHOLE.start}::timestamptz, ${through}::timestamptz - interval '15 minutes', '15 minutes') as b (bucket)
          left join rollup_traffic r on r.client_id = ${clientId} and r.bucket = b.bucket
          group by b.bucket`);
      });
      const now = new Map(rows.map((row) => [row.bucket.getTime(), row.n]));
      for (const [bucket, n] of told) {
        assert.equal(now.get(bucket), n, `${new Date(bucket).toISOString()} was told to be complete`);
      }
      for (const [bucket, n] of now) told.set(bucket, n);
    };

    try {
      for (const one of steps) {
        if (one.does === 'begin') await begin(one);
        else if (one.does === 'commit' || one.does === 'abort') {
          await open.splice(one.which, 1)[0]?.end(one.does === 'commit');
        } else if (one.does === 'beat') await marks[one.node]?.beat();
        else if (one.does === 'crash' || one.does === 'restart') {
          if (one.does === 'restart') await marks[one.node]?.stop();
          // The server ends what had not written; of what had, it may still carry out a commit that was on its way.
          for (const write of open.filter((each) => each.node === one.node && !each.hasId)) {
            await write.end(false);
            open.splice(open.indexOf(write), 1);
          }
          await start(one.node);
        } else if (one.does === 'wait') clock.advance(one.minutes * 60_000);
        else await (one.does === 'roll' ? rollOnce(db) : rebuild(db));
        await look();
      }
    } finally {
      for (const write of open.splice(0)) await write.end(true);
    }
    clock.set('2026-10-16T00:00:00Z');
    for (const watermark of marks) await watermark.beat();
    await rollAll(db);
    await look();
    const seen = await db.tenant(partner.id, (tx) =>
      readStatistics(tx, { clientId, period: PERIOD, granularity: 'DAY' }),
    );
    assert.equal(seen.complete, true);
    assert.deepEqual((await verify(db)).differences, []);
    assert.deepEqual(seen.totals, await db.tenant(partner.id, (tx) => recount(tx, partner.id, clientId, WHOLE)));
  });
  try {
    await fc.assert(property, { numRuns: 25, endOnFailure: true });
  } finally {
    for (const pool of pools) await pool[Symbol.asyncDispose]();
  }
});

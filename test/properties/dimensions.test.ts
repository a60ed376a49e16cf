import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import fc from 'fast-check';
import type { LedgerEvent } from '../../src/core/event.ts';
import { newId } from '../../src/core/id.ts';
import { interval } from '../../src/core/period.ts';
import type { Direction, Verdict } from '../../src/core/verdict.ts';
import { appendEvents } from '../../src/ledger/append.ts';
import { rollOnce } from '../../src/rollups/build.ts';
import { foldDue } from '../../src/rollups/fold.ts';
import {
  byDirection,
  byDomain,
  distinctMailboxes,
  distinctSenders,
  topItems,
  topSenders,
} from '../../src/rollups/read-dimensions.ts';
import { rebuild } from '../../src/rollups/rebuild.ts';
import { verify } from '../../src/rollups/verify.ts';
import { openDatabase } from '../support/db.ts';
import { makeEvent } from '../support/events.ts';
import { type MessageFacts, seedMessage } from '../support/messages.ts';
import { rollAll } from '../support/roll.ts';
import { seedClient, seedPartner } from '../support/seed.ts';

const ZONES = ['America/New_York', 'Europe/London', 'Asia/Kathmandu', 'Australia/Lord_Howe'] as const;
// The tests' clock stands at 2026-10-14: days that are long over, over for two days, and young.
const MOMENTS = ['2026-03-29T00:30:00Z', '2026-10-03T15:20:00Z', '2026-10-11T23:30:00Z', '2026-10-14T00:10:00Z'];
const BOXES = ['01a20cbe-12e2-7287-ba26-a47f35380f19', '01a20cbe-12e2-7287-ba26-a47f35380f20'];

interface Life extends MessageFacts {
  readonly client: number;
  readonly at: string;
  readonly offsetMinutes: number;
  readonly verdict: Verdict;
  readonly direction: Direction;
  readonly mailboxId: string | null;
  readonly sender: string;
  readonly end: 'delivered' | 'released' | 'quarantined';
  readonly latencyMs: number;
  readonly leads: number;
  readonly bytes: number;
}

const life: fc.Arbitrary<Life> = fc.record({
  client: fc.integer({ min: 0, max: 1 }),
  at: fc.constantFrom(...MOMENTS),
  offsetMinutes: fc.integer({ min: -900, max: 200 }),
  verdict: fc.constantFrom<Verdict>('clean', 'spam', 'phish'),
  direction: fc.constantFrom<Direction>('inbound', 'outbound'),
  mailboxId: fc.constantFrom(null, ...BOXES),
  sender: fc.constantFrom('', 'bob@sender.example', 'eve@sender.example', 'mal@sender.example'),
  end: fc.constantFrom<Life['end']>('delivered', 'released', 'quarantined'),
  latencyMs: fc.integer({ min: 0, max: 10_000_000 }),
  leads: fc.constantFrom(15, 14, 0),
  bytes: fc.integer({ min: 0, max: 50_000_000 }),
  subject: fc.constantFrom('Invoice 1', 'Re: invoice 22', 'You won', ''),
  attachments: fc.constantFrom<MessageFacts['attachments']>(
    [],
    [{ name: 'a.PDF', type: 'application/pdf', bytes: 1 }],
    [
      { name: 'a.pdf', type: 'application/pdf', bytes: 1 },
      { name: 'b.pdf', type: 'application/pdf', bytes: 1 },
      { name: 'noname', type: 'image/png', bytes: 1 },
    ],
  ),
});

function eventsOf(partnerId: string, clientIds: readonly string[], given: Life): LedgerEvent[] {
  const occurredAt = new Date(Date.parse(given.at) + given.offsetMinutes * 60_000);
  const { verdict, direction, mailboxId, sender, bytes, leads, latencyMs } = given;
  const common = {
    partnerId,
    clientId: clientIds[given.client] ?? '',
    messageId: newId(),
    deliveryId: newId(),
    verdict,
    direction,
    mailboxId,
    sender,
    bytes,
  };
  return [
    makeEvent({ ...common, occurredAt, leads }),
    makeEvent({
      ...common,
      occurredAt: new Date(occurredAt.getTime() + latencyMs),
      kind: given.end === 'quarantined' ? 'quarantined' : 'delivered',
      disposition: given.end,
      leads: 0,
      latencyMs,
    }),
  ];
}

type Step =
  | { readonly do: 'append'; readonly lives: readonly Life[] }
  | { readonly do: 'roll'; readonly slice: number }
  | { readonly do: 'fold' }
  | { readonly do: 'rebuild' }
  | { readonly do: 'zone'; readonly client: number; readonly zone: (typeof ZONES)[number] };

const STEPS = [
  {
    weight: 4,
    arbitrary: fc.record({ do: fc.constant('append' as const), lives: fc.array(life, { minLength: 1, maxLength: 8 }) }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('roll' as const), slice: fc.integer({ min: 1, max: 6 }) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('fold' as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('rebuild' as const) }) },
] satisfies fc.MaybeWeightedArbitrary<Step>[];

const MOVE = {
  weight: 1,
  arbitrary: fc.record({
    do: fc.constant('zone' as const),
    client: fc.integer({ min: 0, max: 1 }),
    zone: fc.constantFrom(...ZONES),
  }),
} satisfies fc.MaybeWeightedArbitrary<Step>;

async function holds(t: TestContext, step: fc.Arbitrary<Step>): Promise<void> {
  const { db, owner } = await openDatabase(t);
  const partner = await seedPartner(db);
  const clientIds = [await seedClient(db, partner.id), await seedClient(db, partner.id, { domain: 'b.example' })];
  const TABLES = ['senders', 'sketches', 'items', 'mailbox_days', 'folds', 'mailboxes', 'traffic'];
  const dump = async () => {
    const tables: Record<string, unknown[]> = {};
    for (const table of TABLES) {
      const { rows } = await owner.query<{ row: string }>(`select r::text as row from rollup_${table} r order by 1`);
      tables[table] = rows.map(({ row }) => row);
    }
    return tables;
  };
  const answers = () =>
    db.tenant(partner.id, async (tx) => {
      const found: unknown[] = [];
      for (const clientId of [...clientIds, null]) {
        for (const zone of ['Europe/London', 'America/New_York']) {
          const period = { from: '2026-03-01', to: '2026-10-31', zone };
          const range = interval(period);
          found.push([
            await topSenders(tx, clientId, range, 10),
            await topItems(tx, 'subject', clientId, range, 10),
            await topItems(tx, 'attachment_type', clientId, range, 10),
            await distinctSenders(tx, clientId, range),
            await distinctMailboxes(tx, clientId, period),
            await byDomain(tx, clientId, range, 10),
            await byDirection(tx, clientId, range),
          ]);
        }
      }
      return found;
    });
  let wasMoved = false;
  const act = async (one: Step): Promise<unknown> => {
    switch (one.do) {
      case 'append':
        for (const given of one.lives) {
          const events = eventsOf(partner.id, clientIds, given);
          for (const event of events) await seedMessage(owner, event, given);
          await db.system((tx) => appendEvents(tx, events));
        }
        return;
      case 'roll':
        return rollOnce(db, one.slice);
      case 'fold':
        return foldDue(db);
      case 'rebuild':
        return rebuild(db);
      case 'zone':
        wasMoved = true;
        return owner.query('update clients set time_zone = $1 where id = $2', [one.zone, clientIds[one.client]]);
    }
  };
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 3, maxLength: 14 }), async (steps) => {
      for (const one of steps) await act(one);
      const pending = await answers();
      await rollAll(db);
      assert.deepEqual(await answers(), pending, 'what was not rolled counted already');
      assert.deepEqual((await verify(db)).differences, []);
      await foldDue(db);
      assert.deepEqual(await answers(), pending, 'folding changes no answer while everything has a place');
      assert.deepEqual((await verify(db)).differences, []);
      const folded = await dump();
      await rebuild(db);
      assert.deepEqual(await dump(), folded, 'rebuilt');
      // After a change of zone days were folded that are none of the new zone: from nothing they are cut otherwise.
      if (wasMoved) return;
      await owner.query(`truncate ${TABLES.map((table) => `rollup_${table}`).join(', ')}, rollup_days, rollup_months`);
      await rebuild(db);
      await foldDue(db);
      assert.deepEqual(await dump(), folded, 'counted and folded from nothing');
    }),
    { numRuns: 12, endOnFailure: true },
  );
  const { rows } = await owner.query<{ folds: number }>('select count(*)::int as folds from rollup_folds');
  assert.ok((rows[0]?.folds ?? 0) > 4, 'there are folds');
}

test('rule 3: sketches, items, mailbox days and folds: rolled = rebuilt = recounted, late events and folded days included', (t) =>
  holds(t, fc.oneof(...STEPS)));

test('rule 3: the same while clients move to other zones', (t) => holds(t, fc.oneof(...STEPS, MOVE)));

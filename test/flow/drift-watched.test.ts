import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readConfig } from '../../src/config/config.ts';
import { silentLogger } from '../../src/core/log.ts';
import { appendEvents } from '../../src/ledger/append.ts';
import { makeHandlers, type Wired } from '../../src/wiring.ts';
import { openDatabase } from '../support/db.ts';
import { makeEvent } from '../support/events.ts';
import { rollAll } from '../support/roll.ts';
import { seedClient, seedPartner } from '../support/seed.ts';

const BUCKETS = 60;

test('drift: an incident does not end because a recount found more elsewhere than it tells', async (t) => {
  const { db, clock, owner } = await openDatabase(t);
  const partner = await seedPartner(db);
  const [many, one] = [
    await seedClient(db, partner.id, { name: 'Many' }),
    await seedClient(db, partner.id, { name: 'One', domain: 'one.example' }),
  ];
  const at = (minutes: number) => new Date(Date.parse('2026-10-12T00:00:00Z') + minutes * 60_000);
  await db.system((tx) =>
    appendEvents(tx, [
      ...Array.from({ length: BUCKETS }, (_, n) =>
        makeEvent({ partnerId: partner.id, clientId: many, occurredAt: at(15 * n) }),
      ),
      makeEvent({ partnerId: partner.id, clientId: one, occurredAt: at(15 * (BUCKETS + 1)) }),
    ]),
  );
  await rollAll(db);
  const jobs = makeHandlers({ config: readConfig({}), store: { db }, clock, logger: silentLogger } as unknown as Wired);
  const open = async () =>
    (
      await owner.query<{ client_id: string }>(
        "select client_id from incidents where state = 'open' and subject = 'traffic'",
      )
    ).rows.map((row) => row.client_id);

  // Two numbers of each bucket: more than are told of one table, and those of the other client come last.
  await owner.query('update rollup_traffic set deliveries = 7, bytes = 7 where client_id = $1', [one]);
  await jobs['rollups.verify_all']({});
  assert.deepEqual(await open(), [one]);
  await owner.query('update rollup_traffic set deliveries = 7, bytes = 7 where client_id = $1', [many]);
  await jobs['rollups.verify']({});
  assert.ok((await open()).includes(one), 'its number is still wrong');
});

test('drift: what a take-over has not counted anew yet is no drift', async (t) => {
  const { db, clock, owner } = await openDatabase(t);
  const partner = await seedPartner(db);
  const clientId = await seedClient(db, partner.id);
  const occurredAt = new Date('2026-10-12T12:00:00Z');
  await db.system((tx) => appendEvents(tx, [makeEvent({ partnerId: partner.id, clientId, occurredAt })]));
  await rollAll(db);
  await owner.query("update rollup_state set cursor = '0'");
  const jobs = makeHandlers({ config: readConfig({}), store: { db }, clock, logger: silentLogger } as unknown as Wired);
  await jobs['rollups.verify']({});
  await jobs['rollups.verify_all']({});
  assert.equal((await owner.query('select from incidents')).rowCount, 0);
  await rollAll(db);
  await owner.query('update rollup_traffic set deliveries = 7');
  await jobs['rollups.verify_all']({});
  assert.ok(((await owner.query('select from incidents')).rowCount ?? 0) > 0);
});

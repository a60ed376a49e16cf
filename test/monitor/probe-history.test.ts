import assert from 'node:assert/strict';
import { test } from 'node:test';
import { noteState, pruneStates } from '../../src/monitor/probe-history.ts';
import type { ServerState } from '../../src/monitor/probe-state.ts';
import { openDatabase } from '../support/db.ts';
import { seedClient, seedPartner } from '../support/seed.ts';

test('the states of a server are stretches: one goes on, a change ends it, a pause leaves a gap', async (t) => {
  const { db, clock, owner } = await openDatabase(t);
  const partner = (await seedPartner(db)).id;
  const clientId = await seedClient(db, partner);
  const server = { partnerId: partner, clientId, host: 'mail.acme.example', port: 25 };
  clock.set('2026-10-14T00:00:00Z');
  const note = async (state: ServerState | null, minutes: number) => {
    clock.advance(minutes * 60_000);
    await db.system((tx) => noteState(tx, server, state));
  };
  await note(null, 0);
  await note('up', 0);
  await note('up', 5);
  await note('up', 5);
  await note('down', 5);
  await note('down', 5);
  await note('up', 60);
  await note('up', 15);
  const rows = async () =>
    (
      await owner.query<{ row: string }>(
        `select to_char(from_at at time zone 'UTC', 'HH24:MI') || ' ' || to_char(to_at at time zone 'UTC', 'HH24:MI') || ' ' || state as row
         from server_states order by from_at`,
      )
    ).rows.map((one) => one.row);
  assert.deepEqual(await rows(), ['00:00 00:15 up', '00:15 00:20 down', '01:20 01:35 up']);
  clock.advance(799 * 86_400_000);
  await pruneStates(db);
  assert.equal((await rows()).length, 3);
  clock.advance(86_400_000 - 60 * 60_000);
  await pruneStates(db);
  assert.deepEqual(await rows(), ['01:20 01:35 up']);
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openRig, openSink, Talker } from '../gateway/support/rig.ts';
import { seedClient, seedPartner } from '../support/seed.ts';

test("the client's server is down: mail waits, is deferred once, and flows after its return", async (t) => {
  const gone = await openSink(t);
  await gone.close();
  const rig = await openRig(t);
  const partner = await seedPartner(rig.db);
  const clientId = await seedClient(rig.db, partner.id, { relays: [{ host: '127.0.0.1', port: gone.port }] });
  const client = await Talker.open(rig.smtp);
  await client.send('a@b.example', ['ann@acme.example']);
  client.close();
  for (let attempt = 0; attempt < 4; attempt += 1) {
    assert.equal(await rig.delivery.drainOnce(), 1);
    rig.clock.advance(400_000);
  }
  const down = await rig.owner.query('select state, failures from route_health');
  assert.deepEqual(down.rows, [{ state: 'down', failures: 4 }]);
  // An administrator looks: the mail is still there after thirteen days.
  rig.clock.advance(13 * 86_400_000);
  assert.equal(await rig.delivery.drainOnce(), 1);
  const sink = await openSink(t, () => null, gone.port);
  assert.equal(await rig.delivery.flush(clientId), 1);
  assert.equal(await rig.delivery.drainOnce(), 1);
  assert.equal(sink.mail.length, 1);
  const { rows } = await rig.owner.query('select kind, count(*)::int as n from ledger group by kind order by kind');
  assert.deepEqual(rows, [
    { kind: 'accepted', n: 1 },
    { kind: 'deferred', n: 1 },
    { kind: 'delivered', n: 1 },
  ]);
  assert.equal((await rig.owner.query('select state from route_health')).rows[0]?.state, 'up');
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readConfig } from '../../src/config/config.ts';
import { silentLogger } from '../../src/core/log.ts';
import { serverProbe } from '../../src/gateway/index.ts';
import { zoneResolver } from '../../src/mail/resolver.ts';
import { makeHandlers, makeMetrics, type Wired } from '../../src/wiring.ts';
import { openPicky } from '../gateway/support/picky.ts';
import { openRig, openSink, Talker } from '../gateway/support/rig.ts';
import { seedClient, seedPartner } from '../support/seed.ts';

const MINUTE = 60_000;

test("a client's server goes and comes back: the probe sees both, and its mail is due at once", async (t) => {
  const gone = await openSink(t);
  await gone.close();
  const rig = await openRig(t);
  const { db, clock } = rig;
  const partner = await seedPartner(db);
  await seedClient(db, partner.id, { relays: [{ host: '127.0.0.1', port: gone.port }] });
  const probe = serverProbe({
    resolver: zoneResolver({}),
    hostName: 'mx.tollgate.example',
    allowPrivateHosts: ['127.0.0.1'],
  });
  const parts = {
    config: readConfig({}),
    store: { db },
    clock,
    logger: silentLogger,
    probe,
    queue: { depth: async () => 0 },
  };
  const wired = parts as unknown as Wired;
  const jobs = makeHandlers(wired);
  const look = async () => {
    clock.advance(5 * MINUTE);
    await jobs['servers.probe']({});
    await jobs['monitor.watch']({});
  };
  const open = async () =>
    (await rig.owner.query<{ rule: string }>("select rule from incidents where state = 'open'")).rows.map(
      (one) => one.rule,
    );

  await jobs['servers.probe']({});
  const client = await Talker.open(rig.smtp);
  await client.send('a@b.example', ['ann@acme.example']);
  client.close();
  for (let round = 0; round < 8; round += 1) await rig.delivery.drainOnce().then(() => clock.advance(MINUTE));
  await look();
  await look();
  assert.deepEqual(await open(), ['server.down']);
  assert.equal((await rig.owner.query('select state from server_probes')).rows[0]?.state, 'down');
  await rig.delivery.drainOnce();

  const sink = await openSink(t, () => null, gone.port);
  // Delivery was told to wait; the probe is what finds the server again.
  await rig.owner.query("update queue set due_at = due_at + interval '1 hour'");
  await look();
  assert.deepEqual(await open(), []);
  assert.equal(await rig.delivery.drainOnce(), 1);
  assert.equal(sink.mail.length, 1);
  const metrics = await makeMetrics(wired);
  const value = (name: string) => metrics.find((one) => one.name === name)?.samples[0]?.value;
  assert.equal(value('tollgate_second_chance_total'), 0);
});

test('second chances are counted in the metrics', async (t) => {
  const sink = await openPicky(t, {
    content: (body) => (body.includes('re-encoded') ? '250 taken' : '554 5.6.0 Line too long'),
  });
  const rig = await openRig(t);
  const partner = await seedPartner(rig.db);
  await seedClient(rig.db, partner.id, { relays: [{ host: '127.0.0.1', port: sink.port }] });
  const client = await Talker.open(rig.smtp);
  await client.send('a@b.example', ['ann@acme.example', 'bob@acme.example']);
  client.close();
  await rig.delivery.drainOnce();
  const wired = { store: { db: rig.db }, clock: rig.clock, queue: { depth: async () => 0 } } as unknown as Wired;
  const metrics = await makeMetrics(wired);
  for (const name of ['tollgate_second_chance_total', 'tollgate_second_chance_tried_total']) {
    const metric = metrics.find((one) => one.name === name);
    assert.deepEqual([metric?.type, metric?.samples], ['counter', [{ value: 2 }]]);
  }
});

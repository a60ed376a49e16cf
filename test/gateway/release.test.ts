import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { deliveryBalance } from '../../src/ledger/read.ts';
import { discardDelivery, releaseDelivery } from '../../src/quarantine/decide.ts';
import { openRig, openSink, Talker } from './support/rig.ts';
import { seedSubmitter } from './support/submitter.ts';

/** One delivery in quarantine, and one that went through. */
async function openHeld(t: TestContext, answer: () => number | null = () => null) {
  const sink = await openSink(t, answer);
  const rig = await openRig(t);
  const { partner, clientId } = await seedSubmitter(rig.db, sink.port);
  const client = await Talker.open(rig.smtp);
  const to = ['ann@acme.example', 'quarantine@acme.example'];
  assert.match((await client.send('eve@far.example', to)).at(-1) ?? '', /^250/);
  client.close();
  await rig.delivery.drainOnce();
  const { rows } = await rig.owner.query<{ id: string }>(`select id from deliveries where disposition = 'quarantined'`);
  assert.equal(rows.length, 1);
  const id = rows[0]?.id ?? '';
  const release = () => rig.db.tenant(partner.id, (tx) => releaseDelivery(tx, id, 'test'));
  const discard = () => rig.db.tenant(partner.id, (tx) => discardDelivery(tx, id, 'test'));
  /** Rule 2: everything that was accepted is somewhere, and what is under way is in the queue. */
  const balance = async () => {
    const { accepted, byDisposition, queued } = await rig.db.tenant(partner.id, (tx) =>
      deliveryBalance(tx, partner.id, clientId),
    );
    assert.equal(
      [...byDisposition.values()].reduce((a, b) => a + b, 0),
      accepted,
    );
    assert.equal((byDisposition.get('queued') ?? 0) + (byDisposition.get('deferred') ?? 0), queued);
    return Object.fromEntries([...byDisposition].toSorted());
  };
  const kinds = async () =>
    (await rig.owner.query('select kind from ledger where delivery_id = $1 order by occurred_at, id', [id])).rows.map(
      (row) => row.kind,
    );
  const copies = () => sink.mail.filter((one) => one.to.includes('quarantine@acme.example'));
  return { rig: { ...rig, partner: partner.id }, id, release, discard, balance, kinds, copies };
}

test('a release is delivered unfiltered and ends as released', async (t) => {
  const { rig, release, balance, kinds, copies } = await openHeld(t);
  assert.deepEqual(await balance(), { delivered: 1, quarantined: 1 });
  assert.deepEqual(await release(), { released: true });
  assert.deepEqual(await balance(), { delivered: 1, queued: 1 });
  rig.clock.advance(1000);
  assert.equal(await rig.delivery.drainOnce(), 1);
  assert.deepEqual(await balance(), { delivered: 1, released: 1 });
  assert.deepEqual(await kinds(), ['accepted', 'quarantined', 'release_requested', 'delivered']);
  assert.equal(copies().length, 1);
  assert.match(copies()[0]?.body ?? '', /^Subject: Hello\r$/m);
  const { rows } = await rig.owner.query(
    `select released_by, released_at is not null as at, release_due_at from deliveries where disposition = 'released'`,
  );
  assert.deepEqual(rows, [{ released_by: 'test', at: true, release_due_at: null }]);
});

test('released twice, at once and afterwards: one copy', async (t) => {
  const { rig, release, balance, kinds, copies } = await openHeld(t);
  const answers = await Promise.all(Array.from({ length: 8 }, release));
  assert.equal(answers.filter((one) => one.released).length, 1);
  rig.clock.advance(1000);
  await Promise.all([rig.delivery.drainOnce(), rig.delivery.drainOnce(), rig.delivery.drainOnce()]);
  assert.deepEqual(await release(), { released: false });
  await rig.delivery.drainOnce();
  assert.equal(copies().length, 1);
  assert.deepEqual(await balance(), { delivered: 1, released: 1 });
  assert.deepEqual(await kinds(), ['accepted', 'quarantined', 'release_requested', 'delivered']);
});

test('released and discarded at once: one of both', async (t) => {
  const { rig, release, discard, balance, copies } = await openHeld(t);
  const [released, discarded] = await Promise.allSettled([release(), discard()]);
  assert.equal([released, discarded].filter((one) => one.status === 'fulfilled').length, 1);
  rig.clock.advance(1000);
  await rig.delivery.drainOnce();
  const isReleased = released.status === 'fulfilled';
  assert.equal(copies().length, isReleased ? 1 : 0);
  assert.deepEqual(await balance(), { delivered: 1, [isReleased ? 'released' : 'discarded']: 1 });
});

test('a release that the server puts off and then refuses keeps the sum', async (t) => {
  let answer: number | null = null;
  const { rig, release, balance, kinds } = await openHeld(t, () => answer);
  answer = 451;
  await release();
  rig.clock.advance(1000);
  await rig.delivery.drainOnce();
  assert.deepEqual(await balance(), { deferred: 1, delivered: 1 });
  assert.deepEqual(await release(), { released: false });
  answer = 550;
  rig.clock.advance(3_600_000);
  await rig.delivery.drainOnce();
  assert.deepEqual(await balance(), { bounced: 1, delivered: 1 });
  assert.equal((await kinds()).filter((kind) => kind === 'bounced').length, 1);
  await assert.rejects(release(), /the delivery is bounced, not in quarantine/);
  assert.equal((await rig.owner.query('select from queue')).rowCount, 0);
});

test('a release is good for its own delivery: what comes back is filtered, and a loop ends', async (t) => {
  const { rig, release, copies } = await openHeld(t);
  await release();
  rig.clock.advance(1000);
  await rig.delivery.drainOnce();
  const sender = await Talker.open(rig.smtp);
  t.after(() => sender.close());
  // The client's server sends on what it got, again and again.
  let passes = 0;
  for (;;) {
    const last = copies().at(-1)?.body ?? '';
    const answer = (await sender.send('eve@far.example', ['quarantine@acme.example'], last)).at(-1) ?? '';
    if (!answer.startsWith('250')) {
      assert.match(answer, /^554 5\.4\.6 /);
      break;
    }
    passes += 1;
    const { rows } = await rig.owner.query<{ id: string }>(
      `select id from deliveries where disposition = 'quarantined'`,
    );
    assert.equal(rows.length, 1, 'it is held again: the release was not for it');
    await rig.db.tenant(rig.partner, (tx) => releaseDelivery(tx, rows[0]?.id ?? '', 'test'));
    rig.clock.advance(1000);
    await rig.delivery.drainOnce();
    assert.ok(passes < 25, 'the loop goes on');
  }
  assert.equal(passes, 3);
  assert.equal(copies().length, 4);
});

test('a message with 25 Received fields, of which some are ours, is a loop; with those of others it is not', async (t) => {
  const { rig } = await openHeld(t);
  const sender = await Talker.open(rig.smtp);
  t.after(() => sender.close());
  const hop = (by: string) => `Received: from a.example by ${by} with ESMTP; Wed, 14 Oct 2026 09:00:00 +0000\r\n`;
  const send = async (own: number) => {
    const body = `${hop('mx.tollgate.example').repeat(own)}${hop('b.example').repeat(25 - own)}Subject: x\r\n\r\nx\r\n`;
    return (await sender.send('eve@far.example', ['ann@acme.example'], body)).at(-1) ?? '';
  };
  assert.match(await send(25), /^554 5\.4\.6 /);
  assert.match(await send(4), /^554 5\.4\.6 /);
  assert.match(await send(3), /^250 /);
  assert.match(await send(0), /^250 /);
});

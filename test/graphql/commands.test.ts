import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AppError } from '../../src/core/errors.ts';
import { newId } from '../../src/core/id.ts';
import { sql } from '../../src/db/sql.ts';
import type { Commands } from '../../src/graphql/commands.ts';
import { globalId } from '../../src/graphql/ids.ts';
import { openDatabase } from '../support/db.ts';
import { keyWith, NO_COMMANDS, openServer } from '../support/http.ts';
import { seedWorld } from '../support/world.ts';

/** Commands that do the least that can be seen from outside, in the transaction that they are given. */
function commands(calls: string[]): Commands {
  const note = (...parts: string[]) => calls.push(parts.join(' '));
  return {
    ...NO_COMMANDS,
    async releaseDelivery(tx, id, actor) {
      note('release', actor.name);
      const done = await tx.run(sql`
        update deliveries set disposition = 'queued' where id = ${id} and disposition = 'quarantined'`);
      return { released: done === 1 };
    },
    async discardDelivery(tx, id, actor) {
      note('discard', actor.name);
      await tx.run(sql`update deliveries set disposition = 'discarded' where id = ${id}`);
      throw new AppError('conflict', 'the delivery is not in quarantine');
    },
    async flushQueue(_tx, id, actor) {
      note('flush', id, actor);
      return { deliveries: 3 };
    },
    async resolveIncident(tx, id, resolution, actor) {
      note('resolve', actor);
      await tx.run(sql`update incidents set state = 'resolved', resolution = ${resolution} where id = ${id}`);
    },
    async requestReport(tx, wanted, actor) {
      note('report', wanted.report, wanted.from, wanted.to, actor);
      const id = newId();
      await tx.run(sql`
        insert into report_runs (partner_id, id, client_id, report, period_from, period_to, time_zone, version, state,
          requested_at, due_at, deadline_at)
        values (${tx.partnerId}, ${id}, ${wanted.clientId}, ${wanted.report}, ${wanted.from}, ${wanted.to}, 'Europe/London', 1,
          'waiting', ${tx.now}, ${tx.now}, ${tx.now})`);
      return { id };
    },
    async sendDigest(caller, mailboxId) {
      note('digest', caller.actor, mailboxId);
      return { sent: true };
    },
    async createBillingPlan(_caller, usageDay, largeChanges) {
      note('plan', usageDay, String(largeChanges));
      throw new AppError('upstream_rejected', 'ConnectWise: no such agreement');
    },
    async approveBillingPlan(tx, id, actor) {
      note('approve', actor);
      await tx.run(sql`update billing_plans set state = 'approved', approved_by = ${actor} where id = ${id}`);
    },
    async applyBillingPlan(caller, id) {
      note('apply', caller.actor, id);
    },
  };
}

test('mutations hand over to the commands and answer with what is then there', async (t) => {
  const { db, clock, owner } = await openDatabase(t);
  const world = await seedWorld(db, owner, 'acme', clock.now());
  const calls: string[] = [];
  const server = await openServer(t, { db, clock, commands: commands(calls) });
  const id = (type: 'Delivery' | 'QuarantineItem' | 'Incident' | 'Client' | 'BillingPlan') =>
    globalId(type, world.ids[type]);
  const run = async (call: string, selection: string) => {
    calls.length = 0;
    const answer = await server.ask(
      world.apiKey,
      `mutation { answer: ${call} { ${selection} userErrors { code field message } } }`,
    );
    assert.equal(answer.body.errors, undefined, JSON.stringify(answer.body.errors));
    return (answer.body.data as { answer: Record<string, unknown> }).answer;
  };
  const actor = 'key:first key';
  const delivery = (disposition: string) => ({ disposition });

  assert.deepEqual(
    await run(`discardDelivery(input: {id: "${id('Delivery')}"})`, 'discarded delivery { disposition }'),
    {
      discarded: false,
      delivery: null,
      userErrors: [{ code: 'CONFLICT', field: null, message: 'the delivery is not in quarantine' }],
    },
  );
  const kept = await owner.query('select disposition from deliveries');
  assert.deepEqual(kept.rows, [delivery('quarantined')], 'a command that fails leaves nothing behind');

  const release = `releaseDelivery(input: {id: "${id('QuarantineItem')}"})`;
  assert.deepEqual(await run(release, 'released delivery { disposition }'), {
    released: true,
    delivery: delivery('QUEUED'),
    userErrors: [],
  });
  assert.deepEqual(calls, [`release ${actor}`]);
  assert.deepEqual(await run(release, 'released delivery { disposition }'), {
    released: false,
    delivery: delivery('QUEUED'),
    userErrors: [],
  });

  const resolve = (text: string) =>
    run(`resolveIncident(input: {id: "${id('Incident')}", resolution: "${text}"})`, 'incident { state resolution }');
  assert.deepEqual((await resolve(' '))['userErrors'], [
    { code: 'BAD_USER_INPUT', field: 'resolution', message: 'a resolution has 1 to 1000 characters' },
  ]);
  assert.deepEqual(calls, []);
  assert.deepEqual(await resolve('disk replaced'), {
    incident: { state: 'RESOLVED', resolution: 'disk replaced' },
    userErrors: [],
  });

  const report = (from: string, to: string) =>
    run(
      `requestReport(input: {clientId: "${id('Client')}", report: "executive", from: "${from}", to: "${to}"})`,
      'reportRun { report from to state }',
    );
  assert.deepEqual(await report('2026-08-01', '2026-08-31'), {
    reportRun: { report: 'executive', from: '2026-08-01', to: '2026-08-31', state: 'WAITING' },
    userErrors: [],
  });
  assert.deepEqual(calls, [`report executive 2026-08-01 2026-08-31 ${actor}`]);
  assert.deepEqual((await report('2026-08-31', '2026-08-01'))['userErrors'], [
    { code: 'BAD_USER_INPUT', field: 'to', message: 'to is before from' },
  ]);

  assert.deepEqual(await run('createBillingPlan(input: {usageDay: "2026-10-14"})', 'plan { id }'), {
    plan: null,
    userErrors: [{ code: 'UPSTREAM_REJECTED', field: null, message: 'ConnectWise: no such agreement' }],
  });
  await run('createBillingPlan(input: {usageDay: "2026-10-14", allowLargeChanges: true})', 'plan { id }');
  assert.deepEqual(calls, ['plan 2026-10-14 true']);
  const approved = await run(`approveBillingPlan(input: {id: "${id('BillingPlan')}"})`, 'plan { state approvedBy }');
  assert.deepEqual(approved, { plan: { state: 'APPROVED', approvedBy: actor }, userErrors: [] });
  const applied = await run(`applyBillingPlan(input: {id: "${id('BillingPlan')}"})`, 'plan { state }');
  assert.deepEqual(applied, { plan: { state: 'APPROVED' }, userErrors: [] });
  assert.deepEqual(calls, [`apply ${actor} ${world.ids.BillingPlan}`]);
});

test('malware is released by administrators only, and billing is seen by keys for billing only', async (t) => {
  const { db, clock, owner } = await openDatabase(t);
  const world = await seedWorld(db, owner, 'acme', clock.now());
  await owner.query("update deliveries set verdict = 'malware'");
  const calls: string[] = [];
  const server = await openServer(t, { db, clock, commands: commands(calls) });
  const keeper = await keyWith(db, world.partner, ['read', 'quarantine']);
  const release = `mutation { releaseDelivery(input: {id: "${globalId('Delivery', world.ids.Delivery)}"}) { released userErrors { code } } }`;
  assert.deepEqual((await server.ask(keeper, release)).body.data, {
    releaseDelivery: { released: false, userErrors: [{ code: 'FORBIDDEN' }] },
  });
  assert.deepEqual(calls, []);
  assert.deepEqual((await server.ask(world.apiKey, release)).body.data, {
    releaseDelivery: { released: true, userErrors: [] },
  });

  const plan = globalId('BillingPlan', world.ids.BillingPlan);
  const biller = await keyWith(db, world.partner, ['billing']);
  const asked = [
    '{ billingPlans { nodes { id } } }',
    `{ node(id: "${plan}") { id } }`,
    `{ nodes(ids: ["${plan}"]) { id } }`,
    '{ clients { nodes { subscriptions { product } } } }',
  ];
  for (const query of asked) {
    const answer = await server.ask(keeper, query);
    assert.equal(answer.body.errors?.[0]?.extensions['code'], 'FORBIDDEN', query);
  }
  const lines = '{ billingPlans { nodes { lines { nodes { client { name } product } } } } }';
  assert.equal((await server.ask(biller, lines)).body.errors, undefined);
  const around =
    '{ billingPlans(first: 1) { nodes { lines(first: 1) { nodes { client { quarantine(first: 1) { nodes { subject } } } } } } } }';
  assert.equal(
    (await server.ask(biller, around)).body.errors?.[0]?.extensions['code'],
    'FORBIDDEN',
    'no way round through a client',
  );
});

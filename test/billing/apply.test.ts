import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { applyPlan, beginApply, plansBegun } from '../../src/billing/apply.ts';
import { approvePlan, type BillingDeps, createPlan } from '../../src/billing/plan.ts';
import { getPlans, listLines, listPlans } from '../../src/billing/read.ts';
import { linkSubscription, subscriptionChoices, unlinkSubscription } from '../../src/billing/subscriptions.ts';
import { takeSnapshot } from '../../src/billing/usage.ts';
import { AppError } from '../../src/core/errors.ts';
import { silentLogger } from '../../src/core/log.ts';
import type { PsaKind } from '../../src/core/psa.ts';
import { openDatabase } from '../support/db.ts';
import { gate } from '../support/gate.ts';
import { ModelPsa, type WriteFault } from '../support/model-psa.ts';
import { seedConnection, seedMapping } from '../support/psa-world.ts';
import { seedClient, seedPartner } from '../support/seed.ts';

const DAY = '2026-10-14';
const MINUTE = 60_000;

const isCode = (code: string) => (error: unknown) => error instanceof AppError && error.code === code;

/** A client with three mailboxes, billed for two. */
async function world(t: TestContext, options: { kind?: PsaKind; billed?: number } = {}) {
  const { db, clock, owner } = await openDatabase(t);
  const partner = (await seedPartner(db)).id;
  const clientId = await seedClient(db, partner, { mailboxes: ['ann', 'bob', 'cy'] });
  const connectionId = await seedConnection(db, partner);
  await seedMapping(db, partner, clientId, connectionId);
  const psa = new ModelPsa(clock, options.kind);
  const line = psa.addLine('l1', options.billed ?? 2);
  const deps: BillingDeps = { db, clock, logger: silentLogger, psaFor: async () => psa };
  await linkSubscription(deps, partner, { clientId, ref: line.ref, actor: 'test' });
  await takeSnapshot(db);
  const plan = (day = DAY) => createPlan(deps, partner, day);
  const approve = (id: string) => db.tenant(partner, (tx) => approvePlan(tx, id, 'ann@msp.example'));
  const apply = (id: string, given: Partial<BillingDeps> = {}) => applyPlan({ ...deps, ...given }, partner, id);
  const lines = (id: string) => db.tenant(partner, (tx) => listLines(tx, id, { first: 100, after: null }));
  const only = async (id: string) => {
    const [one] = await lines(id);
    assert.ok(one);
    return one;
  };
  const approved = async () => {
    const { id } = await plan();
    await approve(id);
    return id;
  };
  return {
    db,
    clock,
    owner,
    partner,
    clientId,
    connectionId,
    psa,
    line,
    deps,
    plan,
    approve,
    apply,
    lines,
    only,
    approved,
  };
}

for (const kind of ['connectwise', 'autotask'] as const) {
  test(`${kind}: planned, approved, applied, read back; a second time nothing changes`, async (t) => {
    const { db, partner, psa, line, plan, approve, apply, only } = await world(t, { kind });
    const { id } = await plan();
    assert.deepEqual(
      { state: (await only(id)).state, before: (await only(id)).before, target: (await only(id)).target },
      { state: 'planned', before: 2, target: 3 },
    );
    await assert.rejects(apply(id), isCode('conflict'));
    await approve(id);
    assert.deepEqual(await apply(id), { state: 'applied', verified: 1, drift: 0, failed: 0, open: 0, nextAt: null });
    assert.equal(line.quantity, 3);
    assert.equal((await only(id)).after, 3);
    assert.equal((await apply(id)).state, 'applied');
    await approve(id);
    assert.equal(psa.writes, 1);

    const again = await plan();
    assert.equal((await only(again.id)).state, 'unchanged');
    await approve(again.id);
    assert.equal((await apply(again.id)).state, 'applied');
    assert.equal(psa.writes, 1);
    const [row] = await db.tenant(partner, (tx) => getPlans(tx, [id]));
    assert.equal(row?.approvedBy, 'ann@msp.example');
  });
}

for (const fault of ['lost', 'late', 'vanished', 'busy', 'refused'] satisfies WriteFault[]) {
  test(`a delta whose answer is "${fault}" is never sent twice`, async (t) => {
    const { clock, psa, line, plan, approve, apply, only, approved } = await world(t);
    const id = await approved();
    psa.writeFaults = [fault];
    let result = await apply(id);
    for (let pass = 0; pass < 10 && result.state === 'applying'; pass += 1) {
      clock.advance(30_000);
      result = await apply(id);
    }
    const applied = fault === 'lost' || fault === 'late' || fault === 'busy';
    assert.equal(result.state, applied ? 'applied' : 'failed');
    assert.equal(psa.writes, fault === 'busy' ? 2 : 1);
    if (fault === 'refused') assert.equal((await only(id)).reason, 'the PSA says: no');
    if (fault === 'vanished') assert.match((await only(id)).reason ?? '', /plan it again/);
    if (!applied) {
      const again = await plan();
      await approve(again.id);
      assert.equal((await apply(again.id)).state, 'applied');
    }
    assert.equal(line.quantity, 3);
    assert.ok(Math.max(...line.history) <= 3);
  });
}

const STEPS = [
  'billing.before-intent',
  'billing.after-intent',
  'billing.after-write',
  'billing.after-confirm',
  'billing.after-read-back',
];
for (const step of STEPS) {
  test(`a crash at ${step} and another run change nothing twice`, async (t) => {
    const { db, clock, partner, psa, line, plan, approve, apply, approved } = await world(t);
    const id = await approved();
    const crash = (name: string) => {
      if (name === step) throw new Error('crash');
    };
    await assert.rejects(apply(id, { fault: crash }), /crash/);
    assert.deepEqual(await db.system((tx) => plansBegun(tx)), [{ partnerId: partner, planId: id }]);
    let result = await apply(id);
    while (result.state === 'applying') {
      clock.advance(MINUTE);
      result = await apply(id);
    }
    if (step === 'billing.after-intent') {
      // Nothing went out: the line failed, and a new plan puts it right.
      assert.equal(psa.writes, 0);
      const again = await plan();
      await approve(again.id);
      result = await apply(again.id);
    }
    assert.equal(result.state, 'applied');
    assert.equal(psa.writes, 1);
    assert.deepEqual(line.history, [2, 3]);
    assert.deepEqual(await db.system((tx) => plansBegun(tx)), []);
  });
}

test('several workers at once send one change', async (t) => {
  const { psa, line, apply, approved } = await world(t);
  const id = await approved();
  await Promise.all(Array.from({ length: 4 }, () => apply(id)));
  assert.equal((await apply(id)).state, 'applied');
  assert.equal(psa.writes, 1);
  assert.equal(line.quantity, 3);
});

test('a worker that hangs in its request while another settles the line sends once', async (t) => {
  const { clock, psa, line, apply, only, approved } = await world(t);
  const id = await approved();
  const hung = gate();
  const reached = gate();
  psa.beforeWrite = () => {
    reached.open();
    return hung.passed;
  };
  const first = apply(id);
  await reached.passed;
  clock.advance(MINUTE);
  assert.equal((await apply(id)).state, 'applying');
  hung.open();
  await first;
  assert.equal((await only(id)).state, 'verified');
  assert.equal(psa.writes, 1);
  assert.equal(line.quantity, 3);
});

test('a worker that slept between intent and request does not send', async (t) => {
  const { clock, psa, apply, approved, only } = await world(t);
  const id = await approved();
  const sleepy = (name: string) => {
    if (name === 'billing.after-intent') clock.advance(11_000);
  };
  await apply(id, { fault: sleepy });
  assert.equal(psa.writes, 0);
  clock.advance(2 * MINUTE);
  assert.equal((await apply(id)).state, 'failed');
  assert.match((await only(id)).reason ?? '', /plan it again/);
});

test('a quantity that a person changed since is drift, and is not written over', async (t) => {
  const { psa, line, apply, only, approved, plan } = await world(t);
  const id = await approved();
  line.quantity = 9;
  assert.equal((await apply(id)).state, 'failed');
  assert.equal(psa.writes, 0);
  const seen = await only(id);
  assert.equal(seen.state, 'drift');
  assert.equal(seen.after, 9);
  assert.match(seen.reason ?? '', /holds 9, the plan was made for 2/);
  assert.equal((await only((await plan()).id)).before, 9);
});

test('a quantity that is at its target already is verified without a write', async (t) => {
  const { psa, line, apply, only, approved } = await world(t);
  const id = await approved();
  line.quantity = 3;
  assert.equal((await apply(id)).state, 'applied');
  assert.equal(psa.writes, 0);
  assert.equal((await only(id)).state, 'verified');
});

test('a contract that ended, a line of another company, an unlinked line and a mapping in doubt are not written to', async (t) => {
  const { db, owner, partner, clientId, psa, line, apply, only, approved, deps } = await world(t);
  line.status = 'cancelled';
  let { id } = await createPlan(deps, partner, DAY);
  assert.equal((await only(id)).reason, 'line_not_active');
  line.status = 'active';
  id = await approved();
  line.status = 'expired';
  assert.equal((await apply(id)).state, 'failed');
  assert.equal((await only(id)).reason, 'line_not_active');
  line.status = 'active';

  id = await approved();
  line.companyId = '2';
  await apply(id);
  assert.equal((await only(id)).reason, 'line_of_another_company');
  line.companyId = '1';

  id = await approved();
  await owner.query("update psa_mappings set state = 'needs_attention'");
  await apply(id);
  assert.equal((await only(id)).state, 'drift');
  await owner.query("update psa_mappings set state = 'ok'");

  id = await approved();
  await db.tenant(partner, (tx) => unlinkSubscription(tx, { clientId, actor: 'test' }));
  await apply(id);
  assert.equal((await only(id)).state, 'drift');
  assert.equal(psa.writes, 0);
});

test('a change never lies in a period that is billed: the day moves on and is read anew', async (t) => {
  const { clock, line, apply, only, approved } = await world(t);
  line.noticeDays = 17;
  const id = await approved();
  assert.equal((await only(id)).effectiveDate, '2026-10-31');
  clock.advance(24 * 60 * MINUTE - 1);
  await apply(id);
  assert.equal((await only(id)).state, 'verified');
  assert.equal((await only(id)).effectiveDate, '2026-11-01');
});

test('a PSA that does not answer holds the lines of a plan; while applying nothing is lost', async (t) => {
  const { clock, psa, apply, only, plan, approved } = await world(t);
  psa.readFault = 'down';
  const held = await only((await plan()).id);
  assert.deepEqual([held.state, held.reason, held.before], ['held', 'read_failed', null]);
  psa.readFault = 'ok';
  const id = await approved();
  psa.readFault = 'down';
  const result = await apply(id);
  assert.equal(result.state, 'applying');
  assert.ok(result.nextAt !== null && result.nextAt > clock.now());
  await assert.rejects(plan(), isCode('conflict'));
  psa.readFault = 'ok';
  assert.equal((await apply(id)).state, 'applied');
});

test('an approval that could not be carried out within a day has lapsed', async (t) => {
  const { clock, psa, apply, only, approved } = await world(t);
  const id = await approved();
  psa.readFault = 'unauthenticated';
  assert.equal((await apply(id)).state, 'applying');
  clock.advance(25 * 60 * MINUTE);
  assert.equal((await apply(id)).state, 'failed');
  assert.equal((await only(id)).state, 'failed');
  assert.equal(psa.writes, 0);
});

test('a newer plan supersedes those not begun', async (t) => {
  const { db, partner, plan, approve, approved } = await world(t);
  const old = await approved();
  const { id } = await plan();
  const states = await db.tenant(partner, (tx) => listPlans(tx, { first: 10, after: null }));
  assert.deepEqual(
    states.map((row) => [row.id, row.state]),
    [
      [id, 'planned'],
      [old, 'superseded'],
    ],
  );
  await assert.rejects(approve(old), isCode('conflict'));
  await assert.rejects(
    db.tenant(partner, (tx) => beginApply(tx, old, 'test')),
    isCode('conflict'),
  );
});

test('what is not known never becomes a number', async (t) => {
  const { db, partner, connectionId, psa, plan, lines, clock } = await world(t);
  const add = (name: string) => seedClient(db, partner, { name, domain: `${name}.example`, mailboxes: ['x'] });
  const unmapped = await add('unmapped');
  const unlinked = await add('unlinked');
  await seedMapping(db, partner, unlinked, connectionId);
  const fractional = await add('fractional');
  await seedMapping(db, partner, fractional, connectionId);
  await takeSnapshot(db);
  const late = await add('late');
  await seedMapping(db, partner, late, connectionId);
  const deps: BillingDeps = { db, clock, logger: silentLogger, psaFor: async () => psa };
  for (const [clientId, lineId] of [
    [fractional, 'l2'],
    [late, 'l3'],
  ] as const) {
    await linkSubscription(deps, partner, { clientId, ref: psa.addLine(lineId, 1).ref, actor: 'test' });
  }
  const two = psa.lines.get('l2');
  assert.ok(two);
  two.quantity = 2.5;
  const rows = new Map((await lines((await plan()).id)).map((row) => [row.clientId, row]));
  assert.equal(rows.get(unmapped)?.reason, 'no_subscription');
  assert.equal(rows.get(unlinked)?.reason, 'no_subscription');
  assert.deepEqual([rows.get(fractional)?.reason, rows.get(fractional)?.before], ['quantity_not_whole', null]);
  assert.deepEqual([rows.get(late)?.reason, rows.get(late)?.target], ['no_snapshot', null]);
  await assert.rejects(plan('2026-10-17'), isCode('invalid_input'));
  await assert.rejects(plan('2026-08-01'), isCode('invalid_input'));
  await assert.rejects(plan('2026-02-30'), isCode('invalid_input'));
});

test('lines that drop to zero or change beyond all measure are held, unless a person answers for them', async (t) => {
  const { db, owner, deps, partner, clock, line, plan, only } = await world(t, { billed: 200 });
  assert.deepEqual(
    [(await only((await plan()).id)).state, (await only((await plan()).id)).reason],
    ['held', 'beyond_limits'],
  );
  const free = await createPlan(deps, partner, DAY, { limits: null });
  assert.equal((await only(free.id)).state, 'planned');
  line.quantity = 50;
  assert.equal((await only((await plan()).id)).state, 'planned', 'a small number may change a lot');
  await owner.query("update mailboxes set status = 'deleted'");
  clock.advance(24 * 60 * MINUTE);
  await takeSnapshot(db);
  const emptied = await only((await plan('2026-10-15')).id);
  assert.deepEqual([emptied.reason, emptied.before, emptied.target], ['beyond_limits', 50, 0]);
});

test('one date for clients of all zones: each has its own day, or the one that its zone is at', async (t) => {
  const { db, clock, partner, connectionId, deps, psa, lines } = await world(t);
  const ids = new Map<string, string>();
  const add = async (name: string, timeZone: string) => {
    const clientId = await seedClient(db, partner, { name, domain: `${name}.example`, timeZone, mailboxes: ['x'] });
    await seedMapping(db, partner, clientId, connectionId);
    await linkSubscription(deps, partner, { clientId, ref: psa.addLine(name, 1).ref, actor: 'test' });
    ids.set(name, clientId);
  };
  // 13:30 UTC on the 14th: Lord Howe is on the 15th. 02:00 UTC on the 15th: New York is still on the 14th.
  clock.set('2026-10-14T13:30:00Z');
  await add('howe', 'Australia/Lord_Howe');
  await add('york', 'America/New_York');
  await takeSnapshot(db);
  const target = async (day: string, name: string) => {
    const { id } = await createPlan(deps, partner, day);
    return (await lines(id)).find((row) => row.clientId === ids.get(name))?.target;
  };
  assert.equal(await target('2026-10-14', 'howe'), 1, 'first counted on the 15th');
  clock.set('2026-10-15T02:00:00Z');
  assert.equal(await target('2026-10-15', 'york'), 1, 'the 15th has not come there');
  clock.set('2026-10-15T05:00:00Z');
  assert.equal(await target('2026-10-15', 'york'), null, 'it has, and was not counted');
  clock.set('2026-10-15T14:00:00Z');
  await takeSnapshot(db);
  clock.set('2026-10-17T14:00:00Z');
  await takeSnapshot(db);
  assert.equal(await target('2026-10-17', 'howe'), null, 'the day after never stands for a day that was missed');
});

test('a line is linked after it was read, and bills one thing only', async (t) => {
  const { db, partner, clientId, connectionId, psa, line, deps } = await world(t);
  const other = await seedClient(db, partner, { name: 'Other', domain: 'other.example' });
  const link = (id: string, ref = line.ref) => linkSubscription(deps, partner, { clientId: id, ref, actor: 'test' });
  await assert.rejects(link(other), isCode('conflict'));
  await seedMapping(db, partner, other, connectionId);
  await assert.rejects(link(other), isCode('conflict'));
  await assert.rejects(link(clientId, { contractId: 'c1', lineId: 'nope' }), isCode('invalid_input'));
  await assert.rejects(link(clientId, psa.addLine('l9', 1, '99').ref), isCode('invalid_input'));
  assert.deepEqual(
    (await subscriptionChoices(deps, partner, clientId)).map((one) => one.ref.lineId),
    ['l1'],
  );
});

test("another tenant's plan is not found", async (t) => {
  const { db, deps, plan } = await world(t);
  const { id } = await plan();
  const stranger = (await seedPartner(db, 'Other')).id;
  await assert.rejects(
    db.tenant(stranger, (tx) => approvePlan(tx, id, 'x')),
    isCode('not_found'),
  );
  await assert.rejects(applyPlan(deps, stranger, id), isCode('not_found'));
});

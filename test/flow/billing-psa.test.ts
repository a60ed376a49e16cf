import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { FaultKind } from '../../integrations/sandbox/faults.ts';
import { applyPlan } from '../../src/billing/apply.ts';
import { approvePlan, type BillingDeps, createPlan } from '../../src/billing/plan.ts';
import { listLines } from '../../src/billing/read.ts';
import { linkSubscription } from '../../src/billing/subscriptions.ts';
import { takeSnapshot } from '../../src/billing/usage.ts';
import { silentLogger } from '../../src/core/log.ts';
import { localDate } from '../../src/core/period.ts';
import { PSA_KINDS, type PsaKind } from '../../src/core/psa.ts';
import { openDatabase } from '../support/db.ts';
import { openPsa } from '../support/psa-rig.ts';
import { seedConnection, seedMapping } from '../support/psa-world.ts';
import { seedClient, seedPartner } from '../support/seed.ts';

const WRITE = /(\/additions\/\d+|\/ServiceAdjustments)$/;

/** A client with three mailboxes, billed for one, in a PSA that speaks its own API. */
async function world(t: TestContext, kind: PsaKind) {
  const { db, clock } = await openDatabase(t);
  const partner = (await seedPartner(db)).id;
  const clientId = await seedClient(db, partner, { mailboxes: ['ann', 'bob', 'cy'] });
  const { sandbox, psa } = await openPsa(t, clock, kind);
  const company = sandbox.state.addCompany('Acme', { active: true }).id;
  const ref = sandbox.state.addSubscription(company, { quantity: 1, startDate: '2026-01-01' });
  await seedMapping(db, partner, clientId, await seedConnection(db, partner), String(company));
  const deps: BillingDeps = { db, clock, logger: silentLogger, psaFor: async () => psa };
  await linkSubscription(deps, partner, { clientId, ref, actor: 'test' });
  await takeSnapshot(db);
  const round = async () => {
    const { id } = await createPlan(deps, partner, localDate(clock.now(), 'Europe/London'));
    await db.tenant(partner, (tx) => approvePlan(tx, id, 'ann@msp.example'));
    let result = await applyPlan(deps, partner, id);
    for (let pass = 0; pass < 20 && result.state === 'applying'; pass += 1) {
      clock.advance(30_000);
      result = await applyPlan(deps, partner, id);
    }
    const [line] = await db.tenant(partner, (tx) => listLines(tx, id, { first: 1, after: null }));
    assert.ok(line);
    return { result, line };
  };
  const writes = () =>
    sandbox.requests.filter((request) => request.method !== 'GET' && WRITE.test(request.path)).length;
  const billedOn = async (day: string) => (await psa.readSubscription(ref, day))?.quantity;
  return { sandbox, round, writes, billedOn };
}

for (const kind of PSA_KINDS) {
  test(`${kind}: from mailboxes to a quantity in the PSA, read back; again, nothing changes`, async (t) => {
    const { round, writes, billedOn } = await world(t, kind);
    const { result, line } = await round();
    assert.deepEqual([result.state, line.before, line.target, line.after], ['applied', 1, 3, 3]);
    assert.equal(await billedOn(line.effectiveDate ?? ''), 3);
    assert.equal(writes(), 1);
    assert.equal((await round()).line.state, 'unchanged');
    assert.equal(writes(), 1);
  });

  for (const fault of [
    'drop_after_commit',
    'drop_before',
    'throttle',
    'html_502',
    'truncated',
    'error_500',
  ] satisfies FaultKind[]) {
    test(`${kind}: a write that meets "${fault}" ends at the counted quantity, without a second delta`, async (t) => {
      const { sandbox, round, billedOn } = await world(t, kind);
      sandbox.faults.arm(fault, { path: WRITE, method: kind === 'connectwise' ? 'PATCH' : 'POST' });
      let ended = await round();
      for (let again = 0; again < 2 && ended.result.state !== 'applied'; again += 1) ended = await round();
      assert.equal(ended.result.state, 'applied');
      assert.equal(await billedOn(ended.line.effectiveDate ?? ''), 3);
      assert.equal((await round()).line.state, 'unchanged');
    });
  }
}

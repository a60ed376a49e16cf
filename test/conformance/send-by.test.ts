import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AppError } from '../../src/core/errors.ts';
import { PSA_KINDS } from '../../src/core/psa.ts';
import { bench, ticketInput } from './harness.ts';

const isUnavailable = (error: unknown) => error instanceof AppError && error.code === 'unavailable';

for (const kind of PSA_KINDS) {
  test(`${kind}: a write that could not leave in time is not sent, and the next one is`, async (t) => {
    const { psa, clock, sandbox, creates, addCompany, addSubscription } = await bench(t, kind);
    const company = addCompany('Acme');
    const ref = addSubscription(company, { quantity: 2 });
    const line = await psa.readSubscription(ref, '2026-10-14');
    assert.ok(line);
    const change = { before: 2, target: 3, effectiveDate: line.earliestEffectiveDate };
    const past = new Date(clock.now().getTime() - 1);
    const asked = () => sandbox.requests.filter((request) => request.method !== 'GET').length;
    const input = ticketInput(company);
    // What creating looks up beforehand is looked up now, so that what follows is writes alone.
    await psa.createTicket(ticketInput(company));
    const before = asked();
    // Often enough to open the circuit, were it counted as the PSA's failure and never cleared.
    for (let time = 0; time < 3; time += 1) {
      await assert.rejects(psa.createTicket({ ...input, sendBy: past }), isUnavailable);
      await assert.rejects(psa.writeQuantity(ref, { ...change, sendBy: past }), isUnavailable);
    }
    assert.equal(creates(), 1);
    assert.equal(asked() - before, 0);
    clock.advance(10 * 60_000);
    const sendBy = new Date(clock.now().getTime() + 1_000);
    await psa.createTicket({ ...input, sendBy });
    await psa.writeQuantity(ref, { ...change, sendBy });
    assert.equal(creates(), 2);
    assert.equal((await psa.readSubscription(ref, change.effectiveDate))?.quantity, 3);
  });
}

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { connectPsa } from '../../integrations/index.ts';
import type { AutotaskSandbox } from '../../integrations/sandbox/index.ts';
import type { Bench } from '../conformance/harness.ts';
import { bench, ticketInput } from '../conformance/harness.ts';

const autotaskOf = (b: Bench): AutotaskSandbox => {
  assert.equal(b.sandbox.kind, 'autotask');
  return b.sandbox as AutotaskSandbox;
};

test('the earliest day is the first of the next period, and after all that is posted', async (t) => {
  const b = await bench(t, 'autotask');
  const { state } = autotaskOf(b);
  const ref = b.addSubscription(b.addCompany('Acme'), { quantity: 10, startDate: '2026-01-31' });
  const earliest = async () => (await b.psa.readSubscription(ref, '2026-10-14'))?.earliestEffectiveDate;
  assert.equal(await earliest(), '2026-10-31');
  state.approveAndPost('2026-10-31');
  assert.equal(await earliest(), '2026-11-30');
  const inPosted = { before: 10, target: 11, effectiveDate: '2026-10-31' };
  await assert.rejects(b.psa.writeQuantity(ref, inPosted), { code: 'upstream_rejected', message: /posted/ });
});

test('a person’s change inside a period is read on its day, and does not become a period', async (t) => {
  const b = await bench(t, 'autotask');
  const { state } = autotaskOf(b);
  const ref = b.addSubscription(b.addCompany('Acme'), { quantity: 10, unitPrice: 3 });
  const line = state.lines.get(Number(ref.lineId));
  assert.ok(line !== undefined);
  state.adjust(line, '2026-10-20', 5);
  const on = async (day: string) => (await b.psa.readSubscription(ref, day))?.quantity;
  assert.deepEqual([await on('2026-10-19'), await on('2026-10-20'), await on('2026-11-02')], [10, 15, 15]);
  const read = await b.psa.readSubscription(ref, '2026-10-20');
  assert.deepEqual([read?.earliestEffectiveDate, read?.unitPrice], ['2026-11-01', '3.00']);
});

test('an adjustment names its line, so that no other line is made', async (t) => {
  const b = await bench(t, 'autotask');
  const ref = b.addSubscription(b.addCompany('Acme'), { quantity: 10 });
  await b.psa.writeQuantity(ref, { before: 10, target: 8, effectiveDate: '2026-11-01' });
  await b.psa.writeQuantity(ref, { before: 8, target: 8, effectiveDate: '2026-11-01' });
  const sent = b.sandbox.requests.filter((request) => request.path.endsWith('/ServiceAdjustments'));
  assert.deepEqual(
    sent.map((request) => request.body),
    [
      {
        contractID: Number(ref.contractId),
        contractServiceID: Number(ref.lineId),
        effectiveDate: '2026-11-01T00:00:00',
        unitChange: -2,
        allowRepeatService: false,
      },
    ],
  );
  assert.equal(autotaskOf(b).state.lines.size, 1);
  await assert.rejects(
    b.psa.writeQuantity({ ...ref, lineId: '1' }, { before: 1, target: 2, effectiveDate: '2026-11-01' }),
    {
      code: 'upstream_rejected',
    },
  );
  assert.equal(autotaskOf(b).state.lines.size, 1);
});

test('a database that moves to another zone is found again: reads go on, writes say that they were not done', async (t) => {
  const b = await bench(t, 'autotask');
  const { state } = autotaskOf(b);
  const company = b.addCompany('Acme');
  await b.psa.getCompany(company);
  state.zone = 2;
  assert.equal((await b.psa.getCompany(company))?.name, 'Acme');
  await b.psa.createTicket(ticketInput(company));
  state.zone = 3;
  await assert.rejects(b.psa.createTicket(ticketInput(company)), { code: 'unavailable' });
  assert.equal((await b.psa.createTicket(ticketInput(company))).open, true);
  assert.equal(b.ticketCount(), 2);
});

test('without a queue Autotask refuses in its own words', async (t) => {
  const b = await bench(t, 'autotask');
  const psa = connectPsa({ ...b.connection, settings: {} }, b.deps);
  await assert.rejects(psa.createTicket(ticketInput(b.addCompany('Acme'))), {
    code: 'upstream_rejected',
    message: /Supply a QueueID/,
  });
  assert.ok((await psa.check()).notes.some((note) => note.includes('queueId')));
});

test('a ticket that was made counts as made when it cannot be read back', async (t) => {
  const b = await bench(t, 'autotask');
  const input = ticketInput(b.addCompany('Acme'));
  b.sandbox.faults.arm('forbidden', { method: 'GET', path: /\/Tickets\/\d+/ });
  const made = await b.psa.createTicket(input);
  assert.deepEqual([made.key, made.open, b.ticketCount()], [input.key, true, 1]);
});

test('forty reads at once stay within the threads of an endpoint', async (t) => {
  const b = await bench(t, 'autotask');
  const id = b.addCompany('Acme');
  const found = await Promise.all(Array.from({ length: 40 }, () => b.psa.getCompany(id)));
  assert.ok(found.every((company) => company?.id === id));
  assert.ok(b.sandbox.requests.every((request) => request.status !== 429));
});

test('the hour’s budget is shared with others: slower from half of it, nothing from nine tenths', async (t) => {
  const b = await bench(t, 'autotask');
  const sandbox = autotaskOf(b);
  const id = b.addCompany('Acme');
  sandbox.state.foreignRequests = 8_000;
  await b.psa.getCompany(id);
  await b.psa.getCompany(id);
  assert.ok(b.waits.includes(2_000));
  sandbox.state.foreignRequests = 9_500;
  await assert.rejects(b.psa.check(), { code: 'unavailable', retryAfter: 300 });
  await assert.rejects(b.psa.getCompany(id), { code: 'unavailable', retryAfter: 300 });
  assert.ok(sandbox.used() < 10_000);
});

test('a file that Autotask does not take is not sent', async (t) => {
  const b = await bench(t, 'autotask');
  const count = b.sandbox.requests.length;
  const document = { title: 'a', fileName: 'a.pdf', contentType: 'application/pdf', data: new Uint8Array(6_000_001) };
  await assert.rejects(b.psa.attachToCompany(b.addCompany('Acme'), document), { code: 'upstream_rejected' });
  assert.equal(b.sandbox.requests.length, count);
});

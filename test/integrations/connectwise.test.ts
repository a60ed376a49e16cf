import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { components } from 'connectwise-rest/dist/ManageTypes.js';
import fc from 'fast-check';
import { contains, equals } from '../../integrations/connectwise/conditions.ts';
import { parseConditions } from '../../integrations/sandbox/connectwise/conditions.ts';
import { bench, ticketInput } from '../conformance/harness.ts';

type Schemas = components['schemas'];

test('what is sent has the shape of the 2022.1 specification', async (t) => {
  const b = await bench(t, 'connectwise');
  const company = b.addCompany('Acme');
  const { id } = await b.psa.createTicket(ticketInput(company, { key: 'key-1' }));
  await b.psa.addNote(id, { title: 'a', text: 'b', internal: true });
  const bodies = b.sandbox.requests.filter((request) => request.method === 'POST').map((request) => request.body);
  // The literals are checked by the compiler against the specification, and the requests against the literals.
  const ticket = {
    summary: 'Mail server does not accept mail',
    company: { id: Number(company) },
    initialDescription: 'mx.example.com refuses connections since 09:12.',
    externalXRef: 'key-1',
    board: { id: 2 },
    priority: { id: 15 },
  } satisfies Schemas['Ticket'];
  const note = {
    text: 'a\n\nb',
    detailDescriptionFlag: false,
    internalAnalysisFlag: true,
    resolutionFlag: false,
    processNotifications: false,
  } satisfies Schemas['ServiceNote'];
  assert.deepEqual(bodies, [ticket, note]);
});

test('a PATCH is a bare array that replaces the custom fields too', async (t) => {
  const b = await bench(t, 'connectwise');
  const ref = b.addSubscription(b.addCompany('Acme'), { quantity: 10 });
  await b.psa.writeQuantity(ref, { before: 10, target: 11, effectiveDate: '2026-10-14' });
  const body = b.sandbox.requests.find((request) => request.method === 'PATCH')?.body;
  const quantity: NonNullable<Schemas['Addition']['quantity']> = 11;
  assert.deepEqual(body, [
    { op: 'replace', path: 'quantity', value: quantity },
    { op: 'replace', path: '/customFields', value: [] },
  ]);
});

test('a quantity of the future is not sent: it would hold at once', async (t) => {
  const b = await bench(t, 'connectwise');
  const ref = b.addSubscription(b.addCompany('Acme'));
  await assert.rejects(b.psa.writeQuantity(ref, { before: 10, target: 11, effectiveDate: '2026-11-01' }), /on its day/);
});

test('a merged ticket answers with the one that lives on, and its notes go there', async (t) => {
  const b = await bench(t, 'connectwise');
  const company = b.addCompany('Acme');
  const first = await b.psa.createTicket(ticketInput(company));
  const second = await b.psa.createTicket(ticketInput(company));
  const third = await b.psa.createTicket(ticketInput(company));
  assert.equal(b.sandbox.kind, 'connectwise');
  if (b.sandbox.kind !== 'connectwise') return;
  b.sandbox.state.mergeTicket(Number(first.id), Number(second.id));
  b.sandbox.state.mergeTicket(Number(second.id), Number(third.id));
  assert.deepEqual(await b.psa.getTicket(first.id), third);
  await b.psa.addNote(first.id, { title: 'a', text: 'b', internal: true });
  assert.ok(b.notesOf(third.id).some((note) => note.text === 'a\n\nb'));
  assert.equal((await b.psa.resolveTicket(first.id, 'done')).id, third.id);
  // A circle, which a PSA should not have, ends.
  b.sandbox.state.mergeTicket(Number(third.id), Number(first.id));
  assert.notEqual(await b.psa.getTicket(first.id), null);
});

test('a site that moves to another release is found again: reads go on, writes say that they were not done', async (t) => {
  const b = await bench(t, 'connectwise');
  const company = b.addCompany('Acme');
  await b.psa.getCompany(company);
  if (b.sandbox.kind !== 'connectwise') return;
  b.sandbox.state.codebase = 'v2025_2/';
  assert.equal((await b.psa.getCompany(company))?.name, 'Acme');
  b.sandbox.state.codebase = 'v2026_1/';
  await assert.rejects(
    b.psa.writeQuantity({ contractId: '1', lineId: '1' }, { before: 1, target: 2, effectiveDate: '2026-10-14' }),
    {
      code: 'unavailable',
    },
  );
  const made = await b.psa.createTicket(ticketInput(company));
  assert.equal(made.open, true);
  const looks = () => b.sandbox.requests.filter((request) => request.path.includes('companyinfo')).length;
  const before = looks();
  assert.equal(await b.psa.getTicket('999999'), null);
  assert.equal(looks(), before + 1);
});

test('no value ends the string that it stands in', () => {
  const record = { name: 'Innocent' };
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 40 }), (text) => {
      for (const condition of [contains('name', text), equals('name', text)]) {
        if (condition === null) continue;
        const test = parseConditions(condition, new Set(['name']));
        // Whatever holds the whole text passes the condition: nothing is lost, the rest is compared by the caller.
        assert.equal(test({ name: `${text}` }), true);
        if (test(record))
          assert.ok(text.split(/["\\*%\p{Cc}]/u).some((run) => 'innocent'.includes(run.trim().toLowerCase())));
      }
    }),
  );
});

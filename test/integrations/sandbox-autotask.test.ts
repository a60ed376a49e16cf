import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { escapedForm, signature } from '../../integrations/sandbox/autotask/webhooks.ts';
import { startAutotaskSandbox } from '../../integrations/sandbox/index.ts';
import { ManualClock } from '../../src/core/clock.ts';
import { receiver } from './receiver.ts';

async function open(t: TestContext) {
  const clock = new ManualClock('2026-10-14T09:30:00Z');
  const waits: number[] = [];
  const sandbox = await startAutotaskSandbox({ clock, autoCallbacks: false, wait: async (ms) => void waits.push(ms) });
  t.after(() => sandbox.close());
  const { userName, secret, integrationCode } = sandbox.credentials;
  const headers: Record<string, string> = {
    ApiIntegrationCode: integrationCode ?? '',
    UserName: userName ?? '',
    Secret: secret ?? '',
  };
  const call = async (method: string, path: string, body?: unknown, without?: string) => {
    const response = await fetch(path.startsWith('http') ? path : `${sandbox.url}/zone1/ATServicesRest/V1.0${path}`, {
      method,
      headers: {
        ...Object.fromEntries(Object.entries(headers).filter(([name]) => name !== without)),
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    return { status: response.status, text, body: JSON.parse(text) as Answer };
  };
  const company = sandbox.state.addCompany('Acme').id;
  return { sandbox, clock, waits, call, company };
}

interface Answer {
  readonly items?: { id: number }[];
  readonly item?: Record<string, unknown> | null;
  readonly itemId?: number;
  readonly queryCount?: number;
  readonly pageDetails?: { nextPageUrl: string | null };
}

const TICKET = {
  title: 'x',
  status: 1,
  priority: 2,
  queueID: 8,
  dueDateTime: '2026-10-15T00:00:00Z',
};
const ALL = { filter: [{ op: 'exist', field: 'id' }] };

test('the zone of an unknown user is a bare 500; each of three headers is needed', async (t) => {
  const { sandbox, call } = await open(t);
  assert.equal((await fetch(`${sandbox.url}/ATServicesRest/v1.0/zoneInformation?user=nobody`)).status, 500);
  for (const name of ['ApiIntegrationCode', 'UserName', 'Secret']) {
    assert.equal((await call('GET', '/VersionInformation', undefined, name)).status, 401, name);
  }
  assert.equal((await call('GET', '/VersionInformation')).status, 200);
});

test('pages have 500 records; the next is asked with POST and the same body', async (t) => {
  const { sandbox, call } = await open(t);
  for (let n = 0; n < 600; n += 1) sandbox.state.addCompany(`C${n}`);
  const first = await call('POST', '/Companies/query', ALL);
  assert.equal(first.body.items?.length, 500);
  const next = first.body.pageDetails?.nextPageUrl ?? '';
  assert.equal((await call('GET', next)).status, 404);
  assert.equal((await call('POST', next, { filter: [{ op: 'eq', field: 'id', value: 1 }] })).status, 500);
  const second = await call('POST', next, ALL);
  assert.deepEqual([second.body.items?.length, second.body.pageDetails?.nextPageUrl], [101, null]);
  assert.equal((await call('POST', '/Companies/query', { ...ALL, MaxRecords: 501 })).status, 500);
  assert.equal((await call('POST', '/Companies/query/count', ALL)).body.queryCount, 601);
});

test('filters: every operator, unknown fields, too many conditions', async (t) => {
  const { call, company } = await open(t);
  const ask = async (...filter: unknown[]) => call('POST', '/Companies/query', { filter });
  const name = (op: string, value: unknown) => ({ op, field: 'companyName', value });
  const id = (op: string, value: unknown) => ({ op, field: 'id', value });
  for (const good of [
    name('eq', 'acme'),
    name('beginsWith', 'Ac'),
    name('endsWith', 'ME'),
    name('contains', 'cm'),
    name('noteq', 'x'),
    name('in', ['a', 'Acme']),
    name('notIn', ['a']),
    id('gt', 1),
    id('gte', company),
    id('lt', company + 1),
    id('lte', company),
    { op: 'or', items: [name('eq', 'zzz'), { op: 'and', items: [name('eq', 'Acme'), id('eq', company)] }] },
  ]) {
    const answer = await ask(good);
    assert.deepEqual([answer.status, answer.body.items?.length], [200, 1], JSON.stringify(good));
  }
  assert.deepEqual((await ask({ op: 'notExist', field: 'companyName' })).body.items, []);
  for (const bad of [
    { op: 'like', field: 'companyName', value: 'x' },
    { op: 'eq', field: 'nme', value: 1 },
    'x',
    { op: 'or', items: [] },
  ]) {
    assert.equal((await ask(bad)).status, 500, JSON.stringify(bad));
  }
  const many = await ask(
    id(
      'in',
      Array.from({ length: 501 }, (_, n) => n),
    ),
  );
  assert.match(many.text, /limited to 500 or fewer 'OR' conditions/);
  assert.equal((await call('POST', '/Companies/query', { filter: [] })).status, 500);
  assert.equal((await call('POST', '/Contacts/query', ALL)).status, 500);
});

test('what is not there is 200 with null; PATCH to an id is 405; tickets cannot be deleted', async (t) => {
  const { call, company } = await open(t);
  const made = await call('POST', '/Tickets', { ...TICKET, companyID: company });
  const path = `/Tickets/${made.body.itemId}`;
  assert.deepEqual((await call('GET', '/Tickets/1')).body, { item: null });
  assert.equal((await call('PATCH', path, { title: 'y' })).status, 405);
  assert.equal((await call('DELETE', path)).status, 405);
  const missing = await call('PATCH', '/Tickets', { id: 1, title: 'y' });
  assert.deepEqual([missing.status, missing.text], [500, '{"errors":["No matching records found"]}']);
  assert.equal((await call('PATCH', '/Tickets', { id: made.body.itemId, title: 'y' })).status, 200);
});

test('broken rules are 500 with Autotask’s words', async (t) => {
  const { sandbox, call, company } = await open(t);
  const create = async (change: object) =>
    (await call('POST', '/Tickets', { ...TICKET, companyID: company, ...change })).text;
  assert.match(await create({ dueDateTime: undefined }), /dueDateTime is required\.; on record number \[0\]\./);
  assert.match(await create({ queueID: undefined }), /cannot all be empty/);
  assert.match(await create({ assignedResourceID: 1 }), /you must assign both/);
  assert.match(await create({ description: 'x'.repeat(8_001) }), /exceeds maximum length \(field:description\)/);
  assert.match(await create({ externalID: 'x'.repeat(51) }), /exceeds maximum length \(field:externalID\)/);
  assert.match(await create({ status: 19 }), /picklist/);
  assert.match(await create({ priority: '2' }), /not valid/);
  assert.match(await create({ colour: 'red' }), /Unable to find colour/);
  assert.match(await create({ companyID: 1 }), /companyID is not valid/);
  assert.equal(sandbox.state.tickets.size, 0);
});

test('adjustments add, begin rows, extend prices, cannot be read, and make lines that they do not find', async (t) => {
  const { sandbox, call, company } = await open(t);
  const { state } = sandbox;
  const ref = state.addSubscription(company, { quantity: 10, unitPrice: 2 });
  const contractID = Number(ref.contractId);
  const contractServiceID = Number(ref.lineId);
  const adjust = (change: object) =>
    call('POST', `/Contracts/${contractID}/ServiceAdjustments`, {
      contractID,
      contractServiceID,
      effectiveDate: '2026-10-20T00:00:00',
      unitChange: 3,
      ...change,
    });
  assert.equal((await adjust({})).status, 200);
  assert.equal((await adjust({})).status, 200);
  const october = state.units
    .filter((row) => row.startDate.startsWith('2026-10'))
    .map((row) => [row.startDate.slice(8, 10), row.endDate.slice(8, 10), row.units, row.price]);
  assert.deepEqual(october, [
    ['01', '20', 10, 20],
    ['20', '31', 16, 32],
  ]);
  assert.equal(state.units.find((row) => row.startDate.startsWith('2026-11'))?.units, 16);
  assert.match((await adjust({ quantityChange: 1 })).text, /Unable to find quantityChange/);
  assert.equal((await adjust({ unitChange: 1.5 })).status, 500);
  assert.equal((await adjust({ unitChange: -100 })).status, 500);
  assert.equal((await call('POST', '/ContractServiceAdjustments/query', ALL)).status, 500);
  state.approveAndPost('2026-10-31');
  assert.equal(state.billingItems.size, 11);
  assert.match((await adjust({ effectiveDate: '2026-10-25T00:00:00' })).text, /approved and posted/);
  const serviceID = state.lines.get(contractServiceID)?.serviceID;
  const trap = await adjust({ contractServiceID: 1, serviceID, effectiveDate: '2026-11-01T00:00:00' });
  assert.deepEqual([trap.status, state.lines.size], [200, 2]);
});

test('attachments: 7 MB a file, 10,000,000 bytes in five minutes', async (t) => {
  const { clock, call, company } = await open(t);
  const attach = async (bytes: number) =>
    (
      await call('POST', `/Companies/${company}/Attachments`, {
        attachmentType: 'FILE_ATTACHMENT',
        fullPath: 'x.pdf',
        title: 'x',
        data: Buffer.alloc(bytes).toString('base64'),
        publish: 1,
      })
    ).status;
  assert.equal(await attach(7_000_001), 500);
  assert.equal(await attach(6_000_000), 200);
  assert.equal(await attach(6_000_000), 500);
  clock.advance(300_001);
  assert.equal(await attach(6_000_000), 200);
});

test('a fourth thread on an endpoint is Itgenatr005; other endpoints go on', async (t) => {
  const { sandbox, call, company } = await open(t);
  sandbox.faults.arm('slow', { times: 3, path: /Companies/ });
  const slow = [1, 2, 3].map(() => call('GET', `/Companies/${company}`));
  await sandbox.faults.held(3);
  const fourth = await call('GET', `/Companies/${company}`);
  assert.deepEqual([fourth.status, fourth.text.includes('Itgenatr005')], [429, true]);
  assert.equal((await call('GET', '/Tickets/1')).status, 200);
  sandbox.faults.release();
  assert.deepEqual(
    (await Promise.all(slow)).map((answer) => answer.status),
    [200, 200, 200],
  );
  assert.equal((await call('GET', `/Companies/${company}`)).status, 200);
});

test('10,000 requests an hour for all together: slower from half, refused at the end, free after an hour', async (t) => {
  const { sandbox, clock, waits, call } = await open(t);
  sandbox.state.foreignRequests = 5_000;
  await call('GET', '/VersionInformation');
  assert.deepEqual(waits, [750]);
  sandbox.state.foreignRequests = 9_999;
  assert.equal((await call('GET', '/VersionInformation')).status, 429);
  sandbox.state.foreignRequests = 0;
  clock.advance(3_600_001);
  assert.equal(sandbox.used(), 0);
  assert.match((await call('GET', '/ThresholdInformation')).text, /"currentTimeframeRequestCount":1/);
});

test('webhooks: ready after a field, our own writes excluded, signed in the escaped form, five tries, off after 25 failures', async (t) => {
  const { sandbox, waits, call, company } = await open(t);
  const target = await receiver(t);
  const secretKey = 'a secret of a webhook';
  const made = await call('POST', '/TicketWebhooks', {
    name: 'x',
    webhookUrl: `${target.url}/hook`,
    deactivationUrl: `${target.url}/off`,
    secretKey,
    isActive: true,
    isSubscribedToCreateEvents: true,
    isSubscribedToUpdateEvents: true,
    isSubscribedToDeleteEvents: true,
  });
  const path = `/TicketWebhooks/${made.body.itemId}`;
  assert.equal((await call('GET', path)).body.item?.['isReady'], false);
  await call('POST', `${path}/Fields`, { fieldID: 1, isSubscribedField: true, isDisplayAlwaysField: true });
  await call('POST', `${path}/ExcludedResources`, { resourceID: 4 });
  assert.equal((await call('GET', path)).body.item?.['isReady'], true);
  const ticket = await call('POST', '/Tickets', { ...TICKET, companyID: company, title: 'Ünï & <x>' });
  await sandbox.callbackQueue.flush();
  assert.equal(target.calls.length, 0);
  const close = async () => {
    target.calls.length = 0;
    sandbox.state.closeTicket(ticket.body.itemId ?? 0);
    await sandbox.callbackQueue.flush();
    return target.calls.map((c) => c.path);
  };
  assert.deepEqual(await close(), ['/hook']);
  const [seen] = target.calls;
  assert.equal(seen?.headers['x-hook-signature'], signature(secretKey, escapedForm(seen?.body ?? '')));
  assert.notEqual(seen?.headers['x-hook-signature'], signature(secretKey, seen?.body ?? ''));
  target.answer = 500;
  assert.equal((await close()).length, 5);
  assert.deepEqual(waits, [30_000, 30_000, 30_000, 30_000]);
  for (let n = 0; n < 3; n += 1) await close();
  assert.equal((await close()).at(-1), '/off');
  assert.deepEqual(await close(), []);
});

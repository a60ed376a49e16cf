import assert from 'node:assert/strict';
import { createHash, createHmac } from 'node:crypto';
import { type TestContext, test } from 'node:test';
import { startConnectWiseSandbox } from '../../integrations/sandbox/index.ts';
import { ManualClock } from '../../src/core/clock.ts';
import { receiver } from './receiver.ts';

async function open(t: TestContext) {
  const clock = new ManualClock('2026-10-14T09:30:00Z');
  const waits: number[] = [];
  const sandbox = await startConnectWiseSandbox({
    clock,
    autoCallbacks: false,
    wait: async (ms) => void waits.push(ms),
  });
  t.after(() => sandbox.close());
  const { companyId, publicKey, privateKey, clientId } = sandbox.credentials;
  const headers: Record<string, string> = {
    authorization: `Basic ${Buffer.from(`${companyId}+${publicKey}:${privateKey}`).toString('base64')}`,
    clientId: clientId ?? '',
    accept: 'application/vnd.connectwise.com+json; version=2025.1',
  };
  const call = async (method: string, path: string, body?: unknown, extra: Record<string, string> = {}) => {
    const response = await fetch(`${sandbox.url}/v2025_1/apis/3.0${path}`, {
      method,
      headers: { ...headers, ...(body === undefined ? {} : { 'content-type': 'application/json' }), ...extra },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    return {
      status: response.status,
      headers: response.headers,
      body: (text === '' ? null : JSON.parse(text)) as Record<string, never>,
      rows: (text.startsWith('[') ? JSON.parse(text) : []) as { id: number }[],
    };
  };
  const company = sandbox.state.addCompany('Acme').id;
  return { sandbox, clock, waits, call, company };
}

const CUSTOM = { op: 'replace', path: '/customFields', value: [] };

test('credentials, clientId and codebase are asked for; the version is echoed', async (t) => {
  const { sandbox, call } = await open(t);
  assert.equal((await call('GET', '/system/info', undefined, { authorization: 'Basic eDp5' })).status, 401);
  assert.equal((await call('GET', '/system/info', undefined, { clientId: 'other' })).status, 401);
  assert.equal((await call('GET', '/system/info')).headers.get('api-current-version'), '2025.1');
  sandbox.state.codebase = 'v2025_2/';
  const gone = await call('GET', '/system/info');
  assert.deepEqual([gone.status, gone.body['code']], [404, 'ConnectWiseApi']);
  const info = await fetch(`${sandbox.url}/login/companyinfo/nobody`);
  assert.equal(await info.json(), null);
});

test('pages are 25, at most 1,000, with Link; forward-only takes pageId and no orderBy', async (t) => {
  const { sandbox, call } = await open(t);
  for (let n = 0; n < 1_100; n += 1) sandbox.state.addCompany(`C${n}`);
  const first = await call('GET', '/company/companies');
  assert.equal(first.rows.length, 25);
  assert.match(first.headers.get('link') ?? '', /page=2>; rel="next"/);
  assert.equal((await call('GET', '/company/companies?pageSize=5000')).rows.length, 1_000);
  const forward = { 'pagination-type': 'forward-only' };
  const page = await call('GET', '/company/companies?pageSize=1000', undefined, forward);
  const next = /pageId=(\d+)>; rel="next"/.exec(page.headers.get('link') ?? '')?.[1];
  assert.equal(Number(next), page.rows.at(-1)?.id);
  const rest = await call('GET', `/company/companies?pageSize=1000&pageId=${next}`, undefined, forward);
  assert.equal(rest.rows.length, 101);
  assert.match(rest.headers.get('link') ?? '', /rel="first"/);
  assert.equal((await call('GET', '/company/companies?orderBy=id', undefined, forward)).status, 400);
});

test('conditions that are not the language are refused, long URLs too', async (t) => {
  const { call } = await open(t);
  const ask = (conditions: string) => call('GET', `/company/companies?conditions=${encodeURIComponent(conditions)}`);
  for (const good of [
    'name = "Acme"',
    'name contains "cm" and deletedFlag = False',
    'name like "A*" or id in (1,2)',
    '(id > 1 and not_a = 1) or id > 1'.replace('not_a = 1', 'id < 99999'),
    'lastUpdated > [2026-01-01T00:00:00Z]',
    'name not contains "zzz"',
  ]) {
    const answer = await ask(good);
    assert.deepEqual([answer.status, answer.rows.length], [200, 1], good);
  }
  for (const bad of ['name = "a" garbage', 'name = ', 'nme = "a"', 'name ~ "a"', 'name = "a', '(id = 1', 'id in (1']) {
    assert.equal((await ask(bad)).status, 400, bad);
  }
  assert.equal((await ask(`name = "${'x'.repeat(2_000)}"`)).status, 414);
  const found = await call('POST', '/service/tickets/search', { conditions: 'summary = "x"' });
  assert.equal(found.status, 200);
});

test('tickets are refused in ConnectWise’s shape', async (t) => {
  const { sandbox, call, company } = await open(t);
  const good = { summary: 'x', company: { id: company } };
  const long = await call('POST', '/service/tickets', { ...good, summary: 'x'.repeat(101) });
  assert.deepEqual([long.status, long.body['code']], [400, 'InvalidObject']);
  for (const bad of [
    { ...good, unknown: 1 },
    { company: { id: company } },
    { ...good, summary: 5 },
    { ...good, company: { id: 1 } },
    { ...good, status: { id: 22 } },
    { ...good, priority: { id: 1 } },
  ]) {
    assert.equal((await call('POST', '/service/tickets', bad)).status, 400, JSON.stringify(bad));
  }
  assert.equal(sandbox.state.tickets.size, 0);
  assert.equal((await call('POST', '/service/tickets', { ...good, board: { id: 2 }, status: { id: 22 } })).status, 201);
});

test('PATCH is an array; a path into a reference is a false success; custom fields must come along', async (t) => {
  const { sandbox, call, company } = await open(t);
  const made = await call('POST', '/service/tickets', { summary: 'x', company: { id: company } });
  const path = `/service/tickets/${String(made.body['id'])}`;
  const patch = (...operations: unknown[]) => call('PATCH', path, operations);
  assert.equal((await call('PATCH', path, { op: 'replace', path: 'summary', value: 'y' })).status, 400);
  assert.equal((await patch({ op: 'replace', path: 'summary', value: 'y' })).status, 400);
  assert.equal((await patch({ op: 'replace', path: 'Summary', value: 'y' }, CUSTOM)).status, 400);
  const other = sandbox.state.addCompany('Other');
  const identifier = { op: 'replace', path: 'company/identifier', value: other.identifier };
  const falseSuccess = await patch(identifier, CUSTOM);
  assert.deepEqual(
    [falseSuccess.status, sandbox.state.tickets.get(Number(made.body['id']))?.company.id],
    [200, company],
  );
  assert.equal((await patch({ op: 'replace', path: 'company', value: { id: other.id } }, CUSTOM)).status, 200);
  assert.equal((await patch({ op: 'replace', path: 'status', value: { id: 22 } }, CUSTOM)).status, 400);
  assert.equal((await patch({ op: 'replace', path: 'status', value: { id: 12 } }, CUSTOM)).status, 400);
  const closed = await patch({ op: 'replace', path: '/status', value: { id: 13 } }, CUSTOM);
  assert.deepEqual([closed.body['closedFlag'], closed.body['closedDate']], [true, '2026-10-14T09:30:00Z']);
  assert.equal((await call('DELETE', path)).status, 204);
  assert.equal((await call('GET', path)).status, 404);
});

test('additions: absolute quantity, billCustomer required, none on a cancelled agreement', async (t) => {
  const { sandbox, call, company } = await open(t);
  const ref = sandbox.state.addSubscription(company, { quantity: 3 });
  const path = `/finance/agreements/${ref.contractId}/additions`;
  const quantity = [{ op: 'replace', path: 'quantity', value: 7 }, CUSTOM];
  await call('PATCH', `${path}/${ref.lineId}`, quantity);
  assert.equal((await call('PATCH', `${path}/${ref.lineId}`, quantity)).body['quantity'], 7);
  const wrong = [{ op: 'replace', path: 'quantity', value: '7' }, CUSTOM];
  assert.equal((await call('PATCH', `${path}/${ref.lineId}`, wrong)).status, 400);
  assert.equal((await call('POST', path, { product: { id: 1 }, quantity: 1 })).status, 400);
  const addition = { product: { id: 1 }, quantity: 1, billCustomer: 'Billable' };
  assert.equal((await call('POST', path, addition)).status, 201);
  assert.deepEqual((await call('GET', `${path}/count`)).body, { count: 2 });
  const cancelled = sandbox.state.addSubscription(company, { cancelled: true });
  assert.equal((await call('POST', `/finance/agreements/${cancelled.contractId}/additions`, addition)).status, 400);
});

test('a document as JSON is 415', async (t) => {
  const { call, company } = await open(t);
  const answer = await call('POST', '/system/documents', { recordType: 'Company', recordId: company, title: 'x' });
  assert.equal(answer.status, 415);
});

test('callbacks: id and action appended, signed, suppressed for our own writes, refused twice or at a wrong level', async (t) => {
  const { sandbox, call, company } = await open(t);
  const target = await receiver(t);
  const callback = {
    url: `${target.url}/hook?recordId=`,
    objectId: 0,
    type: 'ticket',
    level: 'owner',
    isSelfSuppressedFlag: true,
  };
  const made = await call('POST', '/system/callbacks', callback);
  assert.deepEqual([made.status, made.body['objectId']], [201, 1]);
  const again = await call('POST', '/system/callbacks', callback);
  assert.match(JSON.stringify(again.body), /ObjectExists/);
  assert.match(
    JSON.stringify((await call('POST', '/system/callbacks', { ...callback, level: 'board' })).body),
    /Unrecognized level/,
  );
  const ticket = await call('POST', '/service/tickets', { summary: 'x', company: { id: company } });
  await sandbox.callbackQueue.flush();
  assert.equal(target.calls.length, 0);
  const id = Number(ticket.body['id']);
  sandbox.state.closeTicket(id);
  sandbox.state.deleteTicket(id);
  sandbox.callbackQueue.order = 'reversed';
  await sandbox.callbackQueue.flush();
  assert.deepEqual(
    target.calls.map((c) => c.path),
    [`/hook?recordId=${id}&action=deleted`, `/hook?recordId=${id}&action=updated`],
  );
  const [deleted, updated] = target.calls;
  const payload = JSON.parse(deleted?.body ?? '') as { Entity: string | null; Metadata: { key_url: string } };
  assert.equal(payload.Entity, null);
  const { signing_key } = (await (await fetch(payload.Metadata.key_url)).json()) as { signing_key: string };
  const key = createHash('sha256').update(signing_key).digest();
  for (const seen of [deleted, updated]) {
    const expected = createHmac('sha256', key)
      .update(seen?.body ?? '')
      .digest('base64');
    assert.equal(seen?.headers['x-content-signature'], expected);
  }
});

test('callbacks: tried twice more upon 404, 409, 419 and 429 only; off after three failing days; duplicates on demand', async (t) => {
  const { sandbox, clock, waits, call, company } = await open(t);
  const target = await receiver(t);
  await call('POST', '/system/callbacks', {
    url: `${target.url}/hook?id=`,
    objectId: 1,
    type: 'ticket',
    level: 'owner',
  });
  const { body } = await call('POST', '/service/tickets', { summary: 'x', company: { id: company } });
  const id = Number(body['id']);
  await sandbox.callbackQueue.flush();
  const fire = async (status: number) => {
    target.calls.length = 0;
    target.answer = status;
    sandbox.state.closeTicket(id);
    await sandbox.callbackQueue.flush();
    return target.calls.length;
  };
  assert.equal(await fire(429), 3);
  assert.deepEqual(waits, [2_000, 4_000]);
  assert.equal(await fire(500), 1);
  assert.equal(await fire(200), 1);
  sandbox.callbackQueue.order = 'duplicated';
  assert.equal(await fire(200), 2);
  sandbox.callbackQueue.order = 'in_order';
  for (let day = 0; day < 3; day += 1) {
    assert.equal(await fire(500), 1);
    clock.advance(86_400_000);
  }
  assert.equal(await fire(200), 0);
});

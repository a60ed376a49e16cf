import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { get } from 'node:http';
import { type TestContext, test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import fc from 'fast-check';
import { createKey, revokeKey } from '../../src/accounts/keys.ts';
import { AppError } from '../../src/core/errors.ts';
import { newId } from '../../src/core/id.ts';
import { globalId } from '../../src/graphql/ids.ts';
import { appendEvents } from '../../src/ledger/append.ts';
import { NodeWatermark } from '../../src/ledger/watermark.ts';
import { openDatabase } from '../support/db.ts';
import { makeEvent } from '../support/events.ts';
import { gate } from '../support/gate.ts';
import { keyWith, openServer } from '../support/http.ts';
import { rollAll } from '../support/roll.ts';
import { seedClient, seedPartner } from '../support/seed.ts';

interface Line {
  readonly id?: string;
  readonly occurredAt?: string;
  readonly sender?: string;
  readonly cursor: string;
  readonly end?: boolean;
  readonly complete?: boolean;
  readonly completeThrough?: string | null;
  readonly error?: { readonly code: string; readonly message: string };
}

const RANGE = { from: '2026-10-12T06:00:00Z', to: '2026-10-14T00:00:00Z' };

async function open(t: TestContext, parts: Partial<Parameters<typeof openServer>[1]> = {}) {
  const base = await openDatabase(t);
  const { db, clock } = base;
  const mine = await seedPartner(db);
  const theirs = await seedPartner(db, 'Other');
  const client = await seedClient(db, mine.id, { name: 'Acme' });
  const second = await seedClient(db, mine.id, { name: 'Beta', domain: 'beta.example' });
  const foreign = await seedClient(db, theirs.id, { name: 'Foreign', domain: 'foreign.example' });
  const server = await openServer(t, { db, clock, pace: { pageRows: 3, recheckMs: 20 }, ...parts });
  base.before(() => server.http.close(0));
  const append = (partnerId: string, clientId: string, ...times: string[]) =>
    db.system((tx) =>
      appendEvents(
        tx,
        times.map((at) => makeEvent({ partnerId, clientId, occurredAt: new Date(at) })),
      ),
    );
  const fetchExport = (key: string, query: Record<string, string>, headers: Record<string, string> = {}) =>
    fetch(`${server.url}/export/events?${new URLSearchParams(query)}`, {
      headers: { authorization: `Bearer ${key}`, ...headers },
    });
  const lines = async (query: Record<string, string> = RANGE, key = mine.apiKey): Promise<Line[]> => {
    const response = await fetchExport(key, query);
    const text = await response.text();
    assert.equal(response.status, 200, text);
    assert.equal(response.headers.get('content-type'), 'application/x-ndjson; charset=utf-8');
    assert.ok(text.endsWith('\n'));
    return text
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as Line);
  };
  return { ...base, server, mine, theirs, client, second, foreign, append, fetchExport, lines };
}

const hours = (day: string, count: number) =>
  Array.from({ length: count }, (_, index) => `2026-10-${day}T${String(index).padStart(2, '0')}:00:00Z`);
const idsOf = (lines: readonly Line[]) => lines.flatMap((line) => line.id ?? []);
/** Until nothing that is committed lies above the horizon, which other tests of the same cluster hold too. */
const settled = rollAll;

test('an export holds each event of its range once, of its partner alone, and goes on from any line', async (t) => {
  const { db, append, mine, theirs, client, second, foreign, lines } = await open(t);
  await append(mine.id, client, ...hours('12', 10), ...hours('13', 11), ...hours('14', 2));
  await append(mine.id, second, ...hours('13', 5));
  await append(theirs.id, foreign, ...hours('13', 5));
  await settled(db);
  const all = await lines();
  // From 6 o'clock on of the 12th, and nothing of the 14th.
  assert.equal(idsOf(all).length, 4 + 11 + 5);
  assert.equal(new Set(idsOf(all)).size, 20);
  assert.deepEqual(
    all.slice(0, -1).map((line) => (line.occurredAt ?? '').slice(0, 10)),
    [...Array(4).fill('2026-10-12'), ...Array(16).fill('2026-10-13')],
  );
  const last = all.at(-1);
  assert.equal(last?.end, true);
  assert.equal(last?.complete, false, 'no node has told anything');
  assert.equal(idsOf(await lines({ ...RANGE, client: globalId('Client', client) })).length, 15);
  assert.equal(idsOf(await lines({ ...RANGE, client: second })).length, 5);
  assert.equal(idsOf(await lines(RANGE, theirs.apiKey)).length, 5);
  assert.deepEqual(Object.keys(all[0] ?? {}), [
    'id',
    'occurredAt',
    'kind',
    'direction',
    'clientId',
    'messageId',
    'deliveryId',
    'mailboxId',
    'recipient',
    'domain',
    'sender',
    'verdict',
    'disposition',
    'reasons',
    'bytes',
    'latencyMs',
    'node',
    'cursor',
  ]);
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 0, max: all.length - 2 }), async (cut) => {
      const rest = await lines({ ...RANGE, cursor: all[cut]?.cursor ?? '' });
      assert.deepEqual(idsOf(rest), idsOf(all.slice(cut + 1)));
    }),
    { numRuns: 12 },
  );
  assert.deepEqual(idsOf(await lines({ ...RANGE, cursor: last?.cursor ?? '' })), [], 'nothing new');
});

test('what is written while it is read, and what commits late, comes next time and once', async (t) => {
  const { db, owner, append, mine, client, lines } = await open(t);
  await append(mine.id, client, ...hours('12', 12));
  await settled(db);
  // This one has a lower id and an older transaction than what follows, and commits last.
  const late = newId();
  await owner.query('begin');
  await owner.query(
    `insert into ledger (partner_id, id, client_id, occurred_at, kind, direction, recipient, domain, sender, bytes, node)
     values ($1, $2, $3, '2026-10-12T08:00:00Z', 'refused', 'inbound', 'x@acme.example', 'acme.example', '', 0, 'n')`,
    [mine.id, late, client],
  );
  await append(mine.id, client, ...hours('13', 4));
  const first = await lines();
  const seen = idsOf(first);
  assert.equal(seen.length, 6, 'nothing above the oldest transaction that is open');
  // An interrupted reader goes on after more was written: its pass is as it was.
  const middle = await lines({ ...RANGE, cursor: first[2]?.cursor ?? '' });
  assert.deepEqual(idsOf(middle), seen.slice(3));
  await owner.query('commit');
  await settled(db);
  const second = await lines({ ...RANGE, cursor: first.at(-1)?.cursor ?? '' });
  assert.equal(idsOf(second).length, 5);
  assert.ok(idsOf(second).includes(late));
  assert.equal(new Set([...seen, ...idsOf(second)]).size, 11, 'nothing twice');
  await append(mine.id, client, '2026-10-13T23:00:00Z');
  await settled(db);
  assert.equal(idsOf(await lines({ ...RANGE, cursor: second.at(-1)?.cursor ?? '' })).length, 1);
});

test('in any order of writing, reading and breaking off: every event once', async (t) => {
  const { db, append, mine, client, lines } = await open(t);
  let written = 0;
  const seen: string[] = [];
  let cursor: string | null = null;
  const steps = fc.sample(fc.tuple(fc.integer({ min: 0, max: 5 }), fc.integer({ min: 1, max: 9 })), {
    numRuns: 25,
    seed: 7,
  });
  for (const [add, take] of steps) {
    if (add > 0) await append(mine.id, client, ...hours('13', add));
    written += add;
    const read: Line[] = await lines({ ...RANGE, ...(cursor === null ? {} : { cursor }) });
    const kept = read.slice(0, take);
    seen.push(...idsOf(kept));
    cursor = kept.at(-1)?.cursor ?? cursor;
  }
  await settled(db);
  for (let pass = 0; pass < 2; pass += 1) {
    const rest: Line[] = await lines({ ...RANGE, ...(cursor === null ? {} : { cursor }) });
    seen.push(...idsOf(rest));
    cursor = rest.at(-1)?.cursor ?? cursor;
  }
  assert.equal(seen.length, written);
  assert.equal(new Set(seen).size, written);
});

test('it says whether it is whole', async (t) => {
  const { db, clock, owner, append, mine, client, lines } = await open(t);
  await append(mine.id, client, ...hours('13', 2));
  const node = new NodeWatermark(db, clock, 'n1', 'gateway');
  await node.beat();
  await settled(db);
  const whole = (await lines()).at(-1);
  assert.deepEqual([whole?.complete, whole?.completeThrough], [true, clock.now().toISOString()]);
  const today = (await lines({ ...RANGE, to: '2026-10-15T00:00:00Z' })).at(-1);
  assert.equal(today?.complete, false, 'the day is not over');
  await owner.query("insert into retention_floor (whole_from) values ('2026-10-13T00:00:00Z')");
  assert.equal((await lines()).at(-1)?.complete, false, 'its first day was removed by age');
});

test('what is no export of the caller is refused, without telling whether it is there', async (t) => {
  const { db, mine, theirs, foreign, fetchExport, lines } = await open(t);
  const refused = async (query: Record<string, string>, key = mine.apiKey) => {
    const response = await fetchExport(key, query);
    const body = (await response.json()) as { errors: { message: string; extensions: { code: string } }[] };
    assert.doesNotMatch(JSON.stringify(body), /select|from ledger|dist|\//);
    return [response.status, body.errors[0]?.extensions.code];
  };
  const { from, to } = RANGE;
  for (const query of [
    { from } as Record<string, string>,
    { from: to, to: from },
    { from: '2026-10-12', to },
    { from: '2020-01-01T00:00:00Z', to },
    { ...RANGE, clientId: foreign },
    { ...RANGE, cursor: 'x' },
    { ...RANGE, cursor: 'A'.repeat(82) },
    { ...RANGE, cursor: (await lines({ ...RANGE, to: '2026-10-13T00:00:00Z' })).at(-1)?.cursor ?? '' },
    { ...RANGE, cursor: (await lines(RANGE, theirs.apiKey)).at(-1)?.cursor ?? '' },
  ]) {
    assert.deepEqual(await refused(query), [400, 'BAD_USER_INPUT'], JSON.stringify(query));
  }
  assert.deepEqual(await refused({ ...RANGE, client: foreign }), await refused({ ...RANGE, client: newId() }));
  assert.deepEqual(await refused({ ...RANGE, client: globalId('Client', foreign) }), [404, 'NOT_FOUND']);
  assert.deepEqual(await refused({ ...RANGE, client: "x' or 1=1" }), [404, 'NOT_FOUND']);
  assert.deepEqual(await refused(RANGE, 'nonsense'), [401, 'UNAUTHENTICATED']);
  assert.deepEqual(await refused(RANGE, await keyWith(db, mine.id, ['billing'])), [403, 'FORBIDDEN']);
  const { token } = await db.system((tx) =>
    createKey(tx, { partnerId: mine.id, label: 'd', scopes: ['read'], documentsOnly: true, actor: 'test' }),
  );
  assert.deepEqual(await refused(RANGE, token), [403, 'FORBIDDEN']);
  const cursor = (await lines()).at(-1)?.cursor ?? '';
  const other = Buffer.from(cursor, 'base64url');
  other.writeBigUInt64BE(1n, 1);
  assert.deepEqual(
    await refused({ ...RANGE, cursor: other.toString('base64url') }),
    [409, 'CONFLICT'],
    'a restored database',
  );
  const day = Buffer.from(cursor, 'base64url');
  day.writeInt32BE(-2_000_000_000, 33);
  assert.deepEqual(await refused({ ...RANGE, cursor: day.toString('base64url') }), [400, 'BAD_USER_INPUT']);
});

test('a key has two exports under way, however many it asks for in one moment; what is refused, fails or ends gives its place back', async (t) => {
  const { db, server, mine, fetchExport, lines } = await open(t);
  await settled(db);
  const tenant = db.tenant.bind(db);
  const held = gate();
  const seen = gate();
  let isFailing = false;
  let began = 0;
  let refusals = 0;
  const told = () => {
    if (began + refusals === 6) seen.open();
  };
  db.tenant = (async (partner, work, options) => {
    began += 1;
    told();
    await held.passed;
    if (isFailing) throw new AppError('unavailable', 'the database is away');
    return tenant(partner, work, options);
  }) as typeof db.tenant;
  const answers = Array.from({ length: 6 }, async () => {
    const response = await fetchExport(mine.apiKey, RANGE);
    if (response.status === 429) refusals += 1;
    told();
    await response.text();
    return response.status;
  });
  await seen.passed;
  assert.deepEqual([began, refusals], [2, 4]);
  isFailing = true;
  held.open();
  assert.deepEqual((await Promise.all(answers)).toSorted(), [429, 429, 429, 429, 503, 503]);
  isFailing = false;
  db.tenant = tenant;
  const other = { ...RANGE, cursor: (await lines({ ...RANGE, to: '2026-10-13T00:00:00Z' })).at(-1)?.cursor ?? '' };
  for (let turn = 0; turn < 3; turn += 1) {
    assert.equal((await fetchExport(mine.apiKey, other)).status, 400);
    await lines();
  }
  assert.equal(server.http.live().streams, 0);
});

test('it is zipped for those who ask, and the same', async (t) => {
  const { db, server, append, mine, client, lines } = await open(t);
  await append(mine.id, client, ...hours('13', 20));
  await settled(db);
  const plain = await lines();
  const request = get(`${server.url}/export/events?${new URLSearchParams(RANGE)}`, {
    headers: { authorization: `Bearer ${mine.apiKey}`, 'accept-encoding': 'br, gzip;q=0.5' },
  });
  const [response] = (await once(request, 'response')) as [import('node:http').IncomingMessage];
  assert.equal(response.headers['content-encoding'], 'gzip');
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk as Buffer);
  const text = gunzipSync(Buffer.concat(chunks)).toString();
  assert.deepEqual(
    idsOf(
      text
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line) as Line),
    ),
    idsOf(plain),
  );
});

test('a reader that leaves lets go of everything; one that stands still holds one page and no transaction', async (t) => {
  const { db, owner, server, append, mine, client, fetchExport } = await open(t, { pace: { pageRows: 500 } });
  for (let batch = 0; batch < 8; batch += 1) {
    await db.system((tx) =>
      appendEvents(
        tx,
        Array.from({ length: 2_500 }, () =>
          makeEvent({
            partnerId: mine.id,
            clientId: client,
            occurredAt: new Date('2026-10-13T01:00:00Z'),
            sender: 'x'.repeat(400),
          }),
        ),
      ),
    );
  }
  await append(mine.id, client, '2026-10-13T02:00:00Z');
  await settled(db);
  const abort = new AbortController();
  const request = get(`${server.url}/export/events?${new URLSearchParams(RANGE)}`, {
    headers: { authorization: `Bearer ${mine.apiKey}` },
    signal: abort.signal,
  });
  request.on('error', () => undefined);
  const [response] = (await once(request, 'response')) as [import('node:http').IncomingMessage];
  await once(response, 'readable');
  assert.equal(server.http.live().streams, 1);
  // The page that was being read ends, and no transaction stays open while nobody reads.
  for (let busy = true; busy; ) {
    const { rows } = await owner.query<{ count: string }>(
      'select count(*) from pg_stat_activity where datname = current_database() and xact_start is not null and pid <> pg_backend_pid()',
    );
    busy = rows[0]?.count !== '0';
  }
  response.on('error', () => undefined);
  abort.abort();
  while (server.http.live().streams > 0) await new Promise((resolve) => setImmediate(resolve));
  const again = await fetchExport(mine.apiKey, RANGE);
  assert.equal((await again.text()).split('\n').length, 20_001 + 2);
});

test('a zipped reader that takes nothing is cut off, and its socket with it', async (t) => {
  let now = 0;
  const pace = { pageRows: 500, recheckMs: 20, monotonic: () => now };
  const { db, server, append, mine, client } = await open(t, { pace });
  for (let batch = 0; batch < 8; batch += 1) {
    await db.system((tx) =>
      appendEvents(
        tx,
        Array.from({ length: 2_500 }, () =>
          makeEvent({
            partnerId: mine.id,
            clientId: client,
            occurredAt: new Date('2026-10-13T01:00:00Z'),
            sender: randomBytes(230).toString('base64'),
            recipient: randomBytes(230).toString('base64'),
          }),
        ),
      ),
    );
  }
  await append(mine.id, client, '2026-10-13T02:00:00Z');
  await settled(db);
  const request = get(`${server.url}/export/events?${new URLSearchParams(RANGE)}`, {
    headers: { authorization: `Bearer ${mine.apiKey}`, 'accept-encoding': 'gzip' },
  });
  request.on('error', () => undefined);
  const [response] = (await once(request, 'response')) as [import('node:http').IncomingMessage];
  response.on('error', () => undefined);
  while (server.http.live().streams > 0) {
    now += 60_001;
    await new Promise((resolve) => setImmediate(resolve));
  }
  response.resume();
  // Its end is an error of the reader.
  await assert.rejects(once(response, 'end'), /aborted|ECONNRESET/);
  assert.equal(response.complete, false);
});

test("a revoked key's export ends, says so, and where it may go on", async (t) => {
  const { db, server, append, mine, client, fetchExport } = await open(t, { rate: { capacity: 80, perSecond: 0.001 } });
  await append(mine.id, client, ...hours('13', 20));
  await settled(db);
  const made = await db.system((tx) =>
    createKey(tx, { partnerId: mine.id, label: 'short', scopes: ['read'], actor: 'test' }),
  );
  // 80 points are enough for the beginning and three pages: it then waits for more.
  const response = await fetchExport(made.token, RANGE);
  const reader = response.body?.getReader() ?? assert.fail();
  let text = new TextDecoder().decode((await reader.read()).value);
  await db.tenant(mine.id, (tx) => revokeKey(tx, { partnerId: mine.id, keyId: made.id, actor: 'test' }));
  for (let part = await reader.read(); !part.done; part = await reader.read())
    text += new TextDecoder().decode(part.value);
  const last = JSON.parse(text.trimEnd().split('\n').at(-1) ?? '') as Line;
  assert.deepEqual([last.end, last.complete, last.error?.code], [false, false, 'UNAUTHENTICATED']);
  assert.equal(last.cursor.length, 82);
  assert.equal(server.http.live().streams, 0);
  const poor = await fetchExport(mine.apiKey, RANGE);
  await poor.body?.cancel();
  assert.equal((await fetchExport(mine.apiKey, RANGE)).status, 429, 'beginning costs points');
});

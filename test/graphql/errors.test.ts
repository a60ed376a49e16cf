import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AppError } from '../../src/core/errors.ts';
import type { Logger } from '../../src/core/log.ts';
import type { Database, TenantTx } from '../../src/db/db.ts';
import type { HttpDeps } from '../../src/http/server.ts';
import { openDatabase } from '../support/db.ts';
import { openServer } from '../support/http.ts';
import { seedPartner } from '../support/seed.ts';

/** A database whose tenant statements fail with `error`. */
function failing(db: Database, error: () => Error): HttpDeps['db'] {
  return {
    system: (work, options) => db.system(work, options),
    tenant: (partner, work, options) =>
      db.tenant(
        partner,
        (tx) => {
          const fail = () => Promise.reject(error());
          const broken: TenantTx = { ...tx, rows: fail, one: fail, maybe: fail, run: fail };
          return work(broken);
        },
        options,
      ),
  };
}

const SECRET = 'relation "secret_table" at /srv/tollgate/dist/db.js: select * from api_keys where hash = 1';

test('a fault of ours is logged whole and shown as "Internal error", cold and compiled', async (t) => {
  const { db, clock } = await openDatabase(t);
  const partner = await seedPartner(db);
  const logged: { details: object; message: string }[] = [];
  const logger: Logger = {
    debug() {},
    info() {},
    warn() {},
    error: (details, message) => logged.push({ details, message }),
  };
  const server = await openServer(t, { db: failing(db, () => new Error(SECRET)), clock, logger });
  const queries = [
    '{ viewer { partner { name } } }',
    '{ clients { nodes { id } } }',
    '{ client(id: "cl_AaIM3a3bdDWxCPS2B-U-SA") { name } }',
    'mutation { createClient(input: {name: "A", timeZone: "Europe/London", domains: ["a.example"], relays: [{host: "127.0.0.1"}]}) { client { id } userErrors { code } } }',
  ];
  for (const query of queries) {
    for (let time = 0; time < 4; time += 1) {
      logged.length = 0;
      const answer = await server.ask(partner.apiKey, query);
      assert.deepEqual(
        answer.body.errors?.map((error) => error.message),
        ['Internal error'],
      );
      assert.deepEqual(
        answer.body.errors?.map((error) => error.extensions),
        [{ code: 'INTERNAL' }],
      );
      assert.ok((answer.body.errors?.[0]?.path?.length ?? 0) > 0, 'the answer says which field failed');
      assert.doesNotMatch(JSON.stringify(answer.body), /secret|srv|select|stack/i);
      assert.equal(logged.length, 1);
      const { err, requestId } = (logged[0]?.details ?? {}) as { err?: Error; requestId?: string };
      assert.equal(err?.message, SECRET);
      assert.equal(requestId, answer.headers.get('x-request-id'));
    }
  }
});

test('an expected failure speaks for itself, and its cause does not', async (t) => {
  const { db, clock } = await openDatabase(t);
  const partner = await seedPartner(db);
  const down = () => new AppError('unavailable', 'the database is not available', { cause: new Error(SECRET) });
  const server = await openServer(t, { db: failing(db, down), clock });
  for (let time = 0; time < 3; time += 1) {
    const answer = await server.ask(partner.apiKey, '{ viewer { partner { name } } }');
    assert.equal(answer.status, 200);
    assert.equal(answer.body.errors?.[0]?.message, 'the database is not available');
    assert.equal(answer.body.errors?.[0]?.extensions['code'], 'UNAVAILABLE');
    assert.doesNotMatch(JSON.stringify(answer.body), /secret/);
  }
});

test('a database that is gone while the key is looked up is 503, not a wrong key', async (t) => {
  const { db, clock } = await openDatabase(t);
  const partner = await seedPartner(db);
  const gone = {
    tenant: db.tenant.bind(db),
    system: () => Promise.reject(new AppError('unavailable', 'the database is not available')),
  };
  const server = await openServer(t, { db: gone, clock });
  const answer = await server.ask(partner.apiKey, '{ viewer { scopes } }');
  assert.equal(answer.status, 503);
  assert.equal(answer.body.errors?.[0]?.extensions['code'], 'UNAVAILABLE');
});

test("values that do not fit are the caller's fault, with the reason", async (t) => {
  const { db, clock } = await openDatabase(t);
  const partner = await seedPartner(db);
  const server = await openServer(t, { db, clock });
  const cases: [string, object | undefined, RegExp][] = [
    [
      'query ($d: Date!) { client(id: "x") { statistics(from: $d, to: $d) { complete } } }',
      { d: '2026-02-30' },
      /not a day of the calendar/,
    ],
    [
      'query ($d: Date!) { client(id: "x") { statistics(from: $d, to: $d) { complete } } }',
      { d: 20260201 },
      /a Date is text/,
    ],
    ['query ($d: Date!) { client(id: "x") { statistics(from: $d, to: $d) { complete } } }', {}, /required/],
    [
      '{ viewer { partner { statistics(from: "2026-10-01", to: "2026-10-02", timeZone: "+02:00") { complete } } } }',
      undefined,
      /not an IANA time zone/,
    ],
    [
      '{ viewer { partner { statistics(from: "2026-10-02", to: "2026-10-01") { complete } } } }',
      undefined,
      /to is before from/,
    ],
    [
      '{ viewer { partner { statistics(from: "2026-01-01", to: "2026-10-01", granularity: HOUR) { complete } } } }',
      undefined,
      /at most 31/,
    ],
    ['{ clients(first: 0) { nodes { id } } }', undefined, /first is 1 to 100/],
    ['{ clients(first: -1) { nodes { id } } }', undefined, /first is 1 to 100/],
    ['{ clients(first: 101) { nodes { id } } }', undefined, /first is 1 to 100/],
    ['{ clients(first: 10, after: "x") { nodes { id } } }', undefined, /after is not a cursor/],
    ['{ clients(first: null) { nodes { id } } }', undefined, /Expected value of type/],
  ];
  for (const [query, variables, pattern] of cases) {
    for (let time = 0; time < 3; time += 1) {
      const answer = await server.ask(partner.apiKey, query, variables);
      assert.match(answer.body.errors?.[0]?.message ?? '', pattern, query);
      assert.notEqual(answer.body.errors?.[0]?.extensions['code'], 'INTERNAL');
    }
  }
});

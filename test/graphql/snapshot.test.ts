import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createClient } from '../../src/accounts/clients.ts';
import type { TenantTx } from '../../src/db/db.ts';
import { sql } from '../../src/db/sql.ts';
import { Snapshot } from '../../src/graphql/snapshot.ts';
import { openDatabase } from '../support/db.ts';
import { openServer } from '../support/http.ts';
import { seedClient, seedPartner } from '../support/seed.ts';

const names = (tx: TenantTx) => tx.rows<{ name: string }>(sql`select name from clients order by name`);
const input = (name: string) => ({
  name,
  timeZone: 'Europe/London',
  domains: [`${name}.example`],
  relays: [{ host: '127.0.0.1', port: 25 }],
  actor: 'test',
});

test('a request reads one moment; after its end the next read sees what was written since', async (t) => {
  const { db } = await openDatabase(t);
  const partner = await seedPartner(db);
  const snapshot = new Snapshot(db, partner.id, () => false);
  assert.deepEqual(await snapshot.read(names), []);
  await db.tenant(partner.id, (tx) => createClient(tx, input('acme')));
  assert.deepEqual(await snapshot.read(names), [], 'still the moment of the first read');
  await snapshot.close();
  assert.deepEqual(await snapshot.read(names), [{ name: 'acme' }]);
  await snapshot.close();
  await snapshot.close();
});

test('statements side by side take turns; a failed one fails the rest with its own error; a late one does not start', async (t) => {
  const { db } = await openDatabase(t);
  const partner = await seedPartner(db);
  let late = false;
  const snapshot = new Snapshot(db, partner.id, () => late);
  const results = await Promise.all([1, 2, 3].map((n) => snapshot.read((tx) => tx.one(sql`select ${n}::int as n`))));
  assert.deepEqual(results, [{ n: 1 }, { n: 2 }, { n: 3 }]);
  await assert.rejects(
    snapshot.read((tx) => tx.one(sql`select 1 where false`)),
    { code: 'not_found' },
  );
  assert.deepEqual(await snapshot.read(names), [], 'nothing found is no failure');
  await assert.rejects(
    snapshot.read((tx) => tx.run(sql`delete from clients`)),
    /read-only transaction/,
  );
  await assert.rejects(snapshot.read(names), /read-only transaction/);
  await snapshot.close();
  late = true;
  await assert.rejects(snapshot.read(names), { code: 'limit_exceeded' });
  await snapshot.close();
});

test('more requests at once than connections, good and bad, all answered, no connection lost', async (t) => {
  const { db, clock } = await openDatabase(t);
  const partner = await seedPartner(db);
  const client = await seedClient(db, partner.id);
  const server = await openServer(t, { db, clock });
  const good = '{ clients { nodes { name mailboxes { nodes { address } } } } }';
  const bad = `mutation ($id: ID!) { importMailboxes(input: {clientId: $id, rows: [{address: "a@acme.example", name: "\\u0000"}]}) { userErrors { code } client { id } } }`;
  for (let round = 0; round < 3; round += 1) {
    const answers = await Promise.all(
      Array.from({ length: 40 }, (_, index) =>
        index % 2 === 0 ? server.ask(partner.apiKey, good) : server.ask(partner.apiKey, bad, { id: client }),
      ),
    );
    for (const [index, answer] of answers.entries()) {
      assert.equal(answer.body.errors, undefined, JSON.stringify(answer.body));
      if (index % 2 === 1) {
        assert.deepEqual(answer.body.data, {
          importMailboxes: { userErrors: [{ code: 'BAD_USER_INPUT' }], client: null },
        });
      }
    }
  }
});

test('a request that fails while parts of it still read leaves no transaction open', async (t) => {
  const { db, clock, owner } = await openDatabase(t);
  const partner = await seedPartner(db);
  await seedClient(db, partner.id);
  const server = await openServer(t, { db, clock });
  // The first run of each text is that of graphql-js, which answers with the first failure of a field that may not be null.
  for (let n = 0; n < 12; n += 1) {
    const answer = await server.ask(
      partner.apiKey,
      `{ bad${n}: clients(after: "x") { nodes { id } } clients { nodes { mailboxes { nodes { address } } routes { host } } } }`,
    );
    assert.equal(answer.body.data, null, JSON.stringify(answer.body));
  }
  // What still reads when the answer goes out ends its transaction a little later; one that were left open would stay for ever.
  for (let open = 1; open > 0; ) {
    const { rows } = await owner.query<{ n: number }>(
      `select count(*)::int as n from pg_stat_activity where datname = current_database() and state like 'idle in transaction%'`,
    );
    open = rows[0]?.n ?? 0;
  }
});

test('nothing is read for a request that has ended', async (t) => {
  const { db } = await openDatabase(t);
  const partner = await seedPartner(db);
  const snapshot = new Snapshot(db, partner.id, () => false);
  t.after(() => snapshot.close());
  await snapshot.read(names);
  await snapshot.end();
  await assert.rejects(snapshot.read(names), /has ended/);
});

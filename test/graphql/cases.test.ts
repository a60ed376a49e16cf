import assert from 'node:assert/strict';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { packageRoot } from '../../src/config/root.ts';
import { globalId } from '../../src/graphql/ids.ts';
import { appendEvents } from '../../src/ledger/append.ts';
import { NodeWatermark } from '../../src/ledger/watermark.ts';
import { counting } from '../support/counting.ts';
import { openDatabase } from '../support/db.ts';
import { makeEvent } from '../support/events.ts';
import { openServer } from '../support/http.ts';
import { rollAll } from '../support/roll.ts';
import { seedClient } from '../support/seed.ts';
import { layOut, sqlFile } from '../support/sql-text.ts';
import { seedWorld } from '../support/world.ts';

const folder = path.join(packageRoot(), 'test/graphql/cases');

/** Ids and cursors are new in every run: each is written as its place in the order of appearance. */
function stable(value: unknown): unknown {
  const names = new Map<string, string>();
  const text = JSON.stringify(value).replace(/"(?:[a-z]{2}_[\w-]{22}|WyJ[\w-]+)"/g, (found) => {
    const kind = found.startsWith('"WyJ') ? 'cursor' : found.slice(1, 3);
    if (!names.has(found)) names.set(found, `"<${kind} ${names.size + 1}>"`);
    return names.get(found) ?? '';
  });
  return JSON.parse(text);
}

/** Which tables a statement reads: what a reader of the case wants to know of the SQL. */
const tables = (statement: string) =>
  [...statement.matchAll(/(?:from|join) (\w+)/g)].map((match) => match[1]).join(' ');

test('golden cases: query, answer and statements are what they were', async (t) => {
  const { db, clock, owner } = await openDatabase(t);
  const world = await seedWorld(db, owner, 'acme', clock.now());
  await seedClient(db, world.partner, { name: 'zeta', domain: 'zeta.example', timeZone: 'Australia/Lord_Howe' });
  const of = { partnerId: world.partner, clientId: world.ids.Client };
  await db.system((tx) =>
    appendEvents(tx, [
      makeEvent({ ...of, occurredAt: new Date('2026-10-13T23:00:00Z'), mailboxId: world.ids.Mailbox }),
      makeEvent({
        ...of,
        occurredAt: new Date('2026-10-12T23:00:00Z'),
        kind: 'refused',
        verdict: null,
        disposition: null,
        leads: 0,
      }),
    ]),
  );
  await new NodeWatermark(db, clock, 'n1', 'gateway').beat();
  await rollAll(db);
  const counted = counting(db);
  const server = await openServer(t, { db: counted.db, clock });
  const variables: Record<string, string> = {
    client: globalId('Client', world.ids.Client),
    mailbox: globalId('Mailbox', world.ids.Mailbox),
    delivery: globalId('Delivery', world.ids.Delivery),
  };
  const cases = readdirSync(folder).filter((name) => name.endsWith('.graphql'));
  assert.ok(cases.length >= 7);
  for (const name of cases) {
    await t.test(name, async () => {
      const query = readFileSync(path.join(folder, name), 'utf8');
      const own = Object.fromEntries(Object.entries(variables).filter(([variable]) => query.includes(`$${variable}:`)));
      const runs: { readonly data: unknown; readonly statements: readonly string[] }[] = [];
      const texts: string[] = [];
      for (let time = 0; time < 3; time += 1) {
        counted.statements.length = 0;
        const answer = await server.ask(world.apiKey, query, own);
        assert.equal(answer.body.errors, undefined, JSON.stringify(answer.body.errors));
        runs.push({ data: stable(answer.body.data), statements: counted.statements.map(tables).sort() });
        texts.push(sqlFile(counted.statements));
      }
      assert.deepEqual(runs[1], runs[0], 'compiled as interpreted');
      assert.deepEqual(runs[2], runs[0]);
      assert.deepEqual([texts[1], texts[2]], [texts[0], texts[0]]);
      const file = path.join(folder, name.replace(/graphql$/, 'json'));
      const sqlPath = path.join(folder, name.replace(/graphql$/, 'sql'));
      // For a new case, or new statements: npm run golden, then read what it wrote before it is committed.
      if (process.env['UPDATE_GOLDEN'] === '1') {
        writeFileSync(file, `${JSON.stringify(runs[0], null, 2)}\n`);
        writeFileSync(sqlPath, texts[0] ?? '');
      }
      assert.deepEqual(runs[0], JSON.parse(readFileSync(file, 'utf8')));
      assert.equal(
        texts[0],
        readFileSync(sqlPath, 'utf8'),
        'statements changed: npm run golden, and read the difference',
      );
    });
  }
});

test('the text of a statement hangs on its words alone', () => {
  const text = layOut(`select a.id, count(*) as n
    from (select id from a where x = $1 limit $2) as a
    left join b using (id) where a.id = any($3::uuid[])
    group by 1`);
  assert.equal(layOut(text), text);
  assert.equal(
    text,
    [
      'select a.id, count(*) as n',
      'from (select id',
      '  from a',
      '  where x = $1',
      '  limit $2) as a',
      'left join b using (id)',
      'where a.id = any($3::uuid[])',
      'group by 1',
    ].join('\n'),
  );
});

test('no N+1: the statements of statistics and traces do not grow with clients and mails', async (t) => {
  const { db, clock, owner } = await openDatabase(t);
  const world = await seedWorld(db, owner, 'acme', clock.now());
  const counted = counting(db);
  const server = await openServer(t, { db: counted.db, clock });
  const count = async (query: string) => {
    counted.statements.length = 0;
    const answer = await server.ask(world.apiKey, query);
    assert.equal(answer.body.errors, undefined);
    return counted.statements.length;
  };
  const statistics =
    '{ clients(first: 50) { nodes { domains mapping { state } usage(from: "2026-10-01", to: "2026-10-02") { day } subscriptions { product } statistics(from: "2026-10-01", to: "2026-10-31") { totals { deliveries } } } } }';
  const trace =
    '{ deliveries(first: 50) { nodes { client { name domains } message { subject } mailbox { address } events { kind } } } quarantine(first: 50) { nodes { subject client { name } } } }';
  const before = [await count(statistics), await count(trace)];
  for (let index = 0; index < 8; index += 1) {
    await seedClient(db, world.partner, { name: `n${index}`, domain: `n${index}.example` });
    await owner.query(
      `insert into deliveries (partner_id, client_id, id, message_id, mailbox_id, recipient, domain, direction, verdict, disposition, score, accepted_at)
       select partner_id, client_id, gen_random_uuid(), message_id, mailbox_id, recipient, domain, direction, verdict, disposition, score, accepted_at
       from deliveries limit 1`,
    );
  }
  assert.deepEqual([await count(statistics), await count(trace)], before);
});

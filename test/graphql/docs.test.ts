import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { packageRoot } from '../../src/config/root.ts';
import { sql } from '../../src/db/sql.ts';
import { COST_MAX } from '../../src/graphql/cost.ts';
import { DOCUMENTS_MAX } from '../../src/graphql/documents.ts';
import { globalId } from '../../src/graphql/ids.ts';
import { LIMITS } from '../../src/graphql/limits.ts';
import { OPERATIONS_MAX } from '../../src/graphql/live/protocol.ts';
import { DEFAULT_RATE } from '../../src/graphql/throttle.ts';
import { EXPORT } from '../../src/http/export/route.ts';
import { STREAMS } from '../../src/http/streams.ts';
import { openDatabase } from '../support/db.ts';
import { NO_COMMANDS, openServer } from '../support/http.ts';
import { openEvents } from '../support/live.ts';
import { rollAll } from '../support/roll.ts';
import { seedWorld } from '../support/world.ts';

const text = readFileSync(path.join(packageRoot(), 'docs/api.md'), 'utf8');

test('docs/api.md: each of the ten questions is answered, with something in it, cold and compiled', async (t) => {
  const { db, clock, owner, before } = await openDatabase(t);
  const world = await seedWorld(db, owner, 'acme', clock.now());
  await owner.query("update messages set subject = 'Your Invoice'");
  await rollAll(db);
  const release = {
    ...NO_COMMANDS,
    releaseDelivery: async (tx: Parameters<typeof NO_COMMANDS.releaseDelivery>[0], id: string) => ({
      released:
        (await tx.run(
          sql`update deliveries set disposition = 'queued' where id = ${id} and disposition = 'quarantined'`,
        )) === 1,
    }),
  };
  const server = await openServer(t, { db, clock, commands: release });
  before(() => server.http.close(0));
  const given: Record<string, unknown> = {
    client: globalId('Client', world.ids.Client),
    delivery: globalId('QuarantineItem', world.ids.Delivery),
    recipient: 'Ann@acme.example',
    from: '2026-10-01',
    to: '2026-10-31',
    document: '{ viewer { scopes } }',
  };
  const questions = text.split(/^### /m).slice(1);
  assert.equal(questions.length, 10);
  const documents = [...text.matchAll(/```graphql\n([\s\S]*?)```/g)].map((match) => match[1] ?? '');
  assert.equal(documents.length, 14);
  for (const document of documents) {
    const names = [...document.matchAll(/\$(\w+):/g)].map((match) => match[1] ?? '');
    const variables = Object.fromEntries(names.map((name) => [name, given[name]]));
    if (document.startsWith('subscription')) {
      const told = await (await openEvents(t, server, world.apiKey, document, variables)).next();
      assert.match(JSON.stringify(told), /acme client/);
      continue;
    }
    let first: string | undefined;
    for (let time = 0; time < 3; time += 1) {
      const answer = await server.ask(world.apiKey, document, variables);
      assert.equal(answer.body.errors, undefined, document);
      const written = JSON.stringify(answer.body.data);
      if (document.includes('registerDocument')) {
        assert.match(written, /"documentId":"sha256:[0-9a-f]{64}".*"userErrors":\[\]/);
        continue;
      }
      if (document.startsWith('mutation')) {
        const released = time === 0 ? 'true' : 'false';
        assert.equal(
          written,
          `{"releaseDelivery":{"released":${released},"delivery":{"disposition":"QUEUED"},"userErrors":[]}}`,
        );
        continue;
      }
      assert.match(written, /acme|"deliveries":1/, document);
      first ??= written;
      assert.equal(written, first, 'compiled and interpreted answers are the same');
    }
  }
});

test('docs/api.md tells the limits that hold', () => {
  const rows = [
    `100 KB, ${LIMITS.documentLength.toLocaleString('en')} characters`,
    `${LIMITS.tokens.toLocaleString('en')}, ${LIMITS.depth}, ${LIMITS.fields}`,
    `${LIMITS.aliases}, ${LIMITS.directives}, ${LIMITS.rootFields}`,
    `${COST_MAX.toLocaleString('en')} points`,
    `streams of a key (sockets, events, exports) | ${STREAMS.perKey}`,
    `exports of a key | ${EXPORT.perKey}`,
    `operations of a socket | ${OPERATIONS_MAX}`,
    `days of an export | ${EXPORT.daysMax}`,
    `registered documents of a partner | ${DOCUMENTS_MAX.toLocaleString('en')}`,
    `${DEFAULT_RATE.capacity.toLocaleString('en')} at once, ${DEFAULT_RATE.perSecond} come back each second`,
  ];
  const table = text.replace(/ +\|/g, ' |');
  for (const row of rows) assert.ok(table.includes(`| ${row} |`), row);
});

test('docs/api.md names every column of the export, and no other', async (t) => {
  const { db, clock, owner, before } = await openDatabase(t);
  const world = await seedWorld(db, owner, 'acme', clock.now());
  await rollAll(db);
  const server = await openServer(t, { db, clock });
  before(() => server.http.close(0));
  const range = new URLSearchParams({ from: '2026-10-01T00:00:00Z', to: '2026-11-01T00:00:00Z' });
  const response = await fetch(`${server.url}/export/events?${range}`, {
    headers: { authorization: `Bearer ${world.apiKey}` },
  });
  const [line = ''] = (await response.text()).split('\n');
  const table = /\| column \| meaning \|\n([\s\S]*?)\n\n/.exec(text)?.[1] ?? '';
  const named = table
    .split('\n')
    .flatMap((row) => [...(row.split('|')[1] ?? '').matchAll(/`(\w+)`/g)].map((match) => match[1]));
  assert.deepEqual(named.sort(), Object.keys(JSON.parse(line) as object).sort());
  for (const name of ['end', 'cursor', 'complete', 'completeThrough', 'detailFrom'])
    assert.ok(text.includes(`"${name}"`), name);
});

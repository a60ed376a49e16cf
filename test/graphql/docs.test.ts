import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { packageRoot } from '../../src/config/root.ts';
import { sql } from '../../src/db/sql.ts';
import { COST_MAX } from '../../src/graphql/cost.ts';
import { globalId } from '../../src/graphql/ids.ts';
import { LIMITS } from '../../src/graphql/limits.ts';
import { DEFAULT_RATE } from '../../src/graphql/throttle.ts';
import { openDatabase } from '../support/db.ts';
import { NO_COMMANDS, openServer } from '../support/http.ts';
import { rollAll } from '../support/roll.ts';
import { seedWorld } from '../support/world.ts';

const text = readFileSync(path.join(packageRoot(), 'docs/api.md'), 'utf8');

test('docs/api.md: each of the ten questions is answered, with something in it, cold and compiled', async (t) => {
  const { db, clock, owner } = await openDatabase(t);
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
  const given: Record<string, unknown> = {
    client: globalId('Client', world.ids.Client),
    delivery: globalId('QuarantineItem', world.ids.Delivery),
    recipient: 'Ann@acme.example',
    from: '2026-10-01',
    to: '2026-10-31',
  };
  const questions = text.split(/^### /m).slice(1);
  assert.equal(questions.length, 10);
  const documents = [...text.matchAll(/```graphql\n([\s\S]*?)```/g)].map((match) => match[1] ?? '');
  assert.equal(documents.length, 12);
  for (const document of documents) {
    const names = [...document.matchAll(/\$(\w+):/g)].map((match) => match[1] ?? '');
    const variables = Object.fromEntries(names.map((name) => [name, given[name]]));
    let first: string | undefined;
    for (let time = 0; time < 3; time += 1) {
      const answer = await server.ask(world.apiKey, document, variables);
      assert.equal(answer.body.errors, undefined, document);
      const written = JSON.stringify(answer.body.data);
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
    `${DEFAULT_RATE.capacity.toLocaleString('en')} at once, ${DEFAULT_RATE.perSecond} come back each second`,
  ];
  const table = text.replace(/ +\|/g, ' |');
  for (const row of rows) assert.ok(table.includes(`| ${row} |`), row);
});

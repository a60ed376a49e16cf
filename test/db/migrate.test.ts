import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { cp, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { type TestContext, test } from 'node:test';
import pg from 'pg';
import { packageRoot } from '../../src/config/root.ts';
import { AppError } from '../../src/core/errors.ts';
import { newId } from '../../src/core/id.ts';
import { withDatabase } from '../../src/db/embedded.ts';
import { migrate } from '../../src/db/migrate.ts';
import { TEST_PASSWORDS } from '../support/cluster.ts';
import { openDatabase } from '../support/db.ts';
import { dumpSchema } from '../support/schema-dump.ts';

const MIGRATIONS = path.join(packageRoot(), 'migrations');

async function emptyDatabase(t: TestContext): Promise<string> {
  const { ownerUrl } = await openDatabase(t);
  const admin = new pg.Client({ connectionString: withDatabase(ownerUrl, 'postgres') });
  await admin.connect();
  const name = `m_${randomBytes(6).toString('hex')}`;
  await admin.query(`create database ${name}`);
  t.after(async () => {
    await admin.query(`drop database ${name} with (force)`);
    await admin.end();
  });
  return withDatabase(ownerUrl, name);
}

test('twenty programs that start at once migrate one empty database once', async (t) => {
  const url = await emptyDatabase(t);
  const runs = await Promise.all(Array.from({ length: 20 }, () => migrate(url, MIGRATIONS, TEST_PASSWORDS)));
  const working = runs.filter((steps) => steps.length > 0);
  assert.equal(working.length, 1);
});

test('a database that a newer program migrated is refused, and so is a step that was edited after it ran', async (t) => {
  const url = await emptyDatabase(t);
  const folder = await mkdtemp(path.join(tmpdir(), 'tollgate-migrations-'));
  t.after(() => rm(folder, { recursive: true }));
  await cp(MIGRATIONS, folder, { recursive: true });
  await migrate(url, folder, TEST_PASSWORDS);
  const refused = (code: string) => (error: unknown) => error instanceof AppError && error.code === code;

  await writeFile(
    path.join(folder, '0001_foundation.sql'),
    `${await readFile(path.join(folder, '0001_foundation.sql'), 'utf8')}\n-- edited`,
  );
  await assert.rejects(migrate(url, folder, TEST_PASSWORDS), refused('config_invalid'));

  await writeFile(
    path.join(folder, '0001_foundation.sql'),
    await readFile(path.join(MIGRATIONS, '0001_foundation.sql')),
  );
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  await client.query("insert into schema_migrations (version, name, checksum) values (9999, '9999_later.sql', 'x')");
  await client.end();
  await assert.rejects(migrate(url, folder, TEST_PASSWORDS), refused('schema_newer'));
});

test('a step that fails leaves no trace of itself', async (t) => {
  const url = await emptyDatabase(t);
  const folder = await mkdtemp(path.join(tmpdir(), 'tollgate-migrations-'));
  t.after(() => rm(folder, { recursive: true }));
  await writeFile(path.join(folder, '0001_good.sql'), 'create table one (id int)');
  await writeFile(path.join(folder, '0002_bad.sql'), 'create table two (id int); select 1 / 0;');
  await assert.rejects(migrate(url, folder, TEST_PASSWORDS), /division by zero/);
  await writeFile(path.join(folder, '0002_bad.sql'), 'create table two (id int);');
  assert.deepEqual(
    (await migrate(url, folder, TEST_PASSWORDS)).map((step) => step.name),
    ['0002_bad.sql'],
  );
});

test('mail that is queued when the queue gets its lanes keeps its direction and its time', async (t) => {
  const url = await emptyDatabase(t);
  const folder = await mkdtemp(path.join(tmpdir(), 'tollgate-migrations-'));
  t.after(() => rm(folder, { recursive: true }));
  for (const name of await readdir(MIGRATIONS)) {
    if (name < '0008') await cp(path.join(MIGRATIONS, name), path.join(folder, name));
  }
  await migrate(url, folder, TEST_PASSWORDS);
  const owner = new pg.Client({ connectionString: url });
  owner.on('error', () => undefined);
  await owner.connect();
  const [partner, client, message] = [newId(), newId(), newId()];
  await owner.query('set session_replication_role = replica');
  await owner.query(
    `insert into deliveries (partner_id, client_id, id, message_id, recipient, domain, direction, verdict, disposition, score, accepted_at)
     select $1, $2, gen_random_uuid(), $3, 'a@b.example', 'b.example', d, 'clean', 'queued', 0, now()
     from unnest(array['inbound', 'outbound']) as d`,
    [partner, client, message],
  );
  await owner.query(
    `insert into queue (partner_id, delivery_id, client_id, message_id, content_id, sender, recipient, domain, queued_at, due_at, expires_at)
     select partner_id, id, client_id, message_id, 'x', '', recipient, domain, now(),
            now() + case direction when 'inbound' then interval '1 hour' else interval '-1 hour' end, now() from deliveries`,
  );
  await owner.query('set session_replication_role = origin');
  await migrate(url, MIGRATIONS, TEST_PASSWORDS);
  assert.deepEqual((await owner.query('select direction, waiting from queue order by direction')).rows, [
    { direction: 'inbound', waiting: true },
    { direction: 'outbound', waiting: false },
  ]);
  await owner.end();
});

test('who sent before limits learned is no beginner, who never sent is', async (t) => {
  const url = await emptyDatabase(t);
  const folder = await mkdtemp(path.join(tmpdir(), 'tollgate-migrations-'));
  t.after(() => rm(folder, { recursive: true }));
  for (const name of await readdir(MIGRATIONS)) {
    if (name < '0022') await cp(path.join(MIGRATIONS, name), path.join(folder, name));
  }
  await migrate(url, folder, TEST_PASSWORDS);
  const owner = new pg.Client({ connectionString: url });
  owner.on('error', () => undefined);
  await owner.connect();
  const [partner, sent, silent] = [newId(), newId(), newId()];
  await owner.query('set session_replication_role = replica');
  await owner.query(
    `insert into clients (partner_id, id, name, time_zone, status, created_at)
     select $1, c, c::text, 'UTC', 'active', now() from unnest(array[$2, $3]::uuid[]) as c`,
    [partner, sent, silent],
  );
  await owner.query(
    `insert into outbound_known (partner_id, scope, scope_id, recipient, seen_on)
     values ($1, 'client', $2, decode(repeat('00', 16), 'hex'), current_date)`,
    [partner, sent],
  );
  await owner.query('set session_replication_role = origin');
  await migrate(url, MIGRATIONS, TEST_PASSWORDS);
  assert.deepEqual((await owner.query('select client_id from outbound_starts')).rows, [{ client_id: sent }]);
  await owner.end();
});

test('the migrated schema is the golden one', async (t) => {
  const { owner } = await openDatabase(t);
  const file = path.join(MIGRATIONS, 'schema.sql');
  const seen = await dumpSchema(owner);
  if (process.env['UPDATE_GOLDEN'] === '1') await writeFile(file, seen);
  assert.equal(seen, await readFile(file, 'utf8'), 'run with UPDATE_GOLDEN=1 and review the difference');
});

import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { type TestContext, test } from 'node:test';
import { accountCommands } from '../../src/cli/accounts.ts';
import type { Values } from '../../src/cli/command.ts';
import { outboundCliCommands } from '../../src/cli/outbound.ts';
import { readConfig } from '../../src/config/config.ts';
import { AppError } from '../../src/core/errors.ts';
import { silentLogger } from '../../src/core/log.ts';
import type { Store } from '../../src/db/store.ts';
import { openDatabase } from '../support/db.ts';
import { seedWorld } from '../support/world.ts';

/** The commands against a test's database. No name server answers: port 9 is that of discard (RFC 863). */
async function openCli(t: TestContext) {
  const { db, clock, owner } = await openDatabase(t);
  const world = await seedWorld(db, owner, 'acme', clock.now());
  const key = Buffer.alloc(32, 1);
  const context = {
    config: readConfig({ TOLLGATE_DNS: '127.0.0.1:9' }),
    secrets: { sealKey: key, appPassword: '', systemPassword: '', signKey: key, srsKey: key },
    clock,
    logger: silentLogger,
    store: { db } as unknown as Store,
  };
  const run = async (name: string, values: Values) => {
    const command = [...accountCommands, ...outboundCliCommands].find((one) => one.name === name) ?? assert.fail(name);
    for (const option of Object.keys(values)) assert.ok(option in command.options, `${name} knows --${option}`);
    return (await command.run(context, values, [])).output;
  };
  return { run, world, owner, client: world.ids.Client };
}

const refused = (code: string) => (error: unknown) => error instanceof AppError && error.code === code;

test('cli: a login for a mailbox is made, listed and revoked; networks too', async (t) => {
  const { run, client, owner, world } = await openCli(t);
  const folder = await mkdtemp(path.join(tmpdir(), 'tollgate-cli-'));
  t.after(() => rm(folder, { recursive: true }));
  const file = path.join(folder, 'password');
  await writeFile(file, 'correct horse battery\n');
  const login = { client, mailbox: 'ann@acme.example', username: 'ann', 'password-file': file };
  const { id } = await run('credential create', login);
  const { rows } = await owner.query('select mailbox_id from submission_credentials where id = $1', [id]);
  assert.equal(rows[0]?.mailbox_id, world.ids.Mailbox);
  await assert.rejects(run('credential create', { ...login, mailbox: 'nobody@acme.example' }), refused('not_found'));
  const { credentials } = await run('credential list', { client });
  assert.equal((credentials as unknown[]).length, 2);
  assert.deepEqual(await run('credential revoke', { credential: String(id) }), { revoked: true });
  assert.deepEqual(await run('credential revoke', { credential: String(id) }), { revoked: false });

  const made = await run('network add', { client, network: '203.0.113.7' });
  assert.equal(made['network'], '203.0.113.7/32');
  assert.equal(((await run('network list', { client }))['networks'] as unknown[]).length, 2);
  await run('network remove', { network: String(made['id']) });
  await assert.rejects(run('network remove', { network: String(made['id']) }), refused('not_found'));
});

test('cli: limits and policy are set and shown', async (t) => {
  const { run, client, world, owner } = await openCli(t);
  assert.deepEqual(await run('outbound limits', { client, mailbox: 'ann@acme.example' }), {
    recipientsPerHour: 500,
    firstTimeRecipientsPerDay: 200,
  });
  await run('outbound limits', { client, mailbox: 'ann@acme.example', 'recipients-per-hour': '7' });
  assert.equal((await run('outbound limits', { client, mailbox: 'ann@acme.example' }))['recipientsPerHour'], 7);
  await run('outbound limits', { client, mailbox: 'ann@acme.example', 'recipients-per-hour': 'default' });
  assert.equal((await run('outbound limits', { client, mailbox: 'ann@acme.example' }))['recipientsPerHour'], 500);
  const partner = { partner: world.partner, 'first-time-recipients-per-day': '5' };
  assert.deepEqual(await run('outbound limits', partner), { recipientsPerHour: 50_000, firstTimeRecipientsPerDay: 5 });
  await assert.rejects(run('outbound limits', { client, 'recipients-per-hour': 'many' }), refused('invalid_input'));
  assert.equal((await run('outbound policy', { client, spam: 'reject' }))['spamAction'], 'reject');
  assert.equal((await run('outbound policy', { client }))['spamAction'], 'reject');
  await assert.rejects(run('outbound policy', { client, spam: 'burn' }), refused('invalid_input'));
  const audit = await owner.query(
    `select count(*)::int as n from audit where actor = 'cli' and action like 'outbound.%'`,
  );
  assert.equal(audit.rows[0]?.n, 4);
});

test('cli: held mail is listed, released and purged', async (t) => {
  const { run, client, world, owner } = await openCli(t);
  const { held } = await run('held list', { client });
  assert.deepEqual(
    (held as { id: string }[]).map((one) => one.id),
    [world.ids.Delivery],
  );
  assert.deepEqual(await run('held release', { client, delivery: [world.ids.Delivery] }), { released: 1 });
  assert.deepEqual(await run('held release', { client }), { released: 0 });
  await owner.query(`update queue set held_at = now(), held_reason = 'hold.policy'`);
  assert.deepEqual(await run('held purge', { client, mailbox: 'ann@acme.example' }), { purged: 1 });
});

test('cli: a key is made with its record, activated by force, rotated and retired', async (t) => {
  const { run } = await openCli(t);
  const domain = 'acme.example';
  await assert.rejects(run('dkim rotate', { domain }), refused('conflict'));
  const made = await run('dkim create', { domain, selector: 's1' });
  assert.equal(made['name'], 's1._domainkey.acme.example');
  assert.match(
    String(made['zoneLine']),
    /^s1\._domainkey\.acme\.example\. IN TXT "v=DKIM1; k=rsa; p=[^"]{237}" "[^"]+"$/,
  );
  await assert.rejects(run('dkim activate', { domain, selector: 's1' }), refused('unavailable'));
  assert.equal((await run('dkim activate', { domain, selector: 's1', force: true }))['state'], 'active');
  const next = await run('dkim rotate', { domain });
  assert.deepEqual([next['selector'], next['state']], ['tg20261014', 'new']);
  assert.equal((await run('dkim activate', { domain, force: true }))['selector'], 'tg20261014');
  assert.equal((await run('dkim retire', { domain, selector: 'tg20261014' }))['state'], 'retired');
  await assert.rejects(run('dkim create', { domain: 'other.example' }), refused('not_found'));
  await assert.rejects(run('dkim create', { domain: 'no domain' }), refused('invalid_input'));
});

test('cli: a domain is looked at, and a mailbox forwards', async (t) => {
  const { run, client } = await openCli(t);
  const found = await run('domain check', { domain: 'acme.example' });
  assert.deepEqual((found['spf'] as { problems: { code: string }[] }).problems[0]?.code, 'unavailable');
  assert.deepEqual(
    await run('mailbox forward', { client, mailbox: 'ann@acme.example', to: 'x@far.example', 'no-copy': true }),
    {
      address: 'ann@acme.example',
      forwardTo: 'x@far.example',
      forwardKeep: false,
    },
  );
  assert.equal((await run('mailbox forward', { client, mailbox: 'ann@acme.example' }))['forwardTo'], null);
});

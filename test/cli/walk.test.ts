import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { type TestContext, test } from 'node:test';
import { runChecked } from '../../src/cli/check.ts';
import type { CommandContext, Values } from '../../src/cli/command.ts';
import { commandHelp, helpText } from '../../src/cli/help.ts';
import { forPeopleText } from '../../src/cli/print.ts';
import { nearest } from '../../src/cli/words.ts';
import { COMMANDS, main } from '../../src/cli.ts';
import { readConfig } from '../../src/config/config.ts';
import { AppError } from '../../src/core/errors.ts';
import { silentLogger } from '../../src/core/log.ts';
import type { Store } from '../../src/db/store.ts';
import { globalId } from '../../src/graphql/ids.ts';
import { openDatabase } from '../support/db.ts';
import { seedWorld } from '../support/world.ts';

const NOBODY = '019a0000-0000-7000-8000-000000000000';

async function openCli(t: TestContext) {
  const { db, clock, owner } = await openDatabase(t);
  const world = await seedWorld(db, owner, 'acme', clock.now());
  const folder = await mkdtemp(path.join(tmpdir(), 'tollgate-walk-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const key = Buffer.alloc(32, 1);
  const context: CommandContext = {
    config: readConfig({ TOLLGATE_DNS: '127.0.0.1:9', TOLLGATE_HOME: folder }),
    secrets: { sealKey: key, appPassword: '', systemPassword: '', signKey: key, srsKey: key },
    clock,
    logger: silentLogger,
    store: { db, migrated: [] } as unknown as Store,
  };
  const run = (name: string, values: Values = {}, positionals: readonly string[] = []) =>
    runChecked(COMMANDS.find((one) => one.name === name) ?? assert.fail(name), context, values, positionals);
  return { run, world, folder, client: world.ids.Client };
}

test('every command that is given an unknown id says so and is no fault of ours', async (t) => {
  const { run, world, folder } = await openCli(t);
  const file = path.join(folder, 'file');
  await writeFile(file, 'address,name,kind\nx@acme.example,X,user\n');
  const json = path.join(folder, 'file.json');
  await writeFile(json, '{"userName":"u","secret":"s","integrationCode":"i"}');
  const good: Values = {
    ...{ name: 'N', zone: 'Europe/London', label: 'L', kind: 'block', url: 'https://127.0.0.1:9', credentials: json },
    ...{ scope: 'client', username: 'u', 'password-file': file, network: '203.0.113.7', company: '1', contract: '1' },
    ...{ line: '1', report: 'executive-summary', period: '2026-10', out: path.join(folder, 'x.pdf') },
    mailbox: 'ann@acme.example',
  };
  const lists: Values = { domain: ['new.example'], relay: ['relay.example:25'], region: ['uk'], delivery: [NOBODY] };
  let walked = 0;
  for (const command of COMMANDS) {
    const all = Object.keys(command.options);
    for (const name of all) {
      const isOther = ['key', 'connection', 'plan', 'entry', 'credential', 'delivery'].includes(name);
      const isNetwork = command.name === 'network remove' && name === 'network';
      // Of many that may have ended meanwhile those that are still held are decided on; the number says how many.
      if (command.name.startsWith('held ') && name === 'delivery') continue;
      if (name !== 'partner' && name !== 'client' && !isOther && !isNetwork) continue;
      const values: Record<string, Values[string]> = {};
      for (const other of all) {
        const { multiple } = command.options[other] ?? {};
        const value = multiple === true ? lists[other] : good[other];
        if (value !== undefined) values[other] = value;
      }
      if (all.includes('partner')) values['partner'] = world.partner;
      if (all.includes('client')) values['client'] = world.ids.Client;
      if (command.name === 'key create') delete values['scope'];
      if (command.name.startsWith('outbound limits') && name === 'partner') delete values['client'];
      if (command.name === 'list add' && name === 'partner') values['scope'] = 'partner';
      if (command.options[name]?.multiple === true) values[name] = [NOBODY];
      else values[name] = NOBODY;
      walked += 1;
      await assert.rejects(
        run(
          command.name,
          values,
          (command.positionals ?? []).map(() => file),
        ),
        (error: unknown) =>
          error instanceof AppError && error.code === 'not_found' && /no |there is no |not exist/.test(error.message),
        `${command.name} --${name}`,
      );
    }
  }
  assert.ok(walked > 50, `${walked}`);
  await assert.rejects(
    run('client create', { ...good, ...lists, partner: NOBODY }),
    (error: unknown) => error instanceof AppError && error.message === `there is no partner ${NOBODY}`,
  );
  await assert.rejects(
    run('dkim create', { domain: 'nobody.example' }),
    (error: unknown) => error instanceof AppError && error.message === 'no client has the domain nobody.example',
  );
});

test('what one command needs another one prints, and the API’s ids are taken too', async (t) => {
  const { run, world, client } = await openCli(t);
  const { partner } = world;
  const rows = async (name: string, values: Values, list: string) => {
    const { output } = await run(name, values);
    const found = output[list] as Record<string, unknown>[];
    assert.ok(Array.isArray(found), `${name}: ${list}`);
    return found;
  };
  assert.ok((await rows('partner list', {}, 'partners')).some((one) => one['id'] === partner));
  assert.equal((await rows('client list', { partner: globalId('Partner', partner) }, 'clients'))[0]?.['id'], client);
  assert.equal((await run('client show', { client: globalId('Client', client) })).output['id'], client);
  assert.ok((await rows('mailbox list', { client }, 'mailboxes')).some((one) => one['id'] === world.ids.Mailbox));
  const made = await run('key create', { partner, label: 'second' });
  assert.ok((await rows('key list', { partner }, 'keys')).some((one) => one['id'] === made.output['id']));
  assert.deepEqual((await run('key revoke', { partner, key: String(made.output['id']) })).output, { revoked: true });
  assert.ok(!JSON.stringify((await run('partner show', { partner })).output).includes(String(made.output['apiKey'])));
  for (const [name, list] of [
    ['quarantine list', 'quarantine'],
    ['original list', 'originals'],
    ['incident list', 'incidents'],
    ['report list', 'reports'],
  ] as const) {
    const ofClient = await rows(name, { client }, list);
    assert.deepEqual(ofClient, await rows(name, { partner }, list), name);
    assert.ok(ofClient.every((one) => typeof one['id'] === 'string'));
  }
  assert.ok((await rows('billing list', { partner }, 'plans')).length >= 0);
  assert.ok((await rows('psa list', { partner }, 'connections')).length >= 0);
  const [held] = await rows('quarantine list', { client }, 'quarantine');
  assert.ok(held !== undefined);
  const one = { client, delivery: globalId('QuarantineItem', String(held['id'])) };
  assert.equal((await run('quarantine show', one)).output['id'], held['id']);
  assert.deepEqual((await run('quarantine delete', { client, delivery: [one.delivery] })).output, { deleted: 1 });
});

test('numbers that a newcomer would take for a fault are explained', async (t) => {
  const { run } = await openCli(t);
  await run('billing snapshot');
  const again = await run('billing snapshot');
  assert.deepEqual(again.output, { taken: 0 });
  assert.match(again.words?.[0] ?? '', /^the usage of \d{4}-\d{2}-\d{2}.* was taken already/);
  assert.match(
    (await run('billing snapshot', { day: '2020-01-01' })).words?.[0] ?? '',
    /^none was due: it is not 2020-01-01/,
  );
});

test('help: one command, a group, the nearest of what does not exist, no spaces at line ends', async () => {
  for (const command of COMMANDS) assert.doesNotMatch(commandHelp(command), / $/m, command.name);
  assert.doesNotMatch(helpText(COMMANDS), / $/m);
  const names = COMMANDS.map((one) => one.name);
  assert.equal(nearest('mailbox imprt', names), 'mailbox import');
  assert.equal(nearest('zzzzzzzz', names), null);
  const said = async (...argv: string[]) => {
    const texts: string[] = [];
    const write = { out: process.stdout.write, err: process.stderr.write };
    process.stdout.write = ((text: string) => texts.push(text) > 0) as typeof process.stdout.write;
    process.stderr.write = ((text: string) => texts.push(text) > 0) as typeof process.stderr.write;
    try {
      const code = await main(argv, {});
      return { code, text: texts.join('') };
    } finally {
      process.stdout.write = write.out;
      process.stderr.write = write.err;
    }
  };
  for (const argv of [
    ['help', 'client', 'create'],
    ['client', 'create', '--help'],
    ['client', 'create', '-h'],
  ]) {
    const { code, text } = await said(...argv);
    assert.equal(code, 0);
    assert.match(text, /usage: tollgate client create --partner ID/);
    assert.match(text, /^example: /m);
    assert.doesNotMatch(text, /mailbox import/);
  }
  assert.match((await said('help', 'billing')).text, /billing apply(?:.|\n)*billing snapshot/);
  const unknown = await said('clent', 'create');
  assert.deepEqual([unknown.code, /did you mean "client create"\?/.test(unknown.text)], [64, true]);
  const option = await said('client', 'create', '--partnr', 'x');
  assert.deepEqual([option.code, /has no option --partnr; did you mean --partner\?/.test(option.text)], [64, true]);
});

test('people get tables and lines: numbers to the right, times without their thousandths, words for nothing', () => {
  assert.equal(
    forPeopleText({
      id: 'a',
      at: new Date('2026-10-14T10:00:00Z'),
      nodes: [],
      lines: [
        { client: 'Acme', quantity: 5, at: new Date(0) },
        { client: 'B', quantity: 1200, at: null },
      ],
    }),
    [
      'id     a',
      'at     2026-10-14 10:00:00Z',
      'nodes  none: there are no nodes',
      '',
      'lines:',
      '  client  quantity  at',
      '  ──────  ────────  ────────────────────',
      '  Acme           5  1970-01-01 00:00:00Z',
      '  B          1,200  —',
    ].join('\n'),
  );
});

test('lists keep to 120 columns, with ids whole; what is cut is whole in the JSON', async (t) => {
  const { run, world, folder, client } = await openCli(t);
  const file = path.join(folder, 'directory.csv');
  const lines = [`${'long.local.part.'.repeat(3)}x@acme.example,${'A name '.repeat(20)},user`];
  for (let one = 0; one < 8; one += 1) lines.push(`alias.number.${one}@acme.example,ann@acme.example,alias`);
  await writeFile(file, `address,name,kind\nann@acme.example,Ann,user\n${lines.join('\n')}\n`);
  await run('mailbox import', { client }, [file]);
  let looked = 0;
  for (const { name, options } of COMMANDS) {
    if (!/( list| show)$|^trace$/.test(name) || 'delivery' in options || name === 'list show') continue;
    const values: Record<string, Values[string]> = {};
    if ('client' in options) values['client'] = client;
    else if ('partner' in options) values['partner'] = world.partner;
    if ('domain' in options && !('partner' in options)) values['domain'] = 'acme.example';
    if ('report' in options) values['report'] = world.ids.AggregateReport;
    if ('plan' in options) values['plan'] = world.ids.BillingPlan;
    const { output, forPeople } = await run(name, values);
    for (const line of forPeopleText(forPeople ?? output).split('\n')) {
      assert.ok([...line].length <= 120, `${name}: ${line}`);
    }
    looked += 1;
  }
  assert.ok(looked >= 18, `${looked}`);
  const { mailboxes } = (await run('mailbox list', { client })).output as {
    mailboxes: { address: string; aliases: string[] }[];
  };
  const ann = mailboxes.find((one) => one.address === 'ann@acme.example');
  assert.deepEqual([ann?.aliases.length, ann?.aliases[0]], [8, 'alias.number.0@acme.example']);
});

test('a port is a name and not a quantity', () => {
  assert.match(
    forPeopleText({ routes: [{ host: 'mx.example', port: 12_525, weight: 1200 }] }),
    /mx\.example +12525 +1,200/,
  );
});

test('a database that can’t be reached is named with the reason, and never with the password', async () => {
  const texts: string[] = [];
  const write = process.stderr.write;
  process.stderr.write = ((text: string) => texts.push(text) > 0) as typeof process.stderr.write;
  try {
    const home = await mkdtemp(path.join(tmpdir(), 'tollgate-walk-'));
    const env = { TOLLGATE_HOME: home, DATABASE_URL: 'postgres://me:secret-word@127.0.0.1:9/books' };
    assert.equal(await main(['partner', 'list'], env), 1);
    await rm(home, { recursive: true, force: true });
  } finally {
    process.stderr.write = write;
  }
  assert.match(texts.join(''), /the database books at 127\.0\.0\.1:9 can't be used: .*ECONNREFUSED/);
  assert.doesNotMatch(texts.join(''), /secret-word/);
});

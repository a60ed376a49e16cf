import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { CommandContext, Values } from '../../src/cli/command.ts';
import { routeCommands } from '../../src/cli/routes.ts';
import { readConfig } from '../../src/config/config.ts';
import { AppError } from '../../src/core/errors.ts';
import { newId } from '../../src/core/id.ts';
import { openDatabase } from '../support/db.ts';
import { seedClient, seedPartner } from '../support/seed.ts';

test('routes, regions and the queue on the command line', async (t) => {
  const { db, owner } = await openDatabase(t);
  const partner = await seedPartner(db);
  const client = await seedClient(db, partner.id);
  const config = readConfig({ TOLLGATE_DNS: '127.0.0.1:9', TOLLGATE_ALLOW_PRIVATE_HOSTS: '10.0.0.5' });
  const result = (name: string, values: Values) => {
    const command = routeCommands.find((one) => one.name === name);
    assert.ok(command !== undefined, name);
    for (const option of Object.keys(values)) assert.ok(option in command.options, `${name} --${option}`);
    return command.run({ store: { db }, config } as unknown as CommandContext, values, []);
  };
  const run = async (name: string, values: Values) => (await result(name, values)).output;
  const warned = await result('route set', { client, relay: ['localhost:26', '10.0.0.5', '[fd00::1]:25', '10.0.0.6'] });
  assert.deepEqual(
    warned.warnings?.map((one) => /^mail will wait: (\S+) .*TOLLGATE_ALLOW_PRIVATE_HOSTS/.exec(one)?.[1]),
    ['localhost', 'fd00::1', '10.0.0.6'],
    'what the setting lists is not warned of',
  );
  const set = await run('route set', {
    client,
    relay: ['a.example:26,priority=5,weight=2,region=uk,tls=none', 'b.example'],
  });
  assert.deepEqual(set, await run('route list', { client }));
  assert.deepEqual(set['routes'], [
    { domain: null, kind: 'relay', host: 'a.example', port: 26, tls: 'none', priority: 5, weight: 2, region: 'uk' },
    {
      domain: null,
      kind: 'relay',
      host: 'b.example',
      port: 25,
      tls: 'opportunistic',
      priority: 20,
      weight: 1,
      region: null,
    },
  ]);
  const kinds = async (values: Values) =>
    (
      (await run('route set', { client, ...values }))['routes'] as {
        domain: string | null;
        kind: string;
        host: string;
      }[]
    ).map((one) => [one.domain, one.kind, one.host].join(' '));
  assert.deepEqual(await kinds({ mx: true }), [' mx ']);
  assert.deepEqual(await kinds({ domain: 'acme.example', 'mx-of': 'host.example' }), [
    ' mx ',
    'acme.example mx host.example',
  ]);
  assert.deepEqual(await kinds({ domain: 'acme.example', none: true }), [' mx ']);
  for (const bad of [
    {},
    { none: true, mx: true },
    { relay: ['a.example,x=1'] },
    { relay: ['a.example,weight=many'] },
  ]) {
    await assert.rejects(run('route set', { client, ...bad }), (error) => error instanceof AppError);
  }
  assert.deepEqual(await run('region set', { client, region: ['uk', 'eu'], 'recipient-servers': true }), {
    strategies: [{ domain: null, regions: ['uk', 'eu'], recipientServers: true }],
  });
  await assert.rejects(run('region set', { client }), (error) => error instanceof AppError);
  assert.deepEqual(await run('region set', { client, none: true }), { strategies: [] });
  assert.deepEqual(await run('region list', { client }), { strategies: [] });
  assert.deepEqual(await run('queue flush', { client }), { deliveries: 0 });
  for (const name of ['route list', 'region list', 'queue flush']) {
    await assert.rejects(
      run(name, { client: newId() }),
      (error) => error instanceof AppError && error.code === 'not_found',
    );
  }
  const { rows } = await owner.query("select distinct actor from audit where action <> 'client.create'");
  assert.deepEqual(rows.map((row) => row.actor).toSorted(), ['cli', 'test']);
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { addConnection, getConnection, mapClient, mappingOf } from '../../src/accounts/connections.ts';
import { createCredential, verifySubmission } from '../../src/accounts/credentials.ts';
import { authenticateKey, createKey, revokeKey } from '../../src/accounts/keys.ts';
import { AppError } from '../../src/core/errors.ts';
import { openDatabase } from '../support/db.ts';
import { seedClient, seedPartner } from '../support/seed.ts';

test('a key is live until it is revoked or expires, and is stored as a hash', async (t) => {
  const { db, clock, owner } = await openDatabase(t);
  const partner = await seedPartner(db);
  const caller = await authenticateKey(db, partner.apiKey, clock.now());
  assert.equal(caller?.partnerId, partner.id);
  assert.ok(caller?.scopes.includes('admin'));

  const dump = JSON.stringify((await owner.query('select * from api_keys')).rows);
  assert.ok(!dump.includes(partner.apiKey.slice(-43)));

  for (const wrong of [
    '',
    'tg_live_x',
    `${partner.apiKey}x`,
    partner.apiKey.slice(0, -1),
    partner.apiKey.replace('tg_live', 'tg_test'),
  ]) {
    assert.equal(await authenticateKey(db, wrong, clock.now()), null, wrong);
  }
  await db.tenant(partner.id, (tx) =>
    revokeKey(tx, { partnerId: partner.id, keyId: caller?.keyId ?? '', actor: 'test' }),
  );
  assert.equal(await authenticateKey(db, partner.apiKey, clock.now()), null);

  const short = await db.tenant(partner.id, (tx) =>
    createKey(tx, {
      partnerId: partner.id,
      label: 'day',
      scopes: ['read'],
      expiresAt: new Date(clock.now().getTime() + 1000),
      actor: 'test',
    }),
  );
  assert.deepEqual((await authenticateKey(db, short.token, clock.now()))?.scopes, ['read']);
  clock.advance(1000);
  assert.equal(await authenticateKey(db, short.token, clock.now()), null);
});

test('PSA credentials are sealed: not readable in the database, nor with another key, nor moved to another row', async (t) => {
  const { db, owner } = await openDatabase(t);
  const partner = await seedPartner(db);
  const clientId = await seedClient(db, partner.id);
  const key = Buffer.alloc(32, 1);
  const input = {
    kind: 'connectwise',
    url: 'https://psa.example',
    credentials: { privateKey: 'hush-hush' },
    settings: {},
    actor: 't',
  } as const;
  const [one, two] = await db.tenant(partner.id, async (tx) => [
    await addConnection(tx, input, key),
    await addConnection(tx, input, key),
  ]);
  const read = (id: string, with_ = key) => db.tenant(partner.id, (tx) => getConnection(tx, partner.id, id, with_));

  assert.deepEqual((await read(one?.id ?? '')).credentials, { privateKey: 'hush-hush' });
  const raw = await owner.query<{ credentials: Buffer }>('select credentials from psa_connections');
  assert.ok(raw.rows.every((row) => !row.credentials.includes('hush-hush')));
  const damaged = (error: unknown) => error instanceof AppError && error.code === 'config_invalid';
  await assert.rejects(read(one?.id ?? '', Buffer.alloc(32, 2)), damaged);
  await owner.query(
    'update psa_connections set credentials = (select credentials from psa_connections where id = $1) where id = $2',
    [one?.id, two?.id],
  );
  await assert.rejects(read(two?.id ?? ''), damaged);

  assert.equal(await db.tenant(partner.id, (tx) => mappingOf(tx, partner.id, clientId)), null);
  await db.tenant(partner.id, (tx) =>
    mapClient(tx, { clientId, connectionId: one?.id ?? '', companyId: '7', companyName: 'Acme', actor: 't' }),
  );
  assert.equal((await db.tenant(partner.id, (tx) => mappingOf(tx, partner.id, clientId)))?.companyId, '7');
});

test('submission takes the right password only', async (t) => {
  const { db } = await openDatabase(t);
  const partner = await seedPartner(db);
  const clientId = await seedClient(db, partner.id);
  await db.tenant(partner.id, (tx) =>
    createCredential(tx, {
      clientId,
      mailboxId: null,
      username: 'Scanner@acme.example',
      password: 'correct horse battery',
      actor: 't',
    }),
  );
  const good = await verifySubmission(db, 'scanner@ACME.example', 'correct horse battery');
  assert.deepEqual(good?.domains, ['acme.example']);
  assert.equal(await verifySubmission(db, 'scanner@acme.example', 'correct horse batterY'), null);
  assert.equal(await verifySubmission(db, 'nobody@acme.example', 'correct horse battery'), null);
});

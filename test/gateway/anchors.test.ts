import assert from 'node:assert/strict';
import { test } from 'node:test';
import { authenticationResultsField } from '../../src/mail/headers.ts';
import { releaseDelivery } from '../../src/quarantine/decide.ts';
import { seedClient, seedPartner } from '../support/seed.ts';
import { openRig, openSink, Talker } from './support/rig.ts';

const HOUR = 3_600_000;

test('mixed verdicts: one answer, each recipient ends once, and a sender that repeats finds nothing done twice', async (t) => {
  const sink = await openSink(t);
  const rig = await openRig(t);
  const partner = await seedPartner(rig.db);
  await seedClient(rig.db, partner.id, {
    mailboxes: ['ann', 'quarantine', 'reject'],
    relays: [{ host: '127.0.0.1', port: sink.port }],
  });
  const client = await Talker.open(rig.smtp);
  const to = ['ann', 'quarantine', 'reject'].map((one) => `${one}@acme.example`);
  assert.match((await client.send('eve@far.example', to)).at(-1) ?? '', /^250/);
  client.close();
  while ((await rig.delivery.drainOnce()) > 0);
  const { rows } = await rig.owner.query(
    'select recipient, array_agg(kind order by kind) as kinds from ledger group by 1 order by 1',
  );
  assert.deepEqual(
    rows.map((row) => [row.recipient, row.kinds]),
    [
      ['ann@acme.example', ['accepted', 'delivered']],
      ['quarantine@acme.example', ['accepted', 'quarantined']],
      ['reject@acme.example', ['accepted', 'quarantined']],
    ],
  );
  assert.deepEqual(
    sink.mail.map((one) => [one.from, one.to]),
    [['eve@far.example', ['ann@acme.example']]],
  );
});

test('backscatter: what a forged sender never sent, and what its server refuses, is not answered to it', async (t) => {
  const forged = await openSink(t);
  const sink = await openSink(t, (to) => (to.startsWith('ann') ? 550 : 451));
  const rig = await openRig(t, { mxPort: forged.port });
  const partner = await seedPartner(rig.db);
  await seedClient(rig.db, partner.id, {
    mailboxes: ['ann', 'bob', 'quarantine', 'discard', 'reject'],
    relays: [{ host: '127.0.0.1', port: sink.port }],
  });
  const client = await Talker.open(rig.smtp);
  for (const one of ['ann', 'bob', 'quarantine', 'discard', 'reject']) {
    await client.send('victim@far.example', [`${one}@acme.example`], `Subject: ${one}\r\n\r\nx\r\n`);
  }
  await client.say('MAIL FROM:<victim@far.example>');
  await client.say('RCPT TO:<nobody@acme.example>');
  client.close();
  for (let hours = 0; hours < 6 * 24; hours += 4) {
    while ((await rig.delivery.drainOnce()) > 0);
    rig.clock.advance(4 * HOUR);
  }
  assert.equal(forged.mail.length, 0);
  assert.equal((await rig.owner.query(`select from messages where direction = 'outbound' or sender = ''`)).rowCount, 0);
  assert.equal((await rig.owner.query('select from queue')).rowCount, 0);
});

test('a count is not doubled: deferred many times, released, and delivered is one message of each', async (t) => {
  let refuse = true;
  const sink = await openSink(t, () => (refuse ? 451 : null));
  const rig = await openRig(t);
  const partner = await seedPartner(rig.db);
  await seedClient(rig.db, partner.id, {
    mailboxes: ['ann', 'quarantine'],
    relays: [{ host: '127.0.0.1', port: sink.port }],
  });
  const client = await Talker.open(rig.smtp);
  await client.send('eve@far.example', ['ann@acme.example', 'quarantine@acme.example']);
  client.close();
  const held = await rig.owner.query<{ id: string }>(`select id from deliveries where disposition = 'quarantined'`);
  await rig.db.tenant(partner.id, (tx) => releaseDelivery(tx, held.rows[0]?.id ?? '', 'test'));
  for (let round = 0; round < 5; round += 1) {
    rig.clock.advance(5 * HOUR);
    await rig.delivery.drainOnce();
  }
  refuse = false;
  rig.clock.advance(5 * HOUR);
  while ((await rig.delivery.drainOnce()) > 0);
  const { rows } = await rig.owner.query('select kind, count(*)::int as n from ledger group by 1 order by 1');
  assert.deepEqual(
    rows.map((row) => `${row.kind} ${row.n}`),
    ['accepted 2', 'deferred 1', 'delivered 2', 'quarantined 1', 'release_requested 1'],
  );
  assert.equal((await rig.owner.query('select from messages')).rowCount, 1);
});

test('an Authentication-Results field that claims to be ours does not go through, others do', async (t) => {
  const sink = await openSink(t);
  const rig = await openRig(t);
  const partner = await seedPartner(rig.db);
  await seedClient(rig.db, partner.id, { relays: [{ host: '127.0.0.1', port: sink.port }] });
  const client = await Talker.open(rig.smtp);
  const forged = authenticationResultsField('mx.tollgate.example; dmarc=pass header.from=bank.example');
  const foreign = authenticationResultsField('mx.far.example; dkim=pass header.d=far.example');
  const body = `${forged}${foreign}${forged.replace('mx.tollgate', '"MX.Tollgate').replace('example;', 'example";')}Subject: x\r\n\r\nx\r\n`;
  assert.match((await client.send('eve@far.example', ['ann@acme.example'], body)).at(-1) ?? '', /^250/);
  client.close();
  await rig.delivery.drainOnce();
  assert.doesNotMatch(sink.mail[0]?.body ?? '', /bank\.example/);
  assert.match(sink.mail[0]?.body ?? '', /mx\.far\.example/);
});

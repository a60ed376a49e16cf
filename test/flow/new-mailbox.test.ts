import assert from 'node:assert/strict';
import { test } from 'node:test';
import { importMailboxes } from '../../src/accounts/mailboxes.ts';
import { openRig, openSink, Talker } from '../gateway/support/rig.ts';
import { seedClient, seedPartner } from '../support/seed.ts';

test('the new mailbox: while the directory is young or out of reach its mail waits at the sender, and is never bounced', async (t) => {
  const sink = await openSink(t);
  const rig = await openRig(t, { config: { directoryGraceSeconds: 900 } });
  const partner = await seedPartner(rig.db);
  const clientId = await seedClient(rig.db, partner.id, { relays: [{ host: '127.0.0.1', port: sink.port }] });
  const answer = async () => {
    const client = await Talker.open(rig.smtp);
    await client.say('MAIL FROM:<friend@sender.example>');
    const reply = await client.say('RCPT TO:<zoe@acme.example>');
    client.close();
    return reply;
  };

  // The client hired Zoe; her mailbox has not arrived here, but the directory has just changed.
  assert.match(await answer(), /^451 4\.1\.1 /);
  // The directory can't be read at all: still nothing permanent.
  await rig.owner.query('alter table domains rename to domains_away');
  assert.match(await answer(), /^451 4\.3\.0 /);
  await rig.owner.query('alter table domains_away rename to domains');

  await rig.db.tenant(partner.id, (tx) =>
    importMailboxes(tx, clientId, [{ address: 'zoe@acme.example', name: 'Zoe', kind: 'user' }], 'test'),
  );
  const client = await Talker.open(rig.smtp);
  const replies = await client.send('friend@sender.example', ['zoe@acme.example']);
  client.close();
  assert.match(replies.at(-1) ?? '', /^250 /);
  await rig.delivery.drainOnce();
  assert.deepEqual(
    sink.mail.map((one) => one.to),
    [['zoe@acme.example']],
  );

  // Once the directory has settled, somebody who never was is refused for good, and counted.
  rig.clock.advance(901_000);
  const late = await Talker.open(rig.smtp);
  await late.say('MAIL FROM:<friend@sender.example>');
  assert.match(await late.say('RCPT TO:<nobody@acme.example>'), /^550 5\.1\.1 /);
  late.close();
  const { rows } = await rig.owner.query("select recipient, reasons from ledger where kind = 'refused'");
  assert.deepEqual(rows, [{ recipient: 'nobody@acme.example', reasons: ['recipient.unknown'] }]);
});

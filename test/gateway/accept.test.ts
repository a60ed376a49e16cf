import assert from 'node:assert/strict';
import { mkdir, readdir, rm } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';
import { realDisk } from '../../src/gateway/spool.ts';
import { seedClient, seedPartner } from '../support/seed.ts';
import { byLocalPart, openRig, openSink, Talker } from './support/rig.ts';

const ALL = ['ann', 'bob', 'tag', 'quarantine', 'reject', 'discard'];

test('rule 2: a message is accepted, delivered per recipient and ends once', async (t) => {
  const sink = await openSink(t, (to) => (to.startsWith('bob') ? 550 : null));
  const rig = await openRig(t);
  const partner = await seedPartner(rig.db);
  await seedClient(rig.db, partner.id, { mailboxes: ALL, relays: [{ host: '127.0.0.1', port: sink.port }] });
  const client = await Talker.open(rig.smtp);
  const to = ['ann', 'bob', 'tag', 'quarantine', 'reject'].map((one) => `${one}@acme.example`);
  const replies = await client.send('eve@sender.example', to);
  assert.match(replies.at(-1) ?? '', /^250 2\.0\.0 Accepted/);
  client.close();
  assert.equal(await rig.delivery.drainOnce(), 3);
  const { rows } = await rig.owner.query(
    'select split_part(recipient, $1, 1) as who, disposition from deliveries order by 1',
    ['@'],
  );
  assert.deepEqual(
    rows.map((row) => [row.who, row.disposition]),
    [
      ['ann', 'delivered'],
      ['bob', 'bounced'],
      ['quarantine', 'quarantined'],
      ['reject', 'quarantined'],
      ['tag', 'tagged'],
    ],
  );
  const events = await rig.owner.query('select kind, count(*)::int as n from ledger group by kind order by kind');
  assert.deepEqual(
    events.rows.map((row) => [row.kind, row.n]),
    [
      ['accepted', 5],
      ['bounced', 1],
      ['delivered', 2],
      ['quarantined', 2],
    ],
  );
  assert.equal((await rig.owner.query('select from queue')).rowCount, 0);
  assert.match(sink.mail.map((one) => one.body).join(), /Subject: \[SPAM\] Hello/);
  assert.match(sink.mail[0]?.body ?? '', /^Received: from client\.example/);
});

test('all recipients reject: 550 with the reason, and the trace keeps it', async (t) => {
  const rig = await openRig(t);
  const partner = await seedPartner(rig.db);
  await seedClient(rig.db, partner.id, { mailboxes: ALL });
  const client = await Talker.open(rig.smtp);
  const replies = await client.send('eve@sender.example', ['reject@acme.example']);
  client.close();
  assert.match(replies.at(-1) ?? '', /^550 5\.7\.1 Rejected: test\.rule$/);
  const { rows } = await rig.owner.query('select kind, disposition, leads from ledger');
  assert.deepEqual(rows, [{ kind: 'rejected', disposition: 'rejected', leads: 15 }]);
});

test('recipients: unknown is 550 and an event, not ours is 550, a fresh directory is 451', async (t) => {
  const rig = await openRig(t);
  const partner = await seedPartner(rig.db);
  await seedClient(rig.db, partner.id);
  rig.clock.advance(1000);
  const client = await Talker.open(rig.smtp);
  await client.say('MAIL FROM:<>');
  assert.match(await client.say('RCPT TO:<nobody@acme.example>'), /^550 5\.1\.1/);
  assert.match(await client.say('RCPT TO:<ann@elsewhere.example>'), /^550 5\.7\.1/);
  client.close();
  const { rows } = await rig.owner.query('select kind, recipient, reasons from ledger');
  assert.deepEqual(rows, [{ kind: 'refused', recipient: 'nobody@acme.example', reasons: ['recipient.unknown'] }]);
  const fresh = await openRig(t, { config: { directoryGraceSeconds: 900 } });
  const other = await seedPartner(fresh.db);
  await seedClient(fresh.db, other.id);
  const second = await Talker.open(fresh.smtp);
  await second.say('MAIL FROM:<>');
  assert.match(await second.say('RCPT TO:<new@acme.example>'), /^451 4\.1\.1/);
  second.close();
});

test('commands: what smtp-server lets through is refused', async (t) => {
  const rig = await openRig(t);
  const client = await Talker.open(rig.smtp);
  for (const [line, expected] of [
    ['WIZ x', /^50\d/],
    ['VRFY ann', /^50\d/],
    ['AUTH PLAIN AGEAYg==', /^50\d/],
    ['XCLIENT ADDR=1.2.3.4', /^5\d\d/],
    ['MAIL FROM:<a@b.example> FOO=BAR', /^555 5\.5\.4/],
    ['MAIL FROM:<a@b.example> SIZE=99999999', /^552/],
    ['MAIL FROM:<\xff\xfe@b.example>', /^553 5\.6\.7/],
    [`MAIL FROM:<${'x'.repeat(65)}@b.example>`, /^553 5\.1\.7/],
  ] as const) {
    assert.match(await client.say(line), expected, line);
  }
  client.close();
});

test('rule 1: a failing disk, database or filter is 451, and the service lives', async (t) => {
  let fail = true;
  const disk = {
    ...realDisk,
    async sync(handle: Parameters<typeof realDisk.sync>[0]) {
      if (fail && handle.fd > 0 && armed) throw Object.assign(new Error('EIO'), { code: 'EIO' });
      return handle.sync();
    },
  };
  let armed = false;
  const rig = await openRig(t, { disk });
  const partner = await seedPartner(rig.db);
  await seedClient(rig.db, partner.id);
  armed = true;
  const client = await Talker.open(rig.smtp);
  assert.match((await client.send('a@b.example', ['ann@acme.example'])).at(-1) ?? '', /^451 4\.3\.0/);
  assert.deepEqual(await readdir(`${rig.folder}/tmp`), []);
  fail = false;
  assert.match((await client.send('a@b.example', ['ann@acme.example'])).at(-1) ?? '', /^250/);
  await rig.owner.query('alter table messages rename to gone');
  assert.match((await client.send('a@b.example', ['ann@acme.example'])).at(-1) ?? '', /^451 4\.3\.0/);
  await rig.owner.query('alter table gone rename to messages');
  await rig.owner.query('alter table domains rename to gone');
  await client.say('MAIL FROM:<a@b.example>');
  // Ann was found before, and is remembered; Bob is not.
  assert.match(await client.say('RCPT TO:<bob@acme.example>'), /^451 4\.3\.0/);
  await rig.owner.query('alter table gone rename to domains');
  client.close();
  assert.equal((await rig.owner.query('select from messages')).rowCount, 1);
});

test('rule 1: mail that is decided before the disk fails has no row', async (t) => {
  const rig = await openRig(t);
  const partner = await seedPartner(rig.db);
  await seedClient(rig.db, partner.id);
  const client = await Talker.open(rig.smtp);
  await rm(path.join(rig.folder, 'tmp'), { recursive: true });
  assert.match((await client.send('a@b.example', ['ann@acme.example'])).at(-1) ?? '', /^451 4\.3\.0/);
  assert.equal((await rig.owner.query('select from messages')).rowCount, 0);
  await mkdir(path.join(rig.folder, 'tmp'));
  assert.match((await client.send('a@b.example', ['ann@acme.example'])).at(-1) ?? '', /^250/);
  client.close();
});

test('a filter that never answers is 451 at its deadline', async (t) => {
  const rig = await openRig(t, {
    config: { scanMs: 50 },
    pipeline: { ...byLocalPart, run: () => new Promise<never>(() => undefined) },
  });
  const partner = await seedPartner(rig.db);
  await seedClient(rig.db, partner.id);
  const client = await Talker.open(rig.smtp);
  assert.match((await client.send('a@b.example', ['ann@acme.example'])).at(-1) ?? '', /^451 4\.3\.0/);
  client.close();
  const left = await readdir(rig.folder, { recursive: true });
  assert.deepEqual(
    left.filter((name) => name.endsWith('.eml')),
    [],
    'who comes back brings the body again',
  );
});

test('end of data: ten look-alikes and every split stay one message', async (t) => {
  const rig = await openRig(t);
  const partner = await seedPartner(rig.db);
  await seedClient(rig.db, partner.id);
  const client = await Talker.open(rig.smtp);
  for (const end of [
    '\n.\n',
    '\n.\r\n',
    '\r\n.\n',
    '\r.\r',
    '\r\n.\r',
    '\r.\r\n',
    '\n.\r',
    '\0.\0',
    '\r\n. \r\n',
    '\r\n..\r\n',
  ]) {
    const body = `Subject: x\r\n\r\nbody${end}MAIL FROM:<smuggled@b.example>\r\n`;
    const replies = await client.send('a@b.example', ['ann@acme.example'], body);
    assert.match(replies.at(-1) ?? '', /^(250|550 5\.6\.0)/, JSON.stringify(end));
    assert.match(await client.say('NOOP'), /^250/);
  }
  const message = 'Subject: x\r\n\r\n..\r\n..a\r\n...\r\nend\r\n.\r\n';
  for (let at = 1; at < message.length; at += 1) {
    await client.say('MAIL FROM:<a@b.example>');
    await client.say('RCPT TO:<ann@acme.example>');
    await client.say('DATA');
    client.write(message.slice(0, at));
    await new Promise((resolve) => setImmediate(resolve));
    client.write(message.slice(at));
    assert.match(await client.reply(), /^250/, `split at ${at}`);
  }
  client.close();
  const { rows } = await rig.owner.query(
    'select distinct bytes::int as bytes from messages where subject = $1 order by 1',
    ['Hello'],
  );
  assert.ok(rows.some((row) => row.bytes === 'Subject: x\r\n\r\n.\r\n.a\r\n..\r\nend\r\n'.length));
  assert.equal((await rig.owner.query("select from messages where sender like 'smuggled%'")).rowCount, 0);
});

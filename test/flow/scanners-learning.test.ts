import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { createApp } from '../../src/app.ts';
import { readConfig } from '../../src/config/config.ts';
import { newId } from '../../src/core/id.ts';
import { zoneResolver } from '../../src/mail/resolver.ts';
import { businessMail } from '../fixtures/business/index.ts';
import { openSink, Talker } from '../gateway/support/rig.ts';
import { listen, onInstream } from '../scanners/support.ts';
import { TEST_PASSWORDS } from '../support/cluster.ts';
import { openDatabase } from '../support/db.ts';
import { seedClient, seedPartner } from '../support/seed.ts';

test('the service whole: a scanner that is down defers, one that finds holds; listed links; what people teach and who is known', async (t) => {
  const { db, clock, owner, ownerUrl } = await openDatabase(t);
  const home = await mkdtemp(path.join(tmpdir(), 'tollgate-flow-'));
  const sink = await openSink(t);
  const partner = await seedPartner(db);
  const clientId = await seedClient(db, partner.id, { relays: [{ host: '127.0.0.1', port: sink.port }] });
  clock.advance(3_600_000);
  const clamd = { isDown: true };
  const port = await listen(t, (socket) =>
    clamd.isDown
      ? socket.destroy()
      : onInstream(socket, ({ message }) =>
          socket.end(message.includes('EVIL') ? 'stream: Win.Evil FOUND\0' : 'stream: OK\0'),
        ),
  );
  const linkList = path.join(home, 'hosts.txt');
  await writeFile(linkList, '.evil.example\n');
  const config = readConfig({
    TOLLGATE_HOME: home,
    DATABASE_URL: ownerUrl,
    HTTP_PORT: '0',
    SMTP_PORT: '0',
    SUBMISSION_PORT: '0',
    TOLLGATE_ALLOW_PRIVATE_HOSTS: '127.0.0.1',
    TOLLGATE_HOSTNAME: 'mx.tollgate.example',
    TOLLGATE_ROLES: 'gateway',
    TOLLGATE_SCAN_THREADS: '1',
    TOLLGATE_CLAMAV: `127.0.0.1:${port}`,
    TOLLGATE_SCANNER_DOWN: 'defer',
    TOLLGATE_LINK_LIST: linkList,
  });
  const key = Buffer.alloc(32);
  const { app: appPassword, system: systemPassword } = TEST_PASSWORDS;
  const secrets = { sealKey: key, signKey: key, srsKey: key, appPassword, systemPassword };
  const app = await createApp(config, secrets, { clock, resolver: zoneResolver({}) });
  try {
    await live();
  } finally {
    await app.stop();
    await rm(home, { recursive: true, force: true });
  }

  async function live(): Promise<void> {
    const ready = await app.start();
    let sent = 0;
    const send = async (raw: string | Buffer, to = 'ann@acme.example') => {
      const client = await Talker.open(Number(ready.smtp?.split(':').at(-1)));
      sent += 1;
      const text = raw.toString('latin1').replace(/^\./gm, '..').replace(/\r?\n/g, '\r\n');
      const replies = await client.send('bob@sender.example', [to], `X-Number: ${sent}\r\n${text}\r\n`);
      client.close();
      clock.advance(1000);
      return replies.at(-1) ?? '';
    };
    const last = async () => {
      const { rows } = await owner.query(
        `select d.id, d.verdict, d.mailbox_id, m.content_id, d.reasons from deliveries d
         join messages m on m.id = d.message_id order by d.accepted_at desc limit 1`,
      );
      const reasons = rows[0].reasons as { code: string; detail: string }[];
      return { ...rows[0], detail: (code: string) => reasons.find((one) => one.code === code)?.detail };
    };
    const plain = (body: string) =>
      `From: Bob <bob@sender.example>\r\nTo: ann@acme.example\r\nSubject: Hello\r\n\r\n${body}`;

    assert.match(await send(plain('Hi')), /^451 /);
    assert.equal((await owner.query('select from messages')).rowCount, 0);
    clamd.isDown = false;
    assert.match(await send(plain('Hi')), /^250 /);
    assert.equal((await last()).verdict, 'clean');
    assert.match(await send(plain('EVIL')), /^250 /);
    const held = await last();
    assert.deepEqual([held.verdict, held.detail('malware.clamav')], ['malware', 'Win.Evil']);
    assert.match(await send(plain('See http://www.evil.example/x')), /^250 /);
    assert.equal((await last()).detail('links.listed'), 'www.evil.example');

    const mails = businessMail().filter((one) => one.name.startsWith('shipping'));
    for (const [index, { raw }] of mails.slice(0, 6).entries()) {
      assert.match(await send(raw, index % 2 === 0 ? 'ann@acme.example' : 'bob@acme.example'), /^250 /);
      const one = await last();
      assert.equal(one.detail('content.client_spam'), undefined);
      await owner.query(
        `insert into message_feedback (partner_id, id, client_id, delivery_id, mailbox_id, content_id, kind, verdict, actor_kind, actor, at)
         values ($1, $2, $3, $4, $5, $6, 'spam', $7, 'user', $5::uuid::text, $8)`,
        [partner.id, newId(), clientId, one.id, one.mailbox_id, one.content_id, one.verdict, clock.now()],
      );
    }
    await app.runNow('learning.train');
    assert.equal((await owner.query('select version from client_models')).rows[0]?.version, 1);
    // The gateway hears of it by NOTIFY, at its next look at the latest: some mail may come before.
    let version: string | undefined;
    while (version === undefined) {
      assert.match(await send(mails[6]?.raw ?? ''), /^250 /);
      version = (await last()).detail('content.client_spam');
    }
    assert.equal(version, 'version 1');

    const known = await owner.query(
      `select received::int, spam::int from correspondents h join clients c on c.id = h.client_id
       where h.correspondent = sha256(c.salt || convert_to('bob@sender.example', 'UTF8'))`,
    );
    assert.deepEqual(known.rows, [{ received: 1, spam: 2 }]);
    clock.advance(200 * 86_400_000);
    await app.runNow('history.prune');
    assert.equal((await owner.query('select from correspondents')).rowCount, 0);
  }
});

import assert from 'node:assert/strict';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { createApp } from '../../src/app.ts';
import { readConfig } from '../../src/config/config.ts';
import { globalId } from '../../src/graphql/ids.ts';
import { zoneResolver } from '../../src/mail/resolver.ts';
import { openSink, Talker } from '../gateway/support/rig.ts';
import { TEST_PASSWORDS } from '../support/cluster.ts';
import { openDatabase } from '../support/db.ts';
import { rollAll } from '../support/roll.ts';
import { seedClient, seedPartner } from '../support/seed.ts';

const VIRUS = ['X5O!P%@AP[4\\PZX54(P^)7CC)7}$EICAR', '-STANDARD-ANTIVIRUS-', 'TEST-FILE!$H+H*'].join('');

test('the service whole: held, seen, requested, approved, answered, and gone in its time', async (t) => {
  const { db, clock, owner, ownerUrl } = await openDatabase(t);
  const home = await mkdtemp(path.join(tmpdir(), 'tollgate-flow-'));
  const sink = await openSink(t);
  const partner = await seedPartner(db);
  await seedClient(db, partner.id, { relays: [{ host: '127.0.0.1', port: sink.port }] });
  // The directory is younger than its grace.
  clock.advance(3_600_000);
  const config = readConfig({
    TOLLGATE_HOME: home,
    DATABASE_URL: ownerUrl,
    HTTP_PORT: '0',
    SMTP_PORT: '0',
    SUBMISSION_PORT: '0',
    TOLLGATE_ALLOW_PRIVATE_HOSTS: '127.0.0.1',
    TOLLGATE_HOSTNAME: 'mx.tollgate.example',
    TOLLGATE_ROLES: 'gateway,api',
    TOLLGATE_SCAN_THREADS: '1',
    TOLLGATE_DETAIL_DAYS: '30',
  });
  const key = Buffer.alloc(32);
  const secrets = {
    sealKey: key,
    signKey: key,
    srsKey: key,
    appPassword: TEST_PASSWORDS.app,
    systemPassword: TEST_PASSWORDS.system,
  };
  const app = await createApp(config, secrets, { clock, resolver: zoneResolver({}) });
  try {
    await live();
  } finally {
    // Before the database goes, which hooks of the test would not be.
    await app.stop();
    await rm(home, { recursive: true, force: true });
  }

  async function live(): Promise<void> {
    const ready = await app.start();
    const ask = async (text: string) => {
      const response = await fetch(`${ready.http?.replace(/^(?!http)/, 'http://')}/graphql`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', authorization: `Bearer ${partner.apiKey}` },
        body: JSON.stringify({ query: text }),
      });
      const { data, errors } = (await response.json()) as {
        data: Record<string, Record<string, unknown>>;
        errors?: unknown;
      };
      assert.equal(errors, undefined, JSON.stringify(errors));
      return data;
    };

    const client = await Talker.open(Number(ready.smtp?.split(':').at(-1)));
    const sent = await client.send(
      'bob@sender.example',
      ['ann@acme.example'],
      `From: bob@sender.example\r\nSubject: Test\r\n\r\n${VIRUS}\r\n`,
    );
    client.close();
    assert.match(sent.at(-1) ?? '', /^250/);
    const { rows } = await owner.query<{ id: string; verdict: string; disposition: string }>(
      'select id, verdict, disposition from deliveries',
    );
    assert.deepEqual([rows[0]?.verdict, rows[0]?.disposition], ['malware', 'quarantined']);
    const id = globalId('Delivery', rows[0]?.id ?? '');

    const seen = await ask(
      `{ quarantinedDelivery(id: "${id}") { why mayRelease content { kind text headers { name } } source { complete } } }`,
    );
    assert.match(JSON.stringify(seen), /harmful program.*EICAR.*"kind":"TEXT".*"complete":true/);
    const looks = await owner.query(
      "select action, actor, subject from audit where action like 'message.%' order by action",
    );
    assert.deepEqual(looks.rows, [
      { action: 'message.source', actor: 'key:first key', subject: rows[0]?.id },
      { action: 'message.view', actor: 'key:first key', subject: rows[0]?.id },
    ]);
    const answered = await ask(
      `mutation { replyToDelivery(input: {id: "${id}", text: "What is this?"}) { sent delivery { direction verdict } userErrors { message } } }`,
    );
    assert.deepEqual(answered['replyToDelivery']?.['userErrors'], []);
    assert.equal(answered['replyToDelivery']?.['sent'], true);
    const again = await ask(`mutation { replyToDelivery(input: {id: "${id}", text: "What is this?"}) { sent } }`);
    assert.equal(again['replyToDelivery']?.['sent'], false);

    // The answer quotes the virus: the filter holds it. Both end in their time, their bodies and their detail after them.
    const bodies = async () =>
      (await readdir(path.join(home, 'content'), { recursive: true })).filter((name) => name.endsWith('.eml')).length;
    assert.equal(await bodies(), 2);
    clock.advance(31 * 86_400_000);
    await app.runNow('quarantine.retention');
    const states = await owner.query('select distinct disposition from deliveries');
    assert.deepEqual(states.rows, [{ disposition: 'discarded' }]);
    assert.equal(await bodies(), 0);
    assert.deepEqual(await ask(`{ delivery(id: "${id}") { content { kind } source { bytes } } }`), {
      delivery: { content: null, source: null },
    });
    clock.advance(31 * 86_400_000);
    await rollAll(db);
    await app.runNow('ledger.retention');
    assert.equal((await owner.query('select from messages')).rowCount, 0);
    assert.deepEqual(await ask(`{ delivery(id: "${id}") { id } deliveries { detailComplete nodes { id } } }`), {
      delivery: null,
      deliveries: { detailComplete: false, nodes: [] },
    });
  }
});

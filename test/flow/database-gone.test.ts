import assert from 'node:assert/strict';
import { mkdtemp, readFile, rename, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { type TestContext, test } from 'node:test';
import pg from 'pg';
import { createApp } from '../../src/app.ts';
import { readConfig } from '../../src/config/config.ts';
import { readSecrets } from '../../src/config/secrets.ts';
import { zoneResolver } from '../../src/mail/resolver.ts';
import { openSink, Talker } from '../gateway/support/rig.ts';
import { seedClient, seedPartner } from '../support/seed.ts';

/** The whole service on its own embedded PostgreSQL, with fsync on, as a newcomer starts it. */
async function openService(t: TestContext) {
  const home = await mkdtemp(path.join(tmpdir(), 'tollgate-gone-'));
  const config = readConfig({
    TOLLGATE_HOME: home,
    HTTP_PORT: '0',
    SMTP_PORT: '0',
    SUBMISSION_PORT: '0',
    TOLLGATE_ALLOW_PRIVATE_HOSTS: '127.0.0.1',
    TOLLGATE_DIRECTORY_GRACE_SECONDS: '0',
    TOLLGATE_SCAN_THREADS: '1',
  });
  const app = await createApp(config, await readSecrets(home, undefined), { resolver: zoneResolver({}) });
  t.after(async () => {
    await app.stop();
    await rm(home, { recursive: true, force: true, maxRetries: 50, retryDelay: 100 });
  });
  const ready = await app.start();
  const { db } = app.store;
  const sink = await openSink(t);
  const partner = await seedPartner(db);
  await seedClient(db, partner.id, { relays: [{ host: '127.0.0.1', port: sink.port }] });
  const data = path.join(home, 'postgres/data');
  const lock = path.join(data, 'postmaster.pid');
  const smtp = Number(ready.smtp?.split(':').at(-1));
  return {
    app,
    sink,
    smtp,
    http: ready.http ?? '',
    /** Where the database's files are not, it can not be started; a running one goes on where they are. */
    takeAway: () => rename(data, `${data}.away`),
    bringBack: () => rename(`${data}.away`, data),
    postmaster: async () => Number((await readFile(lock, 'utf8')).split('\n')[0]),
  };
}

function mailOf(id: string): string {
  const head = [
    'From: Ben Carter <ben@partner.example>',
    'To: Ann <ann@acme.example>',
    `Date: ${new Date().toUTCString().replace('GMT', '+0000')}`,
    `Message-ID: <${id}.1a2b3c@partner.example>`,
    'Subject: Minutes of our meeting',
    `X-Id: ${id}`,
  ];
  return `${head.join('\r\n')}\r\n\r\nDear Ann,\r\n\r\nhere are the minutes of our meeting on Tuesday. See you next week.\r\n\r\nBen\r\n`;
}

/** Clients that send one message after the other until `end`, and what they were answered. */
function startLoad(smtp: number, clients: number) {
  const answered: string[] = [];
  const refused: string[] = [];
  const wrong: string[] = [];
  let next = 0;
  let ended = false;
  let changed: () => void = () => undefined;
  const tell = () => changed();
  const one = async () => {
    while (!ended) {
      const talker = await Talker.open(smtp);
      while (!ended && !talker.socket.destroyed) {
        const id = `m${next++}`;
        const replies = await talker.send('ben@partner.example', ['ann@acme.example'], mailOf(id));
        const last = replies.at(-1) ?? '';
        if (last.startsWith('250 2.0.0 Accepted')) answered.push(id);
        // RCPT or DATA answered 4xx; the message is to be sent again.
        else if (replies.some((reply) => reply.startsWith('4')))
          refused.push(replies.find((reply) => reply.startsWith('4')) ?? '');
        else wrong.push(replies.join(' | '));
        tell();
        if (!last.startsWith('250')) await talker.say('RSET');
      }
      talker.close();
    }
  };
  const all = Promise.all(Array.from({ length: clients }, one));
  const until = async (done: () => boolean) => {
    while (!done())
      await new Promise<void>((resolve) => {
        changed = resolve;
      });
  };
  return {
    answered,
    refused,
    wrong,
    /** Resolves after `count` more messages were answered 250. */
    accepted: (count: number) => {
      const goal = answered.length + count;
      return until(() => answered.length >= goal);
    },
    deferred: (count: number) => {
      const goal = refused.length + count;
      return until(() => refused.length >= goal);
    },
    async stop() {
      ended = true;
      await all;
    },
  };
}

test('PostgreSQL killed and stopped under load: 4xx meanwhile, nothing that was answered 250 is lost, and it comes back by itself', async (t) => {
  const { app, sink, smtp, http, postmaster, takeAway, bringBack } = await openService(t);
  const load = startLoad(smtp, 4);
  t.after(() => load.stop());
  await load.accepted(10);
  // kill -9: no flush, no goodbye; recovery from the log is PostgreSQL's. SIGQUIT: an immediate stop. SIGINT: a fast one.
  for (const signal of ['SIGKILL', 'SIGQUIT', 'SIGINT', 'SIGKILL'] as const) {
    const before = await postmaster();
    // An outage that is over in a moment is bridged, and nobody would be told 4xx: this one lasts until somebody is.
    await takeAway();
    process.kill(before, signal);
    await load.deferred(1);
    await bringBack();
    assert.equal((await fetch(`${http}/health/live`)).status, 200, 'the service itself stays up');
    await load.accepted(10);
    assert.notEqual(await postmaster(), before);
  }
  await load.stop();
  assert.deepEqual(load.wrong, [], 'nothing was answered 5xx');
  for (const reply of load.refused) assert.match(reply, /^4\d\d 4\./);

  // Whatever was accepted is delivered, by the service itself: its listeners and loops are back too.
  const owner = new pg.Client({ connectionString: app.store.ownerUrl });
  // The service, and with it the database, ends before this.
  owner.on('error', () => undefined);
  await owner.connect();
  t.after(() => owner.end());
  const waiting = async () => (await owner.query('select from queue')).rowCount ?? 0;
  // A row that was leased when the database went keeps its lease, which ends by time.
  await owner.query('update queue set lease_owner = null, lease_until = null, due_at = now()');
  await owner.query(`notify tollgate_queue`);
  while ((await waiting()) > 0) await new Promise((resolve) => setTimeout(resolve, 50));
  const seen = new Set(sink.mail.map((one) => /^X-Id: (\S+)/m.exec(one.body)?.[1]));
  assert.deepEqual(
    load.answered.filter((id) => !seen.has(id)),
    [],
  );
  const { rows } = await owner.query(`
    select count(*)::int as deliveries, count(*) filter (where disposition = 'delivered')::int as delivered,
           (select count(*)::int from ledger where kind = 'accepted') as accepted,
           (select count(*)::int from ledger where kind = 'delivered') as ended from deliveries`);
  const { deliveries, delivered, accepted, ended } = rows[0] ?? {};
  assert.deepEqual([delivered, accepted, ended], [deliveries, deliveries, deliveries]);
  assert.ok(deliveries >= load.answered.length);
  // The rollups have gone on too.
  for (;;) {
    const { rows: rolled } = await owner.query(
      `select coalesce(sum(deliveries), 0)::int as n from rollup_traffic where kind = 'accepted'`,
    );
    if (rolled[0]?.n === deliveries) break;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
});

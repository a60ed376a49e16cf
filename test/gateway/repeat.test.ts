import assert from 'node:assert/strict';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { type TestContext, test } from 'node:test';
import pg from 'pg';
import { AppError } from '../../src/core/errors.ts';
import { silentLogger } from '../../src/core/log.ts';
import type { Pipeline } from '../../src/core/message.ts';
import { createGateway, Spool } from '../../src/gateway/index.ts';
import { pruneEdge } from '../../src/gateway/prune.ts';
import { gate } from '../support/gate.ts';
import { seedClient, seedPartner } from '../support/seed.ts';
import { byLocalPart, CONFIG, openRig, type RigOptions, Talker } from './support/rig.ts';

/** The same filter, that has seen a Message-ID. */
const withId: Pipeline = {
  ...byLocalPart,
  async run(input, signal) {
    const result = await byLocalPart.run(input, signal);
    return { ...result, facts: { ...result.facts, messageId: '<1@far.example>' } };
  },
};

async function open(t: TestContext, options: RigOptions = {}) {
  const rig = await openRig(t, { pipeline: withId, ...options });
  const partner = await seedPartner(rig.db);
  await seedClient(rig.db, partner.id, { mailboxes: ['ann', 'bob', 'reject'] });
  const counts = async () => {
    const { rows } = await rig.owner.query(`
      select (select count(*)::int from messages) as messages, (select count(*)::int from deliveries) as deliveries,
        (select count(*)::int from queue) as queued, (select count(*)::int from ledger) as events`);
    const { messages, deliveries, queued, events } = rows[0] ?? {};
    return [messages, deliveries, queued, events];
  };
  const files = async () =>
    (await readdir(rig.folder, { recursive: true })).filter((name) => name.endsWith('.eml')).length;
  const send = async (to: readonly string[], port = rig.smtp, from?: string) => {
    const client = await Talker.open(port, from);
    const replies = await client.send('eve@far.example', to);
    client.close();
    return replies.at(-1) ?? '';
  };
  return { rig, counts, files, send };
}

const BOTH = ['ann@acme.example', 'bob@acme.example'];

test('a client that gives up at the final dot and sends again: one delivery, one count, and 250 for both', async (t) => {
  const held = gate();
  const reached = gate();
  let runs = 0;
  const { rig, counts, files, send } = await open(t, {
    pipeline: {
      ...withId,
      async run(input, signal) {
        runs += 1;
        if (runs === 1) {
          reached.open();
          await held.passed;
        }
        return withId.run(input, signal);
      },
    },
  });
  const impatient = await Talker.open(rig.smtp);
  await impatient.say('MAIL FROM:<eve@far.example>');
  for (const to of BOTH) await impatient.say(`RCPT TO:<${to}>`);
  await impatient.say('DATA');
  impatient.write('Subject: Hello\r\n\r\nHi\r\n.\r\n');
  await reached.passed;
  impatient.close();
  const second = await send(BOTH);
  assert.match(second, /^250 2\.0\.0 Accepted as /);
  held.open();
  await rig.gateway.stop(2_000);
  // Nobody waits for what becomes of a message whose client has gone: its body goes when it was found to be known.
  while ((await files()) !== 1) await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(await counts(), [1, 2, 2, 2]);
  const { rows } = await rig.owner.query('select content_id from messages');
  assert.ok(second.endsWith(rows[0]?.content_id));
});

test('what is rejected is rejected again, and counted once', async (t) => {
  const { counts, send } = await open(t);
  assert.match(await send(['reject@acme.example']), /^550 5\.7\.1/);
  assert.match(await send(['reject@acme.example']), /^550 5\.7\.1/);
  assert.deepEqual(await counts(), [1, 1, 0, 1]);
});

test('another envelope, another network, or ten minutes later is another message', async (t) => {
  const { rig, counts, send } = await open(t);
  const ann = ['ann@acme.example'];
  assert.match(await send(ann), /^250/);
  assert.match(await send(ann), /^250/);
  assert.match(await send(['bob@acme.example']), /^250/);
  assert.match(await send(ann, rig.smtp, '127.0.0.77'), /^250/);
  assert.deepEqual((await counts()).slice(0, 2), [2, 2]);
  assert.match(await send(ann, rig.smtp, '127.9.0.1'), /^250/);
  assert.deepEqual((await counts()).slice(0, 2), [3, 3]);
  rig.clock.advance(600_001);
  assert.match(await send(ann), /^250/);
  assert.deepEqual((await counts()).slice(0, 2), [4, 4]);
  rig.clock.advance(3_600_000);
  assert.ok((await pruneEdge(rig.db)) >= 3);
  assert.equal((await rig.owner.query('select from accepted_digests')).rowCount, 0);
});

test('mail without Message-ID that is sent twice is two messages', async (t) => {
  const { counts, send } = await open(t, { pipeline: byLocalPart });
  await send(['ann@acme.example']);
  await send(['ann@acme.example']);
  assert.deepEqual((await counts()).slice(0, 2), [2, 2]);
});

test('the same transaction at two nodes and many connections at once is one delivery', async (t) => {
  const { rig, counts, files, send } = await open(t);
  const folder = await mkdtemp(path.join(tmpdir(), 'tollgate-spool-'));
  const { db, clock } = rig;
  const other = createGateway({
    ...{ db, clock, logger: silentLogger, pipeline: withId },
    spool: await Spool.open(folder),
    config: { ...CONFIG, nodeId: 'second' },
  });
  const port = Number((await other.start()).smtp.split(':').at(-1));
  rig.before(async () => {
    await other.stop(200);
    await rm(folder, { recursive: true, force: true });
  });
  const answers = await Promise.all(
    Array.from({ length: 12 }, (_, index) => send(BOTH, index % 2 === 0 ? port : rig.smtp)),
  );
  for (const answer of answers) assert.match(answer, /^250 2\.0\.0 Accepted as /);
  assert.equal(new Set(answers).size, 1, 'all are told of the one that was written');
  assert.deepEqual(await counts(), [1, 2, 2, 2]);
  const elsewhere = (await readdir(folder, { recursive: true })).filter((name) => name.endsWith('.eml')).length;
  assert.equal((await files()) + elsewhere, 1);
});

/** Two mails whose rows are written in one transaction. */
async function inOneBatch(t: TestContext, onBoth: () => void = () => undefined) {
  const both = gate();
  let runs = 0;
  const opened = await open(t, {
    pipeline: {
      ...withId,
      async run(input, signal) {
        await input.stored;
        runs += 1;
        if (runs === 2) both.open();
        await both.passed;
        onBoth();
        return withId.run(input, signal);
      },
    },
  });
  return { ...opened, sendTwo: () => Promise.all(BOTH.map((to) => opened.send([to]))) };
}

test('rule 1: a batch whose COMMIT was done and not heard of keeps its bodies', async (t) => {
  let isArmed = false;
  let broke = 0;
  const { rig, counts, files, sendTwo } = await inOneBatch(t, () => {
    isArmed = broke === 0;
  });
  const system = rig.db.system.bind(rig.db);
  rig.db.system = (async (work, options) => {
    const result = await system(work, options);
    if (!isArmed || options?.readOnly === true) return result;
    isArmed = false;
    broke += 1;
    throw new AppError('unavailable', 'the connection broke');
  }) as typeof rig.db.system;
  for (const answer of await sendTwo()) assert.match(answer, /^250 2\.0\.0 Accepted as /);
  assert.equal(broke, 1);
  assert.deepEqual(await counts(), [2, 2, 2, 2]);
  assert.equal(await files(), 2);
});

test('rule 1: a digest of which no message is there answers nothing', async (t) => {
  const { rig, counts, files, send } = await open(t);
  assert.match(await send(['ann@acme.example']), /^250/);
  await rig.owner.query("update accepted_digests set content_id = '01900000-0000-7000-8000-000000000000'");
  assert.match(await send(['ann@acme.example']), /^250/);
  assert.deepEqual((await counts()).slice(0, 2), [2, 2]);
  assert.equal(await files(), 2);
});

test('what was rejected and would be taken by now is taken', async (t) => {
  let isAllowed = false;
  const { counts, send } = await open(t, {
    pipeline: {
      ...withId,
      async run(input, signal) {
        const result = await withId.run(input, signal);
        const decisions = result.decisions.map((one) => (isAllowed ? { ...one, action: 'deliver' as const } : one));
        return { ...result, decisions };
      },
    },
  });
  assert.match(await send(['reject@acme.example']), /^550/);
  isAllowed = true;
  assert.match(await send(['reject@acme.example']), /^250/);
  assert.match(await send(['reject@acme.example']), /^250/);
  assert.deepEqual(await counts(), [2, 2, 1, 2]);
});

test('rule 1: a BEGIN that fails alone leaves no digest that would answer for mail that was not written', async (t) => {
  const { rig, counts, send } = await open(t);
  const query = pg.Client.prototype.query as (...given: unknown[]) => unknown;
  let failed = 0;
  t.mock.method(pg.Client.prototype, 'query', function (this: pg.Client, ...[text, ...rest]: unknown[]) {
    const isFirst = text === 'begin read write' && failed === 0;
    if (isFirst) failed = 1;
    return query.call(this, isFirst ? 'begin nothing' : text, ...rest);
  });
  assert.match(await send(['ann@acme.example']), /^451/);
  assert.equal(failed, 1);
  assert.equal((await rig.owner.query('select from accepted_digests')).rowCount, 0);
  assert.deepEqual(await counts(), [0, 0, 0, 0]);
  assert.match(await send(['ann@acme.example']), /^250/);
  assert.deepEqual(await counts(), [1, 1, 1, 1]);
});

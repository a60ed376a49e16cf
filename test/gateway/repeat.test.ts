import assert from 'node:assert/strict';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { type TestContext, test } from 'node:test';
import fc from 'fast-check';
import pg from 'pg';
import { AppError } from '../../src/core/errors.ts';
import { silentLogger } from '../../src/core/log.ts';
import type { Pipeline } from '../../src/core/message.ts';
import { createGateway, noteKilled, Spool } from '../../src/gateway/index.ts';
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
  let pass: (() => Promise<void>) | null = null;
  const filter = options.pipeline ?? withId;
  const pipeline: Pipeline = {
    ...filter,
    async run(input, signal) {
      await pass?.();
      return filter.run(input, signal);
    },
  };
  const rig = await openRig(t, { ...options, pipeline });
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
  /** Sends, and is gone before it is answered. */
  const leave = async (to: readonly string[], body = 'Subject: Hello\r\n\r\nHi\r\n') => {
    const reached = gate();
    const held = gate();
    const done = gate();
    pass = async () => {
      pass = null;
      reached.open();
      await held.passed;
    };
    const client = await Talker.open(rig.smtp);
    await client.say('MAIL FROM:<eve@far.example>');
    for (const one of to) await client.say(`RCPT TO:<${one}>`);
    await client.say('DATA');
    client.socket.end(`${body}.\r\n`, 'latin1');
    await reached.passed;
    // Some turns of the server's loop, in which it sees the end.
    const other = await Talker.open(rig.smtp);
    for (let turn = 0; turn < 5; turn += 1) await other.say('NOOP');
    other.close();
    const remove = rig.db.system.bind(rig.db);
    rig.db.system = (async (work, how) => {
      const result = await remove(work, how);
      if (how?.readOnly !== true) done.open();
      return result;
    }) as typeof rig.db.system;
    held.open();
    await done.passed;
    rig.db.system = remove;
    client.close();
  };
  return { rig, counts, files, send, leave };
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
  const { rig, counts, send, leave } = await open(t);
  const ann = ['ann@acme.example'];
  await leave(ann);
  assert.deepEqual((await counts()).slice(0, 2), [1, 1]);
  assert.match(await send(['bob@acme.example']), /^250/);
  assert.deepEqual((await counts()).slice(0, 2), [2, 2]);
  assert.match(await send(ann, rig.smtp, '127.9.0.1'), /^250/);
  assert.deepEqual((await counts()).slice(0, 2), [3, 3]);
  assert.match(await send(ann, rig.smtp, '127.0.0.77'), /^250/);
  assert.deepEqual((await counts()).slice(0, 2), [3, 3], 'the network is the one that was left from');
  await leave(ann);
  rig.clock.advance(600_001);
  assert.match(await send(ann), /^250/);
  assert.deepEqual((await counts()).slice(0, 2), [4, 4]);
  rig.clock.advance(3_600_000);
  assert.ok((await pruneEdge(rig.db)) >= 3);
  assert.equal((await rig.owner.query('select from accepted_digests')).rowCount, 0);
});

test('a device whose Message-ID never changes: what was answered 250 three times is three messages', async (t) => {
  const { counts, files, send } = await open(t);
  const answers = [await send(BOTH), await send(BOTH), await send(BOTH)];
  assert.equal(new Set(answers).size, 3);
  assert.deepEqual(await counts(), [3, 6, 6, 6]);
  assert.equal(await files(), 3);
});

test('who repeats what nobody heard of takes its place: the next one is another message', async (t) => {
  const { rig, counts, files, send, leave } = await open(t);
  await leave(BOTH);
  rig.clock.advance(1);
  await leave(BOTH);
  const first = await send(BOTH);
  assert.deepEqual(await counts(), [1, 2, 2, 2]);
  assert.equal(await files(), 1);
  const { rows } = await rig.owner.query('select content_id from messages');
  assert.ok(first.endsWith(rows[0]?.content_id));
  assert.notEqual(await send(BOTH), first);
  assert.deepEqual(await counts(), [2, 4, 4, 4]);
});

test('one that is gone and began after an equal one had been taken is another message', async (t) => {
  const { rig, counts, send, leave } = await open(t);
  await send(BOTH);
  rig.clock.advance(1);
  await leave(BOTH);
  assert.deepEqual((await counts()).slice(0, 2), [2, 4]);
});

test('the end of a client is seen behind a large message too', async (t) => {
  const { counts, leave } = await open(t);
  const body = `Subject: Hello\r\n\r\n${`${'x'.repeat(70)}\r\n`.repeat(4_000)}`;
  await leave(BOTH, body);
  await leave(BOTH, body);
  await leave(BOTH, body);
  assert.deepEqual((await counts()).slice(0, 2), [1, 2]);
});

test('who was told 451 because the commit took too long is not written twice', async (t) => {
  const { rig, counts, send } = await open(t, { config: { messageDeadlineMs: 2_000 } });
  const system = rig.db.system.bind(rig.db);
  const told = gate();
  const noted = gate();
  let writes = 0;
  rig.db.system = (async (work, options) => {
    const result = await system(work, options);
    if (options?.readOnly === true) return result;
    writes += 1;
    if (writes === 1) await told.passed;
    if (writes === 2) noted.open();
    return result;
  }) as typeof rig.db.system;
  assert.match(await send(BOTH), /^451/);
  told.open();
  await noted.passed;
  rig.db.system = system;
  assert.match(await send(BOTH), /^250/);
  assert.deepEqual(await counts(), [1, 2, 2, 2]);
  assert.match(await send(BOTH), /^250/);
  assert.deepEqual(await counts(), [2, 4, 4, 4]);
});

test('who was told 451 because nobody heard of the COMMIT is not written twice', async (t) => {
  const { rig, counts, send } = await open(t);
  const system = rig.db.system.bind(rig.db);
  let isAway = true;
  rig.db.system = (async (work, options) => {
    const result = await system(work, options);
    if (options?.readOnly === true || !isAway) return result;
    throw new AppError('unavailable', 'the connection broke');
  }) as typeof rig.db.system;
  assert.match(await send(BOTH), /^451/);
  isAway = false;
  assert.match(await send(BOTH), /^250/);
  assert.deepEqual(await counts(), [1, 2, 2, 2]);
  assert.match(await send(BOTH), /^250/);
  assert.deepEqual(await counts(), [2, 4, 4, 4]);
});

test('of a node that was killed what it took after its last sign of life counts as not heard, and only that', async (t) => {
  const { rig, counts, send } = await open(t);
  const beat = (state: string) =>
    rig.owner.query(
      `insert into nodes (id, role, started_at, heartbeat_at, flushed_through, state) values ('test', 'gateway', $1, $1, $1, $2)
       on conflict (id) do update set flushed_through = excluded.flushed_through, state = excluded.state`,
      [rig.clock.now(), state],
    );
  await send(['ann@acme.example']);
  await beat('alive');
  rig.clock.advance(1);
  await send(['bob@acme.example']);
  await noteKilled(rig.db, 'another');
  await noteKilled(rig.db, 'test');
  await send(['ann@acme.example']);
  await send(['bob@acme.example']);
  assert.deepEqual((await counts()).slice(0, 2), [3, 3]);
  await beat('stopped');
  rig.clock.advance(1);
  await send(['bob@acme.example']);
  await noteKilled(rig.db, 'test');
  await send(['bob@acme.example']);
  assert.deepEqual((await counts()).slice(0, 2), [5, 5], 'who ended in order had answered all');
});

test('property: whoever heard 250 has a message of their own, and who comes again unheard has one', async (t) => {
  const { rig, counts, send, leave } = await open(t);
  const ann = ['ann@acme.example'];
  await fc.assert(
    fc.asyncProperty(fc.array(fc.boolean(), { minLength: 1, maxLength: 6 }), async (hears) => {
      rig.clock.advance(600_001);
      const [before = 0] = await counts();
      let wanted = 0;
      let isOwed = false;
      for (const heard of hears) {
        rig.clock.advance(1);
        if (!isOwed) wanted += 1;
        isOwed = !heard;
        if (heard) assert.match(await send(ann), /^250/);
        else await leave(ann);
      }
      const [after = 0] = await counts();
      assert.equal(after - before, wanted);
      assert.ok(wanted >= hears.filter(Boolean).length);
    }),
    { numRuns: 20 },
  );
});

test('mail without Message-ID that is sent twice is two messages', async (t) => {
  const { counts, send } = await open(t, { pipeline: byLocalPart });
  await send(['ann@acme.example']);
  await send(['ann@acme.example']);
  assert.deepEqual((await counts()).slice(0, 2), [2, 2]);
});

test('equal transactions at two nodes and many connections at once, all answered: each is a message', async (t) => {
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
  assert.equal(new Set(answers).size, 12, 'each is told of its own');
  assert.deepEqual(await counts(), [12, 24, 24, 24]);
  const elsewhere = (await readdir(folder, { recursive: true })).filter((name) => name.endsWith('.eml')).length;
  assert.equal((await files()) + elsewhere, 12);
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
  assert.deepEqual(await counts(), [3, 3, 2, 3]);
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

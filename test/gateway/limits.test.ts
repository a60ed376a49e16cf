import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readdir } from 'node:fs/promises';
import { type TestContext, test } from 'node:test';
import { HARVEST } from '../../src/gateway/edge.ts';
import { searchDeliveries } from '../../src/ledger/search.ts';
import { gate } from '../support/gate.ts';
import { Limits } from '../support/limits.ts';
import { seedClient, seedPartner } from '../support/seed.ts';
import { byLocalPart, openRig, type RigOptions, Talker } from './support/rig.ts';

async function openSeeded(t: TestContext, options: RigOptions = {}) {
  const rig = await openRig(t, options);
  const partner = await seedPartner(rig.db);
  await seedClient(rig.db, partner.id, { mailboxes: ['ann', 'bob', 'c', 'd', 'e', 'f'] });
  const messages = async () => (await rig.owner.query('select from messages')).rowCount;
  return { rig, partner, messages };
}

const FAST = { commandMs: 200, sessionMs: 60_000, minDataRate: 500, dataGraceMs: 100 };

test('connections of one address: the one too many is 421, and a closed one makes room', async (t) => {
  const { rig } = await openSeeded(t, { config: { maxConnectionsPerIp: 2 } });
  const [one, two] = [await Talker.open(rig.smtp), await Talker.open(rig.smtp)];
  const third = new Talker(rig.smtp);
  assert.match(await third.reply(), /^421 4\.7\.0/);
  third.close();
  one.close();
  await once(one.socket, 'close');
  let fourth = new Talker(rig.smtp);
  // The server hears of the close a little later.
  while (!(await fourth.reply()).startsWith('220')) {
    fourth.close();
    fourth = new Talker(rig.smtp);
  }
  assert.match(await two.say('NOOP'), /^250/);
  two.close();
  fourth.close();
});

test('recipients over the limit are 452, those before are delivered', async (t) => {
  const { rig } = await openSeeded(t);
  const client = await Talker.open(rig.smtp);
  const replies = await client.send(
    'eve@far.example',
    ['ann', 'bob', 'c', 'd', 'e', 'f'].map((one) => `${one}@acme.example`),
  );
  client.close();
  assert.match(replies[6] ?? '', /^452 4\.5\.3/);
  assert.match(replies[7] ?? '', /^250/);
  assert.equal((await rig.owner.query('select from deliveries')).rowCount, 5);
});

test('too large: 552 when declared, 552 when it is, nothing stays, the session goes on', async (t) => {
  const { rig, messages } = await openSeeded(t, { config: { maxMessageBytes: 10_000 } });
  const client = await Talker.open(rig.smtp);
  assert.match(await client.say('MAIL FROM:<eve@far.example> SIZE=10001'), /^552/);
  const replies = await client.send(
    'eve@far.example',
    ['ann@acme.example'],
    `Subject: x\r\n\r\n${'y\r\n'.repeat(5000)}`,
  );
  assert.match(replies.at(-1) ?? '', /^552 5\.3\.4/);
  assert.equal(await messages(), 0);
  const left = await readdir(rig.folder, { recursive: true });
  assert.deepEqual(
    left.filter((name) => name.endsWith('.eml') || name.startsWith('tmp/')),
    [],
  );
  assert.match((await client.send('eve@far.example', ['ann@acme.example'])).at(-1) ?? '', /^250/);
  client.close();
});

test('slow: a drip of a command and a drip of a message are closed, a client at work is not', async (t) => {
  const [deciding, bothClosed] = [gate(), gate()];
  let now = 0;
  const { rig, messages } = await openSeeded(t, {
    config: { limits: FAST },
    monotonic: () => now,
    pipeline: {
      ...byLocalPart,
      async run(input, signal) {
        deciding.open();
        await bothClosed.passed;
        return byLocalPart.run(input, signal);
      },
    },
  });
  const drips = await Promise.all(
    [['NO'], ['MAIL FROM:<eve@far.example>\r\n', 'RCPT TO:<ann@acme.example>\r\n', 'DATA\r\n', 'Su']].map(
      async (lines) => {
        const client = await Talker.open(rig.smtp);
        for (const line of lines) {
          client.write(line);
          if (line.endsWith('\n')) await client.reply();
        }
        return client;
      },
    ),
  );
  const honest = await Talker.open(rig.smtp);
  const watch = await Talker.open(rig.smtp);
  const sent = honest.send('eve@far.example', ['ann@acme.example']);
  await deciding.passed;
  for (; now <= FAST.commandMs; now += 20) {
    for (const one of drips) one.write('x');
    // Whoever says whole commands is not late, however long he stays.
    assert.match(await watch.say('MAIL FROM:<eve@far.example>'), /^250/);
    assert.match(await watch.say('RSET'), /^250/);
  }
  for (const one of drips) assert.match(await one.reply(), /^421 4\.4\.2/);
  assert.match(await watch.say('NOOP'), /^250/);
  watch.close();
  bothClosed.open();
  // The decision takes longer than a command may: that is our time, not the client's.
  assert.match((await sent).at(-1) ?? '', /^250/);
  honest.close();
  assert.equal(await messages(), 1);
});

test('a message that went round too often is 554', async (t) => {
  const { rig, messages } = await openSeeded(t);
  const client = await Talker.open(rig.smtp);
  const hop = 'Received: from a by b; Mon, 1 Jan 2026 00:00:00 +0000\r\n';
  const body = `${hop.repeat(200)}Subject: x\r\n\r\nx\r\n`;
  assert.match((await client.send('eve@far.example', ['ann@acme.example'], body)).at(-1) ?? '', /^554 5\.4\.6/);
  const few = `${hop.repeat(10)}Subject: x\r\n\r\nx\r\n`;
  assert.match((await client.send('eve@far.example', ['ann@acme.example'], few)).at(-1) ?? '', /^250/);
  client.close();
  assert.equal(await messages(), 1);
});

test('one message for two partners: a row for each, and neither sees the other', async (t) => {
  const { rig, partner } = await openSeeded(t);
  const other = await seedPartner(rig.db, 'Southwind IT');
  await seedClient(rig.db, other.id, { domain: 'beta.example' });
  const client = await Talker.open(rig.smtp);
  await client.send('eve@far.example', ['ann@acme.example', 'bob@acme.example', 'ann@beta.example']);
  client.close();
  const { rows } = await rig.owner.query(
    'select partner_id, count(distinct content_id)::int as n from messages group by 1',
  );
  assert.deepEqual(
    rows.map((row) => row.n),
    [1, 1],
  );
  const seen = (id: typeof partner.id) =>
    rig.db.tenant(id, async (tx) =>
      (await searchDeliveries(tx, {}, { first: 10, after: null })).map((row) => row.recipient).toSorted(),
    );
  assert.deepEqual(await seen(partner.id), ['ann@acme.example', 'bob@acme.example']);
  assert.deepEqual(await seen(other.id), ['ann@beta.example']);
  const leads = await rig.owner.query('select recipient, leads from ledger order by recipient');
  assert.deepEqual(
    leads.rows.map((row) => [row.recipient, row.leads]),
    [
      ['ann@acme.example', 15],
      ['ann@beta.example', 15],
      ['bob@acme.example', 8],
    ],
  );
});

test('a client that goes right after its final dot: kept at most once', async (t) => {
  const { rig } = await openSeeded(t);
  for (let round = 0; round < 5; round += 1) {
    const client = await Talker.open(rig.smtp);
    await client.say('MAIL FROM:<eve@far.example>');
    await client.say('RCPT TO:<ann@acme.example>');
    await client.say('DATA');
    client.socket.end('Subject: x\r\n\r\nx\r\n.\r\n');
    client.close();
  }
  await rig.gateway.stop(2000);
  const { rows } = await rig.owner.query(`
    select (select count(*)::int from messages) as messages, (select count(*)::int from deliveries) as deliveries,
      (select count(*)::int from queue) as queued, (select count(*)::int from ledger where kind = 'accepted') as events`);
  const { messages, deliveries, queued, events } = rows[0] ?? {};
  assert.ok(messages <= 5);
  assert.deepEqual([deliveries, queued, events], [messages, messages, messages]);
});

test('stop: what is being decided is answered 250 within the grace, an unfinished message is 421', async (t) => {
  let started: () => void = () => undefined;
  const running = new Promise<void>((resolve) => {
    started = resolve;
  });
  let go: () => void = () => undefined;
  const held = new Promise<void>((resolve) => {
    go = resolve;
  });
  const { rig, messages } = await openSeeded(t, {
    pipeline: {
      ...byLocalPart,
      async run(input, signal) {
        started();
        await held;
        return byLocalPart.run(input, signal);
      },
    },
  });
  const unfinished = await Talker.open(rig.smtp);
  for (const line of ['MAIL FROM:<eve@far.example>', 'RCPT TO:<ann@acme.example>', 'DATA']) await unfinished.say(line);
  unfinished.write('Subject: half');
  const finished = await Talker.open(rig.smtp);
  const sent = finished.send('eve@far.example', ['ann@acme.example']);
  await running;
  const stopped = rig.gateway.stop(4000);
  go();
  assert.match((await sent).at(-1) ?? '', /^250 2\.0\.0 Accepted/);
  await stopped;
  const last = await unfinished.reply();
  assert.match(last, /^421/);
  assert.equal(await messages(), 1);
  finished.close();
  unfinished.close();
});

test('a recipient that was answered 451 for taking too long gets nothing, also when its look-up ends after all', async (t) => {
  const [held, waiting] = [gate(), gate()];
  const limits = new Limits();
  let waits = 0;
  const { rig } = await openSeeded(t, {
    config: { commandDeadlineMs: 300 },
    later: limits.later,
    delay: () => {
      waits += 1;
      if (waits > 1) return Promise.resolve();
      waiting.open();
      return held.passed;
    },
  });
  const client = await Talker.open(rig.smtp);
  await client.say('MAIL FROM:<eve@far.example>');
  for (let index = 0; index < HARVEST.slowFrom; index += 1) await client.say(`RCPT TO:<try${index}@acme.example>`);
  const late = client.say('RCPT TO:<ann@acme.example>');
  await waiting.passed;
  assert.deepEqual(
    limits.running.map((one) => one.ms),
    [300],
  );
  limits.end();
  assert.match(await late, /^451 4\.3\.0/);
  held.open();
  for (let index = 0; index < 3; index += 1) assert.match(await client.say('RCPT TO:<bob@acme.example>'), /^250/);
  assert.equal(waits, 4);
  await client.say('DATA');
  assert.match(await client.say('Subject: x\r\n\r\nx\r\n.'), /^250/);
  client.close();
  const { rows } = await rig.owner.query('select recipient from deliveries');
  assert.deepEqual(rows, [{ recipient: 'bob@acme.example' }]);
});

test('a message on a thin line may take longer to come than we may take to decide', async (t) => {
  const limits = new Limits();
  const { rig, messages } = await openSeeded(t, { config: { messageDeadlineMs: 500 }, later: limits.later });
  const client = await Talker.open(rig.smtp);
  const beside = await Talker.open(rig.smtp);
  for (const line of ['MAIL FROM:<eve@far.example>', 'RCPT TO:<ann@acme.example>', 'DATA']) await client.say(line);
  client.write('Subject: x\r\n\r\n');
  for (let round = 0; round < 20; round += 1) {
    client.write('drop\r\n');
    await beside.say('NOOP');
    assert.ok(!limits.begun.includes(500), 'no time runs while the message comes');
  }
  assert.match(await client.say('.'), /^250/);
  assert.ok(limits.begun.includes(500), 'it runs from the last octet');
  assert.deepEqual(limits.running, [], 'and is over with the reply');
  client.close();
  beside.close();
  assert.equal(await messages(), 1);
});

import assert from 'node:assert/strict';
import { readdir } from 'node:fs/promises';
import { type TestContext, test } from 'node:test';
import { sendDelayNotices } from '../../src/gateway/notice.ts';
import { zoneResolver } from '../../src/mail/resolver.ts';
import { CONFIG, openRig, openSink, Talker } from './support/rig.ts';
import { login, PASSWORD, seedSubmitter } from './support/submitter.ts';

const HOUR = 3_600_000;

/** A client's server, far servers that answer as told, and the gateway between. */
async function openBoth(t: TestContext, far: (to: string) => number | null, text = 'said the sink') {
  const [farSink, ownSink] = [await openSink(t, far, 0, { hideDSN: true }), await openSink(t)];
  const dead = await openSink(t);
  await dead.close();
  const resolver = zoneResolver({
    'far.example': { MX: [{ exchange: 'mx.far.example', priority: 10 }] },
    'mx.far.example': { A: ['127.0.0.1'] },
    'private.example': { A: ['10.0.0.1'] },
    'broken.example': { FAIL: ['ETIMEOUT'] },
  });
  const rig = await openRig(t, { resolver, mxPort: farSink.port });
  await seedSubmitter(rig.db, ownSink.port);
  const submit = async (...to: readonly string[]) => {
    const client = await Talker.open(rig.submission);
    await login(client, PASSWORD);
    assert.match((await client.send('ann@acme.example', to)).at(-1) ?? '', /^250/);
    client.close();
  };
  /** Fields of the notifications that came, in order. */
  const told = () =>
    ownSink.mail
      .filter((one) => one.from === '')
      .map((one) =>
        Object.fromEntries([...one.body.matchAll(/^([\w-]+): (.*)\r$/gm)].map((match) => [match[1], match[2]])),
      );
  const drain = async () => {
    while ((await rig.delivery.drainOnce()) > 0);
  };
  return { ...rig, farSink, ownSink, submit, told, drain, text };
}

test('at four hours the sender is told once that mail is late, with what the server really said', async (t) => {
  const rig = await openBoth(t, () => 451);
  await rig.submit('slow@far.example');
  await rig.drain();
  rig.clock.advance(4 * HOUR - 1);
  await rig.drain();
  assert.deepEqual(rig.told(), []);
  rig.clock.advance(1);
  await rig.drain();
  const [notice] = rig.told();
  assert.equal(notice?.['Action'], 'delayed');
  assert.equal(notice?.['Status'], '4.0.0', 'it gave none');
  assert.match(notice?.['Diagnostic-Code'] ?? '', /^smtp; 451 /);
  assert.equal(notice?.['Remote-MTA'], 'dns; mx.far.example');
  assert.equal(notice?.['Final-Recipient'], 'rfc822; slow@far.example');
  const until = new Date(notice?.['Will-Retry-Until'] ?? '').getTime();
  assert.equal(until, rig.clock.now().getTime() - 4 * HOUR + 5 * 24 * HOUR);
  for (let round = 0; round < 20; round += 1) {
    rig.clock.advance(4 * HOUR);
    await rig.drain();
  }
  assert.equal(rig.told().length, 1, 'once');
});

test('the notice does not wait for the next try, and mail that went before it is not told of', async (t) => {
  let answer: number | null = 450;
  const rig = await openBoth(t, () => answer);
  await rig.submit('a@far.example');
  await rig.drain();
  answer = null;
  rig.clock.advance(4 * HOUR);
  await rig.drain();
  // Both at once: told by what was known, then delivered.
  assert.deepEqual([rig.told().length, rig.farSink.mail.length], [1, 1]);
  answer = 450;
  await rig.submit('b@far.example');
  await rig.drain();
  answer = null;
  rig.clock.advance(HOUR);
  await rig.drain();
  rig.clock.advance(4 * HOUR);
  await rig.drain();
  assert.equal(rig.told().length, 1);
});

test('two nodes tell of it once', async (t) => {
  const rig = await openBoth(t, () => 451);
  await rig.submit('slow@far.example');
  await rig.drain();
  rig.clock.advance(4 * HOUR);
  const nodes = Array.from({ length: 4 }, (_, at) => rig.openNode(`n${at}`, null));
  await Promise.all(nodes.map((node) => node.drainOnce()));
  await rig.drain();
  assert.equal(rig.told().length, 1);
  const { rows } = await rig.owner.query("select count(*)::int as n from messages where sender = ''");
  assert.deepEqual(rows, [{ n: 1 }]);
});

test('a disk that takes no notices keeps no mail from going; they are made up for', async (t) => {
  let answer: number | null = 451;
  const rig = await openBoth(t, () => answer);
  await rig.submit('slow@far.example', 'other@far.example');
  await rig.drain();
  rig.clock.advance(4 * HOUR);
  const write = rig.spool.write;
  rig.spool.write = () => Promise.reject(Object.assign(new Error('no space'), { code: 'ENOSPC' }));
  assert.equal(await rig.delivery.drainOnce(), 2);
  rig.spool.write = write;
  assert.deepEqual(rig.told(), []);
  answer = 450;
  await rig.drain();
  assert.equal(rig.told().length, 2);
});

test('notices that could not be committed, or that another node made, leave no files', async (t) => {
  const rig = await openBoth(t, () => 451);
  await rig.submit('slow@far.example', 'other@far.example');
  await rig.drain();
  rig.clock.advance(4 * HOUR);
  const files = async () =>
    (await readdir(rig.folder, { recursive: true })).filter((name) => name.endsWith('.eml')).length;
  const deps = { ...rig, config: CONFIG };
  assert.equal(await files(), 1);
  // The second of two can not be written.
  const write = rig.spool.write;
  let writes = 0;
  rig.spool.write = (...given) => {
    writes += 1;
    return writes === 2 ? Promise.reject(new Error('no space')) : write.apply(rig.spool, given);
  };
  await assert.rejects(sendDelayNotices(deps), /no space/);
  rig.spool.write = write;
  assert.equal(await files(), 1);
  await rig.owner.query('alter table ledger rename to gone');
  await assert.rejects(sendDelayNotices(deps));
  assert.equal(await files(), 1);
  await rig.owner.query('alter table gone rename to ledger');
  const told = await Promise.all([sendDelayNotices(deps), sendDelayNotices(deps)]);
  assert.deepEqual(told.toSorted(), [0, 2]);
  assert.equal(await files(), 3);
});

test('nobody is told of inbound mail, of the null sender, or of notifications', async (t) => {
  const rig = await openBoth(t, () => 451);
  await rig.submit('slow@far.example');
  await rig.drain();
  const client = await Talker.open(rig.smtp);
  await rig.ownSink.close();
  await client.send('eve@far.example', ['ann@acme.example']);
  await client.send('', ['ann@acme.example']);
  client.close();
  for (let round = 0; round < 12; round += 1) {
    await rig.delivery.drainOnce();
    rig.clock.advance(4 * HOUR);
  }
  const { rows } = await rig.owner.query(
    "select kind, count(*)::int as n from queue where sender = '' group by 1 order by 1",
  );
  assert.deepEqual(rows, [
    { kind: 'dsn', n: 1 },
    { kind: 'mail', n: 1 },
  ]);
});

test('a delay by the network says which: no way there, no answer, a look-up that failed', async (t) => {
  const rig = await openBoth(t, () => null);
  await rig.farSink.close();
  await rig.submit('a@private.example', 'b@far.example', 'c@broken.example');
  await rig.drain();
  rig.clock.advance(4 * HOUR);
  await rig.delivery.drainOnce();
  await rig.drain();
  const byRecipient = Object.fromEntries(
    rig.told().map((one) => [one['Final-Recipient']?.replace('rfc822; ', ''), one['Status']]),
  );
  assert.deepEqual(byRecipient, {
    'a@private.example': '4.4.4',
    'b@far.example': '4.4.1',
    'c@broken.example': '4.3.0',
  });
  assert.ok(
    rig.told().every((one) => one['Remote-MTA'] === undefined),
    'no host answered',
  );
});

test('every kind of notification carries the status of what happened', async (t) => {
  let text = '';
  const rig = await openBoth(t, () => null);
  const cases: readonly [number, string, string][] = [
    [550, '5.1.1 No such user', '5.1.1'],
    [552, '5.2.2 Full', '5.2.2'],
    [554, '5.7.1 Spam', '5.7.1'],
    [550, 'plain text', '5.0.0'],
    [550, '4.2.2 another class', '5.0.0'],
  ];
  const replies: string[] = [];
  // A server of few words: every command is answered as told.
  const { createServer } = await import('node:net');
  const server = createServer((socket) => {
    socket.on('error', () => undefined);
    socket.write('220 mx.far.example\r\n');
    socket.on('data', (data) => {
      for (const line of data.toString().split('\r\n').filter(Boolean)) {
        if (/^RCPT/.test(line)) socket.write(`${text}\r\n`);
        else if (/^QUIT/.test(line)) socket.end('221 bye\r\n');
        else socket.write('250 ok\r\n');
      }
    });
  });
  await rig.farSink.close();
  await new Promise<void>((resolve) => server.listen(rig.farSink.port, '127.0.0.1', resolve));
  t.after(() => new Promise((resolve) => server.close(resolve)));
  for (const [code, words, status] of cases) {
    text = `${code} ${words}`;
    const before = rig.told().length;
    await rig.submit('bob@far.example');
    await rig.drain();
    const notice = rig.told()[before];
    assert.equal(notice?.['Action'], 'failed', text);
    assert.equal(notice?.['Status'], status, text);
    replies.push(notice?.['Diagnostic-Code'] ?? '');
  }
  assert.deepEqual(
    replies,
    cases.map(([code, words]) => `smtp; ${code} ${words}`),
  );
  text = '451 4.7.1 Greylisted';
  await rig.submit('late@far.example');
  for (let round = 0; round < 40; round += 1) {
    await rig.delivery.drainOnce();
    rig.clock.advance(4 * HOUR);
  }
  assert.deepEqual(
    rig
      .told()
      .slice(cases.length)
      .map((one) => [one['Action'], one['Status'], one['Diagnostic-Code']]),
    [
      ['delayed', '4.7.1', 'smtp; 451 4.7.1 Greylisted'],
      ['failed', '4.4.7', 'smtp; 451 4.7.1 Greylisted'],
    ],
  );
});

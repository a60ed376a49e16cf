import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Readable } from 'node:stream';
import { type TestContext, test } from 'node:test';
import { runChecked } from '../../src/cli/check.ts';
import type { CommandContext, CommandResult, Values } from '../../src/cli/command.ts';
import { forPeopleText, jsonText, printResult } from '../../src/cli/print.ts';
import { COMMANDS } from '../../src/cli.ts';
import { readConfig } from '../../src/config/config.ts';
import { AppError } from '../../src/core/errors.ts';
import { silentLogger } from '../../src/core/log.ts';
import type { Store } from '../../src/db/store.ts';
import { Spool } from '../../src/gateway/index.ts';
import { globalId } from '../../src/graphql/ids.ts';
import { openDatabase } from '../support/db.ts';
import { type SeededDelivery, seedQuarantined } from '../support/quarantined.ts';
import { seedClient, seedPartner } from '../support/seed.ts';

const REASONS = [
  { code: 'attachment.executable', detail: 'invoice.exe' },
  { code: 'auth.dmarc_reject', detail: '' },
];

async function openTrace(t: TestContext) {
  const { db, clock, owner } = await openDatabase(t);
  const partner = (await seedPartner(db)).id;
  const client = await seedClient(db, partner);
  const folder = await mkdtemp(path.join(tmpdir(), 'tollgate-trace-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const config = readConfig({ TOLLGATE_HOME: folder });
  const key = Buffer.alloc(32, 1);
  const context: CommandContext = {
    config,
    secrets: { sealKey: key, appPassword: '', systemPassword: '', signKey: key, srsKey: key },
    clock,
    logger: silentLogger,
    store: { db, migrated: [] } as unknown as Store,
  };
  const run = (name: string, values: Values = {}) =>
    runChecked(COMMANDS.find((one) => one.name === name) ?? assert.fail(name), context, values, []);
  const seed = (given: SeededDelivery) => seedQuarantined(db, partner, client, given);
  const ids = async (values: Values) =>
    ((await run('trace', values)).output['deliveries'] as { id: string }[]).map((one) => one.id);
  return { db, clock, owner, partner, client, config, run, seed, ids };
}

const fits = (result: CommandResult) => {
  const text = forPeopleText(result.forPeople ?? result.output);
  for (const line of text.split('\n')) assert.ok([...line].length <= 120, line);
  return text;
};

test('trace finds mail by sender, recipient, subject, Message-ID, address, verdict and time', async (t) => {
  const { clock, partner, client, run, seed, ids } = await openTrace(t);
  const first = await seed({ subject: 'Invoice 4711', sender: 'bob@sender.example' });
  clock.advance(2 * 86_400_000);
  const second = await seed({
    subject: 'Lunch',
    sender: 'eve@other.example',
    verdict: 'phish',
    recipient: 'bob@acme.example',
  });
  const day = clock.now().toISOString().slice(0, 10);
  for (const [values, found] of [
    [{ client }, [second, first]],
    [{ partner }, [second, first]],
    [{ client, sender: 'BOB@sender.example' }, [first]],
    [{ client, recipient: 'bob@acme.example' }, [second]],
    [{ client, subject: 'voice 47' }, [first]],
    [{ client, text: 'eve@' }, [second]],
    [{ client, 'message-id': '1@sender.example' }, [second, first]],
    [{ client, ip: '192.0.2.1', verdict: ['phish'] }, [second]],
    [{ client, disposition: ['delivered'] }, []],
    [{ client, from: day }, [second]],
    [{ client, to: '2000-01-01' }, []],
    [{ client, from: day, to: day, first: '1' }, [second]],
    [{ client, to: clock.now().toISOString() }, [first]],
  ] satisfies [Values, string[]][]) {
    assert.deepEqual(await ids(values), found, JSON.stringify(values));
  }
  const cut = await run('trace', { client, first: '1' });
  assert.deepEqual([cut.output['more'], /^There is more/.test(cut.words?.[0] ?? '')], [true, true]);
  assert.match(fits(await run('trace', { client })), new RegExp(`${first}.*bob@send.*Invoice 4711 +spam quarantined`));
  for (const [wrong, field] of [
    [{ client, sender: 'nobody' }, 'sender'],
    [{ client, from: 'yesterday' }, 'from'],
    [{ client, verdict: ['bad'] }, 'verdict'],
    [{ client, first: '0' }, 'first'],
    [{ client, ip: '10.0.0.0/8' }, 'ip'],
  ] satisfies [Values, string][]) {
    await assert.rejects(
      run('trace', wrong),
      (error) => error instanceof AppError && error.message.includes(`--${field}`),
    );
  }
});

test('trace show tells the whole story: the message, why in words, events in order, attempts', async (t) => {
  const { db, owner, partner, client, run, seed } = await openTrace(t);
  const id = await seed({ subject: 'A long subject '.repeat(12), verdict: 'policy', reasons: REASONS });
  await run('quarantine release', { client, delivery: [id] });
  await owner.query(
    `insert into delivery_attempts (partner_id, delivery_id, id, at, node, host, port, code, reply, duration_ms)
     values ($1, $2, gen_random_uuid(), now(), 'n1', 'mx.acme.example', 25, 451, '451 4.2.1 busy', 120)`,
    [partner, id],
  );
  const shown = await run('trace show', { client, delivery: globalId('Delivery', id) });
  const { why, events, attempts, eventsComplete, message } = shown.output as {
    why: string[];
    events: { kind: string }[];
    attempts: { reply: string }[];
    eventsComplete: boolean;
    message: { subject: string };
  };
  assert.deepEqual(why, [
    'It holds something that your rules do not allow',
    'Holds a program: invoice.exe',
    'DMARC failed and the From domain asks for rejection',
  ]);
  assert.deepEqual(
    events.map((one) => one.kind),
    ['accepted', 'quarantined', 'release_requested'],
  );
  assert.deepEqual([attempts.length, eventsComplete, message.subject.length > 100], [1, true, true]);
  const text = forPeopleText(shown.forPeople ?? {});
  for (const part of [
    /let out, on its way/,
    /mx\.acme\.example:25 .*451 4\.2\.1 busy/,
    /Holds a program: invoice\.exe/,
    /attachment\.executable/,
  ])
    assert.match(text, part);
  // Another client's delivery is none of this one's.
  const other = await seedClient(db, partner, { domain: 'other.example', name: 'Other' });
  await assert.rejects(run('trace show', { client: other, delivery: id }), /there is no delivery/);
});

test('quarantine on the command line: list, show with header, files and why, block, release with allow', async (t) => {
  const { owner, client, config, run, seed } = await openTrace(t);
  const spool = await Spool.open(config.contentDir);
  const message = [
    'From: Bob <bob@sender.example>',
    'To: ann@acme.example',
    'Subject: =?utf-8?q?Hi_=1B[2J=E2=80=AEthere?=',
    'MIME-Version: 1.0',
    'Content-Type: multipart/mixed; boundary=b',
    '',
    '--b',
    'Content-Type: text/plain',
    '',
    'See the file.',
    '--b',
    'Content-Type: application/octet-stream; name=invoice.exe',
    'Content-Transfer-Encoding: base64',
    '',
    Buffer.from('MZ'.padEnd(200, '\0')).toString('base64'),
    '--b--',
    '',
  ].join('\r\n');
  const { id: contentId } = await spool.write(Readable.from([Buffer.from(message)]));
  const id = await seed({ verdict: 'policy', reasons: REASONS, contentId });
  const list = await run('quarantine list', { client, verdict: ['policy'] });
  assert.match(fits(list), new RegExp(id));
  assert.deepEqual((list.output['quarantine'] as { why: string[] }[])[0]?.why, [
    'Holds a program: invoice.exe',
    'DMARC failed and the From domain asks for rejection',
  ]);
  assert.deepEqual((await run('quarantine list', { client, text: 'nothing' })).output, { quarantine: [] });

  const shown = await run('quarantine show', { client, delivery: id, body: true });
  const content = shown.output['content'] as {
    headers: { name: string; value: string }[];
    attachments: { name: string; findings: string[] }[];
    text: string;
  };
  assert.deepEqual(content.headers.slice(0, 2), [
    { name: 'From', value: 'Bob <bob@sender.example>' },
    { name: 'To', value: 'ann@acme.example' },
  ]);
  assert.equal(content.attachments[0]?.name, 'invoice.exe');
  assert.ok((content.attachments[0]?.findings.length ?? 0) > 0);
  assert.match(content.text, /See the file/);
  const printed = await captured(() => printResult(shown, false));
  assert.match(printed, /Holds a program: invoice\.exe/);
  // biome-ignore lint/suspicious/noControlCharactersInRegex: that none is printed is what is tested
  assert.doesNotMatch(printed, /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202e]/);
  const { rows } = await owner.query("select actor from audit where action = 'message.view' and subject = $1", [id]);
  assert.deepEqual(rows, [{ actor: 'cli' }]);

  const blocked = await run('quarantine block', { client, delivery: [id], scope: 'client', match: 'domain' });
  assert.deepEqual(
    [blocked.output['blocked'], (blocked.output['entries'] as { pattern: string }[])[0]?.pattern],
    [1, 'sender.example'],
  );
  const released = await run('quarantine release', { client, delivery: [id], allow: true, scope: 'client' });
  assert.equal(released.output['released'], 1);
  assert.equal((released.output['entries'] as { kind: string }[])[0]?.kind, 'allow');
  assert.deepEqual((await run('quarantine release', { client, delivery: [id] })).output, { released: 0 });
  // The body of another is gone.
  const gone = await run('quarantine show', { client, delivery: await seed({}) });
  assert.equal(gone.output['content'], null);
});

test('what strangers wrote gives a terminal no commands, in JSON neither', () => {
  assert.equal(jsonText({ a: '\u009b2J\u001b' }), '{"a":"\\u009b2J\\u001b"}');
  const row = { subject: 'one\r\n  two\tthree', id: 'x' };
  assert.match(forPeopleText({ rows: [row] }), /one two three/);
});

async function captured(work: () => void): Promise<string> {
  const texts: string[] = [];
  const write = process.stdout.write;
  process.stdout.write = ((text: string) => texts.push(text) > 0) as typeof process.stdout.write;
  try {
    work();
  } finally {
    process.stdout.write = write;
  }
  return texts.join('');
}

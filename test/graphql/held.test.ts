import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Readable } from 'node:stream';
import { type TestContext, test } from 'node:test';
import { listMailboxes } from '../../src/accounts/mailboxes.ts';
import { newId } from '../../src/core/id.ts';
import { silentLogger } from '../../src/core/log.ts';
import { Spool } from '../../src/gateway/index.ts';
import { globalId } from '../../src/graphql/ids.ts';
import { release, remove } from '../../src/quarantine/actions.ts';
import { createPreviewer } from '../../src/quarantine/preview.ts';
import { openDatabase } from '../support/db.ts';
import { keyWith, NO_COMMANDS, openServer } from '../support/http.ts';
import { type SeededDelivery, seedQuarantined } from '../support/quarantined.ts';
import { seedClient, seedPartner } from '../support/seed.ts';

const MESSAGE = [
  'From: Bob <bob@sender.example>',
  'Subject: =?utf-8?B?R3LDvMOfZQ==?=',
  'Content-Type: text/html',
  '',
  '<p>Hi<script>alert(1)</script><img src="http://t.example/1.gif"></p>',
  '',
].join('\r\n');

async function open(t: TestContext) {
  const { db, clock, owner } = await openDatabase(t);
  const { id: partner, apiKey } = await seedPartner(db);
  const clientId = await seedClient(db, partner);
  const folder = await mkdtemp(path.join(tmpdir(), 'tollgate-held-'));
  const spool = await Spool.open(folder);
  const previewer = createPreviewer({ store: spool, logger: silentLogger });
  t.after(async () => {
    await previewer.close();
    await rm(folder, { recursive: true, force: true });
  });
  const server = await openServer(t, {
    db,
    clock,
    commands: {
      ...NO_COMMANDS,
      releaseDelivery: (tx, id, actor) => release(tx, actor, id),
      discardDelivery: (tx, id, actor) => remove(tx, actor, id),
      previewMessage: (_caller, seen) => previewer.preview(seen.contentId),
      messageSource: (_caller, seen, max) => previewer.source(seen.contentId, max),
      replyToDelivery: async (_caller, actor, input) => ({
        deliveryId: input.deliveryId,
        sent: actor.role === 'technician',
      }),
    },
  });
  const [mailbox] = await db.tenant(partner, (tx) => listMailboxes(tx, clientId, { first: 1, after: null }));
  const keeper = await keyWith(db, partner, ['read', 'quarantine']);
  const reader = await keyWith(db, partner, ['read', 'write']);
  const content = async () => (await spool.write(Readable.from([Buffer.from(MESSAGE)]))).id;
  const seed = async (given: SeededDelivery = {}) =>
    seedQuarantined(db, partner, clientId, { mailboxId: mailbox?.id ?? '', ...given });
  const ask = async (key: string, text: string) => {
    const { body } = await server.ask(key, text);
    assert.equal(body.errors, undefined, JSON.stringify(body.errors));
    return body.data as Record<string, never>;
  };
  const refused = async (key: string, text: string) =>
    (await server.ask(key, text)).body.errors?.[0]?.extensions['code'];
  return { db, clock, owner, partner, apiKey, clientId, spool, keeper, reader, content, seed, ask, refused };
}

const del = (id: string) => globalId('Delivery', id);

test('a held message is seen without being let out: header, files, body, reasons', async (t) => {
  const { owner, keeper, reader, content, seed, ask, refused, spool } = await open(t);
  const contentId = await content();
  const id = await seed({
    contentId,
    reasons: [
      { code: 'rules.bulk_mailer', detail: 'X' },
      { code: 'auth.dmarc_pass', detail: '' },
    ],
  });
  const text = `{ quarantinedDelivery(id: "${del(id)}") { why mayRelease eventsComplete content {
    headers { name value raw } attachments { name } kind html previewDocument remoteImages truncated problem }
    source(maxBytes: 10) { base64 bytes complete } } }`;
  const { quarantinedDelivery: seen } = (await ask(keeper, text)) as Record<string, Record<string, never>>;
  assert.deepEqual(seen?.['why'], ['Spam', 'Written by a program that is made for mass mail: X']);
  assert.deepEqual([seen?.['mayRelease'], seen?.['eventsComplete']], [true, true]);
  const shown = seen?.['content'] as unknown as Record<string, unknown>;
  assert.deepEqual((shown['headers'] as unknown[])[1], {
    name: 'Subject',
    value: 'Grüße',
    raw: 'Subject: =?utf-8?B?R3LDvMOfZQ==?=',
  });
  assert.deepEqual([shown['kind'], shown['remoteImages'], shown['problem']], ['HTML', 1, null]);
  assert.equal(shown['html'], '<p>Hi<span>[picture]</span></p>\n');
  assert.match(String(shown['previewDocument']), /default-src 'none'/);
  assert.deepEqual(seen?.['source'], {
    base64: Buffer.from('From: Bob ').toString('base64'),
    bytes: MESSAGE.length,
    complete: false,
  });
  for (let index = 0; index < 3; index += 1) await ask(keeper, text);
  assert.equal((await owner.query("select from deliveries where disposition = 'quarantined'")).rowCount, 1, 'rule 9');
  assert.equal((await owner.query('select from queue')).rowCount, 0);

  const part = (field: string) => `{ delivery(id: "${del(id)}") { ${field} } }`;
  assert.equal(await refused(reader, part('content { kind }')), 'FORBIDDEN');
  assert.equal(await refused(reader, part('source { bytes }')), 'FORBIDDEN');
  assert.deepEqual(await ask(reader, part('mayRelease')), { delivery: { mayRelease: false } });
  await spool.remove(contentId);
  assert.deepEqual(await ask(keeper, part('content { kind } source { bytes }')), {
    delivery: { content: null, source: null },
  });
});

test('the message as it came is for those who may let it out, within bounds', async (t) => {
  const { keeper, apiKey, content, seed, ask, refused } = await open(t);
  const id = await seed({ contentId: await content(), verdict: 'malware' });
  const source = (max: number) =>
    `{ delivery(id: "${del(id)}") { content { kind } source(maxBytes: ${max}) { complete } } }`;
  assert.equal(await refused(keeper, source(100)), 'FORBIDDEN');
  assert.deepEqual(await ask(apiKey, source(1_000)), {
    delivery: { content: { kind: 'HTML' }, source: { complete: true } },
  });
  assert.equal(await refused(apiKey, source(0)), 'BAD_USER_INPUT');
  assert.equal(await refused(apiKey, source(1_048_577)), 'BAD_USER_INPUT');
  const page = '{ deliveries(first: 25) { nodes { content { kind } } } }';
  assert.equal(await refused(apiKey, page), 'LIMIT_EXCEEDED');
});

test('a delivery that is not in quarantine, or not there, is null', async (t) => {
  const { keeper, seed, ask } = await open(t);
  const id = await seed({ disposition: 'delivered' });
  const both = (one: string) => `{ a: quarantinedDelivery(id: "${one}") { id } b: delivery(id: "${one}") { id } }`;
  assert.deepEqual(await ask(keeper, both(del(id))), { a: null, b: { id: del(id) } });
  assert.deepEqual(await ask(keeper, both(del(newId()))), { a: null, b: null });
  assert.deepEqual(await ask(keeper, both('rubbish')), { a: null, b: null });
});

test('actions on one message, each answering again that nothing changed', async (t) => {
  const { keeper, seed, ask, clientId } = await open(t);
  const run = async (call: string, selection: string) =>
    (await ask(keeper, `mutation { x: ${call} { ${selection} userErrors { code field } } }`))['x'] as unknown;
  const id = await seed();
  const allow = () =>
    run(
      `releaseAndAllow(input: {id: "${del(id)}", match: DOMAIN, scope: CLIENT})`,
      'released entry { kind scope pattern } delivery { disposition }',
    );
  const done = {
    entry: { kind: 'ALLOW', scope: 'CLIENT', pattern: 'sender.example' },
    delivery: { disposition: 'QUEUED' },
    userErrors: [],
  };
  assert.deepEqual(await allow(), { released: true, ...done });
  assert.deepEqual(await allow(), { released: false, ...done });
  const missed = await seed({ disposition: 'delivered', verdict: 'clean', sender: 'eve@else.example' });
  const spam = () => run(`reportSpam(input: {id: "${del(missed)}"})`, 'recorded delivery { verdict }');
  assert.deepEqual(await spam(), { recorded: true, delivery: { verdict: 'CLEAN' }, userErrors: [] });
  assert.deepEqual(await spam(), { recorded: false, delivery: { verdict: 'CLEAN' }, userErrors: [] });
  const held = await seed();
  assert.deepEqual(await run(`reportSpam(input: {id: "${del(held)}"})`, 'recorded delivery { id }'), {
    recorded: false,
    delivery: null,
    userErrors: [{ code: 'CONFLICT', field: 'id' }],
  });
  assert.deepEqual(await run(`reportNotSpam(input: {id: "${del(held)}"})`, 'recorded'), {
    recorded: true,
    userErrors: [],
  });
  assert.deepEqual(await run(`blockSender(input: {id: "${del(missed)}"})`, 'added entry { scope pattern }'), {
    added: true,
    entry: { scope: 'MAILBOX', pattern: 'eve@else.example' },
    userErrors: [],
  });
  assert.deepEqual(await run(`replyToDelivery(input: {id: "${del(held)}", text: "Hi"})`, 'sent delivery { id }'), {
    sent: true,
    delivery: { id: del(held) },
    userErrors: [],
  });
  assert.ok(clientId);
});

test('many by id: a result for each, and one that fails stops no other', async (t) => {
  const { keeper, seed, ask } = await open(t);
  const [one, two, malware] = [await seed(), await seed(), await seed({ verdict: 'malware' })];
  const run = async (ids: readonly string[], action = 'RELEASE') =>
    (
      await ask(
        keeper,
        `mutation { x: actOnDeliveries(input: {ids: ${JSON.stringify(ids)}, action: ${action}}) { changed failed
          results { deliveryId changed userErrors { code } } userErrors { code field } } }`,
      )
    )['x'] as unknown;
  const result = (deliveryId: string, changed: boolean, ...codes: string[]) => ({
    deliveryId,
    changed,
    userErrors: codes.map((code) => ({ code })),
  });
  const absent = del(newId());
  assert.deepEqual(await run([del(one), absent, 'rubbish', globalId('QuarantineItem', two), del(malware), del(one)]), {
    changed: 2,
    failed: 3,
    results: [
      result(del(one), true),
      result(absent, false, 'NOT_FOUND'),
      result(globalId('QuarantineItem', two), true),
      result(del(malware), false, 'FORBIDDEN'),
      result('rubbish', false, 'NOT_FOUND'),
    ],
    userErrors: [],
  });
  const wrong = { changed: 0, failed: 0, results: [], userErrors: [{ code: 'BAD_USER_INPUT', field: 'ids' }] };
  assert.deepEqual(await run([]), wrong);
  assert.deepEqual(await run(Array.from({ length: 201 }, () => del(newId()))), wrong);
  assert.deepEqual(await run([del(malware)], 'DELETE'), {
    changed: 1,
    failed: 0,
    results: [result(del(malware), true)],
    userErrors: [],
  });
});

test('many by filter: counted first, then done; a filter that names nothing is refused', async (t) => {
  const { owner, keeper, seed, ask, clientId, clock } = await open(t);
  await seed({ sender: 'eve@else.example' });
  clock.advance(1_000);
  for (let index = 0; index < 3; index += 1) await seed();
  await seed({ verdict: 'malware' });
  const run = async (filter: string, rest: string) =>
    (
      await ask(
        keeper,
        `mutation { x: actOnQuarantine(input: {filter: {${filter}}, ${rest}}) { matched acted changed failed
          failures { userErrors { code } } userErrors { code field } } }`,
      )
    )['x'] as unknown;
  const answer = (matched: number, acted: number, changed: number, failures: readonly string[] = []) => ({
    matched,
    acted,
    changed,
    failed: failures.length,
    failures: failures.map((code) => ({ userErrors: [{ code }] })),
    userErrors: [],
  });
  const client = `clientId: "${globalId('Client', clientId)}"`;
  assert.deepEqual(await run(client, 'action: RELEASE, dryRun: true'), answer(5, 0, 0));
  assert.equal((await owner.query('select from queue')).rowCount, 0);
  const before = `before: "${clock.now().toISOString()}"`;
  assert.deepEqual(await run(`${client}, ${before}`, 'action: DELETE'), answer(1, 1, 1));
  assert.deepEqual(await run('sender: "bob@sender.example"', 'action: RELEASE'), answer(4, 4, 3, ['FORBIDDEN']));
  assert.deepEqual(await run('verdicts: [MALWARE]', 'action: DELETE'), answer(1, 1, 1));
  assert.deepEqual(await run(client, 'action: DELETE'), answer(0, 0, 0));
  const refusal = async (filter: string, rest: string) =>
    ((await run(filter, rest)) as { userErrors: unknown }).userErrors;
  assert.deepEqual(await refusal('', 'action: DELETE'), [{ code: 'BAD_USER_INPUT', field: 'filter' }]);
  assert.deepEqual(await refusal('sender: "nobody"', 'action: DELETE'), [{ code: 'BAD_USER_INPUT', field: 'sender' }]);
  assert.deepEqual(await refusal(client, 'action: REPORT_SPAM'), [{ code: 'BAD_USER_INPUT', field: 'action' }]);
});

test('a request is asked for, seen, and decided by who may', async (t) => {
  const { keeper, apiKey, seed, ask } = await open(t);
  const [id, other] = [await seed({ verdict: 'malware' }), await seed({ verdict: 'unscannable' })];
  const requested = async (one: string) =>
    (
      (await ask(
        keeper,
        `mutation { x: requestRelease(input: {id: "${del(one)}", note: "mine"}) { created request { id state note } userErrors { code } } }`,
      )) as unknown as { x: { created: boolean; request: { id: string; state: string; note: string } } }
    ).x;
  const first = await requested(id);
  assert.deepEqual([first.created, first.request.state, first.request.note], [true, 'OPEN', 'mine']);
  const second = await requested(other);
  const list =
    '{ releaseRequests(state: OPEN, first: 1) { nodes { id requestedBy delivery { verdict } client { name } } pageInfo { hasNextPage } } }';
  assert.deepEqual(await ask(keeper, list), {
    releaseRequests: {
      nodes: [
        {
          id: second.request.id,
          requestedBy: 'key:read+quarantine',
          delivery: { verdict: 'UNSCANNABLE' },
          client: { name: 'acme.example' },
        },
      ],
      pageInfo: { hasNextPage: true },
    },
  });
  const approve = (request: string) =>
    `mutation { x: approveReleaseRequest(input: {id: "${request}"}) { released request { state } userErrors { code } } }`;
  assert.deepEqual(await ask(keeper, approve(first.request.id)), {
    x: { released: false, request: null, userErrors: [{ code: 'FORBIDDEN' }] },
  });
  assert.deepEqual(await ask(apiKey, approve(first.request.id)), {
    x: { released: true, request: { state: 'APPROVED' }, userErrors: [] },
  });
  assert.deepEqual(
    await ask(
      apiKey,
      `mutation { x: denyReleaseRequest(input: {id: "${second.request.id}", note: "no"}) { denied request { state decisionNote decidedBy } userErrors { code } } }`,
    ),
    {
      x: { denied: true, request: { state: 'DENIED', decisionNote: 'no', decidedBy: 'key:first key' }, userErrors: [] },
    },
  );
  assert.deepEqual(await ask(keeper, '{ releaseRequests(state: OPEN) { nodes { id } } }'), {
    releaseRequests: { nodes: [] },
  });
});

test('how long mail is kept is set by administrators and seen by all', async (t) => {
  const { keeper, apiKey, ask, refused, clientId } = await open(t);
  const id = globalId('Client', clientId);
  const set = (days: number, rest = '') =>
    `mutation { x: setQuarantineRetention(input: {clientId: "${id}", days: ${days}${rest}}) { client { quarantineRetention { days malwareDays } } userErrors { code field } } }`;
  assert.deepEqual(await ask(keeper, `{ client(id: "${id}") { quarantineRetention { days malwareDays } } }`), {
    client: { quarantineRetention: { days: 30, malwareDays: 30 } },
  });
  assert.equal(await refused(keeper, set(7)), 'FORBIDDEN');
  assert.deepEqual(await ask(apiKey, set(7, ', malwareDays: 90')), {
    x: { client: { quarantineRetention: { days: 7, malwareDays: 90 } }, userErrors: [] },
  });
  assert.deepEqual(await ask(apiKey, set(0)), {
    x: { client: null, userErrors: [{ code: 'BAD_USER_INPUT', field: 'days' }] },
  });
});

test('the trace says what is gone', async (t) => {
  const { owner, clock, keeper, seed, ask } = await open(t);
  const id = await seed();
  const trace = (filter: string) =>
    `{ deliveries(${filter}first: 5) { detailFrom detailComplete nodes { eventsComplete } } }`;
  assert.deepEqual(await ask(keeper, trace('')), {
    deliveries: { detailFrom: null, detailComplete: true, nodes: [{ eventsComplete: true }] },
  });
  clock.advance(1_000);
  const floor = clock.now().toISOString();
  await owner.query('insert into retention_floor (whole_from) values ($1)', [floor]);
  const gone = { detailFrom: floor, detailComplete: false };
  assert.deepEqual(await ask(keeper, trace('')), { deliveries: { ...gone, nodes: [{ eventsComplete: false }] } });
  assert.deepEqual(await ask(keeper, trace(`filter: {from: "${floor}"}, `)), {
    deliveries: { ...gone, detailComplete: true, nodes: [] },
  });
  const early = new Date(clock.now().getTime() - 1).toISOString();
  assert.deepEqual(await ask(keeper, trace(`filter: {from: "${early}"}, `)), { deliveries: { ...gone, nodes: [] } });
  assert.ok(id);
});

import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { type TestContext, test } from 'node:test';
import { setLimits } from '../../src/accounts/outbound-limits.ts';
import { silentLogger } from '../../src/core/log.ts';
import type { Pipeline, PipelineInput, PipelineResult } from '../../src/core/message.ts';
import { correspondentHistory, pruneHistory } from '../../src/gateway/index.ts';
import { zoneResolver } from '../../src/mail/resolver.ts';
import { createPipeline } from '../../src/pipeline/create.ts';
import { countingSystem } from '../support/counting.ts';
import { envelope, recipient } from '../support/pipeline.ts';
import { seedClient, seedPartner } from '../support/seed.ts';
import { byLocalPart, openRig, Talker } from './support/rig.ts';
import { login, PASSWORD, seedSubmitter } from './support/submitter.ts';

const BOB = 'bob@sender.example';

/** A gateway whose filter says `verdict` of mail with this Message-ID. */
async function openHistory(t: TestContext) {
  const next = { verdict: 'clean' as 'clean' | 'spam', messageId: '<1@acme.example>', fromAddress: BOB };
  const pipeline: Pipeline = {
    async run(input, signal) {
      const result = await byLocalPart.run(input, signal);
      const { messageId, fromAddress, verdict } = next;
      return {
        ...result,
        facts: { ...result.facts, messageId, fromAddress },
        decisions: result.decisions.map((one) => ({ ...one, verdict })),
      };
    },
    async close() {},
  };
  const rig = await openRig(t, { pipeline, resolver: zoneResolver({}) });
  const { partner, clientId } = await seedSubmitter(rig.db);
  const client = { partnerId: partner.id, clientId };
  const history = correspondentHistory(rig.db);
  const look = async (from = BOB, ids: string[] = []) =>
    (await history.look([client], from, ids)).get(clientId) ?? assert.fail();
  let bodies = 0;
  const receive = async (to: string[] = ['ann@acme.example'], over: Partial<typeof next> = {}) => {
    Object.assign(next, { verdict: 'clean', messageId: '', fromAddress: BOB, ...over });
    const talker = await Talker.open(rig.smtp);
    bodies += 1;
    const replies = await talker.send(BOB, to, `Subject: ${bodies}\r\n\r\nHi\r\n`);
    talker.close();
    return replies.at(-1) ?? '';
  };
  const submit = async (to: string[], over: Partial<typeof next> = {}) => {
    Object.assign(next, { verdict: 'clean', messageId: '<1@acme.example>', fromAddress: 'ann@acme.example', ...over });
    const talker = await Talker.open(rig.submission);
    await login(talker, PASSWORD);
    bodies += 1;
    const replies = await talker.send('ann@acme.example', to, `Subject: ${bodies}\r\n\r\nHi\r\n`);
    talker.close();
    return replies.at(-1) ?? '';
  };
  return { ...rig, partner, clientId, client, history, look, receive, submit };
}

const counts = ({ received, sent, spam }: { received: number; sent: number; spam: number }) => [received, sent, spam];

test('clean mail makes its sender known, one sign a message; unwanted mail makes nobody known', async (t) => {
  const { look, receive, owner } = await openHistory(t);
  assert.match(await receive(undefined, { verdict: 'spam' }), /^250/);
  assert.deepEqual(counts(await look()), [0, 0, 0]);
  assert.equal((await owner.query('select count(*)::int as n from correspondents')).rows[0].n, 0);
  assert.match(await receive(['ann@acme.example', 'bob@acme.example']), /^250/);
  await receive();
  await receive(undefined, { verdict: 'spam' });
  assert.deepEqual(counts(await look()), [2, 0, 1]);
  assert.deepEqual(counts(await look('eve@sender.example')), [0, 0, 0]);
  await receive(['quarantine@acme.example']);
  assert.deepEqual(counts(await look()), [2, 0, 1], 'what was held is no clean mail that was accepted');
});

test('mail that goes out makes its recipients known, and its Message-ID an answer of theirs; a hijacked account does not', async (t) => {
  const { look, submit, db, partner, clientId } = await openHistory(t);
  assert.match(await submit(['carl@far.example', 'dora@far.example']), /^250/);
  assert.deepEqual(counts(await look('carl@far.example')), [0, 1, 0]);
  assert.deepEqual(counts(await look('dora@far.example')), [0, 1, 0]);
  assert.equal((await look('carl@far.example', ['<0@x.example>', '<1@acme.example>'])).isReply, true);
  assert.equal((await look('carl@far.example', ['<1@other.example>', 'x\0\ud800'])).isReply, false);
  await submit(['frank@far.example'], { verdict: 'spam', messageId: '<2@acme.example>' });
  assert.deepEqual(counts(await look('frank@far.example', ['<2@acme.example>'])), [0, 0, 0]);
  assert.equal((await look('frank@far.example', ['<2@acme.example>'])).isReply, false);
  const limits = { clientId, mailboxId: null, firstTimeRecipientsPerDay: 1, actor: 'test' };
  await db.tenant(partner.id, (tx) => setLimits(tx, limits));
  assert.match(await submit(['gina@far.example', 'hugo@far.example'], { messageId: '<3@acme.example>' }), /^250/);
  assert.deepEqual(counts(await look('gina@far.example')), [0, 0, 0], 'held over a limit');
});

test('addresses are kept as hashes with a salt of the client, and rule 10: a tenant sees its own', async (t) => {
  const { owner, db, receive, partner, look } = await openHistory(t);
  await receive();
  const { rows } = await owner.query(
    'select correspondent, salt from correspondents h join clients c on c.id = h.client_id',
  );
  assert.equal(rows.length, 1);
  assert.equal(rows[0].salt.length, 16);
  const other = await seedOther(db);
  const count = (id: typeof partner.id) =>
    db.tenant(
      id,
      async (tx) => (await tx.rows({ name: 'h', text: 'select 1 from correspondents', values: [] })).length,
    );
  assert.deepEqual([await count(partner.id), await count(other.partner)], [1, 0]);
  const seen = await correspondentHistory(db).look([{ partnerId: other.partner, clientId: other.clientId }], BOB, []);
  assert.deepEqual(counts(seen.get(other.clientId) ?? assert.fail()), [0, 0, 0]);
  assert.deepEqual(counts(await look()), [1, 0, 0]);
});

async function seedOther(db: Parameters<typeof seedSubmitter>[0]) {
  const partner = await seedPartner(db, 'Other');
  return { partner: partner.id, clientId: await seedClient(db, partner.id, { domain: 'other.example' }) };
}

test('correspondents are forgotten after 180 days of silence, sent Message-IDs after 30', async (t) => {
  const { look, receive, submit, clock, db } = await openHistory(t);
  await receive();
  await submit(['carl@far.example']);
  clock.advance(31 * 86_400_000);
  assert.equal(await pruneHistory(db), 1);
  assert.equal((await look('carl@far.example', ['<1@acme.example>'])).isReply, false);
  assert.deepEqual(counts(await look()), [1, 0, 0]);
  clock.advance(150 * 86_400_000);
  assert.equal(await pruneHistory(db), 2);
  assert.deepEqual(counts(await look()), [0, 0, 0]);
});

test('the look is one statement a message, whatever the recipients; a database that is away is left out', async (t) => {
  const { db, client, spool, before } = await openHistory(t);
  const counted = countingSystem(db);
  const state = { down: false };
  const asked = correspondentHistory(counted.db);
  const pipeline = createPipeline({
    ...{ threads: 1, resolver: null, hostName: 'mx.tollgate.example', logger: silentLogger },
    history: { look: (...given) => (state.down ? Promise.reject(new Error('away')) : asked.look(...given)) },
  });
  before(() => pipeline.close());
  const raw = `From: Bob <${BOB}>\r\nTo: ann@acme.example\r\nSubject: Hi\r\n\r\nHello\r\n`;
  const content = await spool.write(Readable.from([Buffer.from(raw)]));
  const one = recipient({ ...client, ownDomains: ['acme.example'] });
  const far = envelope({ receivedAt: new Date('2099-01-01T00:00:00Z') });
  const input: PipelineInput = {
    ...{ path: await spool.path(content.id), bytes: content.bytes, envelope: far },
    recipients: [one, { ...one, recipient: 'bob@acme.example' }],
  };
  const codes = (result: PipelineResult) =>
    result.decisions.map((decision) =>
      decision.reasons.filter(({ code }) => code.startsWith('history.')).map(({ code }) => code),
    );
  const { signal } = new AbortController();
  assert.deepEqual(codes(await pipeline.run(input, signal)), [['history.first_contact'], ['history.first_contact']]);
  assert.equal(counted.statements.length, 1);
  await pipeline.run({ ...input, envelope: { ...far, direction: 'outbound' } }, signal);
  assert.equal(counted.statements.length, 1);
  state.down = true;
  assert.deepEqual(codes(await pipeline.run(input, signal)), [[], []]);
});

import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { type TestContext, test } from 'node:test';
import { DirectoryCache } from '../../src/accounts/cache.ts';
import { AppError } from '../../src/core/errors.ts';
import { newId } from '../../src/core/id.ts';
import { silentLogger } from '../../src/core/log.ts';
import { sql } from '../../src/db/sql.ts';
import { type LearnDeps, learn, learnClient } from '../../src/learning/learn.ts';
import { decodeLearned, learnedPoints } from '../../src/pipeline/learned.ts';
import { createFeatureReader } from '../../src/pipeline/reader.ts';
import { businessMail } from '../fixtures/business/index.ts';
import { openDatabase } from '../support/db.ts';
import { seedQuarantined } from '../support/quarantined.ts';
import { seedClient, seedPartner } from '../support/seed.ts';

const MAIL = businessMail().filter((one) => one.name.startsWith('invoice'));

async function openLearning(t: TestContext) {
  const { db, clock, owner, before } = await openDatabase(t);
  const folder = await mkdtemp(path.join(tmpdir(), 'learning-'));
  const partner = await seedPartner(db);
  const clientId = await seedClient(db, partner.id, { mailboxes: ['ann', 'bob', 'eve'] });
  const client = { partnerId: partner.id, clientId };
  const reader = createFeatureReader({ logger: silentLogger });
  let reads = 0;
  const deps: LearnDeps = {
    db,
    logger: silentLogger,
    reader: {
      ...reader,
      read(file) {
        reads += 1;
        return reader.read(file);
      },
    },
    content: {
      path: async (id) => {
        if (gone.has(id)) throw new AppError('not_found', 'no such content');
        return path.join(folder, id);
      },
      open: () => Promise.reject(new Error('not used')),
      remove: () => Promise.reject(new Error('not used')),
    },
  };
  const gone = new Set<string>();
  before(async () => {
    await reader.close();
    await rm(folder, { recursive: true });
  });
  const mailboxOf = async (address: string) =>
    (await owner.query('select id from mailboxes where address = $1', [address])).rows[0].id as string;
  /** Somebody says of a message what it is. */
  const say = async (
    kind: 'spam' | 'ham',
    local: string,
    raw: Buffer,
    over: { actor?: string; role?: string; verdict?: string } = {},
  ) => {
    const contentId = newId();
    await writeFile(path.join(folder, contentId), raw);
    const mailboxId = await mailboxOf(`${local}@acme.example`);
    const deliveryId = await seedQuarantined(db, partner.id, clientId, { mailboxId, contentId });
    await db.system((tx) =>
      tx.run(sql`
        insert into message_feedback (partner_id, id, client_id, delivery_id, mailbox_id, content_id, kind, verdict, actor_kind, actor, at)
        values (${partner.id}, ${newId()}, ${clientId}, ${deliveryId}, ${mailboxId}, ${contentId}, ${kind},
                ${over.verdict ?? 'clean'}, ${over.role ?? 'user'}, ${over.actor ?? `${local}@acme.example`}, ${tx.now})`),
    );
    return { contentId, deliveryId };
  };
  const model = async () =>
    (await owner.query('select version, model, examples from client_models where client_id = $1', [clientId]))
      .rows[0] as { version: number; model: Buffer; examples: number } | undefined;
  return { db, clock, owner, partner, client, deps, gone, say, model, reads: () => reads, mailboxOf };
}

test('what two people report becomes the model of their client, with its audit row, and gateways hear of it', async (t) => {
  const { db, owner, client, deps, say, model, mailboxOf, clock } = await openLearning(t);
  const cache = new DirectoryCache(db, { monotonic: () => 0 });
  await cache.check();
  const found = await cache.recipient('eve@acme.example', 0);
  assert.ok(found.kind === 'known');
  const learned = async () => {
    await cache.check();
    return (await cache.contexts([found.recipient]))[0]?.learned;
  };
  assert.equal(await learned(), undefined);
  for (const { raw } of MAIL.slice(0, 4)) {
    await say('spam', 'ann', raw);
    await say('spam', 'bob', raw);
  }
  assert.equal(await learn(deps), 1);
  assert.equal(await learn(deps), 0, 'nothing new, nothing changed');
  const row = (await model()) ?? assert.fail();
  assert.deepEqual([row.version, row.examples], [1, 8]);
  const stored = (await learned()) ?? assert.fail('the cache has it');
  assert.ok(stored.version === 1 && stored.bytes.equals(row.model));
  const { learnable } = {
    learnable: await deps.reader.read(
      await deps.content.path((await say('ham', 'eve', MAIL[1]?.raw ?? assert.fail())).contentId),
    ),
  };
  const eve = await mailboxOf('eve@acme.example');
  assert.ok(learnedPoints(decodeLearned(row.model) ?? assert.fail(), eve, learnable?.features ?? assert.fail()) > 0.3);
  const audit = await owner.query("select subject, details from audit where action = 'learning.train'");
  assert.deepEqual(audit.rows, [{ subject: client.clientId, details: { version: 1, messages: 8, voices: 2 } }]);
  clock.advance(60_000);
  assert.equal(await learn(deps), 1, 'what eve said counts for her own mailbox');
  assert.equal((await learned())?.version, 2);
});

test('the same rows make the same bytes when model and bodies are gone; a body is read once', async (t) => {
  const { owner, client, deps, say, model, gone, reads } = await openLearning(t);
  for (const { raw } of MAIL.slice(0, 3)) {
    await say('spam', 'ann', raw);
    await say('spam', 'bob', raw);
  }
  const lost = await say('spam', 'bob', MAIL[3]?.raw ?? assert.fail());
  gone.add(lost.contentId);
  await learn(deps);
  const first = (await model()) ?? assert.fail();
  assert.equal(first.examples, 6, 'a body that is gone teaches nothing');
  assert.equal(reads(), 6);
  await owner.query('delete from client_models');
  for (const { content_id } of (await owner.query('select content_id from message_feedback')).rows)
    gone.add(content_id);
  await learnClient(deps, client);
  const again = (await model()) ?? assert.fail();
  assert.ok(again.model.equals(first.model));
  assert.equal(reads(), 6);
});

test('poisoning by rows: one user who reports hundreds counts five times a day, and for nobody else', async (t) => {
  const { owner, client, deps, say, model, mailboxOf, reads } = await openLearning(t);
  const first = await say('spam', 'ann', MAIL[0]?.raw ?? assert.fail());
  // The same user under many names: the mailbox is what is counted.
  await owner.query(
    `insert into message_feedback (partner_id, id, client_id, delivery_id, mailbox_id, content_id, kind, verdict, actor_kind, actor, at)
     select partner_id, gen_random_uuid(), client_id, delivery_id, mailbox_id, content_id, kind, verdict, actor_kind, 'ann' || n, at
     from message_feedback, generate_series(1, 300) n where delivery_id = $1`,
    [first.deliveryId],
  );
  await learn(deps);
  const row = (await model()) ?? assert.fail();
  assert.equal(row.examples, 5);
  assert.equal(reads(), 5);
  const learned = decodeLearned(row.model) ?? assert.fail();
  assert.equal(learned.shared.ids.length, 0);
  assert.deepEqual([...learned.own.keys()], [await mailboxOf('ann@acme.example')]);
  // That a fraud was let out teaches nothing, whoever let it out.
  await owner.query('delete from message_feedback');
  await say('ham', 'bob', MAIL[0]?.raw ?? assert.fail(), { verdict: 'phish', role: 'admin', actor: 'root' });
  await learnClient(deps, client);
  assert.equal((await model())?.examples, 0);
});

test('rule 10: one client learns nothing of another, and a tenant sees its own rows only', async (t) => {
  const { db, client, deps, say, model } = await openLearning(t);
  const other = await seedPartner(db, 'Other');
  const foreign = await seedClient(db, other.id, { domain: 'other.example' });
  await say('spam', 'ann', MAIL[0]?.raw ?? assert.fail(), { role: 'technician', actor: 'tom' });
  await learn(deps);
  assert.ok(((await model())?.examples ?? 0) > 0);
  const count = (partner: typeof other.id) =>
    db.tenant(partner, async (tx) => [
      (await tx.rows(sql`select client_id from client_models`)).length,
      (await tx.rows(sql`select client_id from learned_examples`)).length,
    ]);
  assert.deepEqual(await count(other.id), [0, 0]);
  assert.deepEqual(await count(client.partnerId as typeof other.id), [1, 1]);
  assert.equal(await learnClient(deps, { partnerId: other.id, clientId: foreign }), true, 'an empty model');
});

test('one client that can not be trained does not keep the others from it, and is tried again', async (t) => {
  const { deps, say, model } = await openLearning(t);
  await say('spam', 'ann', MAIL[0]?.raw ?? assert.fail());
  const down: LearnDeps = {
    ...deps,
    reader: { ...deps.reader, read: () => Promise.reject(new AppError('unavailable', 'down')) },
  };
  assert.equal(await learn(down), 0);
  assert.equal(await model(), undefined);
  assert.equal(await learn(deps), 1);
});

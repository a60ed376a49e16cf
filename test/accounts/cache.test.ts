import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import pg from 'pg';
import { type CacheDb, DirectoryCache } from '../../src/accounts/cache.ts';
import { addListEntry, addMasterEntries } from '../../src/accounts/lists.ts';
import { importMailboxes } from '../../src/accounts/mailboxes.ts';
import { openDatabase } from '../support/db.ts';
import { seedClient, seedPartner } from '../support/seed.ts';

/** A cache that looks when it is told to, a clock to move, and how often the database was asked. */
async function openCache(t: TestContext) {
  const database = await openDatabase(t);
  const { db } = database;
  const partner = await seedPartner(db);
  const clientId = await seedClient(db, partner.id);
  const state = { now: 0, asked: 0, down: false };
  const counted: CacheDb = {
    system(work, options) {
      state.asked += 1;
      if (state.down) return Promise.reject(new Error('the database is away'));
      return db.system(work, options);
    },
  };
  const cache = new DirectoryCache(counted, { monotonic: () => state.now });
  await cache.check();
  const kindOf = async (address: string) => (await cache.recipient(address, 0)).kind;
  const asked = async (work: () => Promise<unknown>) => {
    const before = state.asked;
    await work();
    return state.asked - before;
  };
  return { ...database, partner, clientId, state, cache, kindOf, asked };
}

const ANN = 'ann@acme.example';

test('what is known is remembered, what is unknown is asked every time', async (t) => {
  const { kindOf, asked, cache, db, clientId, partner, clock } = await openCache(t);
  assert.equal(await kindOf(ANN), 'known');
  assert.equal(await asked(() => kindOf(ANN)), 0);
  assert.equal(await kindOf('zoe@acme.example'), 'unknown');
  assert.equal(await asked(() => kindOf('zoe@acme.example')), 1);
  clock.advance(1000);
  await db.tenant(partner.id, (tx) =>
    importMailboxes(tx, clientId, [{ address: 'zoe@acme.example', name: 'Zoe', kind: 'user' }], 'test'),
  );
  assert.equal(await kindOf('zoe@acme.example'), 'known', 'a new mailbox is taken at once, whatever is remembered');
  const found = await cache.recipient(ANN, 0);
  assert.ok(found.kind === 'known');
  await cache.contexts([found.recipient]);
  assert.equal(await asked(() => cache.contexts([found.recipient])), 0);
});

test('a change is seen at the next look: mailbox, policy, list of every scope, master list', async (t) => {
  const { kindOf, cache, db, owner, partner, clientId } = await openCache(t);
  const found = await cache.recipient(ANN, 0);
  assert.ok(found.kind === 'known');
  const context = async () => {
    await cache.check();
    return (await cache.contexts([found.recipient]))[0];
  };
  assert.equal((await context())?.policy.spamScore, 6);
  await owner.query(`update clients set policy = '{"spamScore": 9}'`);
  assert.equal((await context())?.policy.spamScore, 9);
  const { mailboxId } = found.recipient;
  for (const whose of [
    { clientId, mailboxId },
    { clientId, mailboxId: null },
    { clientId: null, mailboxId: null },
  ]) {
    await db.tenant(partner.id, (tx) =>
      addListEntry(tx, { ...whose, kind: 'allow', pattern: 'x.example', actor: 't' }),
    );
  }
  assert.deepEqual(
    (await context())?.lists.map((one) => one.scope),
    ['mailbox', 'client', 'partner'],
  );
  await db.system((tx) => addMasterEntries(tx, [{ kind: 'block', pattern: 'y.example' }]));
  assert.equal((await context())?.lists.at(-1)?.scope, 'master');
  await owner.query('delete from master_list_entries; delete from list_entries');
  assert.deepEqual((await context())?.lists, []);
  assert.equal(await kindOf(ANN), 'known');
  await owner.query(`update mailboxes set status = 'deleted' where address = $1`, [ANN]);
  assert.equal(await kindOf(ANN), 'known');
  await cache.check();
  assert.equal(await kindOf(ANN), 'unknown');
});

test('a change that was begun before a look and committed after it is seen at the next', async (t) => {
  const { kindOf, cache, db, ownerUrl, partner } = await openCache(t);
  assert.equal(await kindOf(ANN), 'known');
  const slow = new pg.Client({ connectionString: ownerUrl });
  await slow.connect();
  await slow.query('begin');
  await slow.query(`update mailboxes set status = 'deleted' where address = $1`, [ANN]);
  // A later transaction commits first, so that its row is seen before the older one's.
  await db.tenant(partner.id, (tx) =>
    addListEntry(tx, { clientId: null, mailboxId: null, kind: 'allow', pattern: 'x.example', actor: 't' }),
  );
  await cache.check();
  assert.equal(await kindOf(ANN), 'known');
  await slow.query('commit');
  await slow.end();
  await cache.check();
  assert.equal(await kindOf(ANN), 'unknown');
});

test('memory that could not be checked for five seconds is not used', async (t) => {
  const { kindOf, cache, state, owner } = await openCache(t);
  assert.equal(await kindOf(ANN), 'known');
  state.down = true;
  state.now = 4_999;
  await cache.check();
  assert.equal(await kindOf(ANN), 'known');
  state.now = 5_001;
  await assert.rejects(kindOf(ANN), /away/);
  await owner.query(`update mailboxes set status = 'deleted' where address = $1`, [ANN]);
  state.down = false;
  assert.equal(await kindOf(ANN), 'unknown', 'no look yet, so the database is asked');
  await cache.check();
  assert.equal(await kindOf(ANN), 'unknown');
});

test('what was read before a change is not stored after it', async (t) => {
  const { cache, db, owner } = await openCache(t);
  let held: Promise<void> = Promise.resolve();
  let go: () => void = () => undefined;
  const gated: CacheDb = {
    async system(work, options) {
      const answer = await db.system(work, options);
      await held;
      return answer;
    },
  };
  const slow = new DirectoryCache(gated, { monotonic: () => 0 });
  await slow.check();
  held = new Promise((resolve) => {
    go = resolve;
  });
  const reading = slow.recipient(ANN, 0);
  await cache.recipient(ANN, 0);
  await owner.query(`update mailboxes set status = 'deleted' where address = $1`, [ANN]);
  const looking = slow.check();
  go();
  held = Promise.resolve();
  await Promise.all([reading, looking]);
  await slow.check();
  assert.equal((await slow.recipient(ANN, 0)).kind, 'unknown');
});

test('memory is bounded', async (t) => {
  const { db, partner } = await openCache(t);
  const boxes = Array.from({ length: 30 }, (_, index) => `u${index}`);
  for (const domain of ['b.example', 'c.example', 'd.example']) {
    await seedClient(db, partner.id, { domain, mailboxes: boxes });
  }
  let asked = 0;
  const counted: CacheDb = {
    system(work, options) {
      asked += 1;
      return db.system(work, options);
    },
  };
  const small = new DirectoryCache(counted, { maxEntries: 40, monotonic: () => 0 });
  await small.check();
  for (const domain of ['b.example', 'c.example', 'd.example']) {
    for (const local of boxes) assert.equal((await small.recipient(`${local}@${domain}`, 0)).kind, 'known');
  }
  asked = 0;
  await small.recipient('u29@d.example', 0);
  assert.equal(asked, 0);
  await small.recipient('u0@b.example', 0);
  assert.equal(asked, 1);
});

test('a gateway that hears nothing at all finds changes by looking', async (t) => {
  const { db, owner, before } = await openCache(t);
  const deaf: CacheDb = {
    system: (work, options) => db.system(work, options),
    listen: () => Promise.reject(new Error('no ear')),
  };
  const cache = new DirectoryCache(deaf, { everyMs: 20 });
  before(() => cache.stop());
  await cache.start();
  assert.equal((await cache.recipient(ANN, 0)).kind, 'known');
  await owner.query(`update mailboxes set status = 'deleted' where address = $1`, [ANN]);
  // The timer's next look forgets her; until then memory answers.
  while ((await cache.recipient(ANN, 0)).kind === 'known') await new Promise((resolve) => setImmediate(resolve));
});

test('with NOTIFY a change is heard without a timer', async (t) => {
  const { db, owner, before } = await openCache(t);
  const cache = new DirectoryCache(db, { everyMs: 3_600_000, maxAgeMs: 7_200_000 });
  before(() => cache.stop());
  await cache.start();
  assert.equal((await cache.recipient(ANN, 0)).kind, 'known');
  await owner.query(`update mailboxes set status = 'deleted' where address = $1`, [ANN]);
  while ((await cache.recipient(ANN, 0)).kind === 'known') await new Promise((resolve) => setImmediate(resolve));
});

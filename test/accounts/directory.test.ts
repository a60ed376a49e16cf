import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readDirectoryCsv } from '../../src/accounts/csv.ts';
import { recipientContexts, resolveRecipient } from '../../src/accounts/directory.ts';
import { addListEntry } from '../../src/accounts/lists.ts';
import { importMailboxes, listMailboxes } from '../../src/accounts/mailboxes.ts';
import { AppError } from '../../src/core/errors.ts';
import { openDatabase } from '../support/db.ts';
import { seedClient, seedPartner } from '../support/seed.ts';

const isInvalid = (pattern: RegExp) => (error: unknown) =>
  error instanceof AppError && error.code === 'invalid_input' && pattern.test(error.message);

test('a recipient is known, unknown, too new to say, or not ours', async (t) => {
  const { db, clock } = await openDatabase(t);
  const partner = await seedPartner(db);
  const clientId = await seedClient(db, partner.id);
  const look = (address: string) => db.system((tx) => resolveRecipient(tx, address, 900));

  assert.equal((await look('ann@acme.example')).kind, 'known');
  assert.equal((await look('ann+invoices@acme.example')).kind, 'known');
  assert.deepEqual(await look('zoe@elsewhere.example'), { kind: 'not_local' });
  const early = await look('zoe@acme.example');
  assert.ok(early.kind === 'unknown' && early.recent, 'the directory has just changed');

  clock.advance(901_000);
  const late = await look('zoe@acme.example');
  assert.deepEqual(late, { kind: 'unknown', recent: false, partnerId: partner.id, clientId, domain: 'acme.example' });
});

test('an import is all or nothing, names the bad line, and repeated changes nothing', async (t) => {
  const { db } = await openDatabase(t);
  const partner = await seedPartner(db);
  const clientId = await seedClient(db, partner.id, { mailboxes: [] });
  const csv = (lines: string) => readDirectoryCsv(`address,name,kind\n${lines}`);
  const bring = (lines: string) => db.tenant(partner.id, (tx) => importMailboxes(tx, clientId, csv(lines), 'test'));

  const file = 'ann@acme.example,Ann,user\nsales@acme.example,Sales,group\ninfo@acme.example,ann@acme.example,alias\n';
  assert.deepEqual(await bring(file), { created: 3, updated: 0, unchanged: 0 });
  assert.deepEqual(await bring(file), { created: 0, updated: 0, unchanged: 3 });
  assert.deepEqual(await bring('ANN@acme.example,Ann B,user\n'), { created: 0, updated: 1, unchanged: 0 });

  await assert.rejects(bring('new@acme.example,New,user\nnot an address,X,user\n'), isInvalid(/line 3/));
  await assert.rejects(bring('x@other.example,X,user\n'), isInvalid(/line 2: other.example is not a domain/));
  await assert.rejects(bring('y@acme.example,nobody@acme.example,alias\n'), isInvalid(/there is no mailbox/));
  assert.throws(() => csv('a@acme.example,A,robot\n'), isInvalid(/line 2: kind is one of/));
  const boxes = await db.tenant(partner.id, (tx) => listMailboxes(tx, clientId, { first: 10, after: null }));
  assert.deepEqual(
    boxes.map((box) => box.address),
    ['ann@acme.example', 'sales@acme.example'],
  );
  const alias = await db.system((tx) => resolveRecipient(tx, 'info@acme.example', 0));
  assert.ok(alias.kind === 'known' && alias.recipient.mailboxId === boxes[0]?.id);
});

test('a blocked mailbox makes mail wait at the sender', async (t) => {
  const { db, owner } = await openDatabase(t);
  const partner = await seedPartner(db);
  await seedClient(db, partner.id);
  await owner.query("update mailboxes set status = 'blocked' where address = 'ann@acme.example'");
  const found = await db.system((tx) => resolveRecipient(tx, 'ann@acme.example', 0));
  assert.ok(found.kind === 'known' && found.recipient.suspended);
});

test('each recipient sees the lists of its own mailbox, client and partner only', async (t) => {
  const { db } = await openDatabase(t);
  const [one, two] = [await seedPartner(db, 'One'), await seedPartner(db, 'Two')];
  const clientId = await seedClient(db, one.id);
  await seedClient(db, two.id, { domain: 'other.example' });
  await db.tenant(one.id, async (tx) => {
    await addListEntry(tx, {
      clientId: null,
      mailboxId: null,
      kind: 'allow',
      pattern: '.Friend.example',
      actor: 'test',
    });
    await addListEntry(tx, { clientId, mailboxId: null, kind: 'block', pattern: 'Bad@evil.example', actor: 'test' });
  });
  const contexts = await db.system(async (tx) => {
    const found = [];
    for (const address of ['ann@acme.example', 'bob@other.example']) {
      const lookup = await resolveRecipient(tx, address, 0);
      assert.ok(lookup.kind === 'known');
      found.push(lookup.recipient);
    }
    return recipientContexts(tx, found);
  });
  assert.deepEqual(contexts[0]?.lists.map((entry) => `${entry.scope} ${entry.kind} ${entry.pattern}`).sort(), [
    'client block bad@evil.example',
    'partner allow .friend.example',
  ]);
  assert.deepEqual(contexts[0]?.ownDomains, ['acme.example']);
  assert.deepEqual(contexts[1]?.lists, []);
  assert.equal(contexts[1]?.policy.spamScore, 6);
});

test("a list entry for another tenant's client answers as for an unknown one", async (t) => {
  const { db } = await openDatabase(t);
  const [one, two] = [await seedPartner(db, 'One'), await seedPartner(db, 'Two')];
  const foreign = await seedClient(db, two.id, { domain: 'other.example' });
  await assert.rejects(
    db.tenant(one.id, (tx) =>
      addListEntry(tx, { clientId: foreign, mailboxId: null, kind: 'allow', pattern: 'a.example', actor: 'x' }),
    ),
    (error: unknown) => error instanceof AppError && error.code === 'not_found',
  );
});

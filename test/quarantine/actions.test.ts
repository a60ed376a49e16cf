import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { listEntries } from '../../src/accounts/lists.ts';
import { listMailboxes } from '../../src/accounts/mailboxes.ts';
import { AppError } from '../../src/core/errors.ts';
import { newId } from '../../src/core/id.ts';
import type { TenantTx } from '../../src/db/db.ts';
import { watchReleaseRequests } from '../../src/monitor/requests.ts';
import {
  blockSender,
  type ListChoice,
  release,
  releaseAndAllow,
  remove,
  reportNotSpam,
  reportSpam,
} from '../../src/quarantine/actions.ts';
import { actOnAll, selectHeld } from '../../src/quarantine/bulk.ts';
import { listRequests } from '../../src/quarantine/request-rows.ts';
import { approveRequest, denyRequest, requestRelease } from '../../src/quarantine/requests.ts';
import type { QuarantineActor } from '../../src/quarantine/rights.ts';
import { openDatabase } from '../support/db.ts';
import { afterFirstRead } from '../support/gate.ts';
import { type SeededDelivery, seedQuarantined } from '../support/quarantined.ts';
import { seedClient, seedPartner } from '../support/seed.ts';

const isCode = (code: string) => (error: unknown) => error instanceof AppError && error.code === code;

type Act = (tx: TenantTx, actor: QuarantineActor, id: string) => Promise<object>;

const ADMIN: QuarantineActor = { role: 'admin', name: 'boss@msp.example', mailboxIds: null, clientId: null };
const TECHNICIAN: QuarantineActor = { ...ADMIN, role: 'technician', name: 'tech@msp.example' };

async function world(t: TestContext) {
  const { db, clock, owner } = await openDatabase(t);
  const partner = (await seedPartner(db)).id;
  const clientId = await seedClient(db, partner);
  const tenant = <T>(work: (tx: TenantTx) => Promise<T>) => db.tenant(partner, work);
  const boxes = await tenant((tx) => listMailboxes(tx, clientId, { first: 10, after: null }));
  const [ann, bob] = boxes.map((one) => one.id) as [string, string];
  const user: QuarantineActor = { role: 'user', name: 'ann@acme.example', mailboxIds: [ann], clientId };
  const clientAdmin: QuarantineActor = { role: 'client_admin', name: 'it@acme.example', mailboxIds: null, clientId };
  const seed = (given: SeededDelivery = {}) => seedQuarantined(db, partner, clientId, { mailboxId: ann, ...given });
  const entries = async () =>
    (await tenant((tx) => listEntries(tx, clientId))).map((one) => `${one.kind} ${one.scope} ${one.pattern}`);
  const audits = async () =>
    (
      await owner.query<{ action: string }>(
        "select action from audit where action !~ '^(client|mailbox|directory|key)' order by at, id",
      )
    ).rows.map((row) => row.action);
  const count = async (table: string) => Number((await owner.query(`select count(*) from ${table}`)).rows[0]?.count);
  return { db, clock, owner, partner, clientId, tenant, ann, bob, user, clientAdmin, seed, entries, audits, count };
}

test('release and allow: once, both or neither, the opposite entry goes', async (t) => {
  const { tenant, user, seed, entries, count } = await world(t);
  const id = await seed();
  await tenant((tx) => blockSender(tx, user, id));
  assert.deepEqual(await entries(), ['block mailbox bob@sender.example']);
  const first = await tenant((tx) => releaseAndAllow(tx, user, id));
  assert.deepEqual([first.released, first.added, first.entry.kind], [true, true, 'allow']);
  const again = await tenant((tx) => releaseAndAllow(tx, user, id));
  assert.deepEqual([again.released, again.added], [false, false]);
  assert.deepEqual(await entries(), ['allow mailbox bob@sender.example']);
  assert.equal(await count('queue'), 1);

  const gone = await seed({ sender: 'eve@else.example' });
  await tenant((tx) => remove(tx, user, gone));
  await assert.rejects(
    tenant((tx) => releaseAndAllow(tx, user, gone)),
    isCode('conflict'),
  );
  assert.deepEqual(await entries(), ['allow mailbox bob@sender.example'], 'no entry without the release');
});

test('who may not let a message out gets no allow entry by it either', async (t) => {
  const { tenant, user, seed, entries, count } = await world(t);
  for (const verdict of ['spoof', 'phish', 'policy', 'unscannable', 'malware'] as const) {
    const id = await seed({ verdict });
    const acts: readonly Act[] = [release, releaseAndAllow, reportNotSpam];
    for (const act of acts) {
      await assert.rejects(
        tenant((tx) => act(tx, user, id)),
        isCode('forbidden'),
        verdict,
      );
    }
  }
  assert.deepEqual([await entries(), await count('queue'), await count('message_feedback')], [[], 0, 0]);
});

test('entries are made for the scopes that the role has', async (t) => {
  const { tenant, user, clientAdmin, seed, entries } = await world(t);
  const id = await seed();
  const block = (actor: QuarantineActor, choice: ListChoice) => tenant((tx) => blockSender(tx, actor, id, choice));
  await assert.rejects(block(user, { scope: 'client' }), isCode('forbidden'));
  await assert.rejects(block(clientAdmin, { scope: 'partner' }), isCode('forbidden'));
  assert.equal((await block(user, { match: 'domain' })).added, true);
  assert.equal((await block(user, { match: 'domain' })).added, false);
  await block(clientAdmin, { scope: 'client' });
  await block(TECHNICIAN, { scope: 'partner' });
  assert.deepEqual((await entries()).toSorted(), [
    'block client bob@sender.example',
    'block mailbox sender.example',
    'block partner bob@sender.example',
  ]);
});

test('what cannot be listed says why', async (t) => {
  const { tenant, clientId, user, seed, entries, db, partner } = await world(t);
  const block = (id: string, actor = user) => tenant((tx) => blockSender(tx, actor, id));
  await assert.rejects(block(await seed({ sender: 'chief@acme.example' })), /own domain/);
  await assert.rejects(block(await seed({ sender: '' })), /names no sender/);
  await assert.rejects(block(await seed({ direction: 'outbound' })), /comes in only/);
  await assert.rejects(block(await seedQuarantined(db, partner, clientId), TECHNICIAN), /no mailbox/);
  await assert.rejects(
    block(await seedQuarantined(db, partner, clientId, { mailboxId: newId() }), TECHNICIAN),
    isCode('conflict'),
  );
  assert.deepEqual(await entries(), []);
});

test('everybody reaches his own only, and the rest answers as nothing', async (t) => {
  const { db, tenant, partner, bob, user, clientAdmin, seed } = await world(t);
  const other = await seedClient(db, partner, { name: 'Other', domain: 'other.example' });
  const [bobs, others] = [await seed({ mailboxId: bob }), await seedQuarantined(db, partner, other)];
  const boundless: QuarantineActor = { ...user, mailboxIds: null };
  const acts: readonly Act[] = [release, releaseAndAllow, blockSender, remove, reportSpam, reportNotSpam];
  for (const act of acts) {
    for (const [actor, id] of [
      [user, bobs],
      [user, others],
      [clientAdmin, others],
      [boundless, bobs],
      [{ ...clientAdmin, clientId: null }, bobs],
      [ADMIN, newId()],
    ] as const) {
      await assert.rejects(
        tenant((tx) => act(tx, actor, id)),
        isCode('not_found'),
      );
    }
  }
  const stranger = (await seedPartner(db, 'Else')).id;
  await assert.rejects(
    db.tenant(stranger, (tx) => release(tx, ADMIN, bobs)),
    isCode('not_found'),
  );
  assert.deepEqual(await tenant((tx) => release(tx, clientAdmin, bobs)), { released: true });
});

test('what people say of a message is one row per delivery and actor, and the last word counts', async (t) => {
  const { tenant, owner, user, seed, audits } = await world(t);
  const missed = await seed({ verdict: 'clean', disposition: 'delivered' });
  const held = await seed();
  assert.deepEqual(await tenant((tx) => reportSpam(tx, user, missed)), { recorded: true });
  assert.deepEqual(await tenant((tx) => reportSpam(tx, user, missed)), { recorded: false });
  assert.deepEqual(await tenant((tx) => reportSpam(tx, TECHNICIAN, missed)), { recorded: true });
  assert.deepEqual(await tenant((tx) => reportNotSpam(tx, user, missed)), { recorded: true });
  assert.deepEqual(await tenant((tx) => reportNotSpam(tx, user, held)), { recorded: true });
  await assert.rejects(
    tenant((tx) => reportSpam(tx, user, held)),
    /only what arrived/,
  );
  await assert.rejects(
    tenant(async (tx) => reportSpam(tx, TECHNICIAN, await seed({ direction: 'outbound', disposition: 'delivered' }))),
    isCode('conflict'),
  );
  const rows = await owner.query(
    `select f.kind, f.actor_kind, f.actor, f.verdict, f.content_id = m.content_id as same
     from message_feedback f join deliveries d on d.id = f.delivery_id join messages m on m.id = d.message_id
     order by f.delivery_id, f.actor`,
  );
  assert.deepEqual(rows.rows, [
    { kind: 'ham', actor_kind: 'user', actor: 'ann@acme.example', verdict: 'clean', same: true },
    { kind: 'spam', actor_kind: 'technician', actor: 'tech@msp.example', verdict: 'clean', same: true },
    { kind: 'ham', actor_kind: 'user', actor: 'ann@acme.example', verdict: 'spam', same: true },
  ]);
  assert.deepEqual(await audits(), ['feedback.spam', 'feedback.spam', 'feedback.ham', 'feedback.ham']);
});

test('many at once: one that fails stops no other, and asked again nothing changes', async (t) => {
  const { tenant, user, seed, count, clientId } = await world(t);
  const good = await Promise.all([seed(), seed(), seed()]);
  const phish = await seed({ verdict: 'phish' });
  const absent = newId();
  const ids = [good[0], absent, phish, good[1], good[0], good[2]] as string[];
  const results = await actOnAll(tenant, user, 'release', ids);
  assert.deepEqual(
    results.map((one) => [one.id, one.changed, one.error?.code ?? null]),
    [
      [good[0], true, null],
      [absent, false, 'not_found'],
      [phish, false, 'forbidden'],
      [good[1], true, null],
      [good[2], true, null],
    ],
  );
  assert.equal(await count('queue'), 3);
  const again = await actOnAll(tenant, user, 'release', good);
  assert.ok(again.every((one) => !one.changed && one.error === null));
  const filter = { clientId, verdicts: null, sender: null, before: null };
  assert.deepEqual(await tenant((tx) => selectHeld(tx, user, filter, 10)), { ids: [phish], matched: 1 });
});

test('a filter finds the oldest first, counts all, and sees what its actor sees', async (t) => {
  const { tenant, clock, bob, user, seed } = await world(t);
  const none = { clientId: null, verdicts: null, sender: null, before: null };
  const ids: string[] = [];
  for (let index = 0; index < 5; index += 1) {
    ids.push(await seed(index === 4 ? { sender: 'eve@else.example', verdict: 'bulk' } : {}));
    clock.advance(1_000);
  }
  await seed({ mailboxId: bob });
  const find = (filter: object, actor = user, limit = 10) =>
    tenant((tx) => selectHeld(tx, actor, { ...none, ...filter }, limit));
  assert.deepEqual(await find({}, user, 2), { ids: ids.slice(0, 2), matched: 5 });
  assert.equal((await find({}, TECHNICIAN)).matched, 6);
  assert.deepEqual((await find({ sender: 'eve@else.example' })).ids, [ids[4]]);
  assert.deepEqual((await find({ verdicts: ['bulk', 'phish'] })).ids, [ids[4]]);
  assert.equal((await find({ before: new Date(clock.now().getTime() - 3_500) })).matched, 2);
  assert.deepEqual(await find({ clientId: newId() }), { ids: [], matched: 0 });
});

test('a user asks for what he may not let out; a technician is told, and decides once', async (t) => {
  const { db, tenant, owner, clock, user, seed, audits, count } = await world(t);
  const id = await seed({ verdict: 'phish', subject: 'Your account' });
  const ask = (actor = user) => tenant((tx) => requestRelease(tx, actor, id, ' I wait for this '));
  const { request, created } = await ask();
  assert.deepEqual([created, request.note, request.state], [true, 'I wait for this', 'open']);
  assert.deepEqual(await ask(), { request, created: false });
  await assert.rejects(ask(TECHNICIAN), /let this message out yourself/);
  await assert.rejects(
    tenant((tx) => requestRelease(tx, user, id, 'x'.repeat(1_001))),
    isCode('invalid_input'),
  );

  assert.equal(await watchReleaseRequests(db), 1);
  assert.equal(await watchReleaseRequests(db), 0, 'one incident per request');
  const incident = () =>
    owner.query("select state, title, description, resolution from incidents where rule = 'release.requested'");
  const [told] = (await incident()).rows;
  assert.match(told.title, /ann@acme\.example/);
  assert.match(told.description, /Your account[\s\S]*I wait for this/);

  await assert.rejects(
    tenant((tx) => approveRequest(tx, user, request.id)),
    isCode('forbidden'),
  );
  await assert.rejects(
    tenant((tx) => denyRequest(tx, user, request.id, '')),
    isCode('forbidden'),
  );
  clock.advance(1_000);
  const approved = await tenant((tx) => approveRequest(tx, TECHNICIAN, request.id));
  assert.deepEqual(
    [approved.released, approved.request.state, approved.request.decidedBy],
    [true, 'approved', TECHNICIAN.name],
  );
  assert.equal((await tenant((tx) => approveRequest(tx, TECHNICIAN, request.id))).released, false);
  await assert.rejects(
    tenant((tx) => denyRequest(tx, TECHNICIAN, request.id, '')),
    isCode('conflict'),
  );
  assert.equal(await count('queue'), 1);
  assert.equal(await watchReleaseRequests(db), 1);
  assert.deepEqual(
    (await incident()).rows.map((row) => [row.state, row.resolution]),
    [['resolved', `The message was let out, by ${TECHNICIAN.name}.`]],
  );
  assert.deepEqual(await audits(), ['quarantine.request', 'quarantine.release', 'quarantine.request.approve']);
});

test('a denied message stays and may be asked for again; a release or its end settles the request', async (t) => {
  const { tenant, user, seed, db } = await world(t);
  const state = async (id: string) =>
    (await tenant((tx) => listRequests(tx, {}, { first: 50, after: null }))).find((one) => one.id === id)?.state;
  const ask = (id: string) => tenant((tx) => requestRelease(tx, user, id, ''));
  const id = await seed({ verdict: 'malware' });
  const first = (await ask(id)).request;
  await assert.rejects(
    tenant((tx) => denyRequest(tx, TECHNICIAN, first.id, '')),
    isCode('forbidden'),
    'who may not let it out does not decide',
  );
  const denied = await tenant((tx) => denyRequest(tx, ADMIN, first.id, 'It is malware'));
  assert.deepEqual([denied.denied, denied.request.decisionNote], [true, 'It is malware']);
  assert.equal((await tenant((tx) => denyRequest(tx, ADMIN, first.id, ''))).denied, false);
  await assert.rejects(
    tenant((tx) => approveRequest(tx, ADMIN, first.id)),
    isCode('conflict'),
  );
  const second = await ask(id);
  assert.equal(second.created, true);
  await tenant((tx) => release(tx, ADMIN, id));
  assert.equal(await state(second.request.id), 'approved');

  const other = await seed({ verdict: 'phish' });
  const third = (await ask(other)).request;
  await tenant((tx) => remove(tx, user, other));
  assert.equal(await state(third.id), 'denied');
  await assert.rejects(ask(other), isCode('conflict'));
  const stranger = (await seedPartner(db, 'Else')).id;
  await assert.rejects(
    db.tenant(stranger, (tx) => approveRequest(tx, ADMIN, third.id)),
    isCode('not_found'),
  );
});

test('twenty approvals and releases at once let one copy out', async (t) => {
  const { tenant, user, seed, count } = await world(t);
  const id = await seed({ verdict: 'phish' });
  const { request } = await tenant((tx) => requestRelease(tx, user, id, ''));
  const results = await Promise.all(
    Array.from({ length: 20 }, (_, index) =>
      index % 2 === 0
        ? tenant((tx) => approveRequest(tx, TECHNICIAN, request.id))
        : tenant((tx) => release(tx, TECHNICIAN, id)),
    ),
  );
  assert.equal(results.filter((one) => one.released).length, 1);
  assert.equal(await count('queue'), 1);
});

test('who asks while it is let out gets no request that stays open', async (t) => {
  const { tenant, user, seed } = await world(t);
  const id = await seed({ verdict: 'phish' });
  const late = afterFirstRead();
  const asked = assert.rejects(
    tenant((tx) => requestRelease(late.slow(tx), user, id, '')),
    isCode('conflict'),
  );
  await late.reached;
  await tenant((tx) => release(tx, ADMIN, id));
  late.go();
  await asked;
  assert.deepEqual(await tenant((tx) => listRequests(tx, { state: 'open' }, { first: 10, after: null })), []);
});

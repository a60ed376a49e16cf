import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { resolvePolicy } from '../../src/accounts/policy.ts';
import { AppError } from '../../src/core/errors.ts';
import type { Pipeline } from '../../src/core/message.ts';
import { deliveryBalance, recount } from '../../src/ledger/read.ts';
import { zoneResolver } from '../../src/mail/resolver.ts';
import { watchReleases } from '../../src/monitor/releases.ts';
import { discardOriginal, listOriginals, originalStates, releaseOriginal } from '../../src/quarantine/originals.ts';
import type { QuarantineActor } from '../../src/quarantine/rights.ts';
import { seedClient, seedPartner } from '../support/seed.ts';
import { byLocalPart, openRig, openSink, Talker } from './support/rig.ts';

const program = Buffer.from(`MZ${'\0'.repeat(58)}\x40\0\0\0PE\0\0${'\0'.repeat(200)}`, 'latin1').toString('base64');
const MESSAGE = [
  'Subject: Files',
  'MIME-Version: 1.0',
  'Content-Type: multipart/mixed; boundary=b1',
  '',
  '--b1',
  'Content-Type: text/plain',
  '',
  'a file',
  '--b1',
  'Content-Type: application/octet-stream; name=tool.exe',
  'Content-Transfer-Encoding: base64',
  '',
  program,
  '--b1--',
  '',
].join('\r\n');

/** The recipient's policy strips programs, and the filter found one. */
const stripping: Pipeline = {
  ...byLocalPart,
  async run(input, signal) {
    const base = resolvePolicy({});
    const policy = { ...base, attachments: { ...base.attachments, executable: 'strip' as const } };
    for (const recipient of input.recipients) Object.assign(recipient, { policy });
    const { facts } = await byLocalPart.run(input, signal);
    const reasons = [{ code: 'attachment.executable', detail: '' }];
    const decision = { verdict: 'policy' as const, action: 'strip' as const, score: 0, reasons };
    return { decisions: input.recipients.map(() => decision), facts, authenticationResults: null };
  },
};

const ADMIN: QuarantineActor = { role: 'admin', name: 'boss@msp.example', mailboxIds: null, clientId: null };
const isCode = (code: string) => (error: unknown) => error instanceof AppError && error.code === code;

async function world(t: TestContext, answer: (recipient: string) => number | null = () => null) {
  const sink = await openSink(t, answer);
  const rig = await openRig(t, { pipeline: stripping });
  const partner = await seedPartner(rig.db);
  const clientId = await seedClient(rig.db, partner.id, { relays: [{ host: '127.0.0.1', port: sink.port }] });
  const client = await Talker.open(rig.smtp);
  assert.match((await client.send('eve@far.example', ['ann@acme.example'], MESSAGE)).at(-1) ?? '', /^250/);
  client.close();
  await rig.delivery.drainOnce();
  const { rows } = await rig.owner.query<{ id: string }>('select id from deliveries');
  const id = rows[0]?.id ?? '';
  const tenant = rig.db.tenant.bind(rig.db, partner.id) as <T>(
    work: Parameters<typeof rig.db.tenant<T>>[1],
  ) => Promise<T>;
  /** Rule 2, and that nothing is counted twice whatever becomes of the original. */
  const check = async (queued = 0) => {
    const balance = await tenant((tx) => deliveryBalance(tx, partner.id, clientId));
    assert.deepEqual([...balance.byDisposition], [['stripped', 1]]);
    assert.deepEqual([balance.accepted, balance.queued], [1, 0]);
    const always = { start: new Date(0), end: new Date('2100-01-01') };
    const totals = await tenant((tx) => recount(tx, partner.id, clientId, always));
    assert.deepEqual([totals.deliveries, [...totals.byDisposition]], [1, [['stripped', 1]]]);
    assert.equal((await rig.owner.query('select from queue')).rowCount, queued);
  };
  const state = async () => (await tenant((tx) => originalStates(tx, [id])))[0]?.state;
  const list = () => tenant((tx) => listOriginals(tx, null, { first: 10, after: null }));
  const release = (actor = ADMIN) => tenant((tx) => releaseOriginal(tx, actor, id));
  const kinds = async () =>
    (await rig.owner.query('select kind, disposition, reasons from ledger order by occurred_at, id')).rows
      .filter((row) => row.kind !== 'accepted')
      .map((row) => `${row.kind} ${row.disposition} ${row.reasons.join()}`.trim());
  return { rig, sink, partner: partner.id, clientId, id, tenant, check, state, list, release, kinds };
}

test('the original of a stripped delivery is held, listed, and sent whole, once; the delivery stays stripped', async (t) => {
  const { rig, sink, id, check, state, list, release, kinds } = await world(t);
  await check();
  assert.equal(await state(), 'held');
  assert.deepEqual(
    (await list()).map((one) => one.id),
    [id],
  );
  assert.equal(sink.mail.length, 1);
  assert.ok(!(sink.mail[0]?.body ?? '').includes(program));
  rig.clock.advance(1000);
  assert.deepEqual(await release(), { released: true });
  assert.deepEqual(await release(), { released: false });
  assert.equal(await state(), 'requested');
  assert.deepEqual(await list(), []);
  await check(1);
  rig.clock.advance(1000);
  assert.equal(await rig.delivery.drainOnce(), 1);
  await check();
  assert.equal(await state(), 'released');
  assert.deepEqual(await release(), { released: false });
  assert.equal(sink.mail.length, 2);
  assert.ok((sink.mail[1]?.body ?? '').includes(program));
  assert.deepEqual(await kinds(), [
    'delivered stripped',
    'release_requested stripped quarantine.original',
    'original_released stripped quarantine.original',
  ]);
  const { rows } = await rig.owner.query("select action, actor from audit where action like 'quarantine.%'");
  assert.deepEqual(rows, [{ action: 'quarantine.release_original', actor: ADMIN.name }]);
  assert.equal(await watchReleases(rig.db), 0);
});

test('a program is let out by administrators only, and other tenants know nothing of it', async (t) => {
  const { rig, clientId, id, state, release } = await world(t);
  for (const actor of [
    { ...ADMIN, role: 'technician' as const },
    { ...ADMIN, role: 'client_admin' as const, clientId },
  ]) {
    await assert.rejects(release(actor), isCode('forbidden'));
  }
  await assert.rejects(release({ ...ADMIN, role: 'user', mailboxIds: [] }), isCode('not_found'));
  const other = await seedPartner(rig.db);
  for (const act of [releaseOriginal, discardOriginal]) {
    await assert.rejects(
      rig.db.tenant<object>(other.id, (tx) => act(tx, ADMIN, id)),
      isCode('not_found'),
    );
  }
  const strange = { first: 10, after: null };
  assert.deepEqual(await rig.db.tenant(other.id, (tx) => listOriginals(tx, null, strange)), []);
  assert.equal(await state(), 'held');
});

test('an original that is refused has failed, is told, bounces to nobody, and can be let out again', async (t) => {
  let code: number | null = null;
  const { rig, sink, check, state, release, kinds } = await world(t, () => code);
  code = 550;
  rig.clock.advance(1000);
  await release();
  rig.clock.advance(1000);
  await rig.delivery.drainOnce();
  await check();
  assert.equal(await state(), 'failed');
  assert.equal((await kinds()).at(-1), 'original_failed stripped quarantine.original');
  assert.equal((await rig.owner.query('select from messages')).rowCount, 1);
  assert.equal(await watchReleases(rig.db), 1);
  code = null;
  rig.clock.advance(1000);
  assert.deepEqual(await release(), { released: true });
  rig.clock.advance(1000);
  await rig.delivery.drainOnce();
  await check();
  assert.equal(await state(), 'released');
  assert.equal(sink.mail.length, 2);
  assert.equal(await watchReleases(rig.db), 1, 'the incident ends');
});

test('while the server is down the original waits, and is late after ten minutes', async (t) => {
  let code: number | null = null;
  const { rig, check, state, release, kinds } = await world(t, () => code);
  code = 450;
  rig.clock.advance(1000);
  await release();
  rig.clock.advance(1000);
  await rig.delivery.drainOnce();
  await check(1);
  assert.equal(await state(), 'requested');
  assert.equal((await kinds()).length, 2, 'a deferral of it is no event');
  rig.clock.advance(11 * 60_000);
  assert.equal(await watchReleases(rig.db), 1);
});

test('a discarded original is gone for good; what has none says so', async (t) => {
  const { tenant, id, rig, check, state, list, release } = await world(t);
  assert.deepEqual(await tenant((tx) => discardOriginal(tx, ADMIN, id)), { discarded: true });
  assert.deepEqual(await tenant((tx) => discardOriginal(tx, ADMIN, id)), { discarded: false });
  assert.deepEqual([await state(), await list()], ['discarded', []]);
  await assert.rejects(release(), isCode('conflict'));
  await check();
  await rig.owner.query('update deliveries set original_state = null');
  await assert.rejects(release(), isCode('conflict'));
  await rig.owner.query("update deliveries set original_state = 'held'");
  await rig.owner.query('update messages set content_removed_at = now()');
  assert.deepEqual(await list(), []);
  await assert.rejects(release(), isCode('conflict'));
});

test('a mailbox that only forwards loses no file: the original of the stripped copy is held, and goes where the copy went', async (t) => {
  const sink = await openSink(t);
  const resolver = zoneResolver({
    'far.example': { MX: [{ exchange: 'mx.far.example', priority: 10 }] },
    'mx.far.example': { A: ['127.0.0.1'] },
  });
  const rig = await openRig(t, { pipeline: stripping, resolver, mxPort: sink.port });
  const partner = await seedPartner(rig.db);
  await seedClient(rig.db, partner.id);
  await rig.owner.query(
    "update mailboxes set forward_to = 'ann@far.example', forward_keep = false where address = 'ann@acme.example'",
  );
  const client = await Talker.open(rig.smtp);
  assert.match((await client.send('eve@other.example', ['ann@acme.example'], MESSAGE)).at(-1) ?? '', /^250/);
  client.close();
  await rig.delivery.drainOnce();
  const [held] = await rig.db.tenant(partner.id, (tx) => listOriginals(tx, null, { first: 10, after: null }));
  assert.ok(held !== undefined);
  assert.deepEqual(await rig.db.tenant(partner.id, (tx) => releaseOriginal(tx, ADMIN, held.id)), { released: true });
  await rig.delivery.drainOnce();
  assert.deepEqual(
    sink.mail.map((mail) => [mail.to.join(), mail.body.includes(program), mail.from.startsWith('srs0=')]),
    [
      ['ann@far.example', false, true],
      ['ann@far.example', true, true],
    ],
  );
});

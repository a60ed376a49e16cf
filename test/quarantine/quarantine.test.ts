import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { AppError } from '../../src/core/errors.ts';
import { VERDICTS } from '../../src/core/verdict.ts';
import { deliveryEvents } from '../../src/ledger/read.ts';
import { discardDelivery, releaseDelivery } from '../../src/quarantine/decide.ts';
import { getQuarantined, listQuarantine, type QuarantineFilter } from '../../src/quarantine/list.ts';
import type { QuarantineRole } from '../../src/quarantine/rights.ts';
import { reasonWords, verdictWords } from '../../src/quarantine/words.ts';
import { openDatabase } from '../support/db.ts';
import { gate } from '../support/gate.ts';
import { endDelivery, seedQuarantined } from '../support/quarantined.ts';
import { seedClient, seedPartner } from '../support/seed.ts';

const isCode = (code: string) => (error: unknown) => error instanceof AppError && error.code === code;

async function world(t: TestContext) {
  const { db, clock, owner } = await openDatabase(t);
  const partner = (await seedPartner(db)).id;
  const clientId = await seedClient(db, partner);
  const release = (id: string, role?: QuarantineRole) =>
    db.tenant(partner, (tx) => releaseDelivery(tx, id, 'key:help', role));
  const discard = (id: string) => db.tenant(partner, (tx) => discardDelivery(tx, id, 'key:help'));
  const events = async (id: string) =>
    (await db.tenant(partner, (tx) => deliveryEvents(tx, [id]))).map((event) => event.kind);
  return { db, clock, owner, partner, clientId, release, discard, events };
}

test('a release queues the message once, tells the ledger, the audit and delivery', async (t) => {
  const { db, clock, owner, partner, clientId, release, events } = await world(t);
  const id = await seedQuarantined(db, partner, clientId);
  const heard = gate();
  const unlisten = await db.listen('tollgate_queue', heard.open);
  clock.advance(60_000);
  assert.deepEqual(await release(id), { released: true });
  await heard.passed;
  await unlisten();
  assert.deepEqual(await release(id), { released: false });
  assert.deepEqual(await events(id), ['accepted', 'quarantined', 'release_requested']);
  const { rows: queue } = await owner.query('select kind, recipient, domain, sender, attempts from queue');
  assert.deepEqual(queue, [
    {
      kind: 'release',
      recipient: 'ann@acme.example',
      domain: 'acme.example',
      sender: 'bob@sender.example',
      attempts: 0,
    },
  ]);
  const { rows: audit } = await owner.query("select actor from audit where action = 'quarantine.release'");
  assert.deepEqual(audit, [{ actor: 'key:help' }]);
  const item = await db.tenant(partner, (tx) => getQuarantined(tx, id));
  assert.equal(item.disposition, 'queued');
  assert.equal(item.releaseDueAt?.getTime(), clock.now().getTime() + 600_000);
  assert.deepEqual(await db.tenant(partner, (tx) => listQuarantine(tx, {}, { first: 10, after: null })), []);

  await endDelivery(db, id, 'released', '250 ok');
  assert.deepEqual(await release(id), { released: false });
  await endDelivery(db, id, 'bounced', '550 no');
  await assert.rejects(release(id), isCode('conflict'), 'it was refused for good: that is said, not passed over');
});

test('twenty releases at once are one', async (t) => {
  const { db, owner, partner, clientId, release, events } = await world(t);
  const id = await seedQuarantined(db, partner, clientId);
  const results = await Promise.all(Array.from({ length: 20 }, () => release(id)));
  assert.equal(results.filter((one) => one.released).length, 1);
  assert.equal((await owner.query('select 1 from queue')).rowCount, 1);
  assert.deepEqual(await events(id), ['accepted', 'quarantined', 'release_requested']);
});

test('malware is let out by administrators only', async (t) => {
  const { db, owner, partner, clientId, release } = await world(t);
  const id = await seedQuarantined(db, partner, clientId, { verdict: 'malware' });
  await assert.rejects(release(id), isCode('forbidden'));
  assert.equal((await owner.query('select 1 from queue')).rowCount, 0);
  assert.deepEqual(await release(id, 'admin'), { released: true });
});

test('what is thrown away stays away', async (t) => {
  const { db, partner, clientId, release, discard, events } = await world(t);
  const id = await seedQuarantined(db, partner, clientId);
  assert.deepEqual(await discard(id), { discarded: true });
  assert.deepEqual(await discard(id), { discarded: false });
  await assert.rejects(release(id), isCode('conflict'));
  assert.deepEqual(await events(id), ['accepted', 'quarantined', 'discarded']);
  const other = await seedQuarantined(db, partner, clientId);
  await release(other);
  await assert.rejects(discard(other), isCode('conflict'));
});

test("another tenant's delivery answers as one that does not exist", async (t) => {
  const { db, partner, clientId } = await world(t);
  const id = await seedQuarantined(db, partner, clientId);
  const stranger = (await seedPartner(db, 'Other')).id;
  await assert.rejects(
    db.tenant(stranger, (tx) => releaseDelivery(tx, id, 'key:x')),
    isCode('not_found'),
  );
  await assert.rejects(
    db.tenant(stranger, (tx) => discardDelivery(tx, id, 'key:x')),
    isCode('not_found'),
  );
  await assert.rejects(
    db.tenant(stranger, (tx) => getQuarantined(tx, id)),
    isCode('not_found'),
  );
  assert.deepEqual(await db.tenant(stranger, (tx) => listQuarantine(tx, {}, { first: 10, after: null })), []);
});

test('pages follow each other without gap or repetition, and filters hold', async (t) => {
  const { db, clock, partner, clientId } = await world(t);
  const other = await seedClient(db, partner, { name: 'Other', domain: 'other.example' });
  const ids: string[] = [];
  for (let index = 0; index < 7; index += 1) {
    // Two of each moment: the id decides between them.
    if (index % 2 === 0) clock.advance(1_000);
    const subject = index === 3 ? '100% free_money' : `Mail ${index}`;
    const verdict = index === 5 ? 'phish' : 'spam';
    ids.push(await seedQuarantined(db, partner, clientId, { subject, verdict }));
  }
  await seedQuarantined(db, partner, other);
  const page = (filter: QuarantineFilter, first: number, after: { at: Date; id: string } | null) =>
    db.tenant(partner, (tx) => listQuarantine(tx, filter, { first, after }));
  const seen: string[] = [];
  let after: { at: Date; id: string } | null = null;
  for (;;) {
    const rows: Awaited<ReturnType<typeof page>> = await page({ clientId }, 3, after);
    seen.push(...rows.map((row) => row.id));
    const last = rows.at(-1);
    if (last === undefined) break;
    after = { at: last.acceptedAt, id: last.id };
  }
  assert.deepEqual(seen, ids.toReversed());
  assert.equal((await page({}, 50, null)).length, 8);
  assert.deepEqual(
    (await page({ text: '0% free_' }, 50, null)).map((row) => row.subject),
    ['100% free_money'],
  );
  assert.equal((await page({ text: '%' }, 50, null)).length, 1);
  assert.equal((await page({ verdicts: ['phish'] }, 50, null)).length, 1);
});

test('every verdict and every reason has words', () => {
  for (const verdict of VERDICTS) assert.match(verdictWords(verdict), /\S/);
  assert.deepEqual(
    reasonWords([
      { code: 'attachment.executable', detail: 'invoice.exe' },
      { code: 'auth.dmarc_pass', detail: '' },
      { code: 'content.model', detail: '' },
      { code: 'content.other', detail: '' },
      { code: 'strange', detail: '' },
    ]),
    ['Holds a program: invoice.exe', 'Because of the text', 'strange'],
  );
});

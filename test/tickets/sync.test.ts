import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { AppError } from '../../src/core/errors.ts';
import { silentLogger } from '../../src/core/log.ts';
import { sql } from '../../src/db/sql.ts';
import {
  type IncidentInput,
  openIncident,
  resolveIncident,
  resolveIncidentById,
  ticketChanged,
} from '../../src/tickets/incidents.ts';
import { listIncidents } from '../../src/tickets/read.ts';
import { type SyncDeps, syncTickets } from '../../src/tickets/sync.ts';
import { openDatabase } from '../support/db.ts';
import { gate } from '../support/gate.ts';
import { ModelPsa } from '../support/model-psa.ts';
import { seedConnection, seedMapping } from '../support/psa-world.ts';
import { seedClient, seedPartner } from '../support/seed.ts';

const MINUTE = 60_000;

async function world(t: TestContext, options: { mapped?: boolean } = {}) {
  const { db, clock, owner } = await openDatabase(t);
  const partner = (await seedPartner(db)).id;
  const clientId = await seedClient(db, partner);
  const connectionId = await seedConnection(db, partner);
  if (options.mapped !== false) await seedMapping(db, partner, clientId, connectionId, '42');
  const psa = new ModelPsa(clock);
  const deps: SyncDeps = { db, clock, logger: silentLogger, psaFor: async () => psa };
  const key = { partnerId: partner, clientId, rule: 'server.down', subject: 'mx.acme.example:25' };
  const input: IncidentInput = { ...key, severity: 'high', title: 'Mail server is down', description: '12 wait' };
  const open = (given: Partial<IncidentInput> = {}) => db.system((tx) => openIncident(tx, { ...input, ...given }));
  const resolve = () => db.system((tx) => resolveIncident(tx, { ...key, resolution: 'It is up again' }));
  const list = () =>
    db.tenant(partner, (tx) => listIncidents(tx, { clientId: null, state: null }, { first: 100, after: null }));
  const drain = async (target: SyncDeps = deps) => {
    for (let pass = 0; pass < 40; pass += 1) if ((await syncTickets(target)) === 0) return;
    assert.fail('the work never ends');
  };
  return { db, clock, owner, partner, clientId, connectionId, psa, deps, key, open, resolve, list, drain };
}

test('an incident becomes a ticket under the mapped company, and is resolved by itself', async (t) => {
  const { psa, open, resolve, list, drain } = await world(t);
  await open();
  await drain();
  assert.equal(psa.tickets.length, 1);
  assert.equal(psa.tickets[0]?.companyId, '42');
  assert.match(psa.tickets[0]?.description ?? '', /12 wait/);
  const [row] = await list();
  assert.equal(row?.ticketState, 'open');
  assert.equal(row?.ticketNumber, 'T1');
  assert.equal(row?.ticketKey, psa.tickets[0]?.key);
  assert.ok((row?.ticketKey.length ?? 99) <= 50);
  await resolve();
  await drain();
  assert.equal(psa.tickets[0]?.open, false);
  assert.equal(psa.tickets[0]?.resolution, 'It is up again');
  assert.equal((await list())[0]?.ticketState, 'resolved');
});

test('1,000 alerts make one incident, one ticket and few notes', async (t) => {
  const { clock, psa, deps, open, list, drain } = await world(t);
  await Promise.all(Array.from({ length: 20 }, () => open()));
  await drain();
  for (let index = 0; index < 980; index += 1) {
    await open();
    if (index % 49 === 0) {
      clock.advance(MINUTE);
      await syncTickets(deps);
    }
  }
  clock.advance(15 * MINUTE);
  await drain();
  const rows = await list();
  assert.equal(rows.length, 1);
  assert.equal(rows[0]?.occurrences, 1000);
  assert.equal(psa.tickets.length, 1);
  const notes = psa.tickets[0]?.notes ?? [];
  assert.ok(notes.length >= 1 && notes.length <= 3, `${notes.length} notes`);
  assert.match(notes.at(-1)?.text ?? '', /Seen 1000 times in all/);
});

test('an unmapped client is held with an alarm and filed nowhere, until it is mapped', async (t) => {
  const { db, partner, clientId, connectionId, psa, open, list, drain } = await world(t, { mapped: false });
  await open();
  await drain();
  assert.equal(psa.writes, 0);
  const held = await list();
  assert.equal(held.find((row) => row.rule === 'server.down')?.ticketState, 'held');
  const alarm = held.find((row) => row.rule === 'psa.unmapped');
  assert.equal(alarm?.state, 'open');
  assert.equal(alarm?.ticketState, 'none');

  await seedMapping(db, partner, clientId, connectionId, '7');
  await drain();
  assert.deepEqual(
    psa.tickets.map((ticket) => ticket.companyId),
    ['7'],
  );
  const rows = await list();
  assert.equal(rows.find((row) => row.rule === 'server.down')?.ticketState, 'open');
  assert.equal(rows.find((row) => row.rule === 'psa.unmapped')?.state, 'resolved');
});

test('a mapping that needs attention holds too; what ends while held is never filed', async (t) => {
  const { owner, db, partner, clientId, connectionId, psa, open, resolve, list, drain } = await world(t);
  await owner.query("update psa_mappings set state = 'needs_attention'");
  await open();
  await drain();
  await resolve();
  await seedMapping(db, partner, clientId, connectionId);
  await drain();
  assert.equal(psa.writes, 0);
  assert.equal((await list()).find((row) => row.rule === 'server.down')?.ticketState, 'none');
});

for (const fault of ['lost', 'late', 'vanished', 'busy', 'refused'] as const) {
  test(`a creation whose answer is "${fault}" ends with one ticket`, async (t) => {
    const { clock, psa, deps, open, list } = await world(t);
    psa.writeFaults = [fault];
    await open();
    for (let minute = 0; minute < 70; minute += 1) {
      await syncTickets(deps);
      clock.advance(MINUTE);
    }
    assert.equal(psa.tickets.length, 1);
    assert.equal((await list())[0]?.ticketState, 'open');
    assert.equal(psa.writes, fault === 'lost' || fault === 'late' ? 1 : 2);
  });
}

const STEPS = ['ticket.before-intent', 'ticket.after-intent', 'ticket.after-create'];
for (const step of STEPS) {
  test(`a crash at ${step} ends with one ticket`, async (t) => {
    const { clock, psa, deps, open, list, drain } = await world(t);
    await open();
    const crash = (name: string) => {
      if (name === step) throw new Error('crash');
    };
    await assert.rejects(syncTickets({ ...deps, fault: crash }), /crash/);
    assert.equal(await syncTickets(deps), 0, 'the lease of the crashed worker is respected');
    for (let minute = 0; minute < 6; minute += 1) {
      clock.advance(MINUTE);
      await drain();
    }
    assert.equal(psa.tickets.length, 1);
    assert.equal((await list())[0]?.ticketState, 'open');
  });
}

test('a worker that hangs in its request is fenced off, and only one ticket comes of it', async (t) => {
  const { clock, psa, deps, open, list, drain } = await world(t);
  await open();
  const hung = gate();
  const reached = gate();
  psa.beforeWrite = () => {
    reached.open();
    return hung.passed;
  };
  const first = syncTickets(deps);
  await reached.passed;
  // The lease lapses while the request is out; the second worker waits for the settle window and looks first.
  clock.advance(2 * MINUTE - 1);
  await syncTickets(deps);
  hung.open();
  psa.beforeWrite = async () => undefined;
  await first;
  clock.advance(MINUTE);
  await drain();
  assert.equal(psa.writes, 1);
  assert.equal(psa.tickets.length, 1);
  assert.equal((await list())[0]?.ticketNumber, 'T1');
});

test('a worker that slept between intent and request does not send any more', async (t) => {
  const { clock, psa, deps, open, drain } = await world(t);
  await open();
  const sleepy = (name: string) => {
    if (name === 'ticket.after-intent') clock.advance(11_000);
  };
  await syncTickets({ ...deps, fault: sleepy });
  assert.equal(psa.writes, 0);
  clock.advance(2 * MINUTE);
  await drain();
  assert.equal(psa.tickets.length, 1);
});

test('many workers at once make one ticket per incident', async (t) => {
  const { psa, deps, open } = await world(t);
  await Promise.all(Array.from({ length: 10 }, (_, index) => open({ subject: `host-${index}:25` })));
  await Promise.all(Array.from({ length: 4 }, () => syncTickets(deps)));
  assert.equal(psa.tickets.length, 10);
  assert.equal(new Set(psa.tickets.map((ticket) => ticket.key)).size, 10);
});

test('a ticket that a technician closed stays closed; what happens after it opens a new one that refers to it', async (t) => {
  const { db, clock, partner, connectionId, psa, open, list, drain } = await world(t);
  await open();
  await drain();
  const [first] = psa.tickets;
  assert.ok(first);
  first.open = false;
  await db.system((tx) => ticketChanged(tx, { partnerId: partner, connectionId, ticketId: first.id }));
  await drain();
  assert.equal((await list())[0]?.state, 'resolved');
  assert.match((await list())[0]?.resolution ?? '', /T1 was closed/);
  await open();
  await drain();
  assert.equal(first.open, false);
  assert.equal(first.notes.length, 0);
  assert.equal(psa.tickets.length, 2);
  assert.match(psa.tickets[1]?.description ?? '', /Earlier ticket on this matter: T1/);

  // Seen again before anybody noticed the closing: told by a new ticket, not by a note that nobody reads.
  const second = psa.tickets[1];
  assert.ok(second);
  second.open = false;
  await open();
  clock.advance(16 * MINUTE);
  await drain();
  assert.equal(second.notes.length, 0);
  assert.equal(psa.tickets.length, 3);
  assert.equal((await list()).filter((row) => row.state === 'open').length, 1);
});

test('a deleted ticket is replaced by one that refers to it', async (t) => {
  const { clock, psa, open, list, drain } = await world(t);
  await open();
  await drain();
  const [first] = psa.tickets;
  assert.ok(first);
  first.deleted = true;
  clock.advance(61 * MINUTE);
  await drain();
  assert.equal(psa.tickets.length, 2);
  assert.match(psa.tickets[1]?.description ?? '', /Replaces ticket T1/);
  assert.equal((await list())[0]?.ticketNumber, 'T2');
});

test('a ticket that ours was merged into gets a note and stays open', async (t) => {
  const { psa, open, resolve, list, drain } = await world(t);
  await open();
  await drain();
  const other = await psa.createTicket({ companyId: '42', title: 'Other', description: '', key: '', priority: 'low' });
  const [ours, theirs] = psa.tickets;
  assert.ok(ours && theirs);
  ours.mergedInto = theirs;
  await resolve();
  await drain();
  assert.equal(theirs.open, true);
  assert.equal(theirs.notes.length, 1);
  assert.match(theirs.notes[0]?.title ?? '', /^Resolved/);
  assert.equal((await list())[0]?.ticketNumber, other.number);
});

test('while the PSA is down nothing is lost, however long; it is asked once per call', async (t) => {
  const { clock, psa, deps, open, list, drain } = await world(t);
  psa.readFault = 'down';
  await Promise.all(Array.from({ length: 5 }, (_, index) => open({ subject: `host-${index}:25` })));
  await syncTickets(deps);
  assert.equal(psa.reads, 1);
  for (let day = 0; day < 40; day += 1) {
    clock.advance(24 * 60 * MINUTE);
    await syncTickets(deps);
  }
  assert.match((await list())[0]?.ticketNote ?? '', /does not answer/);
  psa.readFault = 'ok';
  clock.advance(24 * 60 * MINUTE);
  await drain();
  assert.equal(psa.tickets.length, 5);
  assert.ok((await list()).every((row) => row.ticketNote === null));
});

test('refused credentials wait long and say why', async (t) => {
  const { clock, psa, deps, open, list } = await world(t);
  psa.readFault = 'unauthenticated';
  await open();
  await syncTickets(deps);
  clock.advance(30 * MINUTE);
  await syncTickets(deps);
  assert.equal(psa.reads, 1);
  assert.match((await list())[0]?.ticketNote ?? '', /refuses the credentials/);
});

test('the end of an incident whose ticket is being created is not lost', async (t) => {
  const { clock, psa, deps, open, resolve, drain } = await world(t);
  psa.writeFaults = ['late'];
  await open();
  await syncTickets(deps);
  await resolve();
  clock.advance(5 * MINUTE);
  await drain();
  assert.equal(psa.tickets.length, 1);
  assert.equal(psa.tickets[0]?.open, false);
});

test('a removed connection leaves the incident visible and files nothing elsewhere', async (t) => {
  const { owner, clock, psa, deps, open, list } = await world(t);
  await open();
  await syncTickets(deps);
  await owner.query('delete from psa_connections');
  const gone: SyncDeps = {
    ...deps,
    psaFor: async () => {
      throw new AppError('not_found', 'no such PSA connection');
    },
  };
  clock.advance(61 * MINUTE);
  await syncTickets(gone);
  const [row] = await list();
  assert.equal(row?.ticketState, 'none');
  assert.match(row?.ticketNote ?? '', /was removed/);
  assert.equal(psa.writes, 1);
});

test("a person ends an incident once, with an entry in the audit; another tenant's is not found", async (t) => {
  const { db, partner, open, list, owner } = await world(t);
  const { id } = await open();
  const stranger = (await seedPartner(db, 'Other')).id;
  await assert.rejects(
    db.tenant(stranger, (tx) => resolveIncidentById(tx, id, 'x', 'key:a')),
    (error: unknown) => error instanceof AppError && error.code === 'not_found',
  );
  await db.tenant(partner, (tx) => resolveIncidentById(tx, id, 'Done', 'key:a'));
  await db.tenant(partner, (tx) => resolveIncidentById(tx, id, 'Again', 'key:b'));
  assert.equal((await list())[0]?.resolution, 'Done');
  const audit = await owner.query("select actor from audit where action = 'incident.resolve'");
  assert.deepEqual(audit.rows, [{ actor: 'key:a' }]);
});

test('titles that strangers wrote carry no control characters and are cut', async (t) => {
  const { open, list } = await world(t);
  await open({
    title: `a\u0000\r\nBcc: x ${'y'.repeat(400)}`,
    description: `line\n\u0007${'z'.repeat(9_000)}`,
    severity: 'low',
  });
  const [row] = await list();
  assert.match(row?.title ?? '', /^a\ufffd\ufffd\ufffdBcc: x y+…$/);
  assert.equal([...(row?.title ?? '')].length, 255);
  assert.match(row?.description ?? '', /^line\n\ufffdz/);
});

test('rows that one tenant lists are its own', async (t) => {
  const { db, open } = await world(t);
  await open();
  const stranger = (await seedPartner(db, 'Other')).id;
  const seen = await db.tenant(stranger, (tx) => tx.rows(sql`select id from incidents`));
  assert.deepEqual(seen, []);
});

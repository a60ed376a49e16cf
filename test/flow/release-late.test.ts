import assert from 'node:assert/strict';
import { test } from 'node:test';
import { silentLogger } from '../../src/core/log.ts';
import { deliveryEvents } from '../../src/ledger/read.ts';
import { watchReleases } from '../../src/monitor/releases.ts';
import { watchServers } from '../../src/monitor/servers.ts';
import { releaseDelivery } from '../../src/quarantine/decide.ts';
import { listQuarantine } from '../../src/quarantine/list.ts';
import { syncTickets } from '../../src/tickets/sync.ts';
import { openRig, openSink, Talker } from '../gateway/support/rig.ts';
import { openPsa } from '../support/psa-rig.ts';
import { seedConnection, seedMapping } from '../support/psa-world.ts';
import { seedClient, seedPartner } from '../support/seed.ts';

const MINUTE = 60_000;

test('the release that does not arrive: it is noticed, told in a ticket, and the ticket ends when the mail is there', async (t) => {
  const rig = await openRig(t);
  const { db, clock } = rig;
  let accepts = false;
  const sink = await openSink(t, () => (accepts ? null : 451));
  const partner = (await seedPartner(db)).id;
  const clientId = await seedClient(db, partner, {
    mailboxes: ['quarantine'],
    relays: [{ host: '127.0.0.1', port: sink.port }],
  });
  const { sandbox, psa } = await openPsa(t, clock, 'connectwise');
  const company = String(sandbox.state.addCompany('Acme', { active: true }).id);
  await seedMapping(db, partner, clientId, await seedConnection(db, partner), company);
  const sync = () => syncTickets({ db, clock, logger: silentLogger, psaFor: async () => psa });

  const sender = await Talker.open(rig.smtp);
  await sender.send('bob@sender.example', ['quarantine@acme.example'], 'Subject: Invoice\r\n\r\nPlease pay\r\n');
  sender.close();
  const [held] = await db.tenant(partner, (tx) => listQuarantine(tx, {}, { first: 10, after: null }));
  assert.ok(held);

  // Looked at any number of times, nothing leaves; released twice, one copy is queued.
  assert.equal(await rig.delivery.drainOnce(), 0);
  const release = () => db.tenant(partner, (tx) => releaseDelivery(tx, held.id, 'ann@msp.example'));
  assert.deepEqual(await release(), { released: true });
  assert.deepEqual(await release(), { released: false });
  assert.equal(await rig.delivery.drainOnce(), 1);
  assert.equal(sink.mail.length, 0);
  assert.equal(await watchReleases(db), 0, 'it has ten minutes');

  clock.advance(10 * MINUTE);
  await rig.delivery.drainOnce();
  assert.equal(await watchServers(db, clock, 60), 0, 'the server answers, so this is not an outage');
  assert.equal(await watchReleases(db), 1);
  await sync();
  const tickets = await psa.findTickets(await keyOf());
  assert.equal(tickets.length, 1);
  assert.equal(tickets[0]?.companyId, company);
  assert.match(tickets[0]?.title ?? '', /has not arrived: quarantine@acme\.example/);
  await watchReleases(db);
  await sync();
  assert.equal(sandbox.state.tickets.size, 1);

  accepts = true;
  clock.advance(60 * MINUTE);
  await rig.delivery.drainOnce();
  assert.equal(sink.mail.length, 1);
  assert.match(sink.mail[0]?.body ?? '', /Please pay/);
  assert.equal(await watchReleases(db), 1);
  await sync();
  const [ended] = await psa.findTickets(await keyOf());
  assert.equal(ended?.open, false);
  const events = await db.tenant(partner, (tx) => deliveryEvents(tx, [held.id]));
  assert.deepEqual(
    events.map((event) => [event.kind, event.disposition]),
    [
      ['accepted', 'quarantined'],
      ['quarantined', 'quarantined'],
      ['release_requested', 'queued'],
      ['delivered', 'released'],
    ],
  );
  assert.deepEqual(await release(), { released: false });
  assert.equal(await rig.delivery.drainOnce(), 0);

  async function keyOf(): Promise<string> {
    const { rows } = await rig.owner.query<{ ticket_key: string }>(
      `select ticket_key from incidents where rule = 'release.late'`,
    );
    return rows[0]?.ticket_key ?? '';
  }
});

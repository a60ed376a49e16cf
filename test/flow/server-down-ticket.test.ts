import assert from 'node:assert/strict';
import { test } from 'node:test';
import { silentLogger } from '../../src/core/log.ts';
import { PSA_KINDS } from '../../src/core/psa.ts';
import { watchServers } from '../../src/monitor/servers.ts';
import { listIncidents } from '../../src/tickets/read.ts';
import { syncTickets } from '../../src/tickets/sync.ts';
import { openRig, openSink, Talker } from '../gateway/support/rig.ts';
import { openPsa } from '../support/psa-rig.ts';
import { seedConnection, seedMapping } from '../support/psa-world.ts';
import { seedClient, seedPartner } from '../support/seed.ts';

const MINUTE = 60_000;

for (const kind of PSA_KINDS) {
  test(`${kind}: the client's server is down: one ticket at its own company, resolved by itself when the server is back`, async (t) => {
    const gone = await openSink(t);
    await gone.close();
    const rig = await openRig(t);
    const { db, clock } = rig;
    const partner = (await seedPartner(db)).id;
    const clientId = await seedClient(db, partner, { relays: [{ host: '127.0.0.1', port: gone.port }] });
    const { sandbox, psa } = await openPsa(t, clock, kind);
    sandbox.state.addCompany('Somebody else', { active: true });
    const company = String(sandbox.state.addCompany('Acme', { active: true }).id);
    await seedMapping(db, partner, clientId, await seedConnection(db, partner), company);
    const sync = () => syncTickets({ db, clock, logger: silentLogger, psaFor: async () => psa });
    const incident = async () => {
      const filter = { clientId, state: null };
      const [row] = await db.tenant(partner, (tx) => listIncidents(tx, filter, { first: 10, after: null }));
      assert.ok(row);
      return row;
    };

    const sender = await Talker.open(rig.smtp);
    await sender.send('bob@sender.example', ['ann@acme.example']);
    sender.close();
    await rig.delivery.drainOnce();
    assert.equal(await watchServers(db, clock, 120), 0);
    clock.advance(2 * MINUTE);
    assert.equal(await watchServers(db, clock, 120), 1);

    // The answer to the creation is lost: the ticket is found again by its key, not made again.
    sandbox.faults.arm('drop_after_commit', { method: 'POST', path: /\/tickets$/i });
    await sync();
    assert.equal((await incident()).ticketState, 'creating');
    clock.advance(MINUTE);
    await watchServers(db, clock, 120);
    await sync();
    const open = await incident();
    assert.equal(open.ticketState, 'open');
    assert.equal(sandbox.state.tickets.size, 1);
    const [ticket] = await psa.findTickets(open.ticketKey);
    assert.equal(ticket?.companyId, company);
    assert.equal(ticket?.number, open.ticketNumber);

    const sink = await openSink(t, () => null, gone.port);
    await rig.delivery.flush(clientId);
    await rig.delivery.drainOnce();
    assert.equal(sink.mail.length, 1);
    assert.equal(await watchServers(db, clock, 120), 1);
    await sync();
    assert.equal((await psa.findTickets(open.ticketKey))[0]?.open, false);
    assert.equal((await incident()).ticketState, 'resolved');
    assert.equal(sandbox.state.tickets.size, 1);
  });
}

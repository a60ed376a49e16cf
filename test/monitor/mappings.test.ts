import assert from 'node:assert/strict';
import { test } from 'node:test';
import { silentLogger } from '../../src/core/log.ts';
import { watchMappings } from '../../src/monitor/mappings.ts';
import { openIncident } from '../../src/tickets/incidents.ts';
import { listIncidents } from '../../src/tickets/read.ts';
import { syncTickets } from '../../src/tickets/sync.ts';
import { openDatabase } from '../support/db.ts';
import { ModelPsa } from '../support/model-psa.ts';
import { seedConnection, seedMapping } from '../support/psa-world.ts';
import { seedClient, seedPartner } from '../support/seed.ts';

test('a company that was renamed, retired or removed holds its client until a person confirms', async (t) => {
  const { db, clock } = await openDatabase(t);
  const partner = (await seedPartner(db)).id;
  const clientId = await seedClient(db, partner);
  const connectionId = await seedConnection(db, partner);
  const psa = new ModelPsa(clock);
  const deps = { db, clock, logger: silentLogger, psaFor: async () => psa };
  const confirm = () => seedMapping(db, partner, clientId, connectionId, '1');
  const alarms = async () =>
    (
      await db.tenant(partner, (tx) => listIncidents(tx, { clientId, state: 'open' }, { first: 10, after: null }))
    ).filter((row) => row.rule === 'psa.mapping');
  await confirm();
  psa.companies.set('1', { id: '1', name: 'Company 1', active: true });
  assert.equal(await watchMappings(deps), 0);

  for (const [company, words] of [
    [{ id: '1', name: 'Company One', active: true }, /called Company One now/],
    [{ id: '1', name: 'Company 1', active: false }, /inactive/],
    [null, /no longer in the PSA/],
  ] as const) {
    if (company === null) psa.companies.delete('1');
    else psa.companies.set('1', company);
    assert.equal(await watchMappings(deps), 1);
    assert.equal(await watchMappings(deps), 0, 'flagged once');
    const [alarm] = await alarms();
    assert.match(alarm?.description ?? '', words);
    assert.equal(alarm?.ticketState, 'none');
    await db.system((tx) =>
      openIncident(tx, {
        partnerId: partner,
        clientId,
        rule: 'server.down',
        subject: words.source,
        severity: 'high',
        title: 'x',
        description: 'x',
      }),
    );
    await syncTickets(deps);
    assert.equal(psa.writes, 0, 'held');
    psa.companies.set('1', { id: '1', name: 'Company 1', active: true });
    await confirm();
    assert.equal(await watchMappings(deps), 0);
    assert.deepEqual(await alarms(), []);
  }
  await syncTickets(deps);
  assert.equal(psa.tickets.length, 3);
});

test('a PSA that does not answer flags nothing', async (t) => {
  const { db, clock } = await openDatabase(t);
  const partner = (await seedPartner(db)).id;
  const connectionId = await seedConnection(db, partner);
  for (const name of ['a', 'b']) {
    const clientId = await seedClient(db, partner, { name, domain: `${name}.example` });
    await seedMapping(db, partner, clientId, connectionId, name);
  }
  const psa = new ModelPsa(clock);
  psa.readFault = 'down';
  assert.equal(await watchMappings({ db, logger: silentLogger, psaFor: async () => psa }), 0);
  assert.equal(psa.reads, 1, 'asked once');
  const states = await db.tenant(partner, (tx) =>
    listIncidents(tx, { clientId: null, state: null }, { first: 10, after: null }),
  );
  assert.deepEqual(states, []);
});

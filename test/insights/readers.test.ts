import assert from 'node:assert/strict';
import { test } from 'node:test';
import { newId } from '../../src/core/id.ts';
import type { PartnerId } from '../../src/core/tenant.ts';
import { licenceUse } from '../../src/insights/licences.ts';
import { benchmarks } from '../../src/insights/peers.ts';
import { openDatabase } from '../support/db.ts';
import { countedThrough, seedHistory } from '../support/history.ts';
import { seedClient, seedPartner } from '../support/seed.ts';
import { seedWorld } from '../support/world.ts';

const PERIOD = { from: '2026-10-01', to: '2026-10-07', zone: 'Europe/London' };

test('peers: hidden under five clients, then quartiles of the partner’s own clients of the size alone', async (t) => {
  const { db, owner } = await openDatabase(t);
  await countedThrough(owner, '2026-10-20T00:00:00Z');
  const partner = (await seedPartner(db)).id as PartnerId;
  const foreign = (await seedPartner(db, 'Other MSP')).id as PartnerId;
  const make = async (
    of: PartnerId,
    name: string,
    unwanted: number,
    zone = 'Europe/London',
    mailboxes = ['a', 'b'],
  ) => {
    const id = await seedClient(db, of, { name, domain: `${name}.example`, timeZone: zone, mailboxes });
    await owner.query('update clients set created_at = $1 where id = $2', ['2026-01-01T00:00:00Z', id]);
    for (const [verdict, count] of [
      ['clean', 100 - unwanted],
      ['spam', unwanted],
    ]) {
      await owner.query(
        `insert into rollup_traffic (partner_id, client_id, bucket, domain, direction, kind, verdict, disposition, deliveries, messages,
           domain_messages, partner_messages, bytes, partner_bytes)
         values ($1, $2, '2026-10-03T12:00:00Z', 'x', 'inbound', 'accepted', $3, 'queued', $4, $4, $4, $4, 0, 0)`,
        [of, id, verdict, count],
      );
    }
    return id;
  };
  const mine = await make(partner, 'mine', 30);
  for (const [index, unwanted] of [10, 20, 40].entries()) await make(partner, `p${index}`, unwanted);
  for (let index = 0; index < 9; index += 1) await make(foreign, `f${index}`, 90);
  // Another size.
  await make(
    partner,
    'large',
    99,
    'Europe/London',
    Array.from({ length: 12 }, (_, index) => `u${index}`),
  );
  const read = () => db.tenant(partner, (tx) => benchmarks(tx, mine, PERIOD));
  assert.deepEqual(
    (await read()).map((one) => [one.hidden, one.standing]),
    [
      ['too_few_clients', null],
      ['too_few_clients', null],
    ],
  );
  await make(partner, 'p3', 50, 'Asia/Tokyo');
  const [share, threats] = await read();
  assert.deepEqual(
    [share?.hidden, share?.size, share?.standing],
    [null, [1, 9], { own: 0.3, clients: 5, lowerQuartile: 0.2, median: 0.3, upperQuartile: 0.4, position: 0.5 }],
  );
  assert.equal(threats?.standing?.position, 0.5, 'all have none: nobody is better');
  const later = await db.tenant(partner, (tx) => benchmarks(tx, mine, { ...PERIOD, to: '2026-10-31' }));
  assert.deepEqual(
    later.map((one) => one.hidden),
    ['incomplete', 'incomplete'],
  );
});

test('licences: mailboxes against the seats that were read from the PSA, unknown while none was read', async (t) => {
  const { db, clock, owner } = await openDatabase(t);
  const world = await seedWorld(db, owner, 'acme', clock.now());
  const read = () => db.tenant(world.partner, (tx) => licenceUse(tx, world.ids.Client, '2026-10-14'));
  // The world's plan read a quantity of 0.
  assert.deepEqual(await read(), [{ product: 'acme product', clients: 1, mailboxes: 1, seats: 0, use: null }]);
  const plan = newId();
  await owner.query(
    "insert into billing_plans (partner_id, id, usage_day, state, created_at) values ($1, $2, '2026-10-13', 'applied', '2026-10-14T10:00:00Z')",
    [world.partner, plan],
  );
  await owner.query(
    `insert into billing_lines (partner_id, plan_id, client_id, product, connection_id, contract_id, line_id, before_quantity, target_quantity, after_quantity, state)
     select partner_id, $1, client_id, product, connection_id, contract_id, line_id, 3, 4, 4, 'verified' from billing_lines`,
    [plan],
  );
  assert.deepEqual(await read(), [{ product: 'acme product', clients: 1, mailboxes: 1, seats: 4, use: 0.25 }]);
  await owner.query('delete from billing_lines');
  assert.deepEqual((await read())[0]?.seats, null);
  const late = await db.tenant(world.partner, (tx) => licenceUse(tx, world.ids.Client, '2026-10-30'));
  assert.deepEqual(
    late,
    [{ product: 'acme product', clients: 1, mailboxes: null, seats: null, use: null }],
    'an old snapshot says nothing of today',
  );
});

test('rule 10: what is seeded for one partner is in no answer of another', async (t) => {
  const { db, clock, owner } = await openDatabase(t);
  const theirs = await seedWorld(db, owner, 'theirs', clock.now());
  const mine = await seedWorld(db, owner, 'mine', clock.now());
  await seedHistory(owner, theirs, 'theirs');
  for (const table of ['threat_traits', 'server_states', 'day_judgements', 'insight_settings']) {
    const rows = await db.tenant(mine.partner, (tx) =>
      tx.rows({ name: `look ${table}`, text: `select * from ${table}`, values: [] }),
    );
    assert.deepEqual(rows, [], table);
  }
});

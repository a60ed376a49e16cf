import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { setRoutes } from '../../src/accounts/routing.ts';
import { silentLogger } from '../../src/core/log.ts';
import { RelayAddresses } from '../../src/gateway/turn.ts';
import { zoneResolver } from '../../src/mail/resolver.ts';
import { seedClient, seedPartner } from '../support/seed.ts';
import { openRig, openSink, Talker } from './support/rig.ts';
import { login, PASSWORD, seedSubmitter } from './support/submitter.ts';

const MINUTE = 60_000;

/** A client whose server at 127.0.0.1 is down, with one message that waits for it, and another partner's client. */
async function openWaiting(t: TestContext) {
  const sink = await openSink(t);
  await sink.close();
  const resolver = zoneResolver({
    'here.example': { A: ['127.0.0.1'] },
    'there.example': { A: ['192.0.2.1'] },
    'broken.example': { FAIL: ['ETIMEOUT'] },
  });
  const rig = await openRig(t, { resolver });
  const { partner, clientId } = await seedSubmitter(rig.db, sink.port);
  const other = await seedPartner(rig.db, 'Other IT');
  await seedClient(rig.db, other.id, { domain: 'theirs.example', relays: [{ host: 'there.example', port: 25 }] });
  const route = (host: string) =>
    rig.db.tenant(partner.id, (tx) =>
      setRoutes(tx, { clientId, domain: null, routes: [{ host, port: sink.port }], actor: 'test' }),
    );
  const receive = async () => {
    const client = await Talker.open(rig.smtp);
    assert.match((await client.send('eve@far.example', ['ann@acme.example'])).at(-1) ?? '', /^250/);
    client.close();
  };
  await receive();
  await rig.delivery.drainOnce();
  const isDue = async () => {
    const { rows } = await rig.owner.query('select due_at from queue order by queued_at limit 1');
    return rows[0]?.due_at.getTime() <= rig.clock.now().getTime();
  };
  return { ...rig, partner, clientId, sinkPort: sink.port, route, receive, isDue };
}

test("ETRN from a relay's address makes the domain's mail due and says how much; again at once is refused", async (t) => {
  const rig = await openWaiting(t);
  assert.equal(await rig.isDue(), false);
  const client = await Talker.open(rig.smtp);
  assert.equal(await client.say('ETRN ACME.example'), '253 2.0.0 OK, 1 pending messages for node ACME.example started');
  assert.equal(await rig.isDue(), true);
  assert.match(await client.say('ETRN acme.example'), /^458 4\.7\.0 .*asked a moment ago/);
  rig.clock.advance(MINUTE);
  assert.match(await client.say('ETRN acme.example'), /^252 2\.0\.0 /, 'it is under way');
  // The server is back.
  const back = await openSink(t, () => null, rig.sinkPort);
  assert.equal(await rig.delivery.drainOnce(), 1);
  assert.equal(back.mail.length, 1);
  rig.clock.advance(MINUTE);
  assert.equal(await client.say('ETRN acme.example'), '251 2.0.0 OK, no messages waiting for node acme.example');
  client.close();
});

test('ETRN by name: the relay is looked up; a name that is elsewhere, or nowhere for now, is not let in', async (t) => {
  const rig = await openWaiting(t);
  const client = await Talker.open(rig.smtp);
  for (const host of ['there.example', 'broken.example', 'unknown.example']) {
    await rig.route(host);
    assert.match(await client.say('ETRN acme.example'), /^459 4\.7\.1 Node acme\.example not allowed/, host);
  }
  assert.equal(await rig.isDue(), false);
  await rig.route('here.example');
  assert.match(await client.say('ETRN acme.example'), /^253 /);
  client.close();
});

test('ETRN @domain: the domain and those of the client below it that the relay serves', async (t) => {
  const rig = await openWaiting(t);
  await rig.db.tenant(rig.partner.id, async (tx) => {
    for (const name of ['sub.acme.example', 'away.acme.example']) {
      await tx.run({
        name: 'etrn-domain',
        text: 'insert into domains (partner_id, client_id, name, created_at) values ($1, $2, $3, $4)',
        values: [tx.partnerId, rig.clientId, name, tx.now],
      });
    }
    const routes = [{ host: 'there.example', port: 25 }];
    await setRoutes(tx, { clientId: rig.clientId, domain: 'away.acme.example', routes, actor: 'test' });
  });
  await rig.owner.query(`
    insert into deliveries select (jsonb_populate_record(d, jsonb_build_object('id', n.id))).* from deliveries d,
      (values ('00000000-0000-7000-8000-000000000001'), ('00000000-0000-7000-8000-000000000002')) as n (id)`);
  await rig.owner.query(`
    insert into queue select (jsonb_populate_record(q, jsonb_build_object('delivery_id', n.id, 'domain', n.domain))).* from queue q,
      (values ('00000000-0000-7000-8000-000000000001', 'sub.acme.example'),
              ('00000000-0000-7000-8000-000000000002', 'away.acme.example')) as n (id, domain)`);
  const client = await Talker.open(rig.smtp);
  assert.match(await client.say('ETRN @acme.example'), /^250 2\.0\.0 OK, queuing for node @acme\.example started/);
  client.close();
  const { rows } = await rig.owner.query('select domain, due_at <= $1 as due from queue order by domain', [
    rig.clock.now(),
  ]);
  assert.deepEqual(rows, [
    { domain: 'acme.example', due: true },
    { domain: 'away.acme.example', due: false },
    { domain: 'sub.acme.example', due: true },
  ]);
});

test("ETRN for another's domain, and for one that is not here, are answered alike", async (t) => {
  const rig = await openWaiting(t);
  const client = await Talker.open(rig.smtp);
  const theirs = await client.say('ETRN theirs.example');
  const nobodys = await client.say('ETRN nobody.example');
  assert.match(theirs, /^459 /);
  assert.equal(theirs.replace('theirs', 'X'), nobodys.replace('nobody', 'X'));
  client.close();
});

test('ETRN: syntax, sequence, and too many tries', async (t) => {
  const rig = await openWaiting(t);
  const bare = new Talker(rig.smtp);
  await bare.reply();
  assert.match(await bare.say('ETRN acme.example'), /^503 5\.5\.1 /);
  await bare.say('HELO client.example');
  assert.match(await bare.say('ETRN acme.example'), /^503 5\.5\.1 /);
  bare.close();
  const client = await Talker.open(rig.smtp);
  for (const bad of [
    'ETRN',
    'ETRN a.example b.example',
    'ETRN not_a_domain',
    'ETRN #queue',
    'ETRN @',
    `ETRN ${'x'.repeat(400)}`,
  ])
    assert.match(await client.say(bad), /^501 5\.5\.4 /, bad);
  await client.say('MAIL FROM:<eve@far.example>');
  assert.match(await client.say('ETRN acme.example'), /^503 5\.5\.1 /);
  await client.say('RSET');
  for (let round = 0; round < 10; round += 1) assert.match(await client.say('ETRN nobody.example'), /^459 /);
  assert.match(await client.say('ETRN acme.example'), /^458 4\.7\.0 .*too many tries/);
  assert.equal(await rig.isDue(), false);
  rig.clock.advance(MINUTE);
  assert.match(await client.say('ETRN acme.example'), /^25[23] /);
  client.close();
});

test('ETRN at the submission port: after login, for the domains of the login', async (t) => {
  const rig = await openWaiting(t);
  const client = await Talker.open(rig.submission);
  assert.match(await client.say('ETRN acme.example'), /^459 /);
  await login(client, PASSWORD);
  assert.match(await client.say('EHLO client.example'), /^250[ -]ETRN\r?$/m);
  assert.match(await client.say('ETRN theirs.example'), /^459 /);
  assert.match(await client.say('ETRN acme.example'), /^253 /);
  client.close();
});

test('EHLO names ETRN to relays that are known, and to nobody else', async (t) => {
  const rig = await openWaiting(t);
  // What is known is learnt in the background: the first connection sets it off.
  const offered = async (port: number) => {
    const client = new Talker(port);
    await client.reply();
    const answer = await client.say('EHLO client.example');
    client.close();
    return /^250[ -]ETRN\r?$/m.test(answer);
  };
  assert.equal(await offered(rig.submission), false, 'without a login');
  while (!(await offered(rig.smtp)));

  const relays = new RelayAddresses({
    db: rig.db,
    clock: rig.clock,
    logger: silentLogger,
    resolver: zoneResolver({ 'there.example': { A: ['192.0.2.1'] } }),
  });
  await relays.refresh();
  assert.equal(relays.has('::ffff:127.0.0.1'), true);
  assert.equal(relays.has('192.0.2.1'), true);
  assert.equal(relays.has('192.0.2.2'), false);
  await rig.route('there.example');
  assert.equal(relays.has('127.0.0.1'), true, 'for five minutes');
  rig.clock.advance(5 * MINUTE);
  relays.has('127.0.0.1');
  await relays.idle();
  assert.equal(relays.has('127.0.0.1'), false);
});

test('ETRN while the database is gone: 458, and the session goes on', async (t) => {
  const rig = await openWaiting(t);
  const client = await Talker.open(rig.smtp);
  await rig.owner.query('alter table domains rename to domains_away');
  assert.match(await client.say('ETRN acme.example'), /^458 4\.3\.0 /);
  await rig.owner.query('alter table domains_away rename to domains');
  assert.match(await client.say('NOOP'), /^250/);
  assert.match(await client.say('ETRN acme.example'), /^253 /);
  client.close();
});

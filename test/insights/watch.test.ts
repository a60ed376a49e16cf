import assert from 'node:assert/strict';
import { test } from 'node:test';
import { addDays } from '../../src/core/period.ts';
import type { PartnerId } from '../../src/core/tenant.ts';
import { setAnomalyAlerts } from '../../src/insights/settings.ts';
import { holiday, lastCompleteDay, watchTraffic } from '../../src/insights/watch.ts';
import { openDatabase } from '../support/db.ts';
import { countedThrough } from '../support/history.ts';
import { seedClient, seedPartner } from '../support/seed.ts';

const FIRST = '2026-08-10';

async function rig(t: Parameters<typeof openDatabase>[0], clients = ['acme']) {
  const { db, clock, owner } = await openDatabase(t);
  const partner = (await seedPartner(db)).id;
  const ids = new Map<string, string>();
  for (const name of clients) {
    ids.set(name, await seedClient(db, partner, { name, domain: `${name}.example`, timeZone: 'Europe/London' }));
  }
  const put = async (name: string, date: string, verdict: string, count: number) => {
    for (const [table, column, value] of [
      ['rollup_traffic', 'domain', `${name}.example`],
      ['rollup_senders', 'sender', `${verdict}@sender.test`],
    ]) {
      const isTraffic = table === 'rollup_traffic';
      await owner.query(
        `insert into ${table} (partner_id, client_id, bucket, ${column}, direction, verdict, deliveries, messages, bytes
           ${isTraffic ? ', kind, disposition, domain_messages, partner_messages, partner_bytes' : ''})
         values ($1, $2, $3::date + interval '12 hours', $4, 'inbound', $5, $6, $6, 0 ${isTraffic ? ", 'accepted', 'queued', $6, $6, 0" : ''})`,
        [partner, ids.get(name), date, value, verdict, count],
      );
    }
  };
  const through = (moment: string) => countedThrough(owner, moment);
  for (const name of clients) {
    for (let index = 0; index < 60; index += 1) await put(name, addDays(FIRST, index), 'clean', 100 + (index % 5));
  }
  const incidents = async () =>
    (
      await owner.query<{
        name: string;
        subject: string;
        state: string;
        title: string;
        description: string;
        ticket_state: string;
      }>(
        `select c.name, i.subject, i.state, i.title, i.description, i.ticket_state from incidents i
         join clients c on c.partner_id = i.partner_id and c.id = i.client_id where i.rule = 'traffic.anomaly' order by 1, 2`,
      )
    ).rows;
  return { db, clock, owner, partner: partner as PartnerId, put, through, incidents };
}

const DAY = addDays(FIRST, 60);
const NEXT = addDays(FIRST, 61);

test('an unusual day opens an incident that names its cause; the next usual day ends it; each day is judged once', async (t) => {
  const { db, clock, put, through, incidents } = await rig(t);
  await put('acme', DAY, 'clean', 101);
  await put('acme', DAY, 'phish', 400);
  clock.set(new Date(`${NEXT}T06:00:00Z`));
  await through(`${DAY}T20:00:00Z`);
  await watchTraffic(db);
  assert.deepEqual(await incidents(), [], 'a day that is not complete is not judged');

  await through(`${NEXT}T05:00:00Z`);
  assert.equal(await watchTraffic(db), 1);
  assert.equal(await watchTraffic(db), 0, 'once');
  const [incident, ...rest] = await incidents();
  assert.deepEqual(rest, [], 'one wave is told once');
  assert.deepEqual([incident?.subject, incident?.state, incident?.ticket_state], ['deliveries', 'open', 'none']);
  assert.match(incident?.title ?? '', /^acme: much more mail than usual: 501 on 2026-10-09, where 10\d is usual$/);
  assert.match(
    incident?.description ?? '',
    /Kind of mail: phishing: 400, before 0\.0 a day \(100 % of the difference\)/,
  );
  assert.match(incident?.description ?? '', /Sender: phish@sender\.test/);

  await put('acme', NEXT, 'clean', 102);
  clock.set(new Date(`${addDays(NEXT, 1)}T06:00:00Z`));
  await through(`${addDays(NEXT, 1)}T05:00:00Z`);
  assert.equal(await watchTraffic(db), 1);
  assert.deepEqual(
    (await incidents()).map((one) => one.state),
    ['resolved'],
  );
});

test('a partner can have tickets for unusual days, or nothing', async (t) => {
  const { db, clock, partner, put, through, incidents } = await rig(t);
  await put('acme', DAY, 'clean', 400);
  clock.set(new Date(`${NEXT}T06:00:00Z`));
  await through(`${NEXT}T05:00:00Z`);
  await db.tenant(partner, (tx) => setAnomalyAlerts(tx, 'off', 'test'));
  assert.equal(await watchTraffic(db), 1);
  assert.deepEqual(await incidents(), []);
  await db.tenant(partner, (tx) => setAnomalyAlerts(tx, 'ticket', 'test'));
  await put('acme', NEXT, 'clean', 400);
  clock.set(new Date(`${addDays(NEXT, 1)}T06:00:00Z`));
  await through(`${addDays(NEXT, 1)}T05:00:00Z`);
  await watchTraffic(db);
  assert.deepEqual(
    (await incidents()).map((one) => one.ticket_state),
    ['wanted'],
  );
});

test('a day on which half of the clients are quiet is a holiday and no incident; one quiet client is one', async (t) => {
  const { db, clock, put, through, incidents } = await rig(t, ['a', 'b', 'c', 'd']);
  for (const name of ['a', 'b', 'c']) await put(name, DAY, 'clean', 5);
  await put('d', DAY, 'clean', 100);
  clock.set(new Date(`${NEXT}T06:00:00Z`));
  await through(`${NEXT}T05:00:00Z`);
  assert.equal(await watchTraffic(db), 4);
  assert.deepEqual(await incidents(), []);
  await put('a', NEXT, 'clean', 5);
  for (const name of ['b', 'c', 'd']) await put(name, NEXT, 'clean', 100);
  clock.set(new Date(`${addDays(NEXT, 1)}T06:00:00Z`));
  await through(`${addDays(NEXT, 1)}T05:00:00Z`);
  await watchTraffic(db);
  assert.deepEqual(
    (await incidents()).map((one) => `${one.name} ${one.title.split(':')[1]}`),
    ['a  much less mail than usual'],
  );
});

test('pure: the last complete day, and what a holiday is', () => {
  const at = (text: string) => new Date(text);
  assert.equal(lastCompleteDay(at('2026-10-14T09:00:00Z'), at('2026-10-14T09:30:00Z'), 'Europe/London'), '2026-10-13');
  assert.equal(lastCompleteDay(at('2026-10-14T22:59:00Z'), at('2026-10-14T23:30:00Z'), 'Europe/London'), '2026-10-13');
  assert.equal(lastCompleteDay(at('2026-10-14T23:00:00Z'), at('2026-10-14T23:30:00Z'), 'Europe/London'), '2026-10-14');
  assert.equal(
    lastCompleteDay(at('2026-10-14T12:00:00Z'), at('2026-10-14T12:00:00Z'), 'Pacific/Kiritimati'),
    '2026-10-14',
  );
  const day = (judgement: 'low' | 'usual') => ({
    days: { deliveries: { date: '', judgement, actual: 1, band: null, score: 1 } },
  });
  assert.equal(holiday([day('low'), day('low')]), false);
  assert.equal(holiday([day('low'), day('low'), day('usual')]), true);
  assert.equal(holiday([day('low'), day('usual'), day('usual')]), false);
});

test('a client in a zone that nobody knows is not judged, and keeps no other from it', async (t) => {
  const { db, clock, owner, put, through } = await rig(t, ['acme', 'lost']);
  await owner.query("update clients set time_zone = 'Atlantis/Nowhere' where name = 'lost'");
  await put('acme', DAY, 'clean', 101);
  clock.set(new Date(`${NEXT}T06:00:00Z`));
  await through(`${NEXT}T05:00:00Z`);
  assert.equal(await watchTraffic(db), 1);
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readDmarc } from '../../src/aggregates/dmarc.ts';
import { pack } from '../../src/aggregates/packed.ts';
import { dmarcByDay, dmarcByOrg, dmarcSources, dmarcTotals } from '../../src/aggregates/read.ts';
import { readinessOf } from '../../src/aggregates/readiness.ts';
import { STANDING, type Standing, takeReport } from '../../src/aggregates/store.ts';
import { readTls } from '../../src/aggregates/tls.ts';
import { watchAggregates } from '../../src/monitor/aggregates.ts';
import { DAY, dmarcXml, type Row, tlsJson } from '../aggregates/support/reports.ts';
import { openDatabase } from '../support/db.ts';
import { seedClient, seedPartner } from '../support/seed.ts';

async function openWorld(t: Parameters<typeof openDatabase>[0]) {
  const base = await openDatabase(t);
  const partner = await seedPartner(base.db);
  await seedClient(base.db, partner.id);
  /** A report on the day so many days before the tests' yesterday. */
  const dmarc = async (
    ago: number,
    rows: readonly Row[],
    policy = 'reject',
    standing: Standing = STANDING.authenticated,
  ) => {
    const begin = DAY - ago * 86_400;
    const xml = dmarcXml({ id: `${ago} ${standing}`, begin, end: begin + 86_399, rows, policy });
    const report = await readDmarc(xml, base.clock.now());
    const origin = { source: 'mail', mailId: null, fileName: 'r.xml', standing } as const;
    assert.equal((await base.db.tenant(partner.id, (tx) => takeReport(tx, pack(report), origin))).state, 'taken');
  };
  const incidents = async () =>
    (await base.owner.query('select rule, subject, state from incidents order by opened_at, rule')).rows.map(
      (row) => `${row.rule} ${row.subject} ${row.state}`,
    );
  return { ...base, partner: partner.id, dmarc, incidents };
}

const good = { ip: '192.0.2.1', count: 1_000 };
const bad = { ...good, count: 200, dkim: 'fail', spf: 'fail', disposition: 'reject' };

test('a known sender that stops being aligned is an incident while it lasts; strangers and forged reports are none', async (t) => {
  const { db, dmarc, incidents, clock } = await openWorld(t);
  await dmarc(9, [good]);
  await dmarc(1, [good, { ...bad, ip: '203.0.113.66', count: 90_000 }]);
  await dmarc(1, [{ ...bad, count: 50_000 }], 'reject', STANDING.anybody);
  assert.equal(await watchAggregates(db), 0);
  await dmarc(0, [good, bad]);
  assert.equal(await watchAggregates(db), 0, '200 of 2200 is less than a tenth');
  clock.advance(86_400_000);
  await dmarc(-1, [good, { ...bad, count: 400 }]);
  assert.equal(await watchAggregates(db), 1);
  assert.equal(await watchAggregates(db), 0, 'told once');
  assert.deepEqual(await incidents(), ['dmarc.unaligned acme.example open']);
  clock.advance(2 * 86_400_000);
  await dmarc(-3, [good]);
  assert.equal(await watchAggregates(db), 1);
  assert.deepEqual(await incidents(), ['dmarc.unaligned acme.example resolved']);
});

test('mail that fails where the policy is none is no incident', async (t) => {
  const { db, dmarc } = await openWorld(t);
  await dmarc(9, [good], 'none');
  await dmarc(0, [good, { ...bad, count: 5_000 }], 'none');
  assert.equal(await watchAggregates(db), 0);
});

test('TLS that fails is an incident, that ends with reports that are better or too old', async (t) => {
  const { db, partner, clock, incidents } = await openWorld(t);
  const tls = async (failed: number, id: string) => {
    for (const report of readTls(tlsJson({ failed, id }), clock.now())) {
      const origin = { source: 'file', mailId: null, fileName: 't', standing: STANDING.file } as const;
      await db.tenant(partner, (tx) => takeReport(tx, pack(report), origin));
    }
  };
  await tls(3, 'a');
  assert.equal(await watchAggregates(db), 0);
  await tls(40, 'b');
  assert.equal(await watchAggregates(db), 1);
  clock.advance(15 * 86_400_000);
  assert.equal(await watchAggregates(db), 1);
  assert.deepEqual(await incidents(), ['tls.failing acme.example resolved']);
});

test('readiness goes by known sources, and says when nobody can know', async (t) => {
  const { db, partner, dmarc } = await openWorld(t);
  const ready = () => db.tenant(partner, (tx) => readinessOf(tx, 'acme.example'), { readOnly: true });
  assert.equal((await ready()).state, 'too_little');
  for (let ago = 0; ago < 13; ago += 1) await dmarc(ago, [{ ...good, count: 100 }]);
  assert.equal((await ready()).state, 'too_little', '13 days');
  await dmarc(13, [
    { ...good, count: 100 },
    { ...bad, ip: '203.0.113.66', count: 9_000 },
  ]);
  const found = await ready();
  assert.deepEqual(
    [found.state, found.days, found.messages, found.aligned, found.otherMessages],
    ['ready', 14, 1_400, 1_400, 9_000],
  );
  await dmarc(14, [{ ...bad, count: 100 }]);
  assert.equal((await ready()).state, 'not_yet');
  await dmarc(60, [{ ...bad, count: 9_000 }]);
  assert.equal((await ready()).messages, 1_500, 'older days are not looked at');
});

test('the readers agree with one another, and forged reports can be left out', async (t) => {
  const { db, partner, dmarc } = await openWorld(t);
  await dmarc(0, [good, bad, { ...good, ip: '192.0.2.9', count: 200 }]);
  await dmarc(1, []);
  await dmarc(0, [{ ...bad, ip: '203.0.113.66', count: 77 }], 'none', STANDING.anybody);
  const of = { domain: 'acme.example', from: '2026-10-01', to: '2026-10-31', authenticatedOnly: true };
  await db.tenant(partner, async (tx) => {
    const totals = await dmarcTotals(tx, of);
    assert.deepEqual(totals, {
      reports: 2,
      days: 2,
      messages: 1_400,
      aligned: 1_200,
      dkimAligned: 1_200,
      spfAligned: 1_200,
    });
    assert.equal((await dmarcTotals(tx, { ...of, authenticatedOnly: false })).messages, 1_477);
    const sum = (rows: readonly { messages: number }[]) => rows.reduce((all, row) => all + row.messages, 0);
    assert.equal(sum(await dmarcByDay(tx, of)), totals.messages);
    assert.equal((await dmarcByDay(tx, of)).length, 2, 'a day with an empty report is a day with a report');
    assert.equal(sum(await dmarcByOrg(tx, of)), totals.messages);
    const [first] = await dmarcSources(tx, of, { first: 1, after: null });
    assert.equal(first?.sourceIp, '192.0.2.1');
    const rest = await dmarcSources(tx, of, { first: 9, after: first ?? null });
    assert.equal(sum([first ?? assert.fail(), ...rest]), totals.messages);
  });
});

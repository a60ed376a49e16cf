import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { readDmarc } from '../../src/aggregates/dmarc.ts';
import { fileDigest, pack } from '../../src/aggregates/packed.ts';
import { standingOf } from '../../src/aggregates/standing.ts';
import { type Origin, ROWS_PER_DAY, refuseFile, STANDING, takeReport } from '../../src/aggregates/store.ts';
import { readTls } from '../../src/aggregates/tls.ts';
import type { PartnerId } from '../../src/core/tenant.ts';
import { openDatabase, TEST_NOW, type TestDatabase } from '../support/db.ts';
import { seedClient, seedPartner } from '../support/seed.ts';
import { dmarcXml, tlsJson, type Wanted } from './support/reports.ts';

const NOW = new Date(TEST_NOW);
const FILE: Origin = { source: 'file', mailId: null, fileName: 'r.xml', standing: STANDING.file };
const FORGED: Origin = { ...FILE, source: 'mail', standing: STANDING.anybody };
const AUTHENTIC: Origin = { ...FILE, source: 'mail', standing: STANDING.authenticated };

const taker =
  ({ db }: TestDatabase, partner: PartnerId) =>
  async (wanted: Wanted, origin: Origin = FILE) => {
    const report = await readDmarc(dmarcXml(wanted), NOW);
    const outcome = await db.tenant(partner, (tx) => takeReport(tx, pack(report), origin));
    return outcome.reason === null ? outcome.state : `${outcome.state} ${outcome.reason}`;
  };

const counted = async ({ owner }: TestDatabase) =>
  Number((await owner.query('select coalesce(sum(messages), 0) as n from dmarc_records')).rows[0]?.n);

test('a report counts once; another content under its id is a conflict and counts nothing', async (t) => {
  const base = await openDatabase(t);
  const partner = await seedPartner(base.db);
  await seedClient(base.db, partner.id);
  const take = taker(base, partner.id);
  assert.equal(await take({}), 'taken');
  assert.equal(await take({}), 'duplicate');
  assert.equal(await take({ prolog: '<?xml version="1.0"?>\n\n\n' }), 'duplicate', 'spaces are no content');
  assert.equal(await take({ rows: [{ ip: '192.0.2.1', count: 4 }] }), 'conflict other_content');
  assert.equal(await take({ rows: [{ ip: '192.0.2.1', count: 4 }] }), 'duplicate other_content');
  assert.equal(
    await take({ org: 'other.example', email: 'a@other.example' }),
    'taken',
    "ids are each organisation's own",
  );
  assert.equal(await counted(base), 6);
  assert.equal(await take({ domain: 'mail.acme.example', id: '7' }), 'taken', 'a subdomain counts for its domain');
  assert.equal(await take({ domain: 'stranger.example' }), 'refused domain.foreign');
  assert.equal(await take({ domain: 'stranger.example' }), 'duplicate domain.foreign');
  await seedClient(base.db, partner.id, { domain: 'stranger.example', mailboxes: [] });
  assert.equal(await take({ domain: 'stranger.example' }), 'taken', 'what was refused is judged anew');
});

test('a forged report that came first gives way to the authenticated one, and never the other way', async (t) => {
  const base = await openDatabase(t);
  const partner = await seedPartner(base.db);
  await seedClient(base.db, partner.id);
  const take = taker(base, partner.id);
  const forged: Wanted = { rows: [{ ip: '203.0.113.6', count: 1_000_000 }] };
  assert.equal(await take(forged, FORGED), 'taken');
  assert.equal(await take({}, AUTHENTIC), 'taken');
  assert.equal(await counted(base), 3);
  assert.equal(await take(forged, FORGED), 'duplicate other_content');
  assert.equal(await take({ rows: [] }, FORGED), 'conflict other_content');
  assert.equal(await counted(base), 3);
  const { rows } = await base.owner.query(
    'select state, reason, standing from aggregate_reports order by received_at, state, reason',
  );
  assert.deepEqual(rows.map((row) => `${row.state} ${row.reason} ${row.standing}`).sort(), [
    'conflict other_content 0',
    'conflict other_content 0',
    'taken null 2',
  ]);
});

test('a flood that anybody may have written leaves room for what is authenticated', async (t) => {
  const base = await openDatabase(t);
  const partner = await seedPartner(base.db);
  await seedClient(base.db, partner.id);
  const take = taker(base, partner.id);
  const rows = Array.from({ length: ROWS_PER_DAY.anybody / 2 + 1 }, (_, index) => ({
    ip: '192.0.2.1',
    count: index + 1,
  }));
  const many = rows.map((row) => ({
    ...row,
    ip: `10.${row.count >> 16}.${(row.count >> 8) & 255}.${row.count & 255}`,
    count: 1,
  }));
  assert.equal(await take({ id: 'a', rows: many }, FORGED), 'taken');
  assert.equal(await take({ id: 'b', rows: many }, FORGED), 'refused flood');
  assert.equal(await take({ id: 'c' }, AUTHENTIC), 'taken');
});

test('a file that can not be read is written down once', async (t) => {
  const base = await openDatabase(t);
  const partner = await seedPartner(base.db);
  const client = await seedClient(base.db, partner.id);
  for (const state of ['refused', 'duplicate']) {
    const outcome = await base.db.tenant(partner.id, (tx) =>
      refuseFile(tx, fileDigest(Buffer.from('x')), 'format', FORGED, client),
    );
    assert.equal(outcome.state, state);
  }
});

test('any order and any repetition of reports gives the same rows', async (t) => {
  const base = await openDatabase(t);
  const partner = await seedPartner(base.db);
  await seedClient(base.db, partner.id);
  const ip = fc.integer({ min: 1, max: 5 }).map((last) => `192.0.2.${last}`);
  const result = fc.constantFrom('pass', 'fail');
  const row = fc.record({ ip, count: fc.integer({ min: 0, max: 1e6 }), dkim: result, spf: result });
  const reports = fc.uniqueArray(
    fc.record({
      id: fc.integer({ min: 1, max: 1e6 }).map(String),
      org: fc.constantFrom('google.com', 'Yahoo', 'mail.ru'),
      rows: fc.array(row, { maxLength: 6 }),
      standing: fc.constantFrom(0, 1, 2),
    }),
    { selector: (one) => one.id, minLength: 1, maxLength: 6 },
  );
  const rowsNow = async () =>
    (
      await base.owner.query(
        `select r.org, r.report_id, r.state, r.standing, r.messages as reported, d.position, host(d.source_ip) as ip, d.dkim_aligned,
                d.spf_aligned, d.messages
         from aggregate_reports r left join dmarc_records d on d.partner_id = r.partner_id and d.report_id = r.id
         order by 1, 2, d.position`,
      )
    ).rows;
  await fc.assert(
    fc.asyncProperty(
      reports.chain((all) =>
        fc.tuple(fc.constant(all), fc.shuffledSubarray([...all, ...all, ...all], { minLength: all.length * 3 })),
      ),
      async ([all, mixed]) => {
        const run = async (order: typeof all, turned: boolean) => {
          await base.owner.query('truncate aggregate_reports cascade');
          for (const one of order) {
            const rows = turned ? one.rows.toReversed() : one.rows;
            const report = await readDmarc(dmarcXml({ ...one, rows }), NOW);
            await base.db.tenant(partner.id, (tx) =>
              takeReport(tx, pack(report), { ...FILE, standing: one.standing as 0 | 1 | 2 }),
            );
          }
          return rowsNow();
        };
        const expected = await run(all, false);
        assert.deepEqual(await run(mixed, true), expected);
        const said = all.reduce((sum, one) => sum + one.rows.reduce((rows, { count }) => rows + count, 0), 0);
        assert.equal(await counted(base), said, 'the rows add up to what the reports say');
      },
    ),
    { numRuns: 25 },
  );
});

test('a TLS report adds up, and counts once', async (t) => {
  const base = await openDatabase(t);
  const partner = await seedPartner(base.db);
  await seedClient(base.db, partner.id);
  for (const state of ['taken', 'duplicate']) {
    for (const report of readTls(tlsJson(), NOW))
      assert.equal((await base.db.tenant(partner.id, (tx) => takeReport(tx, pack(report), FILE))).state, state);
  }
  const { rows } = await base.owner.query(
    'select p.successful, p.failed, r.result_type, r.sessions from tls_policies p join tls_results r using (partner_id, report_id)',
  );
  assert.deepEqual(rows, [{ successful: '97', failed: '3', result_type: 'certificate-expired', sessions: '3' }]);
});

test('a report is authenticated when its mail comes from whom it names', () => {
  const cases: readonly (readonly [string | null, string, string, number])[] = [
    ['google.com', 'google.com', 'noreply-dmarc-support@google.com', 2],
    ['microsoft.com', 'Enterprise Outlook', 'dmarcreport@microsoft.com', 2],
    ['dmarc.yahoo.com', 'Yahoo', 'dmarchelp@yahooinc.com', 2],
    ['corp.mail.ru', 'Mail.Ru', 'dmarc_support@corp.mail.ru', 2],
    ['amazonses.com', 'AMAZON-SES', 'postmaster@amazonses.com', 2],
    ['evil.example', 'google.com', 'x@evil.example', 0],
    ['yahoo.evil.example', 'Yahoo', 'dmarchelp@yahooinc.com', 0],
    [null, 'google.com', 'noreply-dmarc-support@google.com', 0],
  ];
  for (const [domain, org, contact, standing] of cases) assert.equal(standingOf(domain, org, contact), standing, org);
});

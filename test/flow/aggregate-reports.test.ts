import assert from 'node:assert/strict';
import { test } from 'node:test';
import { retainAggregates } from '../../src/aggregates/retention.ts';
import { takeMails } from '../../src/aggregates/take.ts';
import { silentLogger } from '../../src/core/log.ts';
import { zoneResolver } from '../../src/mail/resolver.ts';
import { dmarcXml, gzipped, mailOf, tlsJson } from '../aggregates/support/reports.ts';
import { openRig, Talker } from '../gateway/support/rig.ts';
import { seedClient, seedPartner } from '../support/seed.ts';

const REPORTER = 'reporter.example';
const ZONE = zoneResolver({
  [REPORTER]: { TXT: ['v=spf1 ip4:127.0.0.1 -all'] },
  [`_dmarc.${REPORTER}`]: { TXT: ['v=DMARC1; p=reject'] },
  'down.example': { FAIL: ['ESERVFAIL'] },
});

test('reports by mail, from SMTP to rows: no client mail, nothing lost, nothing twice', async (t) => {
  const rig = await openRig(t, { resolver: ZONE, reportDomain: 'reports.example' });
  const partner = await seedPartner(rig.db);
  await seedClient(rig.db, partner.id);
  const { rows: tokens } = await rig.owner.query('select report_token from domains');
  const box = `${tokens[0]?.report_token}@reports.example`;
  const send = async (from: string, to: readonly string[], text: string) => {
    const client = await Talker.open(rig.smtp);
    const replies = await client.send(from, to, text);
    client.close();
    return replies.at(-1) ?? '';
  };
  const from = `dmarc@${REPORTER}`;
  const report = { org: REPORTER, email: from };
  const mail = mailOf([gzipped('r.xml', dmarcXml(report))], from);
  assert.match(await send(from, [box], mail), /^250 2\.0\.0 Accepted/);
  assert.match(await send(from, [box], mail), /^250/, 'the sender that did not hear us');
  assert.match(
    await send(
      'evil@evil.example',
      [box],
      mailOf([gzipped('r.xml', dmarcXml({ ...report, id: 'forged' }))], 'evil@evil.example'),
    ),
    /^250/,
  );
  assert.match(
    await send(from, [box.toUpperCase()], mailOf([gzipped('t.json', tlsJson(), 'application/tlsrpt+gzip')], from)),
    /^250/,
  );
  assert.match(
    await send(
      from,
      [box],
      mailOf([{ name: 'r.xml.gz', type: 'application/gzip', content: Buffer.from('\u001f\u008bno', 'latin1') }], from),
    ),
    /^250/,
  );
  assert.match(await send(from, [box], `From: <${from}>\r\nSubject: hello\r\n\r\nNo report\r\n`), /^250/);
  assert.match(
    await send('x@down.example', [box], mail.replace(`<${from}>`, '<x@down.example>')),
    /^451/,
    'who sent it is not known: not no',
  );

  const talker = await Talker.open(rig.smtp);
  await talker.say('MAIL FROM:<x@far.example>');
  assert.match(await talker.say('RCPT TO:<ann@reports.example>'), /^550 5\.1\.1/);
  assert.match(await talker.say(`RCPT TO:<${'0'.repeat(32)}@reports.example>`), /^550 5\.1\.1/);
  assert.match(await talker.say('RCPT TO:<ann@acme.example>'), /^250/);
  assert.match(await talker.say(`RCPT TO:<${box}>`), /^452/, 'not with mail of a client');
  await talker.say('RSET');
  await talker.say('MAIL FROM:<x@far.example>');
  assert.match(await talker.say(`RCPT TO:<${box}>`), /^250/);
  assert.match(await talker.say('RCPT TO:<ann@acme.example>'), /^452/);
  talker.close();

  const deps = { db: rig.db, content: rig.spool, logger: silentLogger };
  assert.equal(await takeMails(deps), 6);
  assert.equal(await takeMails(deps), 0);
  const { rows: mails } = await rig.owner.query(
    'select state, reason, authenticated_domain from aggregate_mails order by received_at, id',
  );
  assert.deepEqual(
    mails.map((row) => [row.state, row.reason, row.authenticated_domain]),
    [
      ['taken', null, REPORTER],
      ['taken', null, REPORTER],
      ['taken', null, null],
      ['taken', null, REPORTER],
      ['refused', 'unreadable', REPORTER],
      ['refused', 'none', REPORTER],
    ],
  );
  const { rows: reports } = await rig.owner.query(
    `select kind, state, reason, standing, messages from aggregate_reports order by kind nulls last, standing desc, reason`,
  );
  assert.deepEqual(
    reports.map((row) => [row.kind, row.state, row.reason, row.standing, row.messages]),
    [
      ['dmarc', 'taken', null, 2, '3'],
      ['dmarc', 'taken', null, 0, '3'],
      ['tls', 'taken', null, 0, '100'],
      [null, 'refused', 'archive.damaged', 0, '0'],
      [null, 'refused', 'none', 0, '0'],
    ],
  );
  const { rows: counts } = await rig.owner.query(
    'select (select count(*) from messages) as messages, (select count(*) from deliveries) as deliveries, (select count(*) from ledger) as events',
  );
  assert.deepEqual(counts, [{ messages: '0', deliveries: '0', events: '0' }], 'a report is no mail of a client');

  rig.clock.advance(40 * 86_400_000);
  assert.equal(
    await rig.spool.sweep(rig.db, { now: () => new Date(Date.now() + 40 * 86_400_000) }),
    0,
    'what was told 451 has left nothing',
  );
  await retainAggregates(rig.db, rig.spool);
  const gone = await rig.owner.query('select count(*) as n from aggregate_mails where content_removed_at is null');
  assert.equal(gone.rows[0]?.n, '0');
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { readMail, readReports } from '../../src/aggregates/read-file.ts';
import { dayOf, messagesOf, type TlsReport } from '../../src/aggregates/report.ts';
import { makeZip } from '../mail/support/zip.ts';
import { TEST_NOW } from '../support/db.ts';
import { DAY, dmarcXml, gzipped, mailOf, tlsJson } from './support/reports.ts';

const NOW = new Date(TEST_NOW);

async function one(name: string, content: Buffer | string) {
  const files = await readReports(name, Buffer.from(content as string), NOW);
  assert.equal(files.length, 1);
  const result = files[0]?.result ?? assert.fail();
  return 'fault' in result ? result.fault : (result.reports[0] ?? assert.fail());
}

async function dmarc(content: Buffer | string, name = 'r.xml') {
  const found = await one(name, content);
  assert.ok(typeof found !== 'string' && found.kind === 'dmarc', String(found));
  return found;
}

test('reports of the large receivers are read, whatever their dress', async () => {
  const google = await dmarc(
    dmarcXml({
      rows: [
        { ip: '192.0.2.1', count: 3 },
        { ip: '2001:db8::5', count: 1, dkim: 'fail', spf: 'fail' },
      ],
    }),
  );
  assert.equal(google.org, 'google.com');
  assert.equal(messagesOf(google), 4);
  assert.deepEqual(
    google.records.map(({ sourceIp, dkimAligned, spfAligned, messages }) => [
      sourceIp,
      dkimAligned,
      spfAligned,
      messages,
    ]),
    [
      ['192.0.2.1', true, true, 3],
      ['2001:db8::5', false, false, 1],
    ],
  );
  assert.equal(dayOf(google), '2026-10-13');
  const dressed: Record<string, string> = {
    microsoft: dmarcXml({
      org: 'Enterprise Outlook',
      email: 'dmarcreport@microsoft.com',
      root: ' xmlns:xsd="http://www.w3.org/2001/XMLSchema" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"',
      prolog: '<?xml version="1.0"?>',
    }),
    yahoo: dmarcXml({ org: 'Yahoo', email: 'dmarchelp@yahooinc.com', prolog: '<?xml version="1.0"?>  \n' }),
    mailru: dmarcXml({ org: 'Mail.Ru', email: 'dmarc_support@corp.mail.ru', begin: DAY + 3 * 3600 }),
    amazon: dmarcXml({ org: 'AMAZON-SES', email: 'postmaster@amazonses.com', prolog: '' }),
    rfc7489: dmarcXml({ root: ' xmlns="http://dmarc.org/dmarc-xml/0.1"' }),
    rfc9990: dmarcXml({ root: ' xmlns="urn:ietf:params:xml:ns:dmarc-2.0"' }).replace(
      '</policy_published>',
      '<testing>n</testing><discovery_method>treewalk</discovery_method></policy_published><extension><x:y xmlns:x="urn:x"/></extension>',
    ),
    prefixed: dmarcXml()
      .replace(/<(\/?)(?=[a-z])/g, '<$1d:')
      .replace('<d:feedback', '<d:feedback xmlns:d="urn:d"'),
    marked: `\ufeff${dmarcXml()}`,
  };
  for (const [name, text] of Object.entries(dressed)) assert.equal(messagesOf(await dmarc(text)), 3, name);
  const utf16 = Buffer.from(`\ufeff${dmarcXml({ prolog: '<?xml version="1.0" encoding="utf-16"?>' })}`, 'utf16le');
  assert.equal(messagesOf(await dmarc(utf16)), 3);
});

test('packed, packed twice and mislabelled reports are known by their content', async () => {
  const text = dmarcXml();
  for (const [name, content] of [
    ['r.xml.gz', gzipSync(text)],
    ['r.zip', gzipSync(text)],
    ['r.dat', makeZip([{ name: 'r.xml', content: Buffer.from(text) }])],
    ['r.xml', makeZip([{ name: 'r.xml.gz', content: gzipSync(text) }])],
  ] as const)
    assert.equal(messagesOf(await dmarc(content, name)), 3, name);
  const mail = mailOf([gzipped('google.com!acme.example!1!2.xml', text, 'application/octet-stream')]);
  const files = (await readMail(Buffer.from(mail), NOW)) ?? assert.fail();
  assert.deepEqual(
    files.map((file) => 'reports' in file.result && file.result.reports.length),
    [1],
  );
  const bare = `From: <a@google.com>\r\nContent-Type: application/tlsrpt+gzip\r\nContent-Transfer-Encoding: base64\r\n\r\n${gzipSync(tlsJson()).toString('base64')}\r\n`;
  const [found] = (await readMail(Buffer.from(bare), NOW)) ?? [];
  assert.ok(found !== undefined && 'reports' in found.result);
  assert.deepEqual(await readMail(Buffer.from('From: <a@b.example>\r\n\r\nBuy now\r\n'), NOW), []);
});

test('what broken senders write is read where it means something', async () => {
  const seconds = await dmarc(dmarcXml());
  assert.deepEqual((await dmarc(dmarcXml({ begin: DAY * 1000, end: (DAY + 86_399) * 1000 }))).from, seconds.from);
  assert.deepEqual(
    (await dmarc(dmarcXml({ begin: '2026-10-13T00:00:00Z', end: '2026-10-13T23:59:59Z' }))).to,
    seconds.to,
  );
  const nameless = await dmarc(dmarcXml({ id: '' }));
  assert.match(nameless.reportId, /^content-[0-9a-f]{32}$/);
  assert.equal((await dmarc(dmarcXml({ id: '' }))).reportId, nameless.reportId);
  assert.equal((await dmarc(dmarcXml({ org: '' }))).org, 'google.com');
  const twice = await dmarc(
    dmarcXml({
      rows: [
        { ip: '192.0.2.1', count: 3 },
        { ip: '192.0.2.1', count: 4 },
        { ip: '192.0.2.9', count: 0 },
      ],
    }),
  );
  assert.deepEqual(
    twice.records.map((row) => row.messages),
    [7],
    'equal rows are one, and none of nothing',
  );
  assert.equal(
    (await dmarc(dmarcXml({ rows: [{ ip: '192.0.2.1', count: 1, disposition: 'sampled_out' }] }))).records[0]
      ?.disposition,
    'other',
  );
  const two = tlsJson().replace(
    '"policies":[',
    '"policies":[{"policy":{"policy-type":"no-policy-found","policy-domain":"Other.Example"},"summary":{"total-successful-session-count":"5","total-failure-session-count":0},"failure-details":null},',
  );
  const [file] = await readReports('r.json', Buffer.from(two), NOW);
  assert.ok(file !== undefined && 'reports' in file.result);
  assert.deepEqual(
    file.result.reports.map((report) => [report.policyDomain, messagesOf(report)]),
    [
      ['other.example', 5],
      ['acme.example', 100],
    ],
  );
});

test('two policies of one type keep both their counts', async () => {
  const parsed = JSON.parse(tlsJson({ successful: 5, failed: 3 })) as { policies: object[] };
  const again = JSON.parse(tlsJson({ successful: 7, failed: 3 })) as { policies: object[] };
  const found = (await one(
    'r.json',
    JSON.stringify({ ...parsed, policies: [...parsed.policies, ...again.policies] }),
  )) as TlsReport;
  assert.deepEqual(found.policies, [{ policyType: 'sts', successful: 12, failed: 6 }]);
});

test('hostile and cut reports are refused whole, with a reason', async () => {
  const bomb = gzipSync(Buffer.alloc(40 * 1024 * 1024, 0x20));
  const many = Array.from({ length: 20_001 }, () => '<record/>').join('');
  const deep = dmarcXml().replace('</feedback>', `${'<a>'.repeat(50)}${'</a>'.repeat(50)}</feedback>`);
  const laughs = dmarcXml({
    prolog: '<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY a "lol"><!ENTITY b "&a;&a;&a;">]>',
    org: '&b;',
  });
  const outside = dmarcXml({ prolog: '<!DOCTYPE feedback SYSTEM "file:///etc/passwd">' });
  const cases: readonly (readonly [string, Buffer | string, string])[] = [
    ['a bomb', bomb, 'archive.ratio'],
    ['a bomb in a zip', makeZip([{ name: 'r.xml', content: Buffer.alloc(40 * 1024 * 1024, 0x20) }]), 'archive.ratio'],
    ['a cut gzip', gzipSync(dmarcXml()).subarray(0, 200), 'archive.damaged'],
    ['gzips in gzips', gzipSync(gzipSync(gzipSync(gzipSync(dmarcXml())))), 'archive.depth'],
    ['billion laughs', laughs, 'xml.doctype'],
    ['an outside entity', outside, 'xml.doctype'],
    ['cut XML', dmarcXml().slice(0, -100), 'xml.unclosed'],
    ['XML cut before its last tag', dmarcXml().trimEnd().slice(0, -'</feedback>'.length), 'xml.unclosed'],
    ['crossed tags', dmarcXml().replace('</report_id>', ''), 'xml.unclosed'],
    ['depth', deep, 'xml.depth'],
    ['a long text', dmarcXml({ org: 'x'.repeat(10_000) }), 'xml.text'],
    ['records', dmarcXml({ rows: [] }).replace('</feedback>', `${many}</feedback>`), 'record'],
    [
      'many records',
      dmarcXml({ rows: Array.from({ length: 20_001 }, (_, index) => ({ ip: '192.0.2.1', count: index })) }),
      'records',
    ],
    ['no address', dmarcXml({ rows: [{ ip: 'localhost', count: 1 }] }), 'record'],
    ['a negative count', dmarcXml({ rows: [{ ip: '192.0.2.1', count: -5 }] }), 'record'],
    ['a count of another kind', dmarcXml({ rows: [{ ip: '192.0.2.1', count: '1e9' }] }), 'record'],
    ['the future', dmarcXml({ begin: DAY + 30 * 86_400, end: DAY + 31 * 86_400 }), 'period.future'],
    ['the past', dmarcXml({ begin: 0, end: 86_400 }), 'period.old'],
    ['an upside down period', dmarcXml({ begin: DAY, end: DAY - 86_400 }), 'period'],
    ['a year', dmarcXml({ begin: DAY - 300 * 86_400 }), 'period'],
    ['no period', dmarcXml({ begin: 'soon' }), 'period'],
    ['other XML', '<html><body/></html>', 'format'],
    ['words', 'hello', 'format'],
    ['broken JSON', '{"policies": [', 'json'],
    ['other JSON', '{"policies": {}}', 'format'],
    [
      'a count in words',
      tlsJson().replace('"total-successful-session-count":97', '"total-successful-session-count":"many"'),
      'record',
    ],
  ];
  for (const [name, content, fault] of cases) assert.equal(await one('r', content), fault, name);
});

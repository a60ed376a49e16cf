import assert from 'node:assert/strict';
import { test } from 'node:test';
import { reportRecords } from '../../src/mail/report-advice.ts';
import { zoneResolver } from '../../src/mail/resolver.ts';

const ADDRESS = 'abc@reports.example';

test('the records for reports: what is missing, what to add, and when nobody can say', async () => {
  const resolver = zoneResolver({
    '_dmarc.done.example': { TXT: [`v=DMARC1; p=reject; rua=mailto:x@y.example,mailto:${ADDRESS}!10m`] },
    '_smtp._tls.done.example': { TXT: [`v=TLSRPTv1; rua=mailto:${ADDRESS}`] },
    'done.example._report._dmarc.reports.example': { TXT: ['v=DMARC1;'] },
    '_dmarc.other.example': { TXT: ['v=DMARC1; p=none; rua=mailto:x@y.example; pct=100'] },
    '_smtp._tls.other.example': { TXT: ['v=TLSRPTv1;'] },
    '_dmarc.twice.example': { TXT: ['v=DMARC1; p=none', 'v=DMARC1; p=reject'] },
    '_dmarc.down.example': { FAIL: ['ESERVFAIL'] },
  });
  const look = (domain: string) => reportRecords(resolver, domain, ADDRESS);
  const done = await look('done.example');
  for (const one of [done.dmarc, done.tls, done.permission])
    assert.deepEqual([one.problems, one.suggestion], [[], null]);
  const other = await look('other.example');
  assert.equal(other.dmarc.suggestion, `v=DMARC1; p=none; rua=mailto:x@y.example,mailto:${ADDRESS}; pct=100`);
  assert.equal(other.tls.suggestion, `v=TLSRPTv1; rua=mailto:${ADDRESS}`);
  assert.deepEqual(
    [other.permission.suggestion, other.permissionName],
    ['v=DMARC1', 'other.example._report._dmarc.reports.example'],
  );
  const none = await look('none.example');
  assert.equal(none.dmarc.suggestion, `v=DMARC1; p=none; rua=mailto:${ADDRESS}`);
  assert.equal((await look('twice.example')).dmarc.problems[0]?.code, 'several');
  assert.equal((await look('down.example')).dmarc.problems[0]?.code, 'unavailable');
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { dkimState, dmarcAdvice, spfAdvice } from '../../src/mail/advice.ts';
import { type ZoneRecords, zoneResolver } from '../../src/mail/resolver.ts';

const INCLUDE = 'spf.gate.example';
const GATE = { [INCLUDE]: { TXT: ['v=spf1 ip4:192.0.2.0/24 -all'] } };

async function spf(records: readonly string[] | null, more: ZoneRecords = {}, include: string | null = INCLUDE) {
  const zone = { ...GATE, ...(records === null ? {} : { 'acme.example': { TXT: records } }), ...more };
  const { record, problems, suggestion } = await spfAdvice(zoneResolver(zone), 'acme.example', include);
  return { record, codes: problems.map((one) => one.code), suggestion };
}

test('SPF: a record that is right needs no advice', async () => {
  for (const record of [`v=spf1 include:${INCLUDE} -all`, `V=SPF1  mx INCLUDE:SPF.gate.example. ~all`]) {
    assert.deepEqual(await spf(['google-site-verification=x', record]), { record, codes: [], suggestion: null });
  }
});

test('SPF: none, several, another gateway, +all, no all, ptr', async () => {
  assert.deepEqual(await spf(null), { record: null, codes: ['none'], suggestion: `v=spf1 include:${INCLUDE} ~all` });
  assert.deepEqual(await spf(['v=spf10 x', 'other']), {
    record: null,
    codes: ['none'],
    suggestion: `v=spf1 include:${INCLUDE} ~all`,
  });
  assert.deepEqual((await spf(null, {}, null)).suggestion, 'v=spf1 mx ~all');
  const two = await spf(['v=spf1 mx -all', `v=spf1 a mx include:${INCLUDE} ~all`]);
  assert.deepEqual(two, { record: null, codes: ['several'], suggestion: `v=spf1 mx a include:${INCLUDE} ~all` });
  const missing = await spf(['v=spf1 mx -all']);
  assert.deepEqual([missing.codes, missing.suggestion], [['missing_include'], `v=spf1 include:${INCLUDE} mx -all`]);
  const open = await spf([`v=spf1 include:${INCLUDE} +all`]);
  assert.deepEqual([open.codes, open.suggestion], [['plus_all'], `v=spf1 include:${INCLUDE} ~all`]);
  assert.deepEqual((await spf([`v=spf1 include:${INCLUDE} all`])).codes, ['plus_all']);
  assert.deepEqual((await spf([`v=spf1 include:${INCLUDE} ?all`])).codes, ['neutral_all']);
  const endless = await spf([`v=spf1 include:${INCLUDE}`]);
  assert.deepEqual([endless.codes, endless.suggestion], [['no_all'], `v=spf1 include:${INCLUDE} ~all`]);
  assert.deepEqual((await spf([`v=spf1 ptr include:${INCLUDE} -all`])).codes, ['ptr']);
});

test('SPF: look-ups are counted through includes and redirects, within bounds', async () => {
  const chain: Record<string, { TXT: string[] }> = {};
  for (let at = 1; at <= 9; at += 1) chain[`n${at}.example`] = { TXT: [`v=spf1 include:n${at + 1}.example -all`] };
  chain['n10.example'] = { TXT: ['v=spf1 ip4:192.0.2.1 -all'] };
  const ten = await spf(['v=spf1 include:n1.example -all'], chain, null);
  assert.deepEqual(ten.codes, []);
  const eleven = await spf(['v=spf1 a include:n1.example -all'], chain, null);
  assert.deepEqual([eleven.codes, eleven.suggestion], [['too_many_lookups'], null]);
  assert.deepEqual((await spf([`v=spf1 redirect=${INCLUDE}`])).codes, []);
  const loop = await spf(['v=spf1 include:acme.example -all'], {}, null);
  assert.deepEqual(loop.codes, ['loop']);
  const bomb = {
    'b.example': { TXT: [`v=spf1 ${'include:c.example '.repeat(100)}-all`] },
    'c.example': { TXT: [`v=spf1 ${'include:d.example '.repeat(100)}-all`] },
  };
  let asked = 0;
  const counting = (name: string, type: string) => {
    asked += 1;
    return zoneResolver({ ...bomb, 'acme.example': { TXT: ['v=spf1 include:b.example -all'] } })(name, type);
  };
  assert.ok((await spfAdvice(counting, 'acme.example', null)).problems.some((one) => one.code === 'too_many_lookups'));
  assert.ok(asked < 40, `${asked} questions`);
  assert.deepEqual((await spf(['v=spf1 include:gone.example -all'], {}, null)).codes, ['broken_include']);
});

test('name servers that do not answer are no finding', async () => {
  const down = { 'acme.example': { FAIL: ['ETIMEOUT'] }, '_dmarc.acme.example': { FAIL: ['ESERVFAIL'] } };
  assert.deepEqual(await spf(null, down), { record: null, codes: ['unavailable'], suggestion: null });
  assert.deepEqual((await dmarcAdvice(zoneResolver(down), 'acme.example')).problems[0]?.code, 'unavailable');
  assert.deepEqual(
    (await spf([`v=spf1 include:x.example include:${INCLUDE} -all`], { 'x.example': { FAIL: ['ETIMEOUT'] } })).codes,
    ['unavailable'],
  );
});

test('DMARC: none, several, no policy, a policy of none, and one that does something', async () => {
  const advice = async (...texts: string[]) => {
    const found = await dmarcAdvice(
      zoneResolver(texts.length === 0 ? {} : { '_dmarc.acme.example': { TXT: texts } }),
      'acme.example',
    );
    return [found.problems.map((one) => one.code).join(), found.suggestion];
  };
  assert.deepEqual(await advice(), ['none', 'v=DMARC1; p=quarantine']);
  assert.deepEqual(await advice('v=DMARC1; p=reject', 'v=DMARC1; p=none'), ['several', 'v=DMARC1; p=reject']);
  assert.deepEqual(await advice('v=DMARC1; rua=mailto:x@y.example'), ['no_policy', 'v=DMARC1; p=quarantine']);
  assert.deepEqual(await advice('v=DMARC1;p=none'), ['policy_none', null]);
  assert.deepEqual(await advice('v=DMARC1; sp=none; p=reject'), ['', null]);
});

test('DKIM: published in pieces, missing, different, unknown', async () => {
  const key = { domain: 'acme.example', selector: 's', algorithm: 'rsa-sha256' as const, publicKey: 'A'.repeat(392) };
  const state = (zone: ZoneRecords) => dkimState(zoneResolver(zone), key);
  const name = 's._domainkey.acme.example';
  assert.equal(await state({ [name]: { TXT: [`v=DKIM1; k=rsa; p=${key.publicKey}`] } }), 'published');
  assert.equal(await state({}), 'missing');
  assert.equal(await state({ [name]: { TXT: ['v=DKIM1; p='] } }), 'different');
  assert.equal(await state({ [name]: { FAIL: ['ETIMEOUT'] } }), 'unavailable');
});

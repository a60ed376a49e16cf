import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { isStsHost, parseStsPolicy, stsRecordId } from '../../src/mail/mta-sts.ts';
import { zoneResolver } from '../../src/mail/resolver.ts';

const POLICY = 'version: STSv1\r\nmode: enforce\r\nmx: mail.example.com\r\nmx: *.Example.NET\r\nmax_age: 604800\r\n';

test('a policy file is read; of a key given twice the first counts (RFC 8461 section 3.2)', () => {
  assert.deepEqual(parseStsPolicy(POLICY), {
    mode: 'enforce',
    mx: ['mail.example.com', '*.example.net'],
    maxAge: 604_800,
  });
  const twice = parseStsPolicy(`${POLICY}mode: none\nmax_age: 1\n`);
  assert.deepEqual([twice.mode, twice.maxAge], ['enforce', 604_800]);
  assert.deepEqual(parseStsPolicy('version: STSv1\nmode: none\nmax_age: 0'), { mode: 'none', mx: [], maxAge: 0 });
});

test('what is no policy is refused', () => {
  for (const text of [
    '',
    '<html>',
    POLICY.replace('STSv1', 'STSv2'),
    POLICY.replace('enforce', 'strict'),
    POLICY.replace('604800', ''),
    POLICY.replace('604800', '1e3'),
    POLICY.replace('604800', '-1'),
    POLICY.replace('604800', '99999999'),
    POLICY.replace(/max_age.*/, ''),
    POLICY.replace(/mx:.*\r\n/g, ''),
    POLICY.replace('*.Example.NET', '*'),
    POLICY.replace('*.Example.NET', 'a.*.example.net'),
    POLICY.replace('mx: mail.example.com', 'mx: x\u0000y'),
    `version: STSv1\nmode: enforce\nmax_age: 1\n${Array.from({ length: 201 }, (_, n) => `mx: m${n}.x\n`).join('')}`,
  ]) {
    assert.throws(() => parseStsPolicy(text), Error, text.slice(0, 80));
  }
});

test('reading a policy file either throws an Error or gives a policy within bounds', () => {
  fc.assert(
    fc.property(fc.string({ maxLength: 300, unit: 'binary' }), fc.boolean(), (text, whole) => {
      try {
        const policy = parseStsPolicy(whole ? POLICY + text : text);
        assert.ok(policy.maxAge >= 0 && policy.maxAge <= 31_557_600);
        assert.ok(policy.mode === 'none' || policy.mx.length > 0);
      } catch (error) {
        assert.ok(error instanceof Error && !(error instanceof assert.AssertionError));
      }
    }),
  );
});

test('a wildcard stands for exactly one label (RFC 8461 section 4.1)', () => {
  const policy = { mx: ['mail.example.com', '*.example.net'] };
  for (const host of ['mail.example.com', 'MAIL.example.com.', 'a.example.net'])
    assert.ok(isStsHost(policy, host), host);
  for (const host of ['example.net', 'a.b.example.net', 'xexample.net', 'a.mail.example.com', 'net', ''])
    assert.ok(!isStsHost(policy, host), host);
});

test('the record gives an id, or none when it is absent, doubled, overlong or wrong; a failure is a failure', async () => {
  const resolver = zoneResolver({
    '_mta-sts.good.example': { TXT: ['v=STSv1; id=20261014T00;', 'another text'] },
    '_mta-sts.two.example': { TXT: ['v=STSv1; id=1', 'v=STSv1; id=2'] },
    '_mta-sts.odd.example': { TXT: ['v=STSv1; id=a/b'] },
    '_mta-sts.long.example': { TXT: [`v=STSv1; id=1; x=${'y'.repeat(600)}`] },
    '_mta-sts.fail.example': { FAIL: ['ETIMEOUT'] },
  });
  assert.equal(await stsRecordId(resolver, 'good.example'), '20261014T00');
  for (const domain of ['two.example', 'odd.example', 'long.example', 'none.example'])
    assert.equal(await stsRecordId(resolver, domain), null, domain);
  await assert.rejects(stsRecordId(resolver, 'fail.example'), { code: 'ETIMEOUT' });
});

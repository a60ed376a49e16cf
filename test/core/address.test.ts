import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { normalizeAddress, normalizeDomain, parseAddress, printable } from '../../src/core/address.ts';
import { decimal } from '../../src/core/money.ts';

test('addresses are compared in one form', () => {
  assert.equal(normalizeAddress(' Ann.B@EXAMPLE.org. '), 'ann.b@example.org');
  assert.equal(normalizeAddress('käthe@bücher.example'), 'käthe@xn--bcher-kva.example');
  assert.equal(normalizeAddress('"john smith"@example.org'), '"john smith"@example.org');
});

test('what RFC 5321 does not allow is no address', () => {
  const refused = [
    '',
    '@',
    'a@',
    '@b.example',
    'a b@c.example',
    'a@b',
    'a..b@c.example',
    '.a@c.example',
    'a@-b.example',
    'a@b..example',
    `${'x'.repeat(65)}@c.example`,
    `a@${'x'.repeat(64)}.example`,
    'a\u0000b@c.example',
    'a\ufffd@c.example',
    'a@[127.0.0.1]',
  ];
  for (const text of refused) assert.equal(parseAddress(text), null, JSON.stringify(text));
});

test('property: the normal form is stable', () => {
  fc.assert(
    fc.property(fc.oneof(fc.emailAddress(), fc.string()), (text) => {
      const once = normalizeAddress(text);
      if (once !== null) assert.equal(normalizeAddress(once), once);
      const domain = normalizeDomain(text);
      if (domain !== null) assert.equal(normalizeDomain(domain), domain);
    }),
  );
});

test('text from outside is made fit for a line', () => {
  assert.equal(printable('a\r\nb\u2028c'), 'a\ufffd\ufffdb\ufffdc');
  assert.equal([...printable('😀'.repeat(200), 10)].length, 10);
});

test('money is written by its currency', () => {
  assert.equal(decimal({ minor: 1230n, currency: 'USD' }), '12.30');
  assert.equal(decimal({ minor: -5n, currency: 'EUR' }), '-0.05');
  assert.equal(decimal({ minor: 1230n, currency: 'JPY' }), '1230');
  assert.equal(decimal({ minor: 7n, currency: 'KWD' }), '0.007');
});

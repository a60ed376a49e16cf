import assert from 'node:assert/strict';
import { test } from 'node:test';
import { networkOf, networkRule, normalizeNetwork } from '../../src/core/networks.ts';

test('an address is counted by its /24 or /64, IPv4 in IPv6 clothes as IPv4', () => {
  assert.equal(networkOf('192.0.2.77'), '192.0.2.0/24');
  assert.equal(networkOf('::ffff:192.0.2.77'), '192.0.2.0/24');
  assert.equal(networkOf('2001:db8:1:2:3:4:5:6'), '2001:db8:1:2::/64');
  assert.equal(networkOf('unknown'), 'unknown');
});

test('networks have one text, host bits off; what is none is null', () => {
  const cases: [string, string | null][] = [
    ['192.0.2.7', '192.0.2.7/32'],
    [' 192.0.2.7/24 ', '192.0.2.0/24'],
    ['10.1.2.3/9', '10.0.0.0/9'],
    ['2001:DB8::1/32', '2001:db8::/32'],
    ['2001:db8::1', '2001:db8::1/128'],
    ['::ffff:192.0.2.7/120', '192.0.2.0/24'],
    ['0.0.0.0/0', '0.0.0.0/0'],
    ['192.0.2.7/33', null],
    ['192.0.2.7/-1', null],
    ['192.0.2/24', null],
    ['0xc0000201', null],
    ['example.org', null],
    ['fe80::1%eth0', null],
    ['', null],
  ];
  for (const [text, wanted] of cases) assert.equal(normalizeNetwork(text), wanted, text);
});

test('of the networks that an address lies in, of its own family, the longest prefix decides, at a tie the block', () => {
  const entry = (kind: 'allow' | 'block', pattern: string) => ({
    id: pattern,
    scope: 'partner' as const,
    kind,
    pattern,
  });
  const entries = [
    entry('block', '192.0.0.0/16'),
    entry('allow', '192.0.2.0/24'),
    entry('allow', '192.0.2.9/32'),
    entry('block', '192.0.2.9/32'),
    entry('allow', '192.0.2.9/32'),
    entry('block', '2001:db8::/32'),
  ];
  const cases: [string, 'allow' | 'block' | null][] = [
    ['192.0.1.1', 'block'],
    ['192.0.2.1', 'allow'],
    ['::ffff:192.0.2.1', 'allow'],
    ['192.0.2.9', 'block'],
    ['198.51.100.1', null],
    ['2001:db8:9::1', 'block'],
    ['2001:db9::1', null],
    ['no address', null],
  ];
  for (const [address, wanted] of cases) assert.equal(networkRule(entries, address), wanted, address);
  assert.equal(networkRule([entry('block', '0.0.0.0/0')], '2001:db8::1'), null);
  assert.equal(networkRule([entry('block', '0.0.0.0/0')], '203.0.113.1'), 'block');
});

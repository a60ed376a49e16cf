import assert from 'node:assert/strict';
import { test } from 'node:test';
import { spfResult } from '../../src/mail/authentication.ts';
import { zoneResolver } from '../../src/mail/resolver.ts';

const identity = (sender: string, ip = '192.0.2.1') => ({ ip, helo: 'mx.far.example', sender, mta: 'mx.us.example' });
const zone = zoneResolver({
  'far.example': { TXT: ['v=spf1 ip4:192.0.2.0/24 -all'] },
  'mx.far.example': { TXT: ['v=spf1 ip4:192.0.2.0/24 -all'] },
  'down.example': { FAIL: ['ESERVFAIL'] },
});

test('SPF before there is a message: by the sender, by HELO for the null sender, temperror for what nobody knows', async () => {
  assert.equal(await spfResult(identity('a@far.example'), zone, 1_000), 'pass');
  assert.equal(await spfResult(identity('a@far.example', '198.51.100.1'), zone, 1_000), 'fail');
  assert.equal(await spfResult(identity(''), zone, 1_000), 'pass');
  assert.equal(await spfResult(identity('a@nothing.example'), zone, 1_000), 'none');
  assert.equal(await spfResult(identity('a@down.example'), zone, 1_000), 'temperror');
  assert.equal(await spfResult(identity('a@far.example'), () => new Promise(() => undefined), 20), 'temperror');
});

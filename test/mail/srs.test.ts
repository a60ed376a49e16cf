import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { normalizeAddress, normalizeDomain } from '../../src/core/address.ts';
import { newId } from '../../src/core/id.ts';
import { normalizeSrs, srsClient, srsOriginal, srsSender } from '../../src/mail/srs.ts';

const SETTINGS = { domain: 'srs.example', key: Buffer.alloc(32, 1) };
const CLIENT = newId();
const NOW = new Date('2026-10-14T09:30:00Z');
const later = (days: number) => new Date(NOW.getTime() + days * 86_400_000);

test('what is rewritten finds back, whatever the sender, for 21 days, and names its client', () => {
  const local = fc.stringMatching(/^[a-z0-9!#$%&'*+/=?^_`{|}~-]{1,40}(\.[a-z0-9=+-]{1,10})?$/);
  const domain = fc.constantFrom('a.example', 'mail-out.b.example', 'xn--bcher-kva.example');
  fc.assert(
    fc.property(local, domain, fc.integer({ min: 0, max: 30_000 }), (name, at, day) => {
      const sender = `${name}@${at}`;
      const now = new Date(day * 86_400_000);
      const rewritten = srsSender(sender, CLIENT, SETTINGS, now);
      assert.equal(rewritten, rewritten.toLowerCase());
      assert.equal(normalizeSrs(rewritten.toUpperCase(), normalizeDomain), rewritten, 'case is lost on the way');
      assert.equal(srsClient(rewritten, SETTINGS), CLIENT.slice(-10));
      const back = srsOriginal(rewritten, CLIENT, SETTINGS, new Date(now.getTime() + 21 * 86_400_000));
      assert.deepEqual(back, { sender });
    }),
  );
});

test('local parts in quotes, and in other scripts, find back too, as an address that every server takes', () => {
  const quoted = fc.stringMatching(/^[ -!#-[\]-~]{0,40}$/).map((text) => `"${text.toLowerCase()}"`);
  const script = fc
    .stringMatching(/^[äöüßéøłабвгд漢字かなa-z0-9]{1,20}$/u)
    .map((text) => text.normalize('NFC').toLowerCase());
  const marked = fc.stringMatching(/^=u8=[0-9a-f]{0,10}$/);
  fc.assert(
    fc.property(fc.oneof(quoted, script, marked), (local) => {
      const sender = `${local}@a.example`;
      assert.equal(normalizeAddress(sender), sender);
      const rewritten = srsSender(sender, CLIENT, SETTINGS, NOW);
      assert.match(rewritten, /^[a-z0-9=.-]+@srs\.example$/);
      assert.equal(normalizeSrs(rewritten.toUpperCase(), normalizeDomain), rewritten);
      assert.deepEqual(srsOriginal(rewritten, CLIENT, SETTINGS, later(21)), { sender });
      assert.equal(
        srsOriginal(
          rewritten.replace(/.@/, (end) => (end === '0@' ? '1@' : '0@')),
          CLIENT,
          SETTINGS,
          NOW,
        ),
        'forged',
      );
    }),
  );
});

test('after 21 days it is expired; a touched or foreign one is forged', () => {
  const rewritten = srsSender('bob@far.example', CLIENT, SETTINGS, NOW);
  assert.equal(srsOriginal(rewritten, CLIENT, SETTINGS, later(22)), 'expired');
  assert.equal(srsOriginal(rewritten, newId(), SETTINGS, NOW), 'forged', 'of another client');
  assert.equal(srsOriginal(rewritten, CLIENT, { ...SETTINGS, key: Buffer.alloc(32, 2) }, NOW), 'forged');
  for (const touched of [
    rewritten.replace('bob', 'eve'),
    rewritten.replace('far.example', 'evil.example'),
    rewritten.replace(/=([a-z2-7]{2})=/, '=aa='),
    'srs0=aa=bb=far.example=bob@srs.example',
    'srs0=@srs.example',
    'srs9=x@srs.example',
  ]) {
    assert.equal(srsOriginal(touched, CLIENT, SETTINGS, NOW), 'forged', touched);
  }
  assert.equal(srsClient('bob@srs.example', SETTINGS), null);
  assert.equal(srsClient(rewritten.replace('srs.example', 'other.example'), SETTINGS), null);
});

test('the sender of another forwarder becomes SRS1 and goes back to that forwarder; chains do not grow', () => {
  const first = 'srs0=hhh=tt=orig.example=bob@one.example';
  const second = srsSender(first, CLIENT, SETTINGS, NOW);
  assert.match(second, /^srs1=[a-z2-7]{16}=one\.example==hhh=tt=orig\.example=bob@srs\.example$/);
  assert.deepEqual(srsOriginal(second, CLIENT, SETTINGS, later(100)), { sender: first });
  const theirs = 'srs1=abc=one.example==hhh=tt=orig.example=bob@two.example';
  const third = srsSender(theirs, CLIENT, SETTINGS, NOW);
  assert.match(third, /^srs1=[a-z2-7]{16}=one\.example==hhh=tt=/);
  assert.deepEqual(srsOriginal(third, CLIENT, SETTINGS, NOW), { sender: first });
  assert.equal(srsOriginal(third.replace('one.example', 'evil.example'), CLIENT, SETTINGS, NOW), 'forged');
});

test('only the form of the scheme may be longer than an address usually is', () => {
  const long = `srs0=${'a'.repeat(200)}@srs.example`;
  assert.equal(normalizeSrs(long, normalizeDomain), long);
  for (const bad of [
    `x${'a'.repeat(200)}@srs.example`,
    `srs0=${'a'.repeat(260)}@srs.example`,
    'srs0=a b@srs.example',
    'srs0=é@srs.example',
    'srs0=a@nowhere',
    'srs0=a',
  ]) {
    assert.equal(normalizeSrs(bad, normalizeDomain), null, bad);
  }
});

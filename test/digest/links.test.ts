import assert from 'node:assert/strict';
import { test } from 'node:test';
import { newId } from '../../src/core/id.ts';
import { LINK_ACTIONS, LINK_MAX_MS, type Link, LinkSigner } from '../../src/digest/links.ts';
import { readerTag } from '../../src/digest/reader.ts';

const NOW = new Date('2026-10-14T09:30:00Z');
const KEY = Buffer.alloc(32, 1);
const later = (ms: number) => new Date(NOW.getTime() + ms);

function linkFor(action: Link['action']): Link {
  return {
    partnerId: newId(),
    scope: 'mailbox',
    subjectId: newId(),
    deliveryId: action === 'list' ? null : newId(),
    action,
    reader: readerTag('it@acme.example'),
    expiresAt: later(LINK_MAX_MS),
  };
}

test('a link says again what was signed, until it expires', () => {
  const signer = new LinkSigner(KEY);
  for (const action of LINK_ACTIONS) {
    const link = linkFor(action);
    const token = signer.sign(link, NOW);
    assert.match(token, /^[\w-]+$/);
    assert.deepEqual(signer.check(token, later(LINK_MAX_MS - 1000)), { state: 'valid', link });
    assert.deepEqual(signer.check(token, later(LINK_MAX_MS)), { state: 'expired' });
    assert.deepEqual(signer.check(token, later(90 * 86_400_000)), { state: 'expired' });
  }
});

test('a link that was changed anywhere, cut, lengthened or made with another key is forged', () => {
  const signer = new LinkSigner(KEY);
  const token = signer.sign(linkFor('view'), NOW);
  const bytes = Buffer.from(token, 'base64url');
  for (let at = 0; at < bytes.length; at += 1) {
    for (const bit of [1, 128]) {
      const changed = Buffer.from(bytes);
      changed[at] = (changed[at] ?? 0) ^ bit;
      assert.equal(signer.check(changed.toString('base64url'), NOW).state, 'forged', `byte ${at}`);
    }
  }
  const other = new LinkSigner(Buffer.alloc(32, 2)).sign(linkFor('view'), NOW);
  const wrong = [
    other,
    '',
    'x',
    token.slice(0, -1),
    `${token}A`,
    `${token}=`,
    ` ${token}`,
    token.toUpperCase(),
    '%00',
    'ä',
  ];
  for (const one of [...wrong, 'A'.repeat(100_000)])
    assert.equal(signer.check(one, NOW).state, 'forged', one.slice(0, 40));
});

test('no link is good for more than seven days, and a key of two months ago opens nothing', () => {
  const signer = new LinkSigner(KEY);
  assert.throws(() => signer.sign({ ...linkFor('view'), expiresAt: later(LINK_MAX_MS + 1000) }, NOW), RangeError);
  assert.throws(() => signer.sign({ ...linkFor('view'), expiresAt: new Date(Number.NaN) }, NOW), RangeError);
  assert.throws(() => signer.sign({ ...linkFor('view'), subjectId: 'ann' }, NOW), RangeError);
  assert.throws(() => signer.sign({ ...linkFor('view'), reader: 'ann' }, NOW), RangeError);
  // Signed at the end of a key's month, used at the start of the next: good. Two months later the key itself is refused.
  const month = 30 * 86_400_000;
  const edge = new Date(Math.floor(NOW.getTime() / month) * month + month - 1000);
  const link = { ...linkFor('view'), expiresAt: new Date(edge.getTime() + LINK_MAX_MS - 500) };
  const token = signer.sign(link, edge);
  assert.equal(signer.check(token, new Date(edge.getTime() + 86_400_000)).state, 'valid');
});

import assert from 'node:assert/strict';
import { createPrivateKey } from 'node:crypto';
import { Readable } from 'node:stream';
import { test } from 'node:test';
import fc from 'fast-check';
import { dkimVerify } from 'mailauth';
import { arcSet, chainState } from '../../src/mail/arc.ts';
import { authenticate } from '../../src/mail/authentication.ts';
import { type DkimAlgorithm, dkimRecord, dkimSignatures, isDkimRecord, makeDkimKey } from '../../src/mail/dkim.ts';
import { zoneResolver } from '../../src/mail/resolver.ts';

const AT = new Date('2026-10-14T09:30:00Z');

async function keyOf(algorithm: DkimAlgorithm, selector: string) {
  const { privateKey, publicKey } = await makeDkimKey(algorithm);
  const key = {
    domain: 'acme.example',
    selector,
    algorithm,
    privateKey: createPrivateKey({ key: privateKey, format: 'der', type: 'pkcs8' }),
  };
  return { key, publicKey, record: dkimRecord(algorithm, publicKey) };
}

const rsa = await keyOf('rsa-sha256', 'r1');
const ed = await keyOf('ed25519-sha256', 'e1');
const resolver = zoneResolver({
  'r1._domainkey.acme.example': { TXT: [rsa.record] },
  'e1._domainkey.acme.example': { TXT: [ed.record] },
});

/** In pieces of a length, as streams come. */
function pieces(text: Buffer, length: number): Readable {
  const chunks: Buffer[] = [];
  for (let at = 0; at < text.length; at += length) chunks.push(text.subarray(at, at + length));
  return Readable.from(chunks);
}

async function verify(message: Buffer): Promise<string[]> {
  const { results } = await dkimVerify(message, { resolver: resolver as never });
  return results.map((row) => `${row.signingDomain} ${row.selector} ${row.status.result}`);
}

const HEADER =
  'Received: from x by y\r\nFrom: Ann  Example\t<ann@acme.example>\r\nTo: bob@far.example,\r\n\tcat@far.example\r\n' +
  'Subject:  A   folded\r\n subject \r\nSUBJECT: twice\r\nDate: Wed, 14 Oct 2026 09:30:00 +0000\r\nMessage-ID: <1@acme.example>\r\n';

test('signatures of both kinds verify, however the message is cut, whatever the body is', async () => {
  const line = fc.stringMatching(/^[ \ta-c.\xe9]{0,12}$/);
  await fc.assert(
    fc.asyncProperty(fc.array(line, { maxLength: 8 }), fc.integer({ min: 1, max: 40 }), async (lines, cut) => {
      const message = Buffer.from(`${HEADER}\r\n${lines.map((one) => `${one}\r\n`).join('')}`, 'latin1');
      const fields = await dkimSignatures(pieces(message, cut), [rsa.key, ed.key], AT);
      const signed = Buffer.concat([Buffer.from(fields.join('')), message]);
      assert.deepEqual((await verify(signed)).sort(), ['acme.example e1 pass', 'acme.example r1 pass']);
    }),
    { numRuns: 60 },
  );
});

test('a field that is added later breaks the signature, a changed body too; Received does not', async () => {
  const message = Buffer.from(`${HEADER}\r\nHello\r\n`);
  const [field = ''] = await dkimSignatures(Readable.from([message]), [rsa.key], AT);
  const signed = `${field}${message.toString()}`;
  assert.deepEqual(await verify(Buffer.from(`Received: from a by b\r\n${signed}`)), ['acme.example r1 pass']);
  for (const name of [
    'From: Eve <eve@evil.example>',
    'Subject: other',
    'To: eve@evil.example',
    'Reply-To: eve@evil.example',
    'Cc: x@y.example',
    'Content-Type: text/html',
  ]) {
    const [result = ''] = await verify(Buffer.from(`${name}\r\n${signed}`));
    assert.match(result, /fail|neutral|policy/, name);
  }
  const [changed = ''] = await verify(Buffer.from(signed.replace('Hello', 'Hallo')));
  assert.match(changed, /neutral|fail/);
});

test('a header without an end and one that is too large', async () => {
  const [field = ''] = await dkimSignatures(Readable.from([Buffer.from('From: a@acme.example\r\n')]), [rsa.key], AT);
  assert.deepEqual(await verify(Buffer.from(`${field}From: a@acme.example\r\n\r\n`)), ['acme.example r1 pass']);
  const huge = Buffer.from(`From: a@acme.example\r\nX: ${'x'.repeat(70_000)}\r\n`.repeat(9));
  await assert.rejects(dkimSignatures(pieces(huge, 65_536), [rsa.key], AT), /header/);
});

test('a DNS record is the key or it is not', () => {
  assert.ok(rsa.record.length > 400);
  assert.ok(isDkimRecord(rsa.record, 'rsa-sha256', rsa.publicKey));
  assert.ok(isDkimRecord(`p=${rsa.publicKey}`, 'rsa-sha256', rsa.publicKey), 'rsa is the default');
  assert.ok(!isDkimRecord(rsa.record, 'ed25519-sha256', rsa.publicKey));
  assert.ok(!isDkimRecord(ed.record, 'rsa-sha256', rsa.publicKey));
  assert.ok(!isDkimRecord('v=DKIM1; p=', 'rsa-sha256', rsa.publicKey), 'revoked');
  assert.ok(!isDkimRecord('v=DKIM2; p=x', 'rsa-sha256', 'x'));
});

test('ARC: a first set says cv=none, a second one cv=pass, and a verifier calls the chain sound', async () => {
  const arcKey = {
    domain: 'acme.example',
    selector: 'r1',
    privateKey: rsa.key.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
  };
  const input = { ip: '192.0.2.1', helo: 'x.example', sender: 'ann@acme.example', mta: 'mx.tollgate.example' };
  let message = Buffer.from(`${HEADER}\r\nHello\r\n`);
  for (const expected of ['none', 'pass'] as const) {
    const { header } = await authenticate(message, input, resolver);
    const chain = chainState(header);
    assert.equal(chain, expected);
    const top = await arcSet(Readable.from([message]), arcKey, {
      authenticationResults: header,
      chain: chain ?? assert.fail(),
      at: AT,
    });
    assert.match(top, new RegExp(`cv=${expected}`));
    message = Buffer.concat([Buffer.from(top), message]);
    assert.equal((await authenticate(message, input, resolver)).arc.result, 'pass');
  }
  const broken = Buffer.from(message.toString().replace('Hello', 'Hallo'));
  assert.equal(chainState((await authenticate(broken, input, resolver)).header), null, 'not sealed');
});

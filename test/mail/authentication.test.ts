import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import test from 'node:test';
import { dkimSign, sealMessage } from 'mailauth';
import { authenticate, isAligned } from '../../src/mail/authentication.ts';
import { dnsError, type Resolver, type ZoneRecords, zoneResolver } from '../../src/mail/resolver.ts';
import { crlf } from './support/samples.ts';

const { privateKey, publicKey } = generateKeyPairSync('rsa', {
  modulusLength: 2048,
  publicKeyEncoding: { type: 'spki', format: 'der' },
  privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
});
const KEY = `v=DKIM1; k=rsa; p=${publicKey.toString('base64')}`;
const ZONE: ZoneRecords = {
  'sender.example': { TXT: ['v=spf1 ip4:192.0.2.0/24 -all'] },
  '_dmarc.sender.example': { TXT: ['v=DMARC1; p=reject'] },
  's1._domainkey.sender.example': { TXT: [KEY] },
  's1._domainkey.mail.sender.example': { TXT: [KEY] },
  'strict.example': { TXT: ['v=spf1 -all'] },
  '_dmarc.strict.example': { TXT: ['v=DMARC1; p=quarantine; adkim=s; aspf=s'] },
  's1._domainkey.mail.strict.example': { TXT: [KEY] },
  's1._domainkey.other.example': { TXT: [KEY] },
  'other.example': { TXT: ['v=spf1 ip4:192.0.2.0/24 -all'] },
  'broken.example': { FAIL: ['ESERVFAIL'] },
  's1._domainkey.broken.example': { FAIL: ['ESERVFAIL'] },
};
const INPUT = { ip: '192.0.2.7', helo: 'mail.sender.example', sender: 'ann@sender.example', mta: 'mx.us.example' };
const message = (from = 'ann@sender.example') =>
  crlf(
    `From: Ann <${from}>`,
    'To: bob@client.example',
    'Subject: Hello',
    'Date: Wed, 14 Oct 2026 09:00:00 +0000',
    '',
    'Text',
  );

async function signed(body: Buffer, domain: string, extra: object = {}): Promise<Buffer> {
  const signer = { signingDomain: domain, selector: 's1', privateKey, ...extra };
  const { signatures } = await dkimSign(body, { ...signer, signatureData: [signer] });
  return Buffer.concat([Buffer.from(signatures), body]);
}

test('a signed message from its own server passes all', async () => {
  const result = await authenticate(await signed(message(), 'sender.example'), INPUT, zoneResolver(ZONE));
  assert.equal(result.available, true);
  assert.deepEqual(result.spf, { result: 'pass', domain: 'sender.example', aligned: true });
  assert.deepEqual(result.dkim, [{ result: 'pass', domain: 'sender.example', aligned: true }]);
  assert.deepEqual(result.dmarc, { result: 'pass', policy: 'reject', domain: 'sender.example' });
  assert.equal(result.arc.result, 'none');
  assert.equal(
    result.header,
    'mx.us.example; spf=pass smtp.mailfrom=ann@sender.example; dkim=pass header.d=sender.example header.s=s1; dmarc=pass (p=reject) header.from=sender.example',
  );
});

test('a forger fails, whatever passes for his own domain', async () => {
  const forged = await signed(message(), 'other.example');
  const result = await authenticate(forged, { ...INPUT, sender: 'x@other.example' }, zoneResolver(ZONE));
  assert.deepEqual(result.spf, { result: 'pass', domain: 'other.example', aligned: false });
  assert.deepEqual(result.dkim, [{ result: 'pass', domain: 'other.example', aligned: false }]);
  assert.equal(result.dmarc.result, 'fail');
  assert.equal(result.available, true);
});

test('an altered body is a failed signature', async () => {
  const altered = Buffer.concat([await signed(message(), 'sender.example'), Buffer.from('more\r\n')]);
  const result = await authenticate(altered, { ...INPUT, ip: '198.51.100.1' }, zoneResolver(ZONE));
  assert.equal(result.dkim[0]?.result, 'fail');
  assert.equal(result.spf.result, 'fail');
  assert.equal(result.dmarc.result, 'fail');
});

test('a signature that leaves a part of the body unsigned is no pass, and prints nothing', async (t) => {
  const log = t.mock.method(process.stdout, 'write', () => true);
  const body = message();
  const part = await signed(body, 'sender.example', { maxBodyLength: 2 });
  const result = await authenticate(part, { ...INPUT, ip: '198.51.100.1' }, zoneResolver(ZONE));
  const printed = log.mock.calls.filter((call) => String(call.arguments[0]).includes('EXPECTING')).length;
  log.mock.restore();
  assert.equal(printed, 0);
  assert.notEqual(result.dkim[0]?.result, 'pass');
  assert.equal(result.dmarc.result, 'fail');
});

test('strict alignment is enforced', async () => {
  const body = await signed(message('ann@strict.example'), 'mail.strict.example');
  const result = await authenticate(body, { ...INPUT, sender: 'x@other.example' }, zoneResolver(ZONE));
  assert.deepEqual(result.dkim, [{ result: 'pass', domain: 'mail.strict.example', aligned: false }]);
  assert.equal(result.dmarc.result, 'fail');
  const relaxed = await authenticate(
    await signed(message(), 'mail.sender.example'),
    { ...INPUT, sender: 'x@other.example' },
    zoneResolver(ZONE),
  );
  assert.equal(relaxed.dmarc.result, 'pass');
});

test('alignment knows public suffixes', () => {
  assert.equal(isAligned('a.example.co.uk', 'example.co.uk', false), true);
  assert.equal(isAligned('a.co.uk', 'b.co.uk', false), false);
  assert.equal(isAligned('a.github.io', 'b.github.io', false), false);
  assert.equal(isAligned('a.example', 'a.example', true), true);
  assert.equal(isAligned('', '', false), false);
});

test('when the resolver is down nothing is known, and nothing is called a failure', async () => {
  const down: Resolver = async (name, type) => {
    throw dnsError('ETIMEOUT', name, type);
  };
  const result = await authenticate(await signed(message(), 'sender.example'), INPUT, down);
  assert.equal(result.available, false);
  assert.equal(result.spf.result, 'temperror');
  assert.equal(result.dkim[0]?.result, 'temperror');
  assert.notEqual(result.dmarc.result, 'fail');
});

test('a resolver that never answers ends at the deadline', async () => {
  const silent: Resolver = () => new Promise(() => undefined);
  const result = await authenticate(message(), INPUT, silent, { deadlineMs: 50 });
  assert.equal(result.available, false);
  assert.match(result.header, /^mx\.us\.example; spf=temperror/);
});

test('a forger gains nothing by a name server of his that fails or stalls', async () => {
  const forged = await signed(message(), 'broken.example');
  const failing = await authenticate(forged, { ...INPUT, sender: 'x@broken.example' }, zoneResolver(ZONE));
  assert.deepEqual([failing.dmarc.result, failing.available], ['fail', true]);
  assert.equal(failing.spf.result, 'temperror');

  const zone = zoneResolver(ZONE);
  const stalling: Resolver = (name, type) =>
    name.endsWith('broken.example') ? new Promise(() => undefined) : zone(name, type);
  const stalled = await authenticate(forged, { ...INPUT, sender: 'x@broken.example' }, stalling, { deadlineMs: 5_000 });
  assert.deepEqual([stalled.dmarc.result, stalled.available], ['fail', true]);
});

test('a domain whose own records cannot be read is unknown, not failed', async () => {
  const zone = { ...ZONE, '_dmarc.sender.example': { FAIL: ['ESERVFAIL'] } };
  const result = await authenticate(message(), INPUT, zoneResolver(zone));
  assert.equal(result.dmarc.result, 'temperror');
  assert.equal(result.available, false);
});

test('look-ups for one message are bounded, and a flood of signatures hides nothing', async () => {
  let asked = 0;
  const zone = zoneResolver(ZONE);
  const counting: Resolver = (name, type) => {
    asked += 1;
    return zone(name, type);
  };
  const header = (index: number) =>
    `DKIM-Signature: v=1; a=rsa-sha256; d=x${index}.example; s=s; h=from; bh=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=; b=AAAA\r\n`;
  const flood = Buffer.concat([...Array.from({ length: 300 }, (_, index) => Buffer.from(header(index))), message()]);
  const result = await authenticate(flood, { ...INPUT, ip: '198.51.100.1' }, counting);
  assert.ok(asked <= 40, `${asked} look-ups`);
  assert.deepEqual([result.dmarc.result, result.available], ['fail', true]);
  assert.ok(result.header.length < 4000);
});

test('several From domains, none, and the null sender', async () => {
  const zone = zoneResolver(ZONE);
  const two = await authenticate(crlf('From: a@sender.example, b@other.example', '', 'x'), INPUT, zone);
  assert.equal(two.dmarc.result, 'permerror');
  const none = await authenticate(crlf('Subject: x', '', 'x'), INPUT, zone);
  assert.deepEqual([none.dmarc.result, none.available], ['none', true]);
  const bounce = await authenticate(message(), { ...INPUT, sender: '' }, zone);
  assert.match(bounce.header, /smtp\.helo=mail\.sender\.example/);
});

test('hostile names cannot write into the header', async () => {
  const body = crlf('From: "x\\"; dmarc=pass" <a@x.example>', '', 'x');
  const result = await authenticate(
    body,
    { ...INPUT, helo: 'a;dmarc=pass (', sender: 'a"; dmarc=pass@y.example' },
    zoneResolver({}),
  );
  assert.equal(result.header.split('; ').filter((part) => part.startsWith('dmarc=')).length, 1);
  assert.doesNotMatch(result.header, /[\r\n]/);
});

test('an ARC chain is verified, and a broken one named', async () => {
  const body = message();
  const seal = { signingDomain: 'other.example', selector: 's1', privateKey };
  const headers = await sealMessage(body, {
    ...seal,
    authResults: 'other.example; spf=pass',
    cv: 'none',
    i: 1,
  } as typeof seal);
  const sealed = Buffer.concat([headers, body]);
  assert.equal((await authenticate(sealed, INPUT, zoneResolver(ZONE))).arc.result, 'pass');
  const altered = Buffer.concat([sealed, Buffer.from('x\r\n')]);
  assert.equal((await authenticate(altered, INPUT, zoneResolver(ZONE))).arc.result, 'fail');
  const { 's1._domainkey.other.example': _, ...rest } = ZONE;
  const failing = { ...rest, 's1._domainkey.other.example': { FAIL: ['ESERVFAIL'] } };
  assert.equal((await authenticate(sealed, INPUT, zoneResolver(failing))).arc.result, 'temperror');
});

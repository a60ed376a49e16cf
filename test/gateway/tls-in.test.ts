import assert from 'node:assert/strict';
import { copyFile, mkdtemp, rm } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { networkInterfaces, tmpdir } from 'node:os';
import path from 'node:path';
import { type TestContext, test } from 'node:test';
import { type ConnectionOptions, connect as connectTls, type TLSSocket } from 'node:tls';
import { readCertificate } from '../../src/config/certificate.ts';
import { readConfig } from '../../src/config/config.ts';
import { silentLogger } from '../../src/core/log.ts';
import { watchCertificate } from '../../src/gateway/index.ts';
import { mayLogInPlainly } from '../../src/gateway/plain-auth.ts';
import { CA, file, OTHER, SERVER } from './support/certificates.ts';
import { openRig, openSink, Talker } from './support/rig.ts';
import { login, PASSWORD, seedSubmitter } from './support/submitter.ts';

/** Speaks up to STARTTLS, with `extra` in the same packet, then shakes hands. */
async function secure(t: TestContext, port: number, options: ConnectionOptions = {}, extra = ''): Promise<TLSSocket> {
  const socket = connect(port, '127.0.0.1');
  t.after(() => socket.destroy());
  const heard = async (pattern: RegExp) => {
    let text = '';
    while (!pattern.test(text)) {
      text += await new Promise<string>((resolve, reject) => {
        socket.once('data', (chunk: Buffer) => resolve(chunk.toString()));
        socket.once('close', () => reject(new Error('closed')));
      });
    }
    return text;
  };
  await heard(/^220 /);
  socket.write('EHLO client.example\r\n');
  assert.match(await heard(/^250 .*\r\n$/m), /^250.STARTTLS/m);
  socket.write(`STARTTLS\r\n${extra}`);
  await heard(/^220 /);
  return handshake(socket, options);
}

function handshake(socket: Socket, options: ConnectionOptions): Promise<TLSSocket> {
  socket.removeAllListeners('close');
  return new Promise((resolve, reject) => {
    const secured = connectTls({ socket, ca: CA, servername: 'mx.tollgate.example', ...options });
    secured.once('error', reject);
    secured.once('secureConnect', () => resolve(secured));
  });
}

async function talk(t: TestContext, port: number): Promise<Talker> {
  const talker = new Talker(await secure(t, port));
  await talker.say('EHLO client.example');
  return talker;
}

test('STARTTLS inbound: the mail is taken over TLS, and Received says ESMTPS', async (t) => {
  const sink = await openSink(t);
  const rig = await openRig(t, { config: { tls: SERVER } });
  await seedSubmitter(rig.db, sink.port);
  const client = await talk(t, rig.smtp);
  assert.match((await client.send('bob@sender.example', ['ann@acme.example'])).at(-1) ?? '', /^250 2\.0\.0/);
  client.close();
  await rig.delivery.drainOnce();
  assert.match(sink.mail[0]?.body ?? '', /^Received: [^\r]* with ESMTPS\r\n/);
  assert.equal((await rig.owner.query('select from messages where tls')).rowCount, 1);
});

test('without TLS the inbound port takes mail as before, and Received says ESMTP', async (t) => {
  const sink = await openSink(t);
  const rig = await openRig(t, { config: { tls: SERVER } });
  await seedSubmitter(rig.db, sink.port);
  const client = await Talker.open(rig.smtp);
  await client.send('bob@sender.example', ['ann@acme.example']);
  client.close();
  await rig.delivery.drainOnce();
  assert.match(sink.mail[0]?.body ?? '', /^Received: [^\r]* with ESMTP\r\n/);
});

test('what was said in plain text after STARTTLS is dropped (CVE-2021-33515 and its kin)', async (t) => {
  const rig = await openRig(t, { config: { tls: SERVER } });
  await seedSubmitter(rig.db);
  const injected = 'EHLO evil.example\r\nMAIL FROM:<evil@sender.example>\r\nRCPT TO:<ann@acme.example>\r\n';
  const client = new Talker(await secure(t, rig.smtp, {}, injected));
  assert.match(await client.say('EHLO client.example'), /^250-/, 'the first reply is to what was said in TLS');
  assert.match(await client.say('RCPT TO:<ann@acme.example>'), /^503 /, 'there is no MAIL');
  client.close();
});

test('what was known before STARTTLS is forgotten: name, sender, recipients', async (t) => {
  const rig = await openRig(t, { config: { tls: SERVER } });
  await seedSubmitter(rig.db);
  const client = new Talker(await secure(t, rig.smtp));
  assert.match(await client.say('MAIL FROM:<bob@sender.example>'), /^503 /);
  client.close();
});

test('TLS 1.1 is refused, 1.2 and 1.3 are not', async (t) => {
  const rig = await openRig(t, { config: { tls: SERVER } });
  const old: ConnectionOptions = { minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' };
  await assert.rejects(secure(t, rig.smtp, old), /alert protocol version|protocol/i);
  for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
    const socket = await secure(t, rig.smtp, { minVersion: version, maxVersion: version });
    assert.equal(socket.getProtocol(), version);
    socket.destroy();
  }
});

test('with a certificate submission takes a login under TLS only, and does not invite one before', async (t) => {
  const rig = await openRig(t, { config: { tls: SERVER } });
  await seedSubmitter(rig.db);
  const open = new Talker(rig.submission);
  await open.reply();
  const offer = await open.say('EHLO client.example');
  assert.match(offer, /^250.STARTTLS/m);
  assert.doesNotMatch(offer, /AUTH/);
  assert.match(await login(open, PASSWORD), /^538 /);
  open.close();
  const client = new Talker(await secure(t, rig.submission));
  assert.match(await client.say('EHLO client.example'), /^250.AUTH PLAIN LOGIN/m);
  assert.match(await login(client, PASSWORD), /^235 /);
  assert.match((await client.send('ann@acme.example', ['bob@far.example'])).at(-1) ?? '', /^250 2\.0\.0/);
  client.close();
});

test('without a certificate submission takes a login on loopback as before', async (t) => {
  const rig = await openRig(t);
  await seedSubmitter(rig.db);
  const client = new Talker(rig.submission);
  await client.reply();
  const offer = await client.say('EHLO client.example');
  assert.match(offer, /AUTH PLAIN LOGIN/);
  assert.doesNotMatch(offer, /STARTTLS/);
  assert.match(await client.say('STARTTLS'), /^5\d\d /);
  assert.match(await login(client, PASSWORD), /^235 /);
  client.close();
});

test('a client that is too slow under TLS is told so within TLS', async (t) => {
  let now = 0;
  const rig = await openRig(t, { config: { tls: SERVER, limits: { commandMs: 400 } }, monotonic: () => now });
  const client = new Talker(await secure(t, rig.smtp));
  now = 401;
  assert.match(await client.reply(), /^421 4\.4\.2/);
  client.close();
});

test('without a certificate a login in plain text is for loopback only, unless the operator allows it', () => {
  const strict = { hasTls: false, isAllowed: false };
  for (const here of ['127.0.0.1', '127.3.2.1', '::1', '::ffff:127.0.0.1'])
    assert.equal(mayLogInPlainly(strict, here), true);
  for (const far of ['192.0.2.2', '10.0.0.1', '2001:db8::1', '::ffff:192.0.2.2', ''])
    assert.equal(mayLogInPlainly(strict, far), false, far);
  assert.equal(mayLogInPlainly({ ...strict, isAllowed: true }, '192.0.2.2'), true);
  assert.equal(mayLogInPlainly({ hasTls: true, isAllowed: true }, '127.0.0.1'), false);
});

const outside = Object.values(networkInterfaces())
  .flatMap((addresses) => addresses ?? [])
  .find((one) => one.family === 'IPv4' && !one.internal)?.address;

test('off loopback AUTH is neither offered nor taken without TLS', { skip: outside === undefined }, async (t) => {
  for (const plainAuth of [false, true]) {
    const rig = await openRig(t, { config: { bindHost: outside ?? '', plainAuth } });
    await seedSubmitter(rig.db);
    const client = new Talker(connect({ host: outside ?? '', port: rig.submission }));
    await client.reply();
    assert.equal(/AUTH/.test(await client.say('EHLO client.example')), plainAuth);
    assert.match(await login(client, PASSWORD), plainAuth ? /^235 / : /^538 5\.7\.11 /);
    client.close();
  }
});

const nameOf = (socket: TLSSocket) => String(socket.getPeerCertificate().subject.CN);

test('a new certificate is taken up when its files change; one that is no good leaves the old one', async (t) => {
  const rig = await openRig(t, { config: { tls: SERVER } });
  const folder = await mkdtemp(path.join(tmpdir(), 'tollgate-tls-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const files = { certFile: path.join(folder, 'cert.pem'), keyFile: path.join(folder, 'key.pem') };
  await copyFile(file('server.cert.pem'), files.certFile);
  await copyFile(file('server.key.pem'), files.keyFile);
  const events: string[] = [];
  let more: () => void = () => undefined;
  const heard = (what: string) => {
    events.push(what);
    more();
  };
  const until = async (what: string) => {
    while (!events.includes(what)) await new Promise<void>((resolve) => (more = resolve));
  };
  const stop = watchCertificate({
    files: [files.certFile, files.keyFile],
    read: () => readCertificate(files),
    use: (certificate) => rig.gateway.useCertificate(certificate),
    logger: { ...silentLogger, info: () => heard('used'), warn: () => heard('refused') },
    everyMs: 10,
  });
  t.after(stop);
  const seen = async () => {
    const socket = await secure(t, rig.smtp, { rejectUnauthorized: false });
    const name = nameOf(socket);
    socket.destroy();
    return name;
  };
  assert.equal(await seen(), 'mx.far.example');
  await copyFile(file('other.cert.pem'), files.certFile);
  await until('refused');
  assert.equal(await seen(), 'mx.far.example', 'the key is still the old one');
  await copyFile(file('other.key.pem'), files.keyFile);
  await until('used');
  assert.equal(await seen(), 'mx.other.example');
  assert.throws(() => rig.gateway.useCertificate({ cert: OTHER.cert, key: SERVER.key }));
  assert.equal(await seen(), 'mx.other.example');
});

test('a certificate needs its key, both readable, both PEM and fitting each other: else the start stops with the other faults', () => {
  const fault = (cert: string | undefined, key: string | undefined) => {
    try {
      readConfig({ HTTP_PORT: 'eighty', TOLLGATE_TLS_CERT: cert, TOLLGATE_TLS_KEY: key });
    } catch (error) {
      return (error as Error).message.split('\n');
    }
    return [];
  };
  const [cert, key, otherKey] = ['server.cert.pem', 'server.key.pem', 'other.key.pem'].map(file);
  const alone = fault(cert, undefined);
  assert.equal(alone.length, 2);
  assert.match(alone.join('\n'), /^HTTP_PORT /m);
  assert.match(alone.join('\n'), /^TOLLGATE_TLS_KEY is missing/m);
  assert.match(fault(undefined, key).join('\n'), /^TOLLGATE_TLS_CERT is missing/m);
  assert.match(fault('/nowhere/cert', key).join('\n'), /^TOLLGATE_TLS_CERT can not be read: ENOENT/m);
  assert.match(fault(cert, '/nowhere/key').join('\n'), /^TOLLGATE_TLS_KEY can not be read: ENOENT/m);
  assert.match(fault(key, key).join('\n'), /^TOLLGATE_TLS_CERT holds no certificate/m);
  assert.match(fault(cert, cert).join('\n'), /^TOLLGATE_TLS_KEY holds no private key/m);
  assert.match(fault(cert, otherKey).join('\n'), /^TOLLGATE_TLS_KEY is not the key of TOLLGATE_TLS_CERT/m);
  assert.match(fault(tmpdir(), key).join('\n'), /^TOLLGATE_TLS_CERT can not be read: EISDIR/m);
  assert.deepEqual(readConfig({ TOLLGATE_TLS_CERT: cert, TOLLGATE_TLS_KEY: key }).certificate, {
    certFile: cert,
    keyFile: key,
  });
  assert.equal(readConfig({}).certificate, null);
  assert.throws(
    () => readConfig({ TOLLGATE_SECOND_SOURCE: 'eth1' }),
    /^AppError.*TOLLGATE_SECOND_SOURCE is not an IP|TOLLGATE_SECOND_SOURCE is not an IP/m,
  );
});

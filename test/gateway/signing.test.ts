import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { type TestContext, test } from 'node:test';
import { dkimVerify } from 'mailauth';
import {
  activateDkimKey,
  addDkimKey,
  type DkimAlgorithm,
  listDkimKeys,
  retireDkimKey,
} from '../../src/accounts/dkim.ts';
import { AppError } from '../../src/core/errors.ts';
import type { Decision } from '../../src/core/verdict.ts';
import type { TenantTx } from '../../src/db/db.ts';
import { authenticate } from '../../src/mail/authentication.ts';
import { dkimRecord, makeDkimKey } from '../../src/mail/dkim.ts';
import { zoneResolver } from '../../src/mail/resolver.ts';
import { makeSigning, outboundCommands } from '../../src/wiring-outbound.ts';
import { openDatabase } from '../support/db.ts';
import { afterFirstRead } from '../support/gate.ts';
import { seedClient, seedPartner } from '../support/seed.ts';
import { byLocalPart, openRig, openSink, Talker } from './support/rig.ts';
import { login, PASSWORD, seedSubmitter } from './support/submitter.ts';

const SEAL = Buffer.alloc(32, 3);
const refused = (code: string) => (error: unknown) => error instanceof AppError && error.code === code;

/** A gateway whose keys and ARC key are published in a zone that tests add to. */
async function openSigning(
  t: TestContext,
  from = 'ann@acme.example',
  authenticationResults: string | null = null,
  decisions: readonly Decision[] | null = null,
) {
  const folder = await mkdtemp(path.join(tmpdir(), 'tollgate-arc-'));
  t.after(() => rm(folder, { recursive: true }));
  const pair = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const keyFile = path.join(folder, 'arc.pem');
  await writeFile(keyFile, pair.privateKey.export({ type: 'pkcs8', format: 'pem' }));
  const zone: Record<string, { TXT?: string[]; MX?: { exchange: string; priority: number }[]; A?: string[] }> = {
    'far.example': { MX: [{ exchange: 'mx.far.example', priority: 10 }] },
    'mx.far.example': { A: ['127.0.0.1'] },
    'arc1._domainkey.gate.example': {
      TXT: [`v=DKIM1; p=${pair.publicKey.export({ type: 'spki', format: 'der' }).toString('base64')}`],
    },
  };
  const resolver = (name: string, type: string) => zoneResolver(zone)(name, type);
  const { store, ...parts } = await lateStore();
  const signing = await makeSigning({
    config: {
      spfInclude: null,
      reportDomain: null,
      hostName: 'gate.example',
      arc: { domain: 'gate.example', selector: 'arc1', keyFile },
    },
    secrets: { sealKey: SEAL },
    store,
    resolver,
  });
  const world = await openSink(t);
  const rig = await openRig(t, {
    resolver,
    mxPort: world.port,
    signing,
    pipeline: {
      ...byLocalPart,
      async run(...args) {
        const result = await byLocalPart.run(...args);
        return {
          ...result,
          ...(decisions === null ? {} : { decisions }),
          authenticationResults,
          facts: { ...result.facts, fromAddress: from },
        };
      },
    },
  });
  parts.set(rig.db);
  const publish = async (
    domain: string,
    algorithm: DkimAlgorithm,
    partner: Awaited<ReturnType<typeof seedPartner>>,
  ) => {
    const made = await makeDkimKey(algorithm);
    const key = await rig.db.tenant(partner.id, async (tx) => {
      const { id } = await addDkimKey(tx, { domain, selector: null, algorithm, ...made, actor: 'test' }, SEAL);
      return activateDkimKey(tx, id, 'test', true);
    });
    zone[`${key.selector}._domainkey.${domain}`] = { TXT: [dkimRecord(algorithm, key.publicKey)] };
    return key;
  };
  return { rig, world, resolver, publish, zone };
}

/** The rig makes the database; signing is made before the rig. */
async function lateStore() {
  let db: Awaited<ReturnType<typeof openRig>>['db'] | null = null;
  const now = () => db ?? assert.fail('no database yet');
  const store: Parameters<typeof makeSigning>[0]['store'] = {
    db: {
      tenant: (...args) => now().tenant(...args),
      system: (...args) => now().system(...args),
    },
  };
  return {
    store,
    set(made: Awaited<ReturnType<typeof openRig>>['db']) {
      db = made;
    },
  };
}

const BODY =
  'From: Ann <ann@acme.example>\r\nTo: bob@far.example\r\nSubject: Hello\r\nDate: Wed, 14 Oct 2026 09:30:00 +0000\r\n' +
  `Message-ID: <1@acme.example>\r\n\r\nHi  there \r\n${'more of it\r\n'.repeat(20_000)}\r\n\r\n`;

async function submit(rig: Awaited<ReturnType<typeof openRig>>, body = BODY) {
  const client = await Talker.open(rig.submission);
  assert.match(await login(client, PASSWORD), /^235/);
  const replies = await client.send('ann@acme.example', ['bob@far.example'], body);
  assert.match(replies.at(-1) ?? '', /^250/);
  client.close();
  assert.equal(await rig.delivery.drainOnce(), 1);
}

test('outbound mail leaves signed by the active keys of its From domain, over all that we changed', async (t) => {
  const { rig, world, resolver, publish } = await openSigning(t);
  const { partner } = await seedSubmitter(rig.db);
  await submit(rig);
  assert.doesNotMatch(world.mail[0]?.body ?? '', /DKIM-Signature/i, 'no key, no signature');
  const first = await publish('acme.example', 'rsa-sha256', partner);
  const second = await publish('acme.example', 'ed25519-sha256', partner);
  await submit(rig);
  const sent = world.mail[1]?.body ?? '';
  assert.match(sent, /^DKIM-Signature: v=1; a=rsa-sha256.*\r\nDKIM-Signature: v=1; a=ed25519-sha256.*\r\nReceived: /s);
  const { results } = await dkimVerify(Buffer.from(sent, 'latin1'), { resolver: resolver as never });
  assert.deepEqual(
    results.map((row) => [row.signingDomain, row.selector, row.status.result, row.status.aligned]).sort(),
    [
      ['acme.example', first.selector, 'pass', 'acme.example'],
      ['acme.example', second.selector, 'pass', 'acme.example'],
    ].sort(),
  );
  const authentication = await authenticate(
    Buffer.from(sent, 'latin1'),
    { ip: '192.0.2.1', helo: 'x.example', sender: 'ann@acme.example', mta: 'far.example' },
    resolver,
  );
  assert.ok(authentication.dkim.some((one) => one.result === 'pass' && one.aligned));

  await rig.db.tenant(partner.id, (tx) => retireDkimKey(tx, first.id, 'test'));
  await rig.db.tenant(partner.id, (tx) => retireDkimKey(tx, second.id, 'test'));
  await submit(rig);
  assert.doesNotMatch(world.mail[2]?.body ?? '', /DKIM-Signature/i);
});

test('a From of somebody else is signed as the envelope says, and never with the key of another client', async (t) => {
  const { rig, world, publish } = await openSigning(t, 'someone@other.example');
  const { partner } = await seedSubmitter(rig.db);
  const other = await seedPartner(rig.db, 'Other IT');
  await seedClient(rig.db, other.id, { domain: 'other.example' });
  await publish('other.example', 'rsa-sha256', other);
  await submit(rig);
  assert.doesNotMatch(world.mail[0]?.body ?? '', /DKIM-Signature/i);
  await publish('acme.example', 'rsa-sha256', partner);
  await submit(rig);
  assert.match(world.mail[1]?.body ?? '', /^DKIM-Signature: [^\r]*d=acme\.example/);
});

test('a key that does not open holds the mail back and loses nothing', async (t) => {
  const { rig, world, publish } = await openSigning(t);
  const { partner } = await seedSubmitter(rig.db);
  await publish('acme.example', 'rsa-sha256', partner);
  await rig.owner.query(`update dkim_keys set private_key = private_key || '\\x00'`);
  await submit(rig);
  assert.equal(world.mail.length, 0);
  const { rows } = await rig.owner.query(
    'select d.disposition, q.last_reply from deliveries d join queue q on q.delivery_id = d.id',
  );
  assert.equal(rows[0]?.disposition, 'deferred');
  assert.match(rows[0]?.last_reply, /TOLLGATE_SECRET_KEY/);
});

test('inbound mail that we tagged is sealed; mail that we left alone, or whose chain is broken, is not', async (t) => {
  const results = 'mx.tollgate.example; spf=pass smtp.mailfrom=bob@sender.example; dkim=none; dmarc=none';
  for (const [header, sealed] of [
    [results, true],
    [`${results}; arc=fail`, false],
    [null, false],
  ] as const) {
    const { rig, resolver } = await openSigning(t, 'bob@sender.example', header);
    const own = await openSink(t);
    const partner = await seedPartner(rig.db);
    await seedClient(rig.db, partner.id, {
      mailboxes: ['tag', 'plain'],
      relays: [{ host: '127.0.0.1', port: own.port }],
    });
    const client = await Talker.open(rig.smtp);
    for (const to of ['tag', 'plain']) {
      const replies = await client.send('bob@sender.example', [`${to}@acme.example`], BODY);
      assert.match(replies.at(-1) ?? '', /^250/);
    }
    client.close();
    await rig.delivery.drainOnce();
    const of = (to: string) => own.mail.find((one) => one.to[0] === `${to}@acme.example`)?.body ?? '';
    assert.doesNotMatch(of('plain'), /ARC-Seal/i);
    assert.equal(/^ARC-Seal: /i.test(of('tag')), sealed);
    if (!sealed) continue;
    assert.match(of('tag'), /Subject: \[SPAM\] Hello/);
    const seen = await authenticate(
      Buffer.from(of('tag'), 'latin1'),
      { ip: '192.0.2.1', helo: 'x.example', sender: 'bob@sender.example', mta: 'inside.example' },
      resolver,
    );
    assert.equal(seen.arc.result, 'pass');
  }
});

test('keys: made sealed, activated once their record is there, and the one before is retired', async (t) => {
  const { db, owner } = await openDatabase(t);
  const partner = await seedPartner(db);
  await seedClient(db, partner.id);
  const zone: Record<string, { TXT?: string[]; FAIL?: string[] }> = {};
  const commands = outboundCommands({
    config: { spfInclude: null, reportDomain: null, hostName: 'gate.example', arc: null },
    secrets: { sealKey: SEAL },
    store: { db },
    resolver: (name, type) => zoneResolver(zone)(name, type),
  });
  const caller = { partnerId: partner.id, keyId: '', actor: 'test', scopes: [] };
  const create = (selector: string | null, domain = 'acme.example') =>
    db.tenant(partner.id, (tx) => commands.createDkimKey(tx, { domain, selector, algorithm: 'rsa-sha256' }, 'test'));
  const key = await create(null);
  assert.equal(key.selector, 'tg20261014');
  const { rows } = await owner.query<{ private_key: Buffer }>('select private_key from dkim_keys');
  assert.ok(
    !rows[0]?.private_key.toString('latin1').includes('rsaEncryption') && (rows[0]?.private_key.length ?? 0) > 1000,
  );
  await assert.rejects(create('TG20261014'), refused('conflict'));
  await assert.rejects(create('a b'), refused('invalid_input'));
  await assert.rejects(create(null, 'other.example'), refused('not_found'));

  const name = 'tg20261014._domainkey.acme.example';
  await assert.rejects(commands.activateDkimKey(caller, key.id, false), refused('conflict'));
  zone[name] = { FAIL: ['ETIMEOUT'] };
  await assert.rejects(commands.activateDkimKey(caller, key.id, false), refused('unavailable'));
  zone[name] = { TXT: ['v=DKIM1; p=abc'] };
  await assert.rejects(commands.activateDkimKey(caller, key.id, false), refused('conflict'));
  zone[name] = { TXT: [commands.dkimRecord(key)] };
  const active = await commands.activateDkimKey(caller, key.id, false);
  assert.ok(active.activatedAt !== null && active.retiredAt === null);
  assert.deepEqual(await commands.activateDkimKey(caller, key.id, false), active, 'again changes nothing');

  const next = await create(null);
  assert.equal(next.selector, 'tg20261014b');
  await commands.activateDkimKey(caller, next.id, true);
  const keys = await db.tenant(partner.id, (tx) => listDkimKeys(tx, 'acme.example'));
  assert.deepEqual(
    keys.map((one) => [one.selector, one.activatedAt !== null, one.retiredAt !== null]),
    [
      ['tg20261014b', true, false],
      ['tg20261014', true, true],
    ],
  );
  await assert.rejects(commands.activateDkimKey(caller, key.id, true), refused('conflict'));
  const other = await seedPartner(db, 'Other IT');
  await assert.rejects(
    commands.activateDkimKey({ ...caller, partnerId: other.id }, key.id, true),
    refused('not_found'),
  );
  const audit = await owner.query(`select action from audit where action like 'dkim.%' order by at, id`);
  assert.deepEqual(audit.rows.map((row) => row.action).sort(), [
    'dkim.activate',
    'dkim.activate',
    'dkim.create',
    'dkim.create',
  ]);
});

test('an ARC key that can not be used stops the start', async (t) => {
  const { db } = await openDatabase(t);
  const folder = await mkdtemp(path.join(tmpdir(), 'tollgate-arc-'));
  t.after(() => rm(folder, { recursive: true }));
  const keyFile = path.join(folder, 'key.pem');
  const start = () =>
    makeSigning({
      config: {
        spfInclude: null,
        reportDomain: null,
        hostName: 'gate.example',
        arc: { domain: 'gate.example', selector: 's', keyFile },
      },
      secrets: { sealKey: SEAL },
      store: { db },
      resolver: zoneResolver({}),
    });
  await assert.rejects(start(), refused('config_invalid'));
  await writeFile(keyFile, 'no key');
  await assert.rejects(start(), refused('config_invalid'));
  await writeFile(keyFile, generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }));
  await assert.rejects(start(), refused('config_invalid'));
});

test('inbound mail that we took a file out of is sealed as it leaves', async (t) => {
  const results = 'mx.tollgate.example; spf=pass smtp.mailfrom=bob@sender.example; dkim=none; dmarc=none';
  const strip = [
    { verdict: 'policy', action: 'strip', score: 0, reasons: [{ code: 'attachment.executable', detail: '' }] },
  ] as const;
  const { rig, resolver } = await openSigning(t, 'bob@sender.example', results, strip);
  const own = await openSink(t);
  const partner = await seedPartner(rig.db);
  await seedClient(rig.db, partner.id, { relays: [{ host: '127.0.0.1', port: own.port }] });
  await rig.owner.query(`update clients set policy = '{"attachments":{"executable":"strip"}}'`);
  const program = Buffer.from(`MZ${'\0'.repeat(58)}\x40\0\0\0PE\0\0${'\0'.repeat(200)}`, 'latin1').toString('base64');
  const file = `Content-Type: application/octet-stream; name=tool.exe\r\nContent-Disposition: attachment; filename=tool.exe\r\nContent-Transfer-Encoding: base64\r\n\r\n${program}\r\n`;
  const body = `Subject: File\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b1\r\n\r\n--b1\r\n\r\nHello\r\n--b1\r\n${file}--b1--\r\n`;
  const client = await Talker.open(rig.smtp);
  assert.match((await client.send('bob@sender.example', ['ann@acme.example'], body)).at(-1) ?? '', /^250/);
  client.close();
  await rig.delivery.drainOnce();
  const sent = own.mail[0]?.body ?? '';
  assert.match(sent, /^ARC-Seal: /i);
  assert.ok(!sent.includes(program.slice(0, 60)));
  const seen = await authenticate(
    Buffer.from(sent, 'latin1'),
    { ip: '192.0.2.1', helo: 'x.example', sender: 'bob@sender.example', mta: 'inside.example' },
    resolver,
  );
  assert.equal(seen.arc.result, 'pass');
});

test('a key that is activated twice at once signs', async (t) => {
  const { db } = await openDatabase(t);
  const partner = (await seedPartner(db)).id;
  await seedClient(db, partner);
  const made = await makeDkimKey('ed25519-sha256');
  const { id } = await db.tenant(partner, (tx) =>
    addDkimKey(
      tx,
      { domain: 'acme.example', selector: null, algorithm: 'ed25519-sha256', ...made, actor: 'test' },
      SEAL,
    ),
  );
  const activate = (read: (tx: TenantTx) => TenantTx) =>
    db.tenant(partner, (tx) => activateDkimKey(read(tx), id, 'test', true));
  const late = afterFirstRead();
  const second = activate(late.slow);
  await late.reached;
  await activate((tx) => tx);
  late.go();
  await second;
  const [key] = await db.tenant(partner, (tx) => listDkimKeys(tx, 'acme.example'));
  assert.notEqual(key?.activatedAt, null);
  assert.equal(key?.retiredAt, null);
});

import assert from 'node:assert/strict';
import { chown, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { readConfig, SETTING_NAMES } from '../../src/config/config.ts';
import { prepareHome } from '../../src/config/home.ts';
import { packageRoot } from '../../src/config/root.ts';
import { readSecrets } from '../../src/config/secrets.ts';
import { AppError, ERROR_CODES, errorCode, graphqlCode, httpStatus, smtpReply } from '../../src/core/errors.ts';

test('every fault of the settings is listed at once', () => {
  const env = {
    HTTP_PORT: 'eighty',
    SMTP_PORT: '70000',
    BIND_HOST: 'localhost',
    DATABASE_URL: 'mysql://x',
    TOLLGATE_DNS: 'dns.example',
    TOLLGATE_ROLES: 'gateway,cook',
    TOLLGATE_HOSTNAME: '-',
    TOLLGATE_SPEED: 'fast',
    TOLLGATE_LOG: 'loud',
    BLOB_URL: 's3://bucket',
    TOLLGATE_RSPAMD_URL: 'rspamd',
    TOLLGATE_DETAIL_DAYS: '5',
    TOLLGATE_SCAN_THREADS: 'two',
    TOLLGATE_SECRET_KEY: 'short',
  };
  assert.throws(
    () => readConfig(env),
    (error: unknown) => {
      assert.ok(error instanceof AppError && error.code === 'config_invalid');
      assert.match(error.message, /^SMTP_PORT is not a port: a whole number from 1 to 65535/m);
      assert.match(error.message, /^TOLLGATE_DETAIL_DAYS is not a whole number from 30 to 3650$/m);
      assert.match(error.message, /^TOLLGATE_LOG is debug, info, warn, error or silent$/m);
      const lines = error.message.split('\n');
      for (const name of Object.keys(env))
        assert.equal(lines.filter((line) => line.startsWith(`${name} `)).length, 1, name);
      return true;
    },
  );
});

test('a home that is no folder is a fault of the settings', async () => {
  const file = path.join(packageRoot(), 'package.json');
  await assert.rejects(readSecrets(file, undefined), (error: unknown) => {
    assert.ok(error instanceof AppError && error.code === 'config_invalid');
    assert.match(error.message, /^TOLLGATE_HOME can't be made as a folder: EEXIST /);
    return true;
  });
});

test('a home that can not be worked in is told in one sentence, at once', async (t) => {
  const folder = await mkdtemp(path.join(tmpdir(), 'tollgate-home-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const told = async (home: string, databaseUrl: string | null = null): Promise<string> => {
    try {
      await prepareHome({ home, databaseUrl });
    } catch (error) {
      assert.ok(error instanceof AppError && error.code === 'config_invalid', String(error));
      return error.message;
    }
    return '';
  };
  assert.match(
    await told(path.join(packageRoot(), 'package.json/x')),
    /can't be made as a folder: ENOTDIR \(a part of the path is a file\)/,
  );
  assert.match(await told(path.join(folder, 'x'.repeat(300))), /ENAMETOOLONG/);
  // Linux: `mkdir -p` of Node asks for ever there.
  if (process.platform === 'linux') assert.match(await told('/proc/nope/below'), /can't be made as a folder: ENOENT/);
  const long = path.join(folder, ...Array.from({ length: 9 }, () => 'x'.repeat(100)));
  assert.match(await told(long), /TOLLGATE_HOME is too long for PostgreSQL: \d+ bytes of at most 800/);
  assert.equal(await told(long, 'postgres://db.example/x'), '', 'where PostgreSQL is elsewhere its limit is none');
  const home = path.join(folder, 'a/b/home');
  assert.equal(await told(home), '');
  assert.deepEqual([(await stat(home)).mode & 0o777, await readdir(home)], [0o700, []]);
  const closed = path.join(folder, 'closed');
  await mkdir(closed, { mode: 0o500 });
  if (process.getuid?.() === 0) {
    // Root may write everywhere; what a database of another user is, it can be told.
    await mkdir(path.join(home, 'postgres/data'), { recursive: true });
    await chown(path.join(home, 'postgres/data'), 65_534, 65_534);
    assert.match(await told(home), /belongs to another user \(uid 65534, this is 0\)/);
  } else {
    assert.match(await told(closed), /can't be written to: EACCES/);
  }
});

test('DNS lists: zones with points or a refusal, bounded, and a fault for what is neither', () => {
  const read = (env: object) => readConfig({ ...env }).dnsLists;
  assert.deepEqual(read({}), []);
  assert.deepEqual(read({ TOLLGATE_DNSBL: 'A.example, b.example=3,c.example=reject', TOLLGATE_DNSWL: 'w.example=2' }), [
    { zone: 'a.example', points: 2, reject: false },
    { zone: 'b.example', points: 3, reject: false },
    { zone: 'c.example', points: 5, reject: true },
    { zone: 'w.example', points: -2, reject: false },
  ]);
  for (const bad of [
    'zone',
    'a.example=',
    'a.example=6',
    'a.example=-1',
    'a.example=x',
    'a.example,a.example',
    'a.example=1=2',
  ])
    assert.throws(() => read({ TOLLGATE_DNSBL: bad }), /TOLLGATE_DNSBL is zone=POINTS/, bad);
  assert.throws(() => read({ TOLLGATE_DNSWL: 'a.example=reject' }), /TOLLGATE_DNSWL is zone=POINTS/);
  const many = Array.from({ length: 11 }, (_, index) => `z${index}.example`).join(',');
  assert.throws(() => read({ TOLLGATE_DNSBL: many }), /at most 10/);
});

test('outside scanners: addresses in two forms, and a fault for what is neither', () => {
  const read = (env: object) => readConfig({ ...env }).scanners;
  assert.deepEqual(read({}), { rspamdUrl: null, clamd: null, timeoutMs: 10_000, down: 'accept' });
  assert.deepEqual(read({ TOLLGATE_CLAMAV: 'clamav:3310', TOLLGATE_SCANNER_DOWN: 'defer' }).clamd, {
    host: 'clamav',
    port: 3310,
  });
  assert.deepEqual(read({ TOLLGATE_CLAMAV: '[::1]:3310' }).clamd, { host: '::1', port: 3310 });
  assert.deepEqual(read({ TOLLGATE_CLAMAV: 'unix:/run/clamd.ctl' }).clamd, { path: '/run/clamd.ctl' });
  assert.equal(read({ TOLLGATE_RSPAMD_URL: 'http://rspamd:11333' }).rspamdUrl, 'http://rspamd:11333');
  for (const bad of ['clamav', 'clamav:0', 'unix:', 'a b:1', 'http://clamav:3310'])
    assert.throws(() => read({ TOLLGATE_CLAMAV: bad }), /TOLLGATE_CLAMAV/, bad);
  for (const bad of ['rspamd:11333', 'http://', 'ftp://rspamd', 'http://user:secret@rspamd', 'http://rspamd:99999'])
    assert.throws(() => read({ TOLLGATE_RSPAMD_URL: bad }), /TOLLGATE_RSPAMD_URL/, bad);
  assert.throws(() => read({ TOLLGATE_SCANNER_TIMEOUT_MS: '5' }), /TOLLGATE_SCANNER_TIMEOUT_MS/);
  assert.throws(() => read({ TOLLGATE_SCANNER_DOWN: 'reject' }), /TOLLGATE_SCANNER_DOWN/);
});

test('the defaults stand, an empty variable is no setting, and two services can not share a port', () => {
  const config = readConfig({ HTTP_PORT: '' });
  assert.deepEqual(
    [config.httpPort, config.smtpPort, config.submissionPort, config.bindHost],
    [8080, 2525, 2587, '127.0.0.1'],
  );
  assert.equal(config.databaseUrl, null);
  assert.deepEqual(readConfig({ TOLLGATE_ALLOW_PRIVATE_HOSTS: '127.0.0.1, 10.0.0.5' }).allowPrivateHosts, [
    '127.0.0.1',
    '10.0.0.5',
  ]);
  assert.throws(() => readConfig({ HTTP_PORT: '2525' }), /must differ/);
  assert.doesNotThrow(() => readConfig({ HTTP_PORT: '0', SMTP_PORT: '0', SUBMISSION_PORT: '0' }));
});

test('docs/config.md names every setting, and no other', async () => {
  const text = await readFile(path.join(packageRoot(), 'docs/config.md'), 'utf8');
  const named = [...text.matchAll(/^\| `([A-Z_]+)` \|/gm)].map((match) => match[1]).sort();
  assert.deepEqual(named, SETTING_NAMES);
});

test('docs/errors.md names every error code, and no other', async () => {
  const text = await readFile(path.join(packageRoot(), 'docs/errors.md'), 'utf8');
  const named = [...text.matchAll(/^\| `([a-z_]+)` \| (\d+) \| `([A-Z_]+)` \| (\d+ [\d.]+) \|/gm)].map((match) =>
    match.slice(1, 5),
  );
  const known = ERROR_CODES.map((code) => {
    const error = new AppError(code, '');
    const smtp = smtpReply(error);
    return [code, String(httpStatus(error)), graphqlCode(error), `${smtp.code} ${smtp.enhanced}`];
  });
  assert.deepEqual(named, known);
});

test('rule 1: no failure of ours is answered with a permanent SMTP code', () => {
  for (const code of ERROR_CODES) assert.equal(Math.floor(smtpReply(new AppError(code, 'x')).code / 100), 4, code);
  assert.equal(errorCode(new TypeError('x')), 'internal');
});

test('many that start at once on a new home have one key, whole', async (t) => {
  const home = await mkdtemp(path.join(tmpdir(), 'tollgate-secrets-'));
  t.after(() => rm(home, { recursive: true }));
  for (let round = 0; round < 40; round += 1) {
    const folder = path.join(home, String(round));
    const all = await Promise.all(Array.from({ length: 8 }, () => readSecrets(folder, undefined)));
    for (const one of all) assert.deepEqual(one, all[0]);
  }
});

test('a key file that holds no key is named, and is not written over', async (t) => {
  const home = await mkdtemp(path.join(tmpdir(), 'tollgate-secrets-'));
  t.after(() => rm(home, { recursive: true }));
  await writeFile(path.join(home, 'secret.key'), '');
  await assert.rejects(readSecrets(home, undefined), /the key file is not 32 bytes.*secret\.key/);
  assert.equal(await readFile(path.join(home, 'secret.key'), 'utf8'), '');
});

test('the secret key is made once, readable by its owner only, and a given one must be whole', async (t) => {
  const home = await mkdtemp(path.join(tmpdir(), 'tollgate-secrets-'));
  t.after(() => rm(home, { recursive: true }));
  const [one, two] = await Promise.all([readSecrets(home, undefined), readSecrets(home, '')]);
  assert.deepEqual(one, two);
  assert.deepEqual(await readdir(home), ['secret.key']);
  assert.equal((await stat(path.join(home, 'secret.key'))).mode & 0o777, 0o600);
  await assert.rejects(readSecrets(home, 'too short'), /TOLLGATE_SECRET_KEY/);
  assert.notDeepEqual(await readSecrets(home, 'ab'.repeat(32)), one);
});

test('the ARC settings belong together, and domains are domains', () => {
  const arc = { TOLLGATE_ARC_DOMAIN: 'Gate.example', TOLLGATE_ARC_SELECTOR: 'A1', TOLLGATE_ARC_KEY: '/etc/arc.pem' };
  assert.deepEqual(readConfig(arc).arc, { domain: 'gate.example', selector: 'a1', keyFile: '/etc/arc.pem' });
  assert.equal(readConfig({}).arc, null);
  const config = readConfig({ TOLLGATE_HOSTNAME: 'mx.gate.example' });
  assert.deepEqual([config.srsDomain, config.spfInclude], ['mx.gate.example', null]);
  assert.equal(readConfig({ TOLLGATE_SRS_DOMAIN: 'SRS.gate.example' }).srsDomain, 'srs.gate.example');
  for (const [env, fault] of [
    [{ ...arc, TOLLGATE_ARC_KEY: '' }, /^TOLLGATE_ARC_KEY is missing/],
    [{ TOLLGATE_ARC_DOMAIN: 'gate.example' }, /TOLLGATE_ARC_SELECTOR is missing.*\n.*TOLLGATE_ARC_KEY is missing/],
    [{ ...arc, TOLLGATE_ARC_SELECTOR: 'a b' }, /^TOLLGATE_ARC_SELECTOR is not a selector/],
    [{ TOLLGATE_SRS_DOMAIN: 'x' }, /^TOLLGATE_SRS_DOMAIN is not a domain/],
    [{ TOLLGATE_REPORT_DOMAIN: 'x' }, /^TOLLGATE_REPORT_DOMAIN is not a domain/],
    [
      { TOLLGATE_REPORT_DOMAIN: 'a.example', TOLLGATE_SRS_DOMAIN: 'A.example' },
      /^TOLLGATE_REPORT_DOMAIN is the domain/,
    ],
    [{ TOLLGATE_SPF_INCLUDE: 'a b' }, /^TOLLGATE_SPF_INCLUDE is not a domain/],
  ] as const) {
    assert.throws(
      () => readConfig(env),
      (error: unknown) => error instanceof AppError && fault.test(error.message),
    );
  }
});

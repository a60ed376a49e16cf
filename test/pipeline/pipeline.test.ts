import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { silentLogger } from '../../src/core/log.ts';
import type { Pipeline, PipelineInput } from '../../src/core/message.ts';
import { zoneResolver } from '../../src/mail/resolver.ts';
import { createPipeline, type PipelineDeps } from '../../src/pipeline/create.ts';
import { envelope, listEntry, recipient } from '../support/pipeline.ts';

const signal = new AbortController().signal;
const resolver = zoneResolver({
  'partner.example': { TXT: ['v=spf1 ip4:192.0.2.10 -all'] },
  '_dmarc.partner.example': { TXT: ['v=DMARC1; p=reject'] },
});
const EICAR = 'X5O!P%@AP[4\\PZX54(P^)7CC)7}$EICAR-STANDARD-' + 'ANTIVIRUS-TEST-FILE!$H+H*';

let folder = '';
let pipeline: Pipeline;
before(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'pipeline-'));
  pipeline = open();
});
after(async () => {
  await pipeline.close();
  rmSync(folder, { recursive: true });
});

function open(over: Partial<PipelineDeps> = {}): Pipeline {
  return createPipeline({ threads: 1, resolver, hostName: 'mx.gate.example', logger: silentLogger, ...over });
}

let files = 0;
function input(raw: string | Buffer, over: Partial<PipelineInput> = {}): PipelineInput {
  files += 1;
  const file = path.join(folder, `${files}.eml`);
  writeFileSync(file, raw);
  return { path: file, bytes: raw.length, envelope: envelope(), recipients: [recipient()], ...over };
}

function mail(over: { from?: string; subject?: string; body?: string; headers?: string[] } = {}): string {
  return [
    `From: ${over.from ?? 'Anna <anna@partner.example>'}`,
    'To: bob@client.example',
    `Subject: ${over.subject ?? 'Minutes of Monday'}`,
    'Date: Tue, 24 Nov 2026 08:59:00 +0000',
    'Message-ID: <1@partner.example>',
    ...(over.headers ?? []),
    '',
    over.body ?? 'Hello Bob,\r\n\r\nthe minutes are on the share. See you on Thursday.\r\n\r\nAnna\r\n',
  ].join('\r\n');
}

test('an ordinary message is clean, with its facts and Authentication-Results', async () => {
  const result = await pipeline.run(input(mail()), signal);
  assert.deepEqual(
    result.decisions.map(({ verdict, action }) => [verdict, action]),
    [['clean', 'deliver']],
  );
  assert.equal(result.facts.fromAddress, 'anna@partner.example');
  assert.equal(result.facts.subject, 'Minutes of Monday');
  assert.match(result.authenticationResults ?? '', /^mx\.gate\.example; spf=pass .*dmarc=pass/);
});

test('a forged sender with p=reject is a spoof', async () => {
  const forged = input(mail(), { envelope: envelope({ remoteAddress: '198.51.100.9' }) });
  const [decision] = (await pipeline.run(forged, signal)).decisions;
  assert.equal(decision?.verdict, 'spoof');
  assert.ok(decision?.reasons.some((reason) => reason.code === 'auth.dmarc_reject'));
});

test('the EICAR file is malware, whoever sends it', async () => {
  const body = [
    '--b',
    'Content-Type: application/octet-stream; name="a.com"',
    'Content-Disposition: attachment; filename="a.com"',
    '',
    EICAR,
    '--b--',
    '',
  ].join('\r\n');
  const raw = mail({ headers: ['MIME-Version: 1.0', 'Content-Type: multipart/mixed; boundary=b'], body });
  const lists = [listEntry('mailbox', 'allow', 'partner.example')];
  const [decision] = (await pipeline.run(input(raw, { recipients: [recipient({ lists })] }), signal)).decisions;
  assert.deepEqual([decision?.verdict, decision?.action], ['malware', 'quarantine']);
});

test('recipients are decided apart, in their order', async () => {
  const blocked = recipient({
    recipient: 'eve@client.example',
    lists: [listEntry('mailbox', 'block', 'partner.example')],
  });
  const other = recipient({ recipient: 'z@other.example', ownDomains: ['other.example', 'partner.example'] });
  const all = [recipient(), blocked, other];
  const together = (await pipeline.run(input(mail(), { recipients: all }), signal)).decisions;
  const apart = await Promise.all(
    all.map(async (one) => (await pipeline.run(input(mail(), { recipients: [one] }), signal)).decisions[0]),
  );
  assert.deepEqual(together, apart);
  assert.deepEqual(
    together.map((one) => one.verdict),
    ['clean', 'spam', 'clean'],
  );
});

test('a resolver that is down leaves authentication out and fails nobody', async (t) => {
  const down = open({
    resolver: async () => {
      throw Object.assign(new Error('down'), { code: 'ESERVFAIL' });
    },
  });
  t.after(() => down.close());
  const [decision] = (await down.run(input(mail()), signal)).decisions;
  assert.equal(decision?.verdict, 'clean');
  assert.ok(decision?.reasons.some((reason) => reason.code === 'auth.unavailable'));
});

test('a parser bomb is unscannable, and the next message is read', async () => {
  const parts = Array.from({ length: 5000 }, () => '--b\r\n\r\nx\r\n').join('');
  const bomb = mail({
    headers: ['MIME-Version: 1.0', 'Content-Type: multipart/mixed; boundary=b'],
    body: `${parts}--b--\r\n`,
  });
  const [decision] = (await pipeline.run(input(bomb), signal)).decisions;
  assert.deepEqual([decision?.verdict, decision?.action], ['unscannable', 'quarantine']);
  assert.equal((await pipeline.run(input(mail()), signal)).decisions[0]?.verdict, 'clean');
});

test('a message over the memory or time limit is unscannable, and the pool survives', async (t) => {
  const words = Array.from({ length: 400_000 }, (_, index) => `<b>word${index}</b>`).join('\r\n');
  const large = input(mail({ headers: ['MIME-Version: 1.0', 'Content-Type: text/html'], body: words }));
  for (const [limits, code] of [
    [{ heapMb: 24, taskMs: 300_000 }, 'scan.memory'],
    [{ taskMs: 1 }, 'scan.timeout'],
  ] as const) {
    const small = open({ limits });
    t.after(() => small.close());
    const [decision] = (await small.run(large, signal)).decisions;
    assert.equal(decision?.verdict, 'unscannable');
    assert.deepEqual(
      decision?.reasons.map((reason) => reason.code),
      [code],
    );
    if (code === 'scan.memory') assert.equal((await small.run(input(mail()), signal)).decisions[0]?.verdict, 'clean');
  }
});

test('a file that is gone is a fault of ours: unscannable and never rejected', async () => {
  const policy = { ...recipient().policy, unscannableAction: 'reject' as const };
  const gone = { ...input(mail()), path: path.join(folder, 'gone.eml'), recipients: [recipient({ policy })] };
  const [decision] = (await pipeline.run(gone, signal)).decisions;
  assert.deepEqual([decision?.verdict, decision?.action], ['unscannable', 'quarantine']);
});

test('an abort comes back as a decision', async () => {
  const [decision] = (await pipeline.run(input(mail()), AbortSignal.abort())).decisions;
  assert.deepEqual(
    decision?.reasons.map((reason) => reason.code),
    ['scan.aborted'],
  );
});

test('an outside scanner votes beside the stages; one that is down says so', async (t) => {
  const finds = {
    name: 'clamd',
    scan: async () => ({
      verdict: 'malware' as const,
      score: 0,
      reasons: [{ code: 'malware.clamd', detail: 'Win.Test' }],
    }),
  };
  const down = { name: 'rspamd', scan: () => Promise.reject(new Error('refused')) };
  const scanned = open({ scanners: [finds, down] });
  t.after(() => scanned.close());
  const [decision] = (await scanned.run(input(mail()), signal)).decisions;
  assert.equal(decision?.verdict, 'malware');
  assert.deepEqual(
    decision?.reasons
      .map((reason) => reason.code)
      .filter((code) => !code.startsWith('auth') && !code.startsWith('content'))
      .sort(),
    ['malware.clamd', 'scanner.down'],
  );
});

test('a scanner that is down defers the message where the operator wants that, and what scanners say is kept within bounds', async (t) => {
  const down = { name: 'clamav', scan: () => Promise.reject(new Error('refused')) };
  const loud = {
    name: 'rspamd',
    scan: async () => ({
      verdict: null,
      score: 1e9,
      reasons: Array.from({ length: 99 }, () => ({ code: 'scanner.rspamd', detail: `\r\n${'x'.repeat(9_999)}` })),
    }),
  };
  const silent = { name: 'late', scan: () => new Promise<never>(() => undefined) };
  const accepting = open({ scanners: [loud, down] });
  const deferring = open({ scanners: [loud, down], scannerDown: 'defer' });
  const waiting = open({ scanners: [silent], scannerDown: 'defer', limits: { scannerMs: 1 } });
  const fine = open({ scanners: [loud], scannerDown: 'defer' });
  t.after(() => Promise.all([accepting, deferring, waiting, fine].map((one) => one.close())));
  const result = await accepting.run(input(mail()), signal);
  assert.equal(result.deferred, undefined);
  const [decision] = result.decisions;
  assert.ok(decision !== undefined && decision.score <= 3 && decision.verdict === 'clean');
  const said = decision.reasons.filter((reason) => reason.code === 'scanner.rspamd');
  assert.ok(said.length <= 10 && said.every((one) => one.detail.length <= 200 && !one.detail.includes('\n')));
  assert.match((await deferring.run(input(mail()), signal)).deferred ?? '', /clamav/);
  assert.match((await waiting.run(input(mail()), signal)).deferred ?? '', /late/);
  assert.equal((await fine.run(input(mail()), signal)).deferred, undefined);
});

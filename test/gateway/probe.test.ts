import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { ProbeTarget } from '../../src/core/probe.ts';
import { type ProbeDeps, serverProbe } from '../../src/gateway/probe.ts';
import { zoneResolver } from '../../src/mail/resolver.ts';
import { CA, OTHER, SERVER } from './support/certificates.ts';
import { openPicky, type PickyOptions } from './support/picky.ts';

async function probe(
  t: TestContext,
  server: PickyOptions,
  target: Partial<ProbeTarget> = {},
  deps: Partial<ProbeDeps> = {},
) {
  const sink = await openPicky(t, server);
  const look = serverProbe({
    resolver: zoneResolver({}),
    hostName: 'mx.tollgate.example',
    allowPrivateHosts: ['127.0.0.1'],
    ca: CA,
    ...deps,
  });
  const result = await look({
    host: '127.0.0.1',
    port: sink.port,
    tls: 'opportunistic',
    mailbox: 'ann@acme.example',
    ...target,
  });
  return { sink, result };
}

test('a look at a server ends before DATA, and tells greeting, time and the end of the certificate', async (t) => {
  const { sink, result } = await probe(t, { tls: SERVER, banner: '220 mail.acme.example ESMTP \u0007ready' });
  assert.equal(result.answer, 'ok');
  assert.equal(result.banner, 'mail.acme.example ESMTP \ufffdready');
  assert.equal(result.error, null);
  assert.ok(result.latencyMs !== null && result.latencyMs >= 0);
  assert.equal(result.certificateUntil?.getUTCFullYear(), 2126);
  assert.deepEqual(sink.lines, [
    'EHLO mx.tollgate.example',
    'STARTTLS',
    'EHLO mx.tollgate.example',
    'MAIL FROM:<>',
    'RCPT TO:<ann@acme.example>',
    'RSET',
    'QUIT',
  ]);
});

test('without a known mailbox, without TLS, with HELO only: whatever is there is looked at', async (t) => {
  const bare = await probe(t, {}, { mailbox: null });
  assert.deepEqual([bare.result.answer, bare.sink.lines], ['ok', ['EHLO mx.tollgate.example', 'RSET', 'QUIT']]);
  const old = await probe(t, { answer: (line) => (line.startsWith('EHLO') ? '502 what' : undefined) });
  assert.equal(old.result.answer, 'ok');
  const none = await probe(t, { tls: SERVER }, { tls: 'none' });
  assert.deepEqual([none.result.answer, none.result.certificateUntil], ['ok', null]);
});

for (const [name, server, error] of [
  ['greeting', { banner: '554 5.3.2 No service' }, /No service/],
  ['EHLO and HELO', { answer: (line) => (/^(EH|HE)LO/.test(line) ? '550 no' : undefined) }, /550 no/],
  ['MAIL', { answer: (line) => (line.startsWith('MAIL') ? '451 4.3.0 later' : undefined) }, /later/],
  ['RCPT', { answer: (line) => (line.startsWith('RCPT') ? '550 5.1.1 unknown' : undefined) }, /unknown/],
] satisfies readonly [string, PickyOptions, RegExp][]) {
  test(`a server that refuses at ${name} is failing`, async (t) => {
    const { result } = await probe(t, server);
    assert.equal(result.answer, 'refused');
    assert.match(result.error ?? '', error);
  });
}

test('a server that hangs up, says nothing or speaks something else is silent', async (t) => {
  for (const [server, error] of [
    [{ answer: () => null }, /closed/],
    [{ banner: '' }, /in time/],
    [{ banner: 'SSH-2.0-x' }, /does not speak SMTP/],
    [{ banner: `220-${'x'.repeat(70_000)}` }, /too long/],
  ] satisfies readonly [PickyOptions, RegExp][]) {
    const { result } = await probe(
      t,
      server,
      {},
      { timeoutMs: 'banner' in server && server.banner === '' ? 30 : 5_000 },
    );
    assert.deepEqual([result.answer, result.latencyMs], ['silent', null]);
    assert.match(result.error ?? '', error);
  }
});

test('a server that answers in drops is given up at the deadline', async (t) => {
  const { result } = await probe(t, { answer: () => '250-more' }, {}, { timeoutMs: 5_000, deadlineMs: 50 });
  assert.equal(result.answer, 'silent');
  assert.match(result.error ?? '', /took too long/);
});

test('TLS that fails is told; only where it is required the server counts as down', async (t) => {
  const open = await probe(t, { brokenTls: true });
  assert.deepEqual([open.result.answer, open.sink.connections], ['ok', 2]);
  assert.match(open.result.error ?? '', /STARTTLS fails/);
  const strict = await probe(t, { brokenTls: true }, { tls: 'required' });
  assert.equal(strict.result.answer, 'silent');
  const wrong = await probe(t, { tls: OTHER }, { tls: 'required' });
  assert.equal(wrong.result.answer, 'silent');
  const right = await probe(t, { tls: SERVER }, { tls: 'required' });
  assert.equal(right.result.answer, 'ok');
});

test('only addresses that mail may be sent to are looked at', async (t) => {
  const { sink, result } = await probe(t, {}, {}, { allowPrivateHosts: [] });
  assert.deepEqual([result.answer, sink.connections], ['silent', 0]);
  assert.match(result.error ?? '', /no address that mail may be sent to: .*TOLLGATE_ALLOW_PRIVATE_HOSTS/);
  const absent = await probe(t, {}, { host: 'nowhere.example' });
  assert.match(absent.result.error ?? '', /no address in the DNS/);
});

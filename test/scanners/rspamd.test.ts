import assert from 'node:assert/strict';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type TestContext, test } from 'node:test';
import fc from 'fast-check';
import { freePort } from '../../src/db/port.ts';
import { RSPAMD_POINTS, rspamdScanner } from '../../src/scanners/rspamd.ts';
import { envelope } from '../support/pipeline.ts';
import { listen, taskOf } from './support.ts';

const signal = new AbortController().signal;
const MAIL = 'Subject: x\r\n\r\nhello\r\n';

async function serve(t: TestContext, handler: (request: IncomingMessage, response: ServerResponse) => void) {
  const server = createServer(handler);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** An rspamd that reads the message and gives this answer. */
function answering(t: TestContext, body: () => string | Buffer, status = 200): Promise<string> {
  return serve(t, (request, response) => {
    request.resume().on('end', () => response.writeHead(status).end(body()));
  });
}

test('rspamd gets the message and what is known of the connection', async (t) => {
  const seen: { url: string; rcpt: string[]; headers: IncomingMessage['headers']; body: string }[] = [];
  const url = await serve(t, (request, response) => {
    const parts: Buffer[] = [];
    request.on('data', (part: Buffer) => parts.push(part));
    request.on('end', () => {
      const rcpt = request.rawHeaders.filter((_, index) => request.rawHeaders[index - 1] === 'Rcpt');
      seen.push({ url: request.url ?? '', rcpt, headers: request.headers, body: Buffer.concat(parts).toString() });
      response.end('{"score":0,"required_score":15}');
    });
  });
  const task = taskOf(t, MAIL, {
    envelope: envelope({
      helo: 'evil\r\nRcpt: x@y',
      sender: 'jörg@partner.example',
      remoteName: 'mail.partner.example',
    }),
    recipients: ['a@client.example', 'b@client.example'],
  });
  const result = await rspamdScanner(url).scan(task, signal);
  assert.deepEqual(result, { verdict: null, score: 0, reasons: [] });
  const [request] = seen;
  assert.equal(request?.url, '/checkv2');
  assert.equal(request?.body, MAIL);
  assert.deepEqual(request?.rcpt, ['a@client.example', 'b@client.example']);
  assert.equal(request?.headers['ip'], '192.0.2.10');
  assert.equal(request?.headers['helo'], 'evilRcpt: x@y');
  assert.equal(Buffer.from(String(request?.headers['from']), 'latin1').toString(), 'jörg@partner.example');
  assert.equal(request?.headers['hostname'], 'mail.partner.example');
});

test('the score becomes points by its own threshold, the heaviest symbols the detail', async (t) => {
  const symbols = {
    R_DKIM_ALLOW: { score: -0.2 },
    BAYES_SPAM: { score: 5.1 },
    'evil\nname': { score: 90 },
    ZERO: { score: 0 },
    ODD: 'x',
  };
  const url = await answering(t, () => JSON.stringify({ score: 7.5, required_score: 15, symbols }));
  assert.deepEqual(await rspamdScanner(url).scan(taskOf(t, MAIL), signal), {
    verdict: null,
    score: 1.5,
    reasons: [{ code: 'scanner.rspamd', detail: '7.5 of 15.0 BAYES_SPAM R_DKIM_ALLOW' }],
  });
});

test('whatever the score, its points stay within bounds and it gives no verdict', async (t) => {
  let body = '';
  const scanner = rspamdScanner(await answering(t, () => body));
  const task = taskOf(t, MAIL);
  const finite = fc.double({ noNaN: true, noDefaultInfinity: true });
  await fc.assert(
    fc.asyncProperty(finite, finite, async (score, required_score) => {
      body = JSON.stringify({ score, required_score, action: 'reject' });
      const result = await scanner.scan(task, signal);
      assert.equal(result.verdict, null);
      assert.ok(result.score >= RSPAMD_POINTS.least && result.score <= RSPAMD_POINTS.most, String(result.score));
    }),
    { numRuns: 50 },
  );
});

test('mail that rspamd is told to leave alone', async (t) => {
  const url = await answering(t, () => '{"is_skipped":true,"score":0,"required_score":15}');
  const result = await rspamdScanner(url).scan(taskOf(t, MAIL), signal);
  assert.deepEqual([result.score, result.reasons[0]?.code], [0, 'scanner.skipped']);
  // What rspamd 3.4 says of the GTUBE test.
  const gtube =
    '{"is_skipped":true,"score":15.0,"required_score":15.0,"action":"reject","symbols":{"GTUBE":{"score":0}}}';
  const found = await rspamdScanner(await answering(t, () => gtube)).scan(taskOf(t, MAIL), signal);
  assert.deepEqual([found.score, found.reasons[0]?.code], [RSPAMD_POINTS.most, 'scanner.rspamd']);
});

test('what is no answer rejects: garbage, wrong types, too much, an error, a cut connection', async (t) => {
  const bodies = [
    '',
    'no json',
    '[]',
    'null',
    '{"score":"7","required_score":15}',
    '{"score":1e999,"required_score":1}',
  ];
  for (const body of [...bodies, `{"score":1,"required_score":1,"x":"${'y'.repeat(2_000_000)}"}`]) {
    await assert.rejects(
      rspamdScanner(await answering(t, () => body)).scan(taskOf(t, MAIL), signal),
      (error) => error instanceof Error,
      body.slice(0, 40),
    );
  }
  const failing = await answering(t, () => '{"score":0,"required_score":15}', 500);
  await assert.rejects(rspamdScanner(failing).scan(taskOf(t, MAIL), signal), /500/);
  const cut = await listen(t, (socket) =>
    socket.on('data', () => socket.end('HTTP/1.1 200 OK\r\nContent-Length: 90\r\n\r\n{"sc')),
  );
  await assert.rejects(rspamdScanner(`http://127.0.0.1:${cut}`).scan(taskOf(t, MAIL), signal));
  const garbage = await listen(t, (socket) => socket.on('data', () => socket.end('220 ready\r\n')));
  await assert.rejects(rspamdScanner(`http://127.0.0.1:${garbage}`).scan(taskOf(t, MAIL), signal));
});

test('an rspamd that says nothing is left at the deadline; nobody listens; a file that is gone', async (t) => {
  const url = await serve(t, () => undefined);
  const controller = new AbortController();
  const scan = rspamdScanner(url).scan(taskOf(t, MAIL), controller.signal);
  setImmediate(() => controller.abort());
  await assert.rejects(scan);
  const closed = await freePort();
  await assert.rejects(rspamdScanner(`http://127.0.0.1:${closed}`).scan(taskOf(t, MAIL), signal), /ECONNREFUSED/);
  const task = taskOf(t, MAIL);
  await assert.rejects(rspamdScanner(url).scan({ ...task, path: `${task.path}.gone` }, signal), /ENOENT/);
});

test('the real rspamd answers', async (t) => {
  const url = process.env['TOLLGATE_RSPAMD_URL'] ?? 'http://127.0.0.1:11333';
  const isThere = await fetch(new URL('/ping', url), { signal: AbortSignal.timeout(2_000) }).then(
    async (response) => (await response.text()).startsWith('pong'),
    () => false,
  );
  if (!isThere) {
    t.skip('NO RSPAMD: set TOLLGATE_RSPAMD_URL, or start one at 127.0.0.1:11333, to test against it');
    return;
  }
  const gtube = 'XJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X';
  const result = await rspamdScanner(url).scan(
    taskOf(t, `From: a@b.example\r\nSubject: x\r\n\r\n${gtube}\r\n`),
    signal,
  );
  assert.ok(result.score > 0);
});

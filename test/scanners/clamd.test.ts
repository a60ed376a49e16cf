import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { type TestContext, test } from 'node:test';
import type { ScanResult, ScanTask } from '../../src/core/filter.ts';
import { type ClamdAddress, clamdScanner } from '../../src/scanners/clamd.ts';
import { folderOf, listen, onInstream, taskOf } from './support.ts';

const CLEAN: ScanResult = { verdict: null, score: 0, reasons: [] };
const signal = new AbortController().signal;
const EICAR = 'X5O!P%@AP[4\\PZX54(P^)7CC)7}$EICAR-STANDARD-' + 'ANTIVIRUS-TEST-FILE!$H+H*';

/** Scans with a server that answers every complete INSTREAM with `reply`. */
async function answered(t: TestContext, reply: string | Buffer, task: ScanTask = taskOf(t, 'Subject: x\r\n\r\ny\r\n')) {
  const port = await listen(t, (socket) => onInstream(socket, () => socket.end(reply)));
  return clamdScanner({ host: '127.0.0.1', port }).scan(task, signal);
}

test('clamd gets the message in chunks, whole and unchanged', async (t) => {
  const message = Buffer.alloc(200_001, 'tollgate ');
  const seen: { sizes: number[]; message: Buffer }[] = [];
  const port = await listen(t, (socket) =>
    onInstream(socket, (stream) => {
      seen.push(stream);
      socket.end('stream: OK\0');
    }),
  );
  assert.deepEqual(await clamdScanner({ host: '127.0.0.1', port }).scan(taskOf(t, message), signal), CLEAN);
  const { sizes, message: got } = seen[0] ?? assert.fail('nothing arrived');
  assert.ok(sizes.length > 3 && sizes.every((size) => size <= 65_536));
  assert.ok(message.equals(got));
});

test('an empty message, and a socket in the file system', async (t) => {
  const file = path.join(folderOf(t), 'clamd.ctl');
  await listen(t, (socket) => onInstream(socket, () => socket.end('stream: OK\0')), file);
  assert.deepEqual(await clamdScanner({ path: file }).scan(taskOf(t, ''), signal), CLEAN);
});

test('FOUND is malware with the name of the signature, cut and cleaned', async (t) => {
  assert.deepEqual(await answered(t, 'stream: Win.Test.EICAR_HDB-1 FOUND\0'), {
    verdict: 'malware',
    score: 0,
    reasons: [{ code: 'malware.clamav', detail: 'Win.Test.EICAR_HDB-1' }],
  });
  const [reason] = (await answered(t, `stream: a\x07${'b'.repeat(400)} FOUND\0`)).reasons;
  assert.ok(reason !== undefined && reason.detail.length <= 200 && !reason.detail.includes('\x07'));
});

test('a message over StreamMaxLength: clamd says so while it is sent, and the trace shows that it was not scanned', async (t) => {
  const port = await listen(t, (socket) => {
    let bytes = 0;
    socket.on('data', (part: Buffer) => {
      bytes += part.length;
      if (bytes > 100_000) socket.end('INSTREAM size limit exceeded. ERROR\0');
    });
  });
  const result = await clamdScanner({ host: '127.0.0.1', port }).scan(taskOf(t, Buffer.alloc(3_000_000)), signal);
  assert.equal(result.verdict, null);
  assert.deepEqual(
    result.reasons.map((one) => one.code),
    ['scanner.too_large'],
  );
});

test('what clamd does not mean rejects: errors, garbage, no end, a half close, an OK before the message was sent', async (t) => {
  for (const reply of ['UNKNOWN COMMAND\0', 'stream: x ERROR\0', 'stream: OK', '', '\0', 'stream: OK FOUND OK\0']) {
    await assert.rejects(answered(t, reply), /clamd/, JSON.stringify(reply));
  }
  await assert.rejects(answered(t, Buffer.alloc(5_000_000, 'x')), /no end/);
  await assert.rejects(answered(t, Buffer.from([0xff, 0xfe, 0, 1, 2])), /clamd answered/);
  const closing = await listen(t, (socket) => socket.destroy());
  const early = await listen(t, (socket) => socket.write('stream: OK\0'));
  const task = taskOf(t, Buffer.alloc(20_000_000));
  await assert.rejects(clamdScanner({ host: '127.0.0.1', port: closing }).scan(task, signal));
  await assert.rejects(
    clamdScanner({ host: '127.0.0.1', port: early }).scan(task, signal),
    /before it had the message/,
  );
});

test('nobody listens, and a file that is gone', async (t) => {
  const task = taskOf(t, 'x');
  await assert.rejects(clamdScanner({ path: path.join(folderOf(t), 'none.ctl') }).scan(task, signal), /ENOENT/);
  const port = await listen(t, () => undefined);
  const gone = { ...task, path: `${task.path}.gone` };
  await assert.rejects(clamdScanner({ host: '127.0.0.1', port }).scan(gone, signal), /ENOENT/);
});

test('a clamd that says nothing is left at the deadline, also one that does not read', async (t) => {
  for (const size of [10, 20_000_000]) {
    const port = await listen(t, (socket) => socket.pause());
    const controller = new AbortController();
    const scan = clamdScanner({ host: '127.0.0.1', port }).scan(taskOf(t, Buffer.alloc(size)), controller.signal);
    setImmediate(() => controller.abort(new Error('the deadline')));
    await assert.rejects(scan, /the deadline/);
  }
  const over = AbortSignal.abort(new Error('too late'));
  await assert.rejects(clamdScanner({ host: '127.0.0.1', port: 1 }).scan(taskOf(t, 'x'), over), /too late/);
});

test('the real clamd finds the EICAR file', async (t) => {
  const address = realClamd();
  if (address === null) {
    t.skip('NO CLAMD: set TOLLGATE_CLAMAV=HOST:PORT, or start one at /var/run/clamav/clamd.ctl, to test against it');
    return;
  }
  const scanner = clamdScanner(address);
  assert.deepEqual(await scanner.scan(taskOf(t, 'Subject: x\r\n\r\nhello\r\n'), signal), CLEAN);
  assert.equal((await scanner.scan(taskOf(t, EICAR), signal)).verdict, 'malware');
});

function realClamd(): ClamdAddress | null {
  const text = process.env['TOLLGATE_CLAMAV'] ?? '';
  const match = /^([\w.-]+):(\d+)$/.exec(text);
  if (match?.[1] !== undefined) return { host: match[1], port: Number(match[2]) };
  const file = text.startsWith('unix:') ? text.slice(5) : '/var/run/clamav/clamd.ctl';
  return existsSync(file) ? { path: file } : null;
}

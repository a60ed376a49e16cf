import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Readable } from 'node:stream';
import { type TestContext, test } from 'node:test';
import { AppError } from '../../src/core/errors.ts';
import { newId } from '../../src/core/id.ts';
import { silentLogger } from '../../src/core/log.ts';
import { Spool } from '../../src/gateway/index.ts';
import { createPreviewer, type PreviewLimits } from '../../src/quarantine/preview.ts';

const isCode = (code: string) => (error: unknown) => error instanceof AppError && error.code === code;

async function open(t: TestContext, limits: Partial<PreviewLimits> = {}) {
  const folder = await mkdtemp(path.join(tmpdir(), 'tollgate-preview-'));
  const spool = await Spool.open(folder);
  const previewer = createPreviewer({ store: spool, logger: silentLogger, limits });
  t.after(async () => {
    await previewer.close();
    await rm(folder, { recursive: true, force: true });
  });
  const put = async (text: string) => (await spool.write(Readable.from([Buffer.from(text)]))).id;
  return { previewer, put };
}

test('a stored message is shown, twice alike, and stays as it is', async (t) => {
  const { previewer, put } = await open(t);
  const text = 'Subject: Hello\r\nContent-Type: text/html\r\n\r\n<p onclick=x>Hi<img src=http://t.example/x></p>\r\n';
  const id = await put(text);
  const first = await previewer.preview(id);
  assert.deepEqual([first.kind, first.remoteImages, first.problem], ['html', 1, null]);
  assert.doesNotMatch(first.html, /onclick|t\.example/);
  assert.deepEqual(await previewer.preview(id), first);
  assert.deepEqual(await previewer.source(id, 1_000), { bytes: Buffer.from(text), total: text.length });
  assert.deepEqual(await previewer.source(id, 7), { bytes: Buffer.from('Subject'), total: text.length });
});

test('a body that is gone is said to be', async (t) => {
  const { previewer } = await open(t);
  await assert.rejects(previewer.preview(newId()), isCode('not_found'));
  await assert.rejects(previewer.source('../../etc/passwd', 10), isCode('not_found'));
});

test('a message that takes too long ends its thread; the header is shown, the next message too', async (t) => {
  const { previewer, put } = await open(t, { taskMs: 1 });
  const slow = await put(`Subject: Slow\r\n\r\n${'A long line of text.\r\n'.repeat(200_000)}`);
  const shown = await previewer.preview(slow);
  assert.match(shown.problem ?? '', /took longer than is allowed/);
  assert.deepEqual(
    shown.headers.map((field) => [field.name, field.value]),
    [['Subject', 'Slow']],
  );
  assert.match((await previewer.preview(slow)).problem ?? '', /took longer/, 'the thread was replaced');
});

test('previews that wait are bounded', async (t) => {
  const { previewer, put } = await open(t, { waiting: 2 });
  const id = await put('Subject: x\r\n\r\nx\r\n');
  const all = await Promise.allSettled(Array.from({ length: 8 }, () => previewer.preview(id)));
  const refused = all.filter((one) => one.status === 'rejected');
  assert.ok(refused.length > 0 && refused.every((one) => isCode('limit_exceeded')(one.reason)));
  assert.equal((await previewer.preview(id)).kind, 'text');
});

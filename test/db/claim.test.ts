import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { type TestContext, test } from 'node:test';
import { AppError } from '../../src/core/errors.ts';
import { claimFolder, serviceOf } from '../../src/db/claim.ts';

async function folder(t: TestContext): Promise<string> {
  const home = await mkdtemp(path.join(tmpdir(), 'tollgate-claim-'));
  t.after(() => rm(home, { recursive: true, force: true }));
  return home;
}

const refused = (error: unknown) =>
  error instanceof AppError &&
  error.code === 'config_invalid' &&
  error.message.startsWith(`another Tollgate serves from this folder (pid ${process.pid})`);

test('a folder is served by one process; given back, the next one has it', async (t) => {
  const home = await folder(t);
  const giveBack = await claimFolder(home);
  assert.equal((await serviceOf(home))?.pid, process.pid);
  await assert.rejects(claimFolder(home), refused);
  await giveBack();
  assert.equal(await serviceOf(home), null);
  await (await claimFolder(home))();
  assert.deepEqual(await readdir(home), []);
});

test('a claim of a killed process is taken at once, also when its number is another program’s by now', async (t) => {
  const home = await folder(t);
  const child = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { stdio: 'ignore' });
  const pid = child.pid ?? 0;
  child.kill('SIGKILL');
  await once(child, 'exit');
  await writeFile(path.join(home, 'service.lock'), `${JSON.stringify({ pid, started: 'boot 1' })}\n`);
  await (await claimFolder(home))();
  // Its number runs, and started at another time.
  await writeFile(path.join(home, 'service.lock'), `${JSON.stringify({ pid: process.pid, started: 'boot 1' })}\n`);
  assert.equal(await serviceOf(home), null);
  await (await claimFolder(home))();
  await writeFile(path.join(home, 'service.lock'), 'half a cla');
  await (await claimFolder(home))();
});

test('of many that find a stale claim at once one has the folder', async (t) => {
  const home = await folder(t);
  await writeFile(path.join(home, 'service.lock'), '{"pid":1,"started":"never"}\n');
  const tries = await Promise.allSettled(Array.from({ length: 4 }, () => claimFolder(home)));
  assert.ok(tries.filter((one) => one.status === 'fulfilled').length <= 1);
  assert.equal((await serviceOf(home))?.pid, process.pid);
});

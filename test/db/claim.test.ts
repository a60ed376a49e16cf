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
  assert.equal(await serviceOf(home), null);
  assert.deepEqual(await readdir(home), ['service.lock.2'], 'one file, which says that nobody serves');
});

test('a claim of a killed process is taken at once, also when its number is another program’s by now', async (t) => {
  const home = await folder(t);
  const child = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { stdio: 'ignore' });
  const pid = child.pid ?? 0;
  child.kill('SIGKILL');
  await once(child, 'exit');
  await writeFile(path.join(home, 'service.lock.7'), `${JSON.stringify({ pid, started: 'boot 1' })}\n`);
  await (await claimFolder(home))();
  // Its number runs, and started at another time.
  await writeFile(path.join(home, 'service.lock.9'), `${JSON.stringify({ pid: process.pid, started: 'boot 1' })}\n`);
  assert.equal(await serviceOf(home), null);
  await (await claimFolder(home))();
  await writeFile(path.join(home, 'service.lock.11'), 'half a cla');
  await (await claimFolder(home))();
});

test('of many that find a stale claim at once one has the folder', async (t) => {
  for (let round = 0; round < 25; round += 1) {
    const home = await folder(t);
    await writeFile(path.join(home, 'service.lock.1'), '{"pid":1,"started":"never"}\n');
    const tries = await Promise.allSettled(Array.from({ length: 8 }, () => claimFolder(home)));
    assert.equal(tries.filter((one) => one.status === 'fulfilled').length, 1);
    for (const one of tries) if (one.status === 'rejected') assert.ok(refused(one.reason), String(one.reason));
    assert.equal((await serviceOf(home))?.pid, process.pid);
    assert.equal((await readdir(home)).length, 1);
  }
});

test('processes that start at once on what a killed one left: one has the folder', async (t) => {
  const home = await folder(t);
  await writeFile(path.join(home, 'service.lock.3'), '{"pid":1,"started":"never"}\n');
  const script = `
    import { claimFolder } from ${JSON.stringify(new URL('../../src/db/claim.js', import.meta.url).href)};
    await claimFolder(${JSON.stringify(home)}).then(() => console.log('mine'), (error) => console.log(error.code));
    process.stdin.resume().on('end', () => process.exit(0));`;
  const children = Array.from({ length: 4 }, () =>
    spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: ['pipe', 'pipe', 'inherit'] }),
  );
  const answers = await Promise.all(
    children.map(async (child) => {
      const [line] = (await once(child.stdout, 'data')) as [Buffer];
      return line.toString().trim();
    }),
  );
  for (const child of children) child.stdin.end();
  await Promise.all(children.map((child) => once(child, 'exit')));
  assert.deepEqual(answers.toSorted(), ['config_invalid', 'config_invalid', 'config_invalid', 'mine']);
});

test('three processes start at once, again and again, each time on what kill -9 left of the last one: one has the folder', async (t) => {
  const home = await folder(t);
  const script = `
    import { once } from 'node:events';
    import { claimFolder } from ${JSON.stringify(new URL('../../src/db/claim.js', import.meta.url).href)};
    console.log('ready');
    await once(process.stdin, 'data');
    await claimFolder(${JSON.stringify(home)}).then(() => console.log('mine'), (error) => console.log(error.code));
    setInterval(() => {}, 1_000);`;
  for (let round = 0; round < 6; round += 1) {
    const children = Array.from({ length: 3 }, () =>
      spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: ['pipe', 'pipe', 'inherit'] }),
    );
    const said = async (child: (typeof children)[number]) => {
      const [line] = (await once(child.stdout, 'data')) as [Buffer];
      return line.toString().trim();
    };
    try {
      await Promise.all(children.map(said));
      const answers = Promise.all(children.map(said));
      for (const child of children) child.stdin.write('go\n');
      const found = await answers;
      assert.deepEqual(found.toSorted(), ['config_invalid', 'config_invalid', 'mine'], `round ${round}`);
      assert.equal((await serviceOf(home))?.pid, children[found.indexOf('mine')]?.pid);
    } finally {
      for (const child of children) child.kill('SIGKILL');
      await Promise.all(children.filter((one) => one.signalCode === null).map((one) => once(one, 'exit')));
    }
    assert.equal(await serviceOf(home), null);
  }
});

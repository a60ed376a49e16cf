import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFile, mkdir, mkdtemp, readdir, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { type TestContext, test } from 'node:test';
import { packageRoot } from '../../src/config/root.ts';

/** A checkout with a program that is asked by line to load a module late, as the service loads its threads' code. */
async function checkout(t: TestContext) {
  const folder = await mkdtemp(path.join(tmpdir(), 'tollgate-build-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  for (const name of ['src', 'integrations', 'reports', 'test', 'scripts']) await mkdir(path.join(folder, name));
  await copyFile(path.join(packageRoot(), 'scripts/build.mjs'), path.join(folder, 'scripts/build.mjs'));
  await copyFile(path.join(packageRoot(), 'tsconfig.json'), path.join(folder, 'tsconfig.json'));
  await symlink(path.join(packageRoot(), 'node_modules'), path.join(folder, 'node_modules'));
  await writeFile(path.join(folder, 'package.json'), '{"type":"module"}');
  const write = (name: string, text: string) => writeFile(path.join(folder, name), text);
  await write('src/late.ts', 'export const word: string = "one";\n');
  await write('src/gone.ts', 'export const gone: boolean = true;\n');
  await write(
    'src/main.ts',
    `import { createInterface } from 'node:readline';
     process.stdout.write('ready\\n');
     for await (const line of createInterface(process.stdin)) {
       const loaded: unknown = await import(\`./late.js?\${line}\`).catch((error: Error) => error);
       process.stdout.write(loaded instanceof Error ? 'MISSING\\n' : 'loaded\\n');
     }\n`,
  );
  const build = async (): Promise<number> => {
    const child = spawn(process.execPath, ['scripts/build.mjs'], { cwd: folder, stdio: 'ignore' });
    const [code] = (await once(child, 'exit')) as [number];
    return code;
  };
  const dist = path.join(folder, 'dist');
  const files = async () =>
    (await readdir(dist, { recursive: true })).filter((name) => name.endsWith('.js')).toSorted();
  return { folder, dist, write, build, files };
}

test('a build does not take the files away from a process that runs from dist', async (t) => {
  const { folder, dist, write, build, files } = await checkout(t);
  assert.equal(await build(), 0);
  assert.deepEqual(await files(), ['src/gone.js', 'src/late.js', 'src/main.js']);
  const main = path.join(dist, 'src/main.js');
  assert.equal((await stat(main)).mode & 0o111, 0o111, 'npx tollgate runs it');

  const service = spawn(process.execPath, [main], { stdio: ['pipe', 'pipe', 'inherit'] });
  t.after(() => service.kill('SIGKILL'));
  const ask = asker(service);
  assert.equal(await ask.next(), 'ready');

  // The same sources again: no file of dist is touched.
  const before = await stat(main);
  let isBuilding = true;
  const again = build().finally(() => {
    isBuilding = false;
  });
  let asked = 0;
  for (; isBuilding; asked += 1) assert.equal(await ask.load(asked), 'loaded', `while building, after ${asked}`);
  assert.equal(await again, 0);
  assert.ok(asked > 10, `${asked}`);
  const after = await stat(main);
  assert.deepEqual([after.ino, after.mtimeMs], [before.ino, before.mtimeMs]);

  // Other sources: what changed is new, what was deleted is gone, what did not compile changes nothing.
  await write('src/late.ts', 'export const word: string = "two";\n');
  await rm(path.join(folder, 'src/gone.ts'));
  assert.equal(await build(), 0);
  assert.deepEqual(await files(), ['src/late.js', 'src/main.js']);
  assert.equal(await ask.load(-1), 'loaded');
  await write('src/late.ts', 'export const word: string = 3;\n');
  const kept = await stat(path.join(dist, 'src/late.js'));
  assert.notEqual(await build(), 0);
  assert.equal((await stat(path.join(dist, 'src/late.js'))).ino, kept.ino);
  assert.deepEqual(
    (await readdir(folder)).filter((name) => name.startsWith('dist')),
    ['dist'],
    'nothing stays beside dist',
  );
});

test('what a killed build left is removed by the next one', async (t) => {
  const { folder, build } = await checkout(t);
  const ended = spawn(process.execPath, ['-e', '']);
  await once(ended, 'exit');
  await mkdir(path.join(folder, `dist-next.${ended.pid}`));
  await mkdir(path.join(folder, `dist-next.${process.pid}`));
  assert.equal(await build(), 0);
  assert.deepEqual(
    (await readdir(folder)).filter((name) => name.startsWith('dist')),
    ['dist', `dist-next.${process.pid}`],
    'that of a build which runs stays',
  );
});

function asker(service: ChildProcess) {
  assert.ok(service.stdin !== null && service.stdout !== null);
  const { stdin } = service;
  const lines = createInterface(service.stdout)[Symbol.asyncIterator]();
  const next = async () => (await lines.next()).value as string;
  return {
    next,
    load: (count: number) => {
      stdin.write(`${count}\n`);
      return next();
    },
  };
}

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdir, mkdtemp, readdir, readFile, readlink, realpath, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { type TestContext, test } from 'node:test';
import { RecentBodies } from '../../src/gateway/recent.ts';
import { realDisk, Spool, type SpoolDisk } from '../../src/gateway/spool.ts';
import { writeBatch } from '../../src/gateway/spool-write.ts';

async function openFolder(t: TestContext): Promise<string> {
  const folder = await mkdtemp(path.join(tmpdir(), 'tollgate-spool-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

test('rule 1: each step of a batch is done for all before the next, and a folder is synced once', async (t) => {
  const folder = await openFolder(t);
  for (const name of ['tmp', 'a', 'b']) await mkdir(path.join(folder, name));
  const job = (name: string, to: string) => ({
    temporary: path.join(folder, 'tmp', name),
    target: path.join(folder, to, name),
    message: Buffer.from(name),
  });
  const synced: string[] = [];
  const jobs = [job('1', 'a'), job('2', 'b'), job('3', 'a')];
  assert.deepEqual(
    writeBatch(jobs, (_, target) => synced.push(path.relative(folder, target))),
    [null, null, null],
  );
  assert.deepEqual(synced, ['a/1', 'b/2', 'a/3', 'a', 'b']);
  assert.equal(await readFile(path.join(folder, 'b/2'), 'utf8'), '2');
  assert.deepEqual(await readdir(path.join(folder, 'tmp')), []);
});

test('rule 1: what fails at the file or at the folder fails alone, and leaves nothing', async (t) => {
  const folder = await openFolder(t);
  for (const name of ['tmp', 'a', 'b']) await mkdir(path.join(folder, name));
  const job = (name: string, to: string) => ({
    temporary: path.join(folder, 'tmp', name),
    target: path.join(folder, to, name),
    message: Buffer.from(name),
  });
  const eio = (fits: (target: string) => boolean) => (_: number, target: string) => {
    if (fits(path.relative(folder, target))) throw Object.assign(new Error('EIO: i/o error, fsync'), { code: 'EIO' });
  };
  const atFile = writeBatch(
    [job('1', 'a'), job('2', 'b')],
    eio((target) => target === 'a/1'),
  );
  assert.deepEqual([atFile[0]?.code, atFile[1]], ['EIO', null]);
  const atFolder = writeBatch(
    [job('3', 'a'), job('4', 'b'), job('5', 'b')],
    eio((target) => target === 'b'),
  );
  assert.deepEqual([atFolder[0], atFolder[1]?.code, atFolder[2]?.code], [null, 'EIO', 'EIO']);
  const noFolder = writeBatch([job('6', 'missing'), job('7', 'a')]);
  assert.deepEqual([noFolder[0]?.code, noFolder[1]], ['ENOENT', null]);
  assert.deepEqual(await readdir(path.join(folder, 'tmp')), []);
  assert.deepEqual([await readdir(path.join(folder, 'a')), await readdir(path.join(folder, 'b'))], [['3', '7'], ['2']]);
});

test('small and large messages, many at once, are stored as they came', async (t) => {
  const folder = await openFolder(t);
  const spool = await Spool.open(folder);
  const bodies = Array.from({ length: 60 }, (_, at) => `Subject: ${at}\r\n\r\n${'x\r\n'.repeat((at % 6) * 20_000)}`);
  const stored = await Promise.all(
    bodies.map((body) =>
      spool.write(Readable.from(body.match(/[\s\S]{1,9973}/g)?.map((part) => Buffer.from(part)) ?? [])),
    ),
  );
  for (const [index, one] of stored.entries()) {
    assert.equal(one.bytes, bodies[index]?.length);
    assert.equal(await text(await spool.open(one.id)), bodies[index]);
  }
  assert.deepEqual(await readdir(path.join(folder, 'tmp')), []);
});

test('a thread that can not write says so, and the next message is stored', async (t) => {
  const folder = await openFolder(t);
  const spool = await Spool.open(folder);
  const write = () => spool.write(Readable.from([Buffer.from('Subject: x\r\n\r\n')]));
  await rm(path.join(folder, 'tmp'), { recursive: true });
  await assert.rejects(write(), { code: 'ENOENT' });
  await mkdir(path.join(folder, 'tmp'));
  assert.equal((await write()).bytes, 14);
});

test('a small message is there at once, and safe when it says so', async (t) => {
  const folder = await openFolder(t);
  const spool = await Spool.open(folder);
  const arriving = await spool.take(Readable.from([Buffer.from('Subject: x\n\nbody\n')]));
  assert.equal(Buffer.from(arriving.message ?? []).toString(), 'Subject: x\r\n\r\nbody\r\n');
  assert.equal(await text(await spool.open(arriving.id)), 'Subject: x\r\n\r\nbody\r\n');
  await arriving.stored;
  assert.equal(await readFile(spool.placeOf(arriving.id), 'utf8'), 'Subject: x\r\n\r\nbody\r\n');
  await spool.remove(arriving.id);
  await assert.rejects(spool.open(arriving.id), { code: 'not_found' });
});

test('what could not be stored is not kept in memory either', async (t) => {
  const folder = await openFolder(t);
  const spool = await Spool.open(folder);
  await rm(path.join(folder, 'tmp'), { recursive: true });
  const arriving = await spool.take(Readable.from([Buffer.from('Subject: x\r\n\r\n')]));
  await assert.rejects(arriving.stored, { code: 'ENOENT' });
  await assert.rejects(spool.open(arriving.id), { code: 'not_found' });
});

test('recent bodies are bounded, the oldest go first', () => {
  const recent = new RecentBodies(10);
  recent.put('a', new Uint8Array(4));
  recent.put('b', new Uint8Array(4));
  recent.put('a', new Uint8Array(4));
  recent.put('c', new Uint8Array(4));
  assert.deepEqual(
    ['a', 'b', 'c'].map((id) => recent.get(id)?.length),
    [4, undefined, 4],
  );
  recent.put('d', new Uint8Array(11));
  assert.deepEqual(
    ['a', 'c', 'd'].map((id) => recent.get(id)?.length),
    [undefined, undefined, undefined],
  );
});

test('rule 1: a disk that ends in the middle of the last write is a failure, and nothing stays', async (t) => {
  const folder = await openFolder(t);
  await Spool.open(folder);
  // The kernel writes up to the limit and says so; only the next write would fail.
  const script = `
    import { Readable } from 'node:stream';
    import { Spool } from ${JSON.stringify(new URL('../../src/gateway/spool.js', import.meta.url).href)};
    const spool = await Spool.open(${JSON.stringify(folder)});
    const message = Buffer.from('Subject: x\\r\\n\\r\\n' + 'x'.repeat(68).concat('\\r\\n').repeat(2_860));
    const source = Readable.from([message.subarray(0, 150_000), message.subarray(150_000)]);
    await spool.write(source).then(() => console.log('written'), (error) => console.log(error.code));`;
  const blocks = Math.floor(195_000 / 512);
  const { stdout, stderr } = spawnSync(
    'sh',
    ['-c', `trap '' XFSZ; ulimit -f ${blocks}; exec "$@"`, 'sh', process.execPath, '--input-type=module', '-e', script],
    { encoding: 'utf8' },
  );
  assert.equal(stdout.trim(), 'EFBIG', stderr);
  const left = await readdir(folder, { recursive: true });
  assert.deepEqual(
    left.filter((name) => name.endsWith('.eml') || name.startsWith('tmp/')),
    [],
  );
});

test('rule 1: the folders of a new spool survive a loss of power as well', async (t) => {
  const root = await realpath(await openFolder(t));
  const synced: string[] = [];
  const disk: SpoolDisk = {
    ...realDisk,
    async sync(handle) {
      synced.push(path.relative(root, await readlink(`/proc/self/fd/${handle.fd}`)));
    },
  };
  await Spool.open(path.join(root, 'a', 'b', 'spool'), disk);
  assert.deepEqual(synced.toSorted(), ['', 'a', 'a/b', 'a/b/spool']);
  await Spool.open(path.join(root, 'a', 'b', 'spool'), disk);
  assert.deepEqual(synced.slice(4), ['a/b/spool']);
});

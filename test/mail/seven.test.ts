import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import test from 'node:test';
import { gunzipSync, gzipSync } from 'node:zlib';
import { packageRoot } from '../../src/config/root.ts';
import { inspectContent } from '../../src/mail/archives.ts';
import { ARCHIVE_LIMITS, Budget } from '../../src/mail/budget.ts';
import { listedEntries } from '../../src/mail/seven.ts';
import { makeZip } from './support/zip.ts';

const folder = path.join(packageRoot(), 'test/fixtures/archives');
const fixture = (name: string) => gunzipSync(readFileSync(path.join(folder, `${name}.gz`)));
const inspect = async (content: Buffer, name = 'files.bin', budget = new Budget()) =>
  (await inspectContent([name], 'application/octet-stream', content, budget)).inspection;

const PLAIN = [
  ...['plain.7z', 'plain4.rar', 'plain5.rar', 'plain.cab', 'plain.arj', 'plain.lzh', 'plain.wim', 'plain.xar'],
  ...['plain.ar', 'plain.cpio', 'plain.tar.xz', 'plain.tar.bz2', 'plain.tar.gz'],
];
const IMAGES = ['plain.iso', 'plain.img', 'dynamic.vhd', 'fixed.vhd', 'plain.vhdx', 'plain.vmdk'];

for (const name of [...PLAIN, ...IMAGES]) {
  test(`the program in ${name} is found by its content, whatever the names are`, async () => {
    const exitCode = process.exitCode;
    const found = await inspect(fixture(name));
    assert.deepEqual(found.suspicious, []);
    assert.equal(found.encrypted, false);
    assert.equal(found.executable, true);
    const types = new Map(found.entries.map((entry) => [path.basename(entry.path), entry]));
    assert.equal(types.get('report.bin')?.sniffedType, 'application/x-msdownload');
    assert.equal(types.get('report.bin')?.bytes, 214);
    assert.equal(types.get('note.txt')?.bytes, 21);
    assert.equal(process.exitCode, exitCode);
  });
}

test('an archive without anything bad in it is nothing', async () => {
  const found = await inspect(fixture('clean.7z'), 'clean.7z');
  assert.deepEqual([found.executable, found.encrypted, found.suspicious], [false, false, []]);
  assert.deepEqual(
    found.entries.map((entry) => entry.path),
    ['clean.7z/note.txt'],
  );
});

test('a program is found by its name alone, in an archive in an archive, and in single streams', async () => {
  assert.equal((await inspect(fixture('named.7z'))).executable, true);
  const nested = await inspect(fixture('nested.7z'), 'a.7z');
  assert.equal(nested.executable, true);
  assert.ok(nested.entries.some((entry) => entry.path === 'a.7z/inner.zip/report.bin'));
  for (const kind of ['xz', 'bz2']) {
    const found = await inspect(fixture(`report.${kind}`), `report.${kind}`);
    assert.equal(found.executable, true, kind);
    assert.deepEqual(
      found.entries.map((entry) => entry.path),
      [`report.${kind}/report`],
    );
    assert.equal((await inspect(fixture(`clean.7z`), 'x')).executable, false);
    const tar = await inspect(fixture(`plain.tar.${kind}`), `a.tar.${kind}`);
    assert.ok(tar.entries.some((entry) => entry.path === `a.tar.${kind}/a.tar/report.bin`));
  }
});

test('depth counts through all kinds of containers', async () => {
  let content: Buffer = fixture('nested.7z');
  for (const name of ['2.zip', '1.zip']) content = makeZip([{ name, content }]);
  const found = await inspect(content, '0.zip');
  assert.ok(found.suspicious.includes('archive.depth'));
});

test('encrypted entries and encrypted headers are encrypted archives, and no key is derived', async () => {
  for (const name of ['encrypted.7z', 'encrypted4.rar']) {
    const found = await inspect(fixture(name));
    assert.deepEqual([found.encrypted, found.executable, found.suspicious], [true, false, []], name);
    assert.equal(found.entries.length, 2, name);
  }
  for (const name of ['header-encrypted.7z', 'header-encrypted5.rar']) {
    const found = await inspect(fixture(name));
    assert.deepEqual([found.encrypted, found.suspicious], [true, []], name);
  }
});

test('bombs cost no more than the bounds', async () => {
  const listed = new Budget();
  const seven = await inspect(fixture('bomb.7z'), 'b.7z', listed);
  assert.deepEqual(seven.suspicious, ['archive.ratio']);
  assert.equal(listed.inflatedUsed, 0);
  for (const name of ['bomb.xz', 'bomb.bz2']) {
    const budget = new Budget();
    const found = await inspect(fixture(name), name, budget);
    assert.deepEqual(found.suspicious, ['archive.ratio'], name);
    assert.ok(budget.inflatedUsed <= 1_048_576, name);
  }
  const small = new Budget({ ...ARCHIVE_LIMITS, ratio: 1e6, inflated: 2 * 1_048_576 });
  assert.deepEqual((await inspect(fixture('bomb.xz'), 'b.xz', small)).suspicious, ['archive.size']);
  assert.ok(small.inflatedUsed <= 2 * 1_048_576);
  const two = new Budget({ ...ARCHIVE_LIMITS, entries: 1 });
  assert.deepEqual((await inspect(fixture('plain.7z'), 'a.7z', two)).suspicious, ['archive.entries']);
  assert.ok(two.entriesUsed <= 1);
});

test('what is damaged, cut or followed by more is named', async () => {
  const seven = fixture('plain.7z');
  assert.ok((await inspect(seven.subarray(0, seven.length - 20))).suspicious.length > 0);
  assert.ok((await inspect(seven.subarray(0, 16))).suspicious.includes('archive.opaque'));
  assert.ok((await inspect(Buffer.concat([seven, Buffer.from('more')]))).suspicious.includes('archive.trailing'));
  const flipped = Buffer.from(fixture('plain4.rar'));
  const at = flipped.indexOf(Buffer.from('MZ'));
  flipped[at + 100] = 0x41;
  assert.ok((await inspect(flipped)).suspicious.includes('archive.damaged'));
  const stream = fixture('report.xz');
  assert.ok((await inspect(stream.subarray(0, stream.length - 30))).suspicious.length > 0);
});

test('a kind that nobody here can open says so', async () => {
  const ace = Buffer.concat([Buffer.alloc(7), Buffer.from('**ACE**'), Buffer.alloc(100)]);
  assert.deepEqual((await inspect(ace)).suspicious, ['archive.opaque']);
  const lzh = Buffer.concat([Buffer.from([30, 0]), Buffer.from('-lh7-'), Buffer.alloc(60, 0xff)]);
  assert.ok((await inspect(lzh)).suspicious.length > 0);
});

test('a disk image is refused whatever is on it, an archive is not', async () => {
  const image = fixture('plain.img');
  for (let at = image.indexOf('MZ'); at >= 0; at = image.indexOf('MZ', at)) image.write('xx', at);
  const found = await inspect(image);
  assert.ok(found.entries.some((entry) => entry.path.endsWith('note.txt')));
  assert.equal(found.executable, true);
});

test('a listing with a line break in a name does not fool the reader', () => {
  const entries = listedEntries([
    '--',
    'Path = /in',
    'Type = 7z',
    '----------',
    'Path = a.exe',
    'Path = harmless.txt',
    'Size = 5',
    'Encrypted = -',
    '',
    'Path = dir',
    'Attributes = D drwx',
    '',
  ]);
  assert.deepEqual(entries, [
    { path: 'a.exe', bytes: 5, folder: false, encrypted: false },
    { path: 'dir', bytes: 0, folder: true, encrypted: false },
  ]);
});

test('a compressed file without a name of its own is named as programs name it', async () => {
  const script = gzipSync('x = 1');
  assert.equal((await inspect(script, 'invoice.js.gz')).executable, true);
  assert.equal((await inspect(script, 'invoice.txt.gz')).executable, false);
});

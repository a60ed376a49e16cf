import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { extensionOf, inspectName, normalizeName } from '../../src/mail/names.ts';

test('names are read as the recipient’s system reads them', () => {
  const cases: [string, string][] = [
    ['report.pdf', 'report.pdf'],
    ['invoice\u202efdp.exe', 'invoicefdp.exe'],
    ['a.e\u200bxe', 'a.exe'],
    ['a.exe.', 'a.exe'],
    ['a.exe . .', 'a.exe'],
    ['a.exe::$DATA', 'a.exe'],
    ['a.exe:stream', 'a.exe'],
    ['a.exe\u0000.pdf', 'a.exe.pdf'],
    ['a.ｅｘｅ', 'a.exe'],
    ['..\\..\\win\\a.exe', 'a.exe'],
    ['C:\\temp\\a.js', 'a.js'],
    ['/etc/passwd', 'passwd'],
    ['a\u3164.exe', 'a.exe'],
    ['a.exe\u{e0020}', 'a.exe'],
    ['a\ufe00.exe', 'a.exe'],
    [`a.exe${'\u200b'.repeat(3000)}`, 'a.exe'],
    ['   ', ''],
    ['résumé.doc', 'résumé.doc'],
  ];
  for (const [raw, name] of cases) assert.equal(normalizeName(raw), name, JSON.stringify(raw));
  const long = normalizeName(`${'x'.repeat(5000)}.exe`);
  assert.equal(long.length, 255);
  assert.equal(extensionOf(long), 'exe');
});

test('dangerous, macro and double extensions', () => {
  for (const extension of 'exe scr lnk iso img one hta js vbs bat cmd ps1 jar msi reg vhd wsf chm xll url settingcontent-ms'.split(
    ' ',
  )) {
    assert.equal(inspectName(`a.${extension}`).dangerous, true, extension);
  }
  for (const extension of 'pdf docx xlsx txt jpg zip html eml ics p7s csv'.split(' ')) {
    assert.equal(inspectName(`a.${extension}`).dangerous, false, extension);
  }
  assert.equal(inspectName('a.docm').macro, true);
  assert.equal(inspectName('invoice.pdf.exe').doubleExtension, true);
  assert.equal(inspectName(`invoice.pdf${' '.repeat(60)}.exe`).doubleExtension, true);
  assert.equal(inspectName('setup.exe').doubleExtension, false);
  assert.equal(inspectName('archive.tar.gz').doubleExtension, false);
  assert.equal(inspectName('v1.2.pdf').doubleExtension, false);
  assert.equal(inspectName('a\u202egpj.exe').disguised, true);
  assert.equal(inspectName('a.exe::$DATA').disguised, true);
  assert.equal(inspectName('עברית.pdf').disguised, false);
  assert.equal(inspectName('\u200fעברית\u200e.pdf').disguised, false);
  assert.equal(inspectName('\u2068photo\u2069.jpg').disguised, false);
  assert.equal(inspectName('photo\u2067.jpg.scr').disguised, true);
});

test('property: a normal form is its own normal form and holds no path or control character', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme', maxLength: 400 }), (raw) => {
      const name = normalizeName(raw);
      assert.equal(normalizeName(name), name);
      // biome-ignore lint/suspicious/noControlCharactersInRegex: what must not be left
      assert.doesNotMatch(name, /[\u0000-\u001f/\\\u202a-\u202e]/);
    }),
    { numRuns: 3000 },
  );
});

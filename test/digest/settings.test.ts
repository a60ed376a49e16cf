import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readConfig } from '../../src/config/config.ts';
import { inkOn, readableOn } from '../../src/digest/colors.ts';
import { quotedPrintable } from '../../src/digest/mime.ts';
import { isLanguage, LANGUAGES, wordsOf } from '../../src/digest/words.ts';

test('the public URL is an origin; without one it is where HTTP listens', () => {
  assert.equal(readConfig({}).publicUrl, null);
  assert.equal(
    readConfig({ TOLLGATE_PUBLIC_URL: 'https://Mail.MSP.example:8443/' }).publicUrl,
    'https://mail.msp.example:8443',
  );
  for (const wrong of [
    'mail.msp.example',
    'ftp://msp.example',
    'https://msp.example/mail',
    'https://u:p@msp.example',
    'https://msp.example/?a=1',
  ]) {
    assert.throws(() => readConfig({ TOLLGATE_PUBLIC_URL: wrong }), /TOLLGATE_PUBLIC_URL is not/, wrong);
  }
});

test('quoted-printable: lines of at most 76, no space at an end, and the text comes back', () => {
  const text = `${'a'.repeat(200)} \n=é\u{1f600} tab\t\nend\n`;
  const written = quotedPrintable(text);
  for (const line of written.split('\r\n')) assert.ok(line.length <= 76 && !/[ \t]$/.test(line), line);
  const bytes = written
    .replace(/=\r\n/g, '')
    .replace(/=([0-9A-F]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
  assert.equal(Buffer.from(bytes, 'latin1').toString(), text.replace(/\n/g, '\r\n'));
});

test('a brand of any colour is readable', () => {
  assert.deepEqual([inkOn('#ffe000'), inkOn('#101010')], ['#000000', '#ffffff']);
  assert.equal(readableOn('#1f3a5f', '#ffffff'), '#1f3a5f', 'a colour that can be read stays');
  for (const color of ['#ffffff', '#ffff00', '#00ff00', '#777777', '#000000']) {
    assert.notEqual(readableOn(color, '#ffffff'), '#ffffff');
    assert.notEqual(readableOn(color, '#171c23'), '#171c23');
  }
});

test('a language that is not there is English', () => {
  assert.deepEqual(LANGUAGES, ['en']);
  assert.equal(wordsOf('xx'), wordsOf('en'));
  assert.ok(!isLanguage('constructor'));
});

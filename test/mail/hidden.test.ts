import assert from 'node:assert/strict';
import test from 'node:test';
import { findInline } from '../../src/mail/inline.ts';
import { parseMail } from '../../src/mail/parse.ts';
import { stripAttachments } from '../../src/mail/strip.ts';
import { crlf, PROGRAM, withPart } from './support/samples.ts';

const FORBIDDEN = new Set([0, 10, 13, 61]);

/** yEnc of a file, in lines of 64. */
function yenc(content: Buffer, name: string): Buffer {
  const bytes: number[] = [];
  for (const byte of content) {
    const coded = (byte + 42) & 0xff;
    if (FORBIDDEN.has(coded)) bytes.push(61, (coded + 64) & 0xff);
    else bytes.push(coded);
  }
  return Buffer.concat([
    Buffer.from(`=ybegin line=128 size=${content.length} name=${name}\r\n`),
    Buffer.from(bytes),
    Buffer.from(`\r\n=yend size=${content.length}\r\n`),
  ]);
}

function uuencode(content: Buffer, name: string): string[] {
  const lines = [`begin 644 ${name}`];
  for (let at = 0; at < content.length; at += 45) {
    const piece = content.subarray(at, at + 45);
    const padded = Buffer.concat([piece, Buffer.alloc((3 - (piece.length % 3)) % 3)]);
    let line = String.fromCharCode(0x20 + piece.length);
    for (let group = 0; group < padded.length; group += 3) {
      const bits = padded.readUIntBE(group, 3);
      for (const shift of [18, 12, 6, 0]) line += String.fromCharCode(((bits >> shift) & 63) + 0x20).replace(' ', '`');
    }
    lines.push(line);
  }
  return [...lines, '`', 'end'];
}

const ALPHABET = '!"#$%&\'()*+,-012345689@ABCDEFGHIJKLMNPQRSTUVXYZ[`abcdefhijklmpqr';

function binhex(content: Buffer, name: string): string[] {
  const head = Buffer.alloc(1 + name.length + 21);
  head[0] = name.length;
  head.write(name, 1, 'latin1');
  head.writeUInt32BE(content.length, 1 + name.length + 11);
  const raw = Buffer.concat([head, content, Buffer.alloc(4)]);
  const packed = Buffer.from([...raw].flatMap((byte) => (byte === 0x90 ? [0x90, 0] : [byte])));
  let bits = '';
  for (const byte of packed) bits += byte.toString(2).padStart(8, '0');
  let text = ':';
  for (let at = 0; at < bits.length; at += 6)
    text += ALPHABET[Number.parseInt(bits.slice(at, at + 6).padEnd(6, '0'), 2)];
  return ['(This file must be converted with BinHex 4.0)', '', ...(`${text}:`.match(/.{1,64}/g) ?? [])];
}

const base64 = PROGRAM.toString('base64').match(/.{1,76}/g) ?? [];

test('files written into a text are decoded octet by octet', () => {
  const cases: [string, Buffer][] = [
    ['uuencode', crlf('hello', ...uuencode(PROGRAM, 'evil.bin'), 'bye')],
    ['uuencode', crlf('begin-base64 644 evil.bin', ...base64, '====')],
    ['yenc', Buffer.concat([Buffer.from('hello\r\n'), yenc(PROGRAM, 'evil.bin')])],
    ['binhex', crlf('hello', ...binhex(PROGRAM, 'evil.bin'))],
  ];
  for (const [kind, text] of cases) {
    const [file, ...more] = findInline(text, 10);
    assert.deepEqual([file?.kind, file?.name, more.length], [kind, 'evil.bin', 0]);
    assert.deepEqual(file?.content, PROGRAM, kind);
  }
});

test('runs in BinHex are repeated and bounded', () => {
  const [file] = findInline(crlf(...binhex(Buffer.alloc(3, 7), 'a.bin')), 1);
  assert.equal(file?.content.length, 3);
  const noise = crlf('(This file must be converted with BinHex 4.0)', `:${'"'.repeat(100_000)}:`);
  assert.ok(findInline(noise, 10).length <= 1);
});

test('texts that speak of such files hold none', () => {
  for (const line of ['begin with the end', 'begin 644', '=ybegin', 'the file must be converted', 'begin-base64 x']) {
    assert.deepEqual(findInline(crlf('Hello', line, 'and so on', ''), 10), [], line);
  }
});

const text = ['Content-Type: text/plain', ''];
const HIDDEN: readonly [string, Buffer, string][] = [
  [
    'yEnc in the text',
    Buffer.concat([
      crlf('From: a@b.example', 'Content-Type: text/plain', 'Content-Transfer-Encoding: 8bit', ''),
      yenc(PROGRAM, 'a.bin'),
    ]),
    'yenc',
  ],
  ['BinHex in the text', crlf('From: a@b.example', '', 'see', ...binhex(PROGRAM, 'a.bin')), 'binhex'],
  [
    'base64 of the uuencode kind',
    crlf('From: a@b.example', '', 'begin-base64 644 a.bin', ...base64, '===='),
    'uuencode',
  ],
  [
    'in front of the first delimiter',
    crlf(
      'From: a@b.example',
      'Content-Type: multipart/mixed; boundary=b',
      '',
      ...uuencode(PROGRAM, 'a.bin'),
      '--b',
      ...text,
      'hi',
      '--b--',
    ),
    'file_outside_parts',
  ],
  [
    'behind the last delimiter',
    crlf(
      'From: a@b.example',
      'Content-Type: multipart/mixed; boundary=b',
      '',
      '--b',
      ...text,
      'hi',
      '--b--',
      '',
      ...uuencode(PROGRAM, 'a.bin'),
    ),
    'file_outside_parts',
  ],
];

for (const [title, message, anomaly] of HIDDEN) {
  test(`hidden attachment: ${title}`, async () => {
    const mail = await parseMail(message);
    assert.ok(mail.anomalies.includes(anomaly), mail.anomalies.join(' '));
    assert.ok(mail.attachments.some((file) => file.inspection.executable));
    const { message: stripped, removed } = await stripAttachments(message, (file) => file.inspection.executable);
    assert.deepEqual(removed, ['a.bin']);
    assert.ok((await parseMail(stripped)).attachments.every((file) => !file.inspection.executable));
  });
}

test('a BinHex attachment is opened', async () => {
  const mail = await parseMail(
    withPart(
      ['Content-Type: application/mac-binhex40; name=a.hqx', 'Content-Transfer-Encoding: base64'],
      crlf(...binhex(PROGRAM, 'x.bin')),
    ),
  );
  assert.equal(mail.attachments[0]?.inspection.executable, true);
  assert.ok(mail.attachments[0]?.inspection.entries.some((entry) => entry.path === 'a.hqx/x.bin'));
});

test('preambles and epilogues of honest mail hold nothing', async () => {
  const mail = await parseMail(
    crlf(
      'From: a@b.example',
      'Content-Type: multipart/mixed; boundary=b',
      '',
      'This is a multi-part message in MIME format.',
      '--b',
      ...text,
      'hi',
      '--b--',
      '',
      'list footer',
    ),
  );
  assert.deepEqual([mail.anomalies, mail.attachments], [[], []]);
});

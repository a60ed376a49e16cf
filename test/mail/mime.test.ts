import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { decodeBase64, decodeQuotedPrintable, decodeTransfer, findUuencoded } from '../../src/mail/decode.ts';
import { decodeWords, paramValues, parseStructured, walkStructure } from '../../src/mail/mime.ts';
import { crlf } from './support/samples.ts';

test('parts and their bodies, exactly', () => {
  const message = crlf(
    'Content-Type: multipart/mixed; boundary="a b"',
    '',
    'preamble',
    '--a b',
    '',
    'one',
    '',
    '--a b  ',
    'Content-Type: multipart/alternative; boundary=c',
    '',
    '--c',
    'Content-Type: text/html',
    '',
    'two',
    '--c--',
    '--a b--',
    'epilogue',
  );
  const { parts, anomalies } = walkStructure(message);
  assert.deepEqual(
    parts.map((part) => [part.contentType, part.depth, message.toString('latin1', part.bodyStart, part.bodyEnd)]),
    [
      ['text/plain', 1, 'one\r\n'],
      ['text/html', 2, 'two'],
    ],
  );
  assert.equal(anomalies.size, 0);
});

test('a nested part cannot swallow the delimiters of the outer one', () => {
  const message = crlf(
    'Content-Type: multipart/mixed; boundary=a',
    '',
    '--a',
    'Content-Type: multipart/mixed; boundary=b',
    '',
    '--b',
    '',
    'x',
    '--a',
    'Content-Type: application/octet-stream; name=e.exe',
    '',
    'y',
    '--a--',
  );
  assert.deepEqual(
    walkStructure(message).parts.map((part) => part.names),
    [[], ['e.exe']],
  );
});

test('the work is one step per line, however hostile', () => {
  const nested = Array.from(
    { length: 3000 },
    (_, level) => `Content-Type: multipart/mixed; boundary=b${level}\r\n\r\n--b${level}`,
  );
  const hostile: [string, Buffer][] = [
    ['nested multiparts', crlf(...nested)],
    ['empty parts', crlf('Content-Type: multipart/mixed; boundary=b', '', ...Array<string>(100_000).fill('--b'))],
    [
      'almost delimiters',
      crlf('Content-Type: multipart/mixed; boundary=b', '', ...Array<string>(100_000).fill('--bb')),
    ],
    ['begin lines', crlf('Subject: x', '', ...Array<string>(100_000).fill('begin 644 a'))],
    [
      'many boundaries',
      crlf(`Content-Type: multipart/mixed${'; boundary=x'.repeat(5000)}`, '', ...Array<string>(1000).fill('--x')),
    ],
  ];
  for (const [title, message] of hostile) {
    const lines = message.reduce((count, byte) => count + (byte === 0x0a ? 1 : 0), 0);
    const { work, parts } = walkStructure(message);
    assert.ok(work <= lines + 1, `${title}: ${work} steps for ${lines} lines`);
    assert.ok(parts.length <= 1031, `${title}: ${parts.length} parts`);
  }
});

test('property: any bytes are walked, and every part lies inside of the message', () => {
  const piece = fc.constantFrom(
    '\r\n',
    '\n',
    '--b',
    '--b--',
    '--c',
    'Content-Type: multipart/mixed; boundary=b',
    'Content-Type: multipart/x; boundary=c',
    'Content-Type: message/rfc822',
    'Content-Transfer-Encoding: base64',
    'x',
    ' ',
    '\r',
  );
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 40 }), (pieces) => {
      const message = Buffer.from(pieces.join(''));
      for (const part of walkStructure(message).parts) {
        assert.ok(0 <= part.headerStart && part.headerStart <= part.bodyStart);
        assert.ok(part.bodyStart <= part.bodyEnd && part.bodyEnd <= message.length);
      }
    }),
    { numRuns: 3000 },
  );
});

test('parameters in all their notations', () => {
  const value = parseStructured('Attachment (a;b); Filename="a\\"b; c.txt" ; name=plain; x="open');
  assert.equal(value.value, 'attachment');
  assert.deepEqual(paramValues(value, 'filename'), ['a"b; c.txt']);
  assert.deepEqual(paramValues(value, 'name'), ['plain']);
  assert.deepEqual(paramValues(value, 'x'), ['open']);
  const split = parseStructured("x; name*1*=%20b; name*0*=iso-8859-1'de'%E4; name=other");
  assert.deepEqual(paramValues(split, 'name'), ['other', 'ä b']);
  assert.deepEqual(paramValues(parseStructured('x; name=file(1).pdf'), 'name'), ['file(1).pdf']);
});

test('encoded words: pairs, charsets, the unknown', () => {
  assert.equal(decodeWords('=?utf-8?Q?a_=C3=A4?= =?utf-8?B?w6Q=?= x'), 'a ää x');
  assert.equal(decodeWords('=?iso-8859-1*de?q?=E4?='), 'ä');
  assert.equal(decodeWords('=?nonsense?Q?=E4?='), 'ä');
  assert.equal(decodeWords('100%=?utf-8?Q?50%?='), '100%50%');
  assert.equal(decodeWords('=?broken'), '=?broken');
});

test('transfer encodings, forgivingly', () => {
  assert.equal(decodeBase64(Buffer.from('TVo=kAAD')).toString('hex'), '4d5a900003');
  assert.equal(decodeBase64(Buffer.from('TV!o\r\n=\r\n')).toString('latin1'), 'MZ');
  assert.equal(decodeQuotedPrintable(Buffer.from('a=3D=\r\nb= \nc=zz=4')).toString(), 'a=bc=zz=4');
  assert.equal(decodeTransfer(Buffer.from('TVo='), 'x-base64').toString(), 'MZ');
  assert.equal(decodeTransfer(Buffer.from('as it is'), 'x-unknown').toString(), 'as it is');
  const [file] = findUuencoded(Buffer.from('text\nbegin 644 my file.txt\n#0V%T\n`\nend\nbegin here we go\n'), 10);
  assert.deepEqual([file?.name, file?.content.toString()], ['my file.txt', 'Cat']);
  assert.deepEqual(findUuencoded(Buffer.from('begin 644 a\n'.repeat(1000)), 10), []);
});

test('property: base64 and quoted-printable give back what was encoded', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 500 }), (bytes) => {
      const content = Buffer.from(bytes);
      const lines = content.toString('base64').match(/.{1,76}/g) ?? [];
      assert.deepEqual(decodeBase64(Buffer.from(lines.join('\r\n'))), content);
      const quoted = [...content].map((byte) => `=${byte.toString(16).padStart(2, '0').toUpperCase()}`).join('');
      assert.deepEqual(decodeQuotedPrintable(Buffer.from(quoted)), content);
    }),
  );
});

import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { test } from 'node:test';
import fc from 'fast-check';
import { decodeQuotedPrintable } from '../../src/mail/decode.ts';
import { Base64Lines, Base64Reader, QuotedLines } from '../../src/mail/encode.ts';
import { parseMail } from '../../src/mail/parse.ts';
import { Reencode, ReencodeError } from '../../src/mail/reencode.ts';
import { corpusMail } from '../support/corpus.ts';

const NOTE = 'X-Tollgate-Second-Chance: re-encoded\r\n';

async function reencode(message: string | Buffer, cut = 65_536): Promise<string> {
  const bytes = typeof message === 'string' ? Buffer.from(message, 'utf8') : message;
  const pieces = Array.from({ length: Math.ceil(bytes.length / cut) }, (_, at) =>
    bytes.subarray(at * cut, (at + 1) * cut),
  );
  return (await buffer(Readable.from(pieces).pipe(new Reencode(NOTE)))).toString('latin1');
}

function assertClean(text: string): void {
  assert.match(text, /^[\x20-\x7e\t\r\n]*$/, 'ASCII only');
  assert.doesNotMatch(text, /[^\r]\n|\r[^\n]/, 'CRLF only');
  for (const line of text.split('\r\n')) assert.ok(line.length <= 998, `a line of ${line.length}`);
  assert.ok(text.endsWith('\r\n'));
}

test('text becomes quoted-printable, files base64, overlong and 8-bit lines and headers are repaired', async () => {
  const long = `${'a word and another '.repeat(200)}ä`;
  const out = await reencode(
    [
      `Subject: Grüße ${'from far '.repeat(150)}`,
      'From: "Müller, Jörg" <joerg@acme.example>, Zoë <zoe@acme.example>',
      'MIME-Version: 1.0',
      'Content-Type: multipart/mixed; boundary="b1"',
      '',
      'preamble',
      '--b1',
      'Content-Type: text/html; charset=utf-8',
      'Content-Transfer-Encoding: 8bit',
      '',
      long,
      '.hidden dot ',
      'From here',
      '--b1',
      'Content-Type: application/pdf; name="façade.pdf"',
      'Content-Transfer-Encoding: binary',
      '',
      '%PDF-1.7 ü',
      '--b1--',
      '',
    ].join('\r\n'),
  );
  assertClean(out);
  assert.ok(out.startsWith(NOTE));
  const mail = await parseMail(Buffer.from(out, 'latin1'));
  assert.match(mail.subject, /^Grüße from far/);
  assert.ok(mail.html.length > 0 || mail.text.length > 0);
  assert.match(out, /filename|name\*=utf-8''fa%C3%A7ade\.pdf/);
  assert.match(out, /^=2Ehidden dot=20\r$/m);
  assert.match(out, /^=46rom here/m);
  assert.match(out, /=\?utf-8\?B\?[^?]+\?= <joerg@acme\.example>,\s+=\?utf-8\?B\?[^?]+\?= <zoe@acme\.example>/);
  assert.equal(mail.attachments.length, 1);
  assert.equal(mail.attachments[0]?.name, 'façade.pdf');
});

test('what is open is closed, attached messages are written anew inside, the rest of the tree stays', async () => {
  const out = await reencode(
    [
      'Content-Type: multipart/mixed; boundary=out',
      '',
      '--out',
      'Content-Type: message/rfc822',
      '',
      'Subject: innér',
      'Content-Type: multipart/alternative; boundary=in',
      '',
      '--in',
      '',
      'plain ö',
      '--out',
      'Content-Type: message/delivery-status',
      '',
      'Reporting-MTA: dns; x',
      '--out',
      'Content-Type: image/png',
      'Content-Transfer-Encoding: base64',
      '',
      'aGVs',
      'bG8=',
    ].join('\r\n'),
  );
  assertClean(out);
  assert.equal(out.match(/^--in--\r$/gm)?.length, 1);
  assert.equal(out.match(/^--out--\r$/gm)?.length, 1);
  assert.match(out, /^Reporting-MTA: dns; x\r$/m);
  assert.match(out, /Content-Transfer-Encoding: base64\r\n\r\naGVsbG8=\r\n--out--/);
  assert.match(out, /Content-Transfer-Encoding: quoted-printable\r\n\r\nplain =C3=B6\r\n--in--/);
});

test('a message that two readers would read differently is not written anew', async () => {
  for (const message of [
    'Content-Type: text/plain\r\nContent-Type: text/html\r\n\r\nx',
    'Content-Type: multipart/mixed; boundary=a; boundary=b\r\n\r\nx',
    'Content-Transfer-Encoding: base64\r\nContent-Transfer-Encoding: 8bit\r\n\r\nx',
    'Content-Type: multipart/mixed; boundary="ä"\r\n\r\nx',
    Array.from({ length: 60 }, (_, n) => `Content-Type: multipart/mixed; boundary=b${n}\r\n\r\n--b${n}\r\n`).join(''),
    'Subject: x\r\nno field at all\r\n\r\nx',
    'From: jörg@acme.example\r\n\r\nx',
    `X: ${'x'.repeat(1_100_000)}\r\n\r\n`,
  ]) {
    await assert.rejects(reencode(message), ReencodeError, message.slice(0, 60));
  }
});

test('wide text and uuencoded parts keep their octets', async () => {
  const wide = await reencode(
    Buffer.concat([
      Buffer.from('Content-Type: text/plain; charset=utf-16le\r\nContent-Transfer-Encoding: binary\r\n\r\n'),
      Buffer.from('a\nb', 'utf16le'),
    ]),
  );
  assert.match(wide, /base64\r\n\r\n/);
  const uu = await reencode(
    'Content-Type: application/x\r\nContent-Transfer-Encoding: x-uuencode\r\n\r\nbegin 644 x\r\n#86)C\r\nend',
  );
  assert.match(uu, /Content-Transfer-Encoding: x-uuencode\r\n\r\nbegin 644 x\r\n#86\)C\r\nend\r\n$/);
});

test('the encoders lose nothing, however the octets are cut', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 400 }), fc.integer({ min: 1, max: 50 }), (array, cut) => {
      const bytes = Buffer.from(array);
      const encode = (encoder: Base64Lines | QuotedLines) => {
        const out: Buffer[] = [];
        for (let at = 0; at < bytes.length; at += cut) out.push(encoder.write(bytes.subarray(at, at + cut)));
        return Buffer.concat([...out, encoder.end()]);
      };
      const base64 = encode(new Base64Lines());
      assert.deepEqual(Buffer.from(base64.toString('latin1'), 'base64'), bytes);
      const reader = new Base64Reader();
      const read = base64
        .toString('latin1')
        .split('\r\n')
        .map((line) => reader.write(Buffer.from(line)));
      assert.deepEqual(Buffer.concat([...read, reader.end()]), bytes);
      const quoted = encode(new QuotedLines());
      const text = quoted.toString('latin1');
      assert.match(text, /^[\x20-\x7e\t\r\n]*$/);
      for (const line of text.split('\r\n'))
        assert.ok(line.length <= 76 && !/[ \t]$/.test(line) && !/^[.-]/.test(line));
      const wanted = bytes.toString('latin1').replace(/\r?\n/g, '\r\n');
      assert.equal(decodeQuotedPrintable(quoted).toString('latin1'), wanted);
    }),
  );
});

test('real mail comes out clean, is read as before, and does not depend on how it is cut', async () => {
  let seen = 0;
  let at = 0;
  for (const { raw: message, name } of corpusMail()) {
    at += 1;
    if (at % 25 !== 0) continue;
    let out: string;
    try {
      out = await reencode(message);
    } catch (error) {
      assert.ok(error instanceof ReencodeError);
      continue;
    }
    seen += 1;
    assertClean(out);
    assert.equal(await reencode(message, 777), out);
    const [before, after] = [await parseMail(message), await parseMail(Buffer.from(out, 'latin1'))];
    assert.equal(after.subject, before.subject, name);
    assert.equal(after.text.replace(/\s+/g, ' ').trim(), before.text.replace(/\s+/g, ' ').trim(), name);
    assert.deepEqual(
      after.attachments.map((one) => one.name),
      before.attachments.map((one) => one.name),
      name,
    );
  }
  assert.ok(seen > 20, `${seen} messages`);
});

test('anything either comes out clean or is refused', async () => {
  const piece = fc.constantFrom(
    'Content-Type: multipart/mixed; boundary=a\r\n',
    'Content-Type: message/rfc822\r\n',
    'Content-Type: text/plain; charset="ü"\r\n',
    'Content-Transfer-Encoding: base64\r\n',
    'Content-Transfer-Encoding: quoted-printable\r\n',
    'Subject: é"\r\n',
    'To: "ü <x@y\r\n',
    '\r\n',
    '--a\r\n',
    '--a--\r\n',
    'text=\r\n',
    'z'.repeat(2000),
    '\u0000\n',
    '=C3=\t\r\n',
  );
  await fc.assert(
    fc.asyncProperty(fc.array(piece, { maxLength: 30 }), async (pieces) => {
      try {
        assertClean(await reencode(pieces.join('')));
      } catch (error) {
        assert.ok(error instanceof ReencodeError, String(error));
      }
    }),
  );
});

import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import test from 'node:test';
import { parseMail, UnparsableError } from '../../src/mail/parse.ts';
import type { ParsedMail } from '../../src/mail/types.ts';
import { crlf, EICAR, PROGRAM, withPart } from './support/samples.ts';
import { makeZip } from './support/zip.ts';

const names = (mail: ParsedMail) => mail.attachments.map((file) => file.name);
const isProgram = (mail: ParsedMail) => mail.attachments.some((file) => file.inspection.executable);
const attached = (name: string) => [
  'Content-Type: application/octet-stream',
  'Content-Transfer-Encoding: base64',
  `Content-Disposition: attachment; filename="${name}"`,
];

test('golden: an ordinary message', async () => {
  const mail = await parseMail(
    crlf(
      'From: =?utf-8?Q?Ann_=C3=84?= <Ann@Sender.example>',
      'To: bob@client.example, "Carl, C" <carl@client.example>',
      'Cc: team: d@client.example, e@client.example;',
      'Reply-To: reply@sender.example',
      'Subject: =?utf-8?B?w6QgYg==?=',
      '\tfolded',
      'Date: Wed, 14 Oct 2026 09:00:00 +0200',
      'Message-ID: <1@sender.example>',
      'MIME-Version: 1.0',
      'Content-Type: multipart/alternative; boundary=b',
      '',
      '--b',
      'Content-Type: text/plain; charset=iso-8859-1',
      'Content-Transfer-Encoding: quoted-printable',
      '',
      'Gr=FC=DFe',
      '--b',
      'Content-Type: text/html; charset=utf-8',
      '',
      '<p>Hi <a href="https://a.example/x">b.example</a><img src="https://t.example/p.gif"></p>',
      '--b--',
    ),
  );
  assert.deepEqual(mail.from, [{ address: 'ann@sender.example', name: 'Ann Ä' }]);
  assert.deepEqual(
    mail.to.map((entry) => entry.address),
    ['bob@client.example', 'carl@client.example'],
  );
  assert.deepEqual(
    mail.cc.map((entry) => entry.address),
    ['d@client.example', 'e@client.example'],
  );
  assert.equal(mail.replyTo[0]?.address, 'reply@sender.example');
  assert.equal(mail.subject, 'ä b folded');
  assert.equal(mail.messageId, '<1@sender.example>');
  assert.equal(mail.date?.toISOString(), '2026-10-14T07:00:00.000Z');
  assert.equal(mail.text.trim(), 'Grüße');
  assert.equal(mail.htmlText, 'Hi b.example');
  assert.deepEqual(mail.links, [{ href: 'https://a.example/x', text: 'b.example' }]);
  assert.deepEqual(mail.images, [{ src: 'https://t.example/p.gif' }]);
  assert.deepEqual(
    mail.headers.find((field) => field.name === 'subject'),
    { name: 'subject', value: 'ä b\tfolded' },
  );
  assert.deepEqual(mail.attachments, []);
  assert.deepEqual(mail.anomalies, []);
  assert.equal(mail.body.eicar, false);
});

test('an attachment is described once, by name, type, content', async () => {
  const mail = await parseMail(withPart(attached('invoice.pdf.exe'), PROGRAM));
  assert.equal(mail.attachments.length, 1);
  const [file] = mail.attachments;
  assert.equal(file?.name, 'invoice.pdf.exe');
  assert.equal(file?.bytes, PROGRAM.length);
  assert.equal(file?.sniffedType, 'application/x-msdownload');
  assert.equal(file?.inspection.executable, true);
  assert.deepEqual(file?.inspection.suspicious, ['name.double_extension']);
  assert.deepEqual(mail.anomalies, []);
});

test('a program under another name, in a zip, EICAR in a zip', async () => {
  assert.ok(isProgram(await parseMail(withPart(attached('scan.pdf'), PROGRAM))));
  assert.ok(
    isProgram(await parseMail(withPart(attached('a.zip'), makeZip([{ name: 'x/run.scr', content: PROGRAM }])))),
  );
  const eicar = await parseMail(withPart(attached('a.zip'), makeZip([{ name: 'e.com', content: EICAR }])));
  assert.equal(eicar.attachments[0]?.inspection.eicar, true);
});

const base64 = PROGRAM.toString('base64').match(/.{1,76}/g) ?? [];

/** What both mailparser and postal-mime show no attachment for. */
const HIDDEN: readonly [string, Buffer, string][] = [
  [
    'two Content-Type fields, the multipart second',
    withPart(attached('evil.exe'), PROGRAM, [
      'Content-Type: text/plain',
      'Content-Type: multipart/mixed; boundary="b1"',
    ]),
    'duplicate_content_type',
  ],
  [
    'two Content-Type fields, the multipart first',
    withPart(attached('evil.exe'), PROGRAM, [
      'Content-Type: multipart/mixed; boundary="b1"',
      'Content-Type: text/plain',
    ]),
    'duplicate_content_type',
  ],
  [
    'two boundaries, the second used',
    withPart(attached('evil.exe'), PROGRAM, ['Content-Type: multipart/mixed; boundary="zz"; boundary="b1"']),
    'duplicate_boundary',
  ],
  [
    'two boundaries, the first used',
    withPart(attached('evil.exe'), PROGRAM, ['Content-Type: multipart/mixed; boundary="b1"; boundary="zz"']),
    'duplicate_boundary',
  ],
  [
    'no boundary',
    withPart(attached('evil.exe'), PROGRAM, ['Content-Type: multipart/mixed']),
    'multipart_without_boundary',
  ],
  [
    'a name in a text part',
    withPart(['Content-Type: text/plain; name=evil.exe', 'Content-Transfer-Encoding: base64'], PROGRAM),
    'text_part_with_name',
  ],
  [
    'uuencoded text',
    crlf('From: a@b.example', 'Subject: x', '', 'Hello', 'begin 644 evil.exe', '#0V%T', '`', 'end', 'bye'),
    'uuencode',
  ],
  [
    'a bare CR in the header',
    withPart(
      [
        'Content-Type: text/plain',
        'X-A: b\rContent-Disposition: attachment; filename=evil.exe',
        'Content-Transfer-Encoding: base64',
      ],
      PROGRAM,
    ),
    'bare_cr_header',
  ],
  [
    'after the closing delimiter',
    crlf(
      'From: a@b.example',
      'Content-Type: multipart/mixed; boundary=b',
      '',
      '--b',
      '',
      'text',
      '--b--',
      '',
      '--b',
      ...attached('evil.exe'),
      '',
      ...base64,
      '--b--',
    ),
    'part_after_close',
  ],
  [
    'two encodings',
    withPart(
      [
        'Content-Type: application/octet-stream; name=evil.exe',
        'Content-Transfer-Encoding: 7bit',
        'Content-Transfer-Encoding: base64',
      ],
      PROGRAM,
    ),
    'duplicate_encoding',
  ],
  [
    'a multipart that is encoded as a whole',
    crlf(
      'From: a@b.example',
      'Content-Type: multipart/mixed; boundary=b',
      'Content-Transfer-Encoding: base64',
      '',
      crlf('--b', ...attached('evil.exe'), '', ...base64, '--b--').toString('base64'),
    ),
    'encoded_multipart',
  ],
  [
    'an empty boundary',
    crlf(
      'From: a@b.example',
      'Content-Type: multipart/mixed; boundary=""',
      '',
      '--',
      ...attached('evil.exe'),
      '',
      ...base64,
      '----',
    ),
    'multipart_without_boundary',
  ],
  [
    'an encoding that only some know',
    withPart(
      [
        'Content-Type: application/octet-stream; name=a.bin',
        'Content-Transfer-Encoding: x-base64',
        'Content-Disposition: attachment',
      ],
      PROGRAM,
    ),
    'odd_encoding',
  ],
  [
    'different names for different readers',
    withPart(
      [
        'Content-Type: application/pdf; name="good.pdf"',
        'Content-Disposition: attachment; filename="good.pdf"; filename="evil.exe"',
        'Content-Transfer-Encoding: base64',
      ],
      Buffer.from('x'),
    ),
    'several_names',
  ],
];

for (const [title, message, anomaly] of HIDDEN) {
  test(`hidden attachment: ${title}`, async () => {
    const mail = await parseMail(message);
    assert.ok(mail.anomalies.includes(anomaly), `${anomaly} in ${mail.anomalies.join(' ')}`);
    assert.ok(isProgram(mail), `${names(mail).join(' ')} holds a program`);
  });
}

test('names in all notations are decoded', async () => {
  const cases: [string, string][] = [
    ["Content-Disposition: attachment; filename*=utf-8''%C3%A4.exe", 'ä.exe'],
    ['Content-Disposition: attachment; filename*0="ev"; filename*1="il.exe"', 'evil.exe'],
    ["Content-Disposition: attachment; filename*0*=utf-8''%C3; filename*1*=%A4.exe", 'ä.exe'],
    ['Content-Disposition: attachment; filename="=?utf-8?B?w6QuZXhl?="', 'ä.exe'],
    ['Content-Disposition: attachment; filename="a\u202efdp.exe"', 'afdp.exe'],
    ['Content-Disposition: attachment; filename="a.exe. "', 'a.exe'],
    ['Content-Disposition: attachment (comment); filename = evil.exe', 'evil.exe'],
  ];
  for (const [disposition, name] of cases) {
    const message = withPart(
      [
        'Content-Type: application/octet-stream',
        'Content-Transfer-Encoding: base64',
        Buffer.from(disposition).toString('latin1'),
      ],
      Buffer.from('content'),
    );
    const mail = await parseMail(message);
    assert.deepEqual(names(mail), [name], disposition);
    assert.equal(isProgram(mail), true, disposition);
  }
});

test('attached messages are opened, and messages in them, up to a depth', async () => {
  const inner = withPart(attached('evil.exe'), PROGRAM);
  const wrap = (message: Buffer) =>
    Buffer.concat([
      crlf(
        'From: a@b.example',
        'Content-Type: multipart/mixed; boundary=o',
        '',
        '--o',
        'Content-Type: message/rfc822',
        '',
      ),
      message,
      crlf('', '--o--'),
    ]);
  const once = await parseMail(wrap(inner));
  assert.ok(isProgram(once));
  assert.ok(once.attachments[0]?.inspection.entries.some((entry) => entry.path.endsWith('/evil.exe')));
  // Boundaries must differ, or the outer message ends with the inner one: that is a case of its own.
  const twice = await parseMail(
    wrap(
      Buffer.from(
        wrap(inner).toString('latin1').replaceAll('--o', '--p').replace('boundary=o', 'boundary=p'),
        'latin1',
      ),
    ),
  );
  assert.ok(isProgram(twice));
  let deep = inner;
  for (let level = 0; level < 8; level += 1) {
    deep = Buffer.from(
      wrap(deep)
        .toString('latin1')
        .replaceAll(/(--|boundary=)o(?=\r|--)/g, `$1o${level}`),
      'latin1',
    );
  }
  const tooDeep = await parseMail(deep);
  assert.ok(tooDeep.attachments.some((file) => file.inspection.suspicious.includes('archive.depth')));
  const encoded = await parseMail(
    withPart(['Content-Type: message/rfc822', 'Content-Transfer-Encoding: base64'], inner),
  );
  assert.ok(isProgram(encoded));
});

test('winmail.dat is opened; partial and external messages are named', async () => {
  const record = (id: number, data: Buffer) => {
    const head = Buffer.alloc(9);
    head[0] = 2;
    head.writeUInt16LE(id, 1);
    head.writeUInt16LE(6, 3);
    head.writeUInt32LE(data.length, 5);
    return Buffer.concat([head, data, Buffer.alloc(2)]);
  };
  const tnef = Buffer.concat([
    Buffer.from('789f3e220100', 'hex'),
    record(0x9002, Buffer.alloc(14)),
    record(0x8010, Buffer.from('evil.exe\0')),
    record(0x800f, PROGRAM),
  ]);
  const mail = await parseMail(withPart(attached('winmail.dat'), tnef));
  assert.ok(mail.anomalies.includes('tnef'));
  assert.deepEqual(
    mail.attachments[0]?.inspection.entries.map((entry) => entry.path),
    ['winmail.dat/evil.exe'],
  );
  assert.ok(isProgram(mail));
  const field = (tag: number, value: Buffer) => {
    const head = Buffer.alloc(12);
    head.writeUInt32LE(tag);
    head.writeUInt32LE(1, 4);
    head.writeUInt32LE(value.length, 8);
    return Buffer.concat([head, value]);
  };
  const renamed = Buffer.concat([
    Buffer.from('789f3e220100', 'hex'),
    record(0x9002, Buffer.alloc(14)),
    record(0x8010, Buffer.from('good.txt\0')),
    record(0x800f, Buffer.from('x')),
    record(0x9005, field(0x3707001f, Buffer.from('evil.exe\0', 'utf16le'))),
  ]);
  assert.ok(isProgram(await parseMail(withPart(attached('winmail.dat'), renamed))));
  const message = Buffer.concat([
    Buffer.from('789f3e220100', 'hex'),
    record(0x9002, Buffer.alloc(14)),
    record(0x9005, field(0x3701000d, Buffer.concat([Buffer.alloc(16), tnef]))),
  ]);
  assert.ok(isProgram(await parseMail(withPart(attached('winmail.dat'), message))));
  const partial = await parseMail(
    crlf('From: a@b.example', 'Content-Type: message/partial; id=1; number=1; total=2', '', 'x'),
  );
  assert.ok(partial.anomalies.includes('message_partial'));
  assert.deepEqual(partial.attachments[0]?.inspection.suspicious, ['message.partial']);
  const external = await parseMail(
    withPart(['Content-Type: message/external-body; access-type=URL; URL="http://x.example/a.exe"'], Buffer.from('x')),
  );
  assert.ok(external.anomalies.includes('external_body'));
  assert.deepEqual(external.attachments[0]?.inspection.suspicious, ['message.external_body']);
});

test('EICAR and smuggling in the body itself', async () => {
  const eicar = await parseMail(crlf('From: a@b.example', 'Subject: x', '', EICAR.toString()));
  assert.equal(eicar.body.eicar, true);
  const payload = 'TVqQAAMAAAAEAAAA//8AALgAAAAAAAAAQAAAAAAAAAAA'.repeat(40);
  const html = `<script>var b=new Blob([atob("${payload}")]);a.href=URL.createObjectURL(b)</script>`;
  const smuggling = await parseMail(crlf('From: a@b.example', 'Content-Type: text/html', '', html));
  assert.equal(smuggling.body.htmlSmuggling, true);
});

test('repeated fields that must be single are named', async () => {
  const mail = await parseMail(crlf('From: a@b.example', 'From: c@d.example', 'Subject: a', 'Subject: b', '', 'x'));
  assert.deepEqual(mail.anomalies, ['duplicate_from', 'duplicate_subject']);
  assert.equal(mail.headers.filter((field) => field.name === 'from').length, 2);
});

test('a date that cannot be read is none', async () => {
  assert.equal((await parseMail(crlf('Date: yesterday', '', 'x'))).date, null);
  const now = new Date();
  assert.ok((await parseMail(crlf(`Date: ${now.toUTCString()}`, '', 'x'))).date !== null);
});

test('broken and empty input is read as far as it goes', async () => {
  for (const message of [
    '',
    '\r\n',
    'no header at all',
    ':\r\n\r\n',
    'Content-Type: multipart/mixed; boundary=b\r\n\r\n--b',
    '--\r\n--\r\n',
    'Content-Type: ;;;=;"\r\n\r\nx',
  ]) {
    const mail = await parseMail(Buffer.from(message));
    assert.equal(mail.date, null);
  }
});

test('a part with an empty and repeated Content-Type is an attachment like others', async () => {
  const mail = await parseMail(
    withPart(['Content-Type:', ': x', 'Content-Type: multipart/mixed; boundary="b2"'], PROGRAM),
  );
  assert.ok(mail.anomalies.includes('duplicate_content_type'));
  for (const file of mail.attachments) assert.equal(typeof file.contentType, 'string');
});

test('a message is read from a file; beyond a bound it is unscannable', async (t) => {
  const folder = await mkdtemp(path.join(tmpdir(), 'tollgate-mail-'));
  t.after(() => rm(folder, { recursive: true }));
  const file = path.join(folder, 'm.eml');
  await writeFile(file, crlf('From: a@b.example', 'Subject: file', '', 'x'));
  assert.equal((await parseMail(file)).subject, 'file');
  const tooMany = crlf(
    'Content-Type: multipart/mixed; boundary=b',
    '',
    ...Array.from({ length: 1200 }, () => '--b\r\n\r\nx'),
    '--b--',
  );
  await assert.rejects(parseMail(tooMany), UnparsableError);
});

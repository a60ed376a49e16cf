import assert from 'node:assert/strict';
import test from 'node:test';
import { parseMail } from '../../src/mail/parse.ts';
import { stripAttachments } from '../../src/mail/strip.ts';
import { crlf, PROGRAM, withPart } from './support/samples.ts';
import { makeZip } from './support/zip.ts';

const attached = ['Content-Type: application/octet-stream; name="tool.exe"', 'Content-Transfer-Encoding: base64'];

test('the unwanted file goes, all else stays byte for byte', async () => {
  const message = withPart(attached, PROGRAM);
  const { message: stripped, removed } = await stripAttachments(message, (file) => file.inspection.executable);
  assert.deepEqual(removed, ['tool.exe']);
  const [before = ''] = message.toString().split('--b1\r\nContent-Type: application');
  assert.ok(stripped.toString().startsWith(before));
  assert.ok(stripped.toString().endsWith('\r\n--b1--\r\n'));
  const mail = await parseMail(stripped);
  assert.deepEqual(
    mail.attachments.map((file) => [file.name, file.inspection.executable]),
    [['removed.txt', false]],
  );
  assert.equal(mail.text.trim(), 'See the file.');
  assert.deepEqual(mail.anomalies, []);
});

test('nothing unwanted: the message is the same', async () => {
  const message = withPart(attached, PROGRAM);
  const { message: stripped, removed } = await stripAttachments(message, () => false);
  assert.equal(stripped, message);
  assert.deepEqual(removed, []);
});

test('a message that is one file keeps its fields', async () => {
  const message = crlf(
    'From: a@b.example',
    'Subject: x',
    'MIME-Version: 1.0',
    'Content-Type: application/zip; name=a.zip',
    'Content-Transfer-Encoding: base64',
    '',
    makeZip([{ name: 'e.exe', content: PROGRAM }]).toString('base64'),
  );
  const { message: stripped, removed } = await stripAttachments(
    message,
    (file) => file.inspection.executable,
    (names) => `Gone: ${names.join()}`,
  );
  assert.deepEqual(removed, ['a.zip']);
  const mail = await parseMail(stripped);
  assert.equal(mail.subject, 'x');
  assert.equal(mail.text.trim(), 'Gone: a.zip');
  assert.deepEqual(mail.attachments, []);
});

test('after stripping, no reader finds a program, however it was hidden', async () => {
  const base64 = PROGRAM.toString('base64').match(/.{1,76}/g) ?? [];
  const hidden = [
    withPart(attached, PROGRAM, ['Content-Type: multipart/mixed; boundary="zz"; boundary="b1"']),
    crlf('From: a@b.example', '', 'Hello', 'begin 644 evil.exe', '#0V%T', '`', 'end'),
    crlf(
      'From: a@b.example',
      'Content-Type: multipart/mixed; boundary=b',
      '',
      '--b',
      '',
      'x',
      '--b--',
      '--b',
      ...attached,
      '',
      ...base64,
      '--b--',
    ),
    Buffer.concat([
      crlf(
        'From: a@b.example',
        'Content-Type: multipart/mixed; boundary=o',
        '',
        '--o',
        'Content-Type: message/rfc822',
        '',
      ),
      withPart(attached, PROGRAM),
      crlf('--o--'),
    ]),
  ];
  for (const message of hidden) {
    const { message: stripped, removed } = await stripAttachments(message, (file) => file.inspection.executable);
    assert.ok(removed.length > 0);
    const mail = await parseMail(stripped);
    assert.equal(
      mail.attachments.some((file) => file.inspection.executable),
      false,
    );
  }
});

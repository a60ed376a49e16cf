import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { ParsedMail } from '../../src/mail/types.ts';
import { subjectKey, targetOf, traitsOf } from '../../src/pipeline/traits.ts';

const INSPECTION = {
  entries: [],
  executable: false,
  macro: false,
  encrypted: false,
  suspicious: [],
  active: [],
  eicar: false,
  htmlSmuggling: false,
};
const mailOf = (given: Partial<ParsedMail>): ParsedMail => ({
  headers: [],
  from: [],
  replyTo: [],
  to: [],
  cc: [],
  subject: '',
  messageId: '',
  date: null,
  text: '',
  html: '',
  htmlText: '',
  hiddenText: '',
  links: [],
  images: [],
  hasForm: false,
  attachments: [],
  body: INSPECTION,
  anomalies: [],
  ...given,
});
const file = (name: string, type: string, sha256: string) => ({
  name,
  rawName: name,
  contentType: type,
  sniffedType: null,
  bytes: 1,
  sha256,
  inspection: INSPECTION,
});

test('where a link leads, without what is made for one reader', () => {
  const cases: [string, string | null][] = [
    ['https://Evil.Example/pay/now?id=42#x', 'evil.example/pay/now'],
    ['https://evil.example', 'evil.example/'],
    ['https://evil.example/u/3f2a9c1d4e5b6a7f8091/go', 'evil.example/u/*/go'],
    ['http:\\\\evil.example\\a\\b', 'evil.example/a/b'],
    ['https://www.paypal.com/', null],
    ['https://docs.google.com/forms/d/abc', 'docs.google.com/forms/d/abc'],
    ['mailto:a@b.example', null],
    ['javascript:alert(1)', null],
  ];
  for (const [href, expected] of cases) assert.equal(targetOf(href), expected, href);
});

test('subjects: answers, digits and signs do not matter, and short ones are nobody’s', () => {
  assert.equal(subjectKey('Re: FW: Your invoice 4711 is overdue!!'), subjectKey('your Invoice 9 is overdue'));
  assert.equal(subjectKey('Invoice'), null);
});

test('at most 16 traits of a message, each once, pictures left out, whatever comes', () => {
  const seen = traitsOf(
    mailOf({
      subject: 'A subject that is long enough',
      attachments: [file('logo.png', 'image/png', 'aa'), file('a.exe', 'application/zip', 'bb')],
    }),
  );
  assert.deepEqual(
    seen.map(({ kind, label }) => [kind, label]),
    [
      ['payload', 'a.exe'],
      ['subject', 'A subject that is long enough'],
    ],
  );
  fc.assert(
    fc.property(
      fc.array(fc.webUrl({ withQueryParameters: true }), { maxLength: 80 }),
      fc.array(fc.stringMatching(/^[\da-f]{64}$/), { maxLength: 30 }),
      fc.string({ maxLength: 600 }),
      (urls, digests, subject) => {
        const traits = traitsOf(
          mailOf({
            subject,
            links: urls.map((href) => ({ href, text: '' })),
            attachments: digests.map((one) => file(subject, 'application/pdf', one)),
          }),
        );
        assert.ok(traits.length <= 16);
        assert.equal(new Set(traits.map(({ kind, digest }) => kind + digest)).size, traits.length);
        for (const { digest, label } of traits) {
          assert.match(digest, /^[\da-f]{64}$/);
          assert.ok(label.length <= 200);
        }
      },
    ),
  );
});

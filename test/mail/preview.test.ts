import assert from 'node:assert/strict';
import { test } from 'node:test';
import { previewMail } from '../../src/mail/preview.ts';
import { safeHtml } from '../../src/mail/safe-html.ts';
import { crlf, EICAR, PROGRAM, withPart } from './support/samples.ts';

const PNG = Buffer.from('89504e470d0a1a0a0000000d49484452', 'hex');

const html = (body: string, ...header: string[]) =>
  crlf(
    'From: Eve <eve@bad.example>',
    ...header,
    'MIME-Version: 1.0',
    'Content-Type: text/html; charset=utf-8',
    '',
    body,
  );

/** Nothing that runs, is fetched, or leads out without being shown. */
function assertHarmless(text: string): void {
  assert.doesNotMatch(
    text,
    /<\s*(script|iframe|object|embed|form|input|button|svg|math|link|base|video|audio|meta)\b/i,
  );
  assert.doesNotMatch(text, /<[^>]*\son\w+\s*=/i);
  assert.doesNotMatch(
    text,
    /<[^>]*\s(?:src|background|poster|srcset|action)\s*=\s*(?:[^"\s]|"(?!data:image\/(?:png|jpeg|gif|webp);base64,))/i,
  );
  assert.doesNotMatch(text, /<[^>]*\shref\s*=\s*"(?!https?:\/\/)/i);
  assert.doesNotMatch(text, /style="[^"]*(?:url|expression|image|import|\\)/i);
}

test('what a stranger writes is shown without what runs, is fetched or asks for something', () => {
  const evil = [
    '<script>alert(1)</script><SCRIPT SRC=http://x.example/a.js></SCRIPT><scr<script>ipt>alert(1)</scr</script>ipt>',
    '<img src=x onerror=alert(1)><img src="javascript:alert(1)"><svg onload=alert(1)><circle/></svg>',
    '<a href="javascript:alert(1)">a</a><a href="&#106;avascript:alert(1)">b</a><a href=" java\tscript:alert(1)">c</a>',
    '<a href="data:text/html,<script>1</script>">d</a><a href="vbscript:x">e</a><a href="//bad.example">f</a>',
    '<form action=http://x.example><input type=password name=p><button>Go</button></form>',
    '<iframe src=http://x.example></iframe><object data=x></object><embed src=x><base href=http://x.example>',
    '<meta http-equiv=refresh content="0;url=http://x.example"><link rel=stylesheet href=http://x.example/a.css>',
    '<p style="background:url(http://x.example/p.png)">1</p><p style="background:u\\72l(http://x.example)">2</p>',
    '<p style="width:expression(alert(1))">3</p><div style="background-image:image-set(\'http://x.example\' 1x)">4</div>',
    '<table background=http://x.example/t.png><tr><td>5</td></tr></table><video poster=http://x.example/v.png></video>',
    '<img src="data:image/svg+xml;base64,PHN2Zz4="><img srcset="http://x.example/1x.png 1x">',
    '<math><mtext><table><mglyph><style><!--</style><img title="--&gt;&lt;img src=1 onerror=alert(1)&gt;">',
    '<noscript><p title="</noscript><img src=x onerror=alert(1)>"></noscript>',
  ];
  for (const one of evil) assertHarmless(safeHtml(one, new Map()).html);
  assertHarmless(safeHtml(evil.join('\n'), new Map()).html);
});

test('a link keeps its text and shows where it leads; only the web is a link', () => {
  const { html: shown } = safeHtml(
    '<a href="https://bad.example/?a=1&b=2" title="bank.example">bank.example</a>',
    new Map(),
  );
  assert.match(
    shown,
    /<a href="https:\/\/bad\.example\/\?a=1&amp;b=2"[^>]*rel="noopener noreferrer nofollow"[^>]*>bank\.example<\/a>/,
  );
  assert.match(shown, /\[https:\/\/bad\.example\/\?a=1&amp;b=2\]/);
  const script = safeHtml('<a href="javascript:alert(1)">Click</a>', new Map()).html;
  assert.doesNotMatch(script, /href/);
  assert.match(script, /Click<\/a>.*\[javascript:alert\(1\)\]/);
  assert.ok(safeHtml(`<a href="https://bad.example/${'x'.repeat(5000)}">x</a>`, new Map()).html.length < 2_000);
});

test('remote pictures are taken out and counted; those of the message are shown when they are small', async () => {
  const body = [
    '<img src="http://t.example/1.gif" alt="Logo"><img src="//t.example/2.gif"><table background="https://t.example/3.png"></table>',
    '<style>p{background:url(https://t.example/4.png)}</style><img src="cid:logo%40x"><img src="cid:gone">',
    '<img src="cid:big"><img src="cid:fake">',
  ].join('');
  const message = crlf(
    'From: ann@sender.example',
    'Content-Type: multipart/related; boundary=b',
    '',
    '--b',
    'Content-Type: text/html',
    '',
    body,
    ...part('<logo@x>', PNG),
    ...part('<big>', Buffer.concat([PNG, Buffer.alloc(200_000)])),
    ...part('<fake>', Buffer.from('<svg onload=alert(1)>')),
    '--b--',
  );
  const preview = await previewMail(message);
  assert.equal(preview.remoteImages, 4);
  assert.equal(preview.html.match(/<img/g)?.length, 1);
  assert.ok(preview.html.includes(`src="data:image/png;base64,${PNG.toString('base64')}"`));
  assert.match(preview.html, /\[picture: Logo\]/);
  assertHarmless(preview.html);

  function part(id: string, content: Buffer): string[] {
    return [
      '--b',
      `Content-ID: ${id}`,
      'Content-Type: image/png',
      'Content-Transfer-Encoding: base64',
      '',
      content.toString('base64'),
    ];
  }
});

test('the document forbids by its policy what the sanitiser takes out', async () => {
  const { document } = await previewMail(html('<p>Hello</p><script>1</script>'));
  assert.match(
    document,
    /^<!doctype html>.*default-src 'none'; img-src data:; style-src 'unsafe-inline'.*<body><p>Hello<\/p>/s,
  );
  assert.doesNotMatch(document, /<script/i);
});

test('plain text is shown as text, whatever it looks like', async () => {
  const preview = await previewMail(crlf('From: a@b.example', '', 'Hi <b>there</b> & <script>alert(1)</script>'));
  assert.equal(preview.kind, 'text');
  assert.match(preview.text, /<b>there/);
  assert.match(preview.html, /^<pre>Hi &lt;b&gt;there&lt;\/b&gt; &amp; &lt;script&gt;/);
  const empty = await previewMail(crlf('From: a@b.example', '', ''));
  assert.deepEqual([empty.kind, empty.html], ['none', '']);
});

test('the header is shown whole, decoded and as it came, within bounds', async () => {
  const preview = await previewMail(
    crlf(
      'Received: from a (b [192.0.2.1])\r\n\tby c; Wed, 14 Oct 2026 09:00:00 +0000',
      'SUBJECT: =?utf-8?B?R3LDvMOfZQ==?=',
      `X-Long: ${'y'.repeat(10_000)}`,
      ...Array.from({ length: 600 }, (_, index) => `X-${index}: 1`),
      '',
      'Hi',
    ),
  );
  assert.equal(preview.headers.length, 500);
  assert.equal(preview.truncated, true);
  const [received, subject, long] = preview.headers;
  assert.deepEqual([subject?.name, subject?.value], ['SUBJECT', 'Grüße']);
  assert.equal(subject?.raw, 'SUBJECT: =?utf-8?B?R3LDvMOfZQ==?=');
  assert.match(received?.raw ?? '', /\r\n\tby c/);
  assert.doesNotMatch(received?.value ?? '', /[\r\n]/);
  assert.ok((long?.raw.length ?? 0) <= 4_096);
});

test('attachments come with what was found in them, in words', async () => {
  const one = async (header: string, content: Buffer) =>
    (await previewMail(withPart([header, 'Content-Transfer-Encoding: base64'], content))).attachments[0];
  const program = await one('Content-Type: application/pdf; name="invoice.pdf"', PROGRAM);
  assert.deepEqual(
    [program?.name, program?.type, program?.bytes],
    ['invoice.pdf', 'application/x-msdownload', PROGRAM.length],
  );
  assert.match(program?.findings.join() ?? '', /program/);
  assert.match((await one('Content-Type: text/plain; name="a.txt"', EICAR))?.findings.join() ?? '', /EICAR/);
  assert.deepEqual((await one('Content-Type: text/plain; name="b.txt"', Buffer.from('hello')))?.findings, []);
});

test('what cannot be shown says so in words, and its header is shown all the same', async () => {
  const deep = await previewMail(html('<div>'.repeat(150_000)));
  assert.match(deep.problem ?? '', /nested too deeply/);
  assert.equal(deep.truncated, true);
  const hostile = crlf(
    'Subject: Parts',
    'Content-Type: multipart/mixed; boundary=b',
    '',
    ...Array.from({ length: 3_000 }, () => '--b\r\nContent-Type: text/plain\r\n\r\nx'),
  );
  const unreadable = await previewMail(hostile);
  assert.match(unreadable.problem ?? '', /cannot be shown/);
  assert.equal(unreadable.headers[0]?.value, 'Parts');
  assert.match(unreadable.document, /default-src 'none'.*cannot be shown/s);
});

import assert from 'node:assert/strict';
import test from 'node:test';
import { readHtml } from '../../src/mail/html.ts';

test('text, links, images, forms', () => {
  const facts = readHtml(`<!doctype html><html><head><title>T</title><style>p{color:red}</style></head><body>
    <h1>Your&nbsp;invoice</h1><p>Dear <b>Bob</b>,<br>pay <A HREF=" https://evil.example/?a=1&amp;b=2 ">www.bank<i>.example</i></A> now</p>
    <img src=https://t.example/x.gif alt=logo><a href="https://img.example"><img src="cid:1" alt="Button"></a>
    <form action="https://collect.example"><input type=password name=p></form><script>alert("x")</script><!-- note --></body></html>`);
  assert.equal(facts.text, 'Your invoice\nDear Bob,\npay www.bank.example now');
  assert.deepEqual(facts.links, [
    { href: 'https://evil.example/?a=1&b=2', text: 'www.bank.example' },
    { href: 'https://img.example', text: 'Button' },
    { href: 'https://collect.example', text: '' },
  ]);
  assert.deepEqual(
    facts.images.map((image) => image.src),
    ['https://t.example/x.gif', 'cid:1'],
  );
  assert.equal(facts.hasForm, true);
  assert.equal(facts.hiddenText, '');
});

test('what cannot be seen is told apart', () => {
  const hidden = [
    '<div style="display: none">secret</div>',
    '<span style="font-size:0px">secret</span>',
    '<span style="FONT-SIZE:1px!important">secret</span>',
    '<p style="visibility:hidden"><b>secret</b></p>',
    '<div style="opacity:0">secret</div>',
    '<font color="#FFFFFF">secret</font>',
    '<div style="background:#000"><span style="color:rgb(0, 0, 0)">secret</span></div>',
    '<div style="max-height:0;overflow:hidden">secret</div>',
    '<div hidden>secret</div>',
    '<div style="text-indent:-9999px">secret</div>',
    '<table bgcolor="black"><tr><td style="color:black">secret</td></tr></table>',
  ];
  for (const html of hidden) {
    const facts = readHtml(`<body>seen ${html} too</body>`);
    assert.equal(facts.hiddenText, 'secret', html);
    assert.equal(facts.text.replace(/\s+/g, ' '), 'seen too', html);
  }
  const visible = [
    '<font color="#333">a</font>',
    '<div style="font-size:12px">a</div>',
    '<b style="color:white;background-color:#123456">a</b>',
    '<p style="opacity:0.5">a</p>',
    '<div style="font-size:0.9em">a</div>',
  ];
  for (const html of visible) assert.equal(readHtml(html).hiddenText, '', html);
});

test('end tags that are left out hide nothing behind them', () => {
  assert.equal(readHtml('<p style="display:none">a<p>b').text, 'b');
  assert.equal(readHtml('<head><title>t</title><div>seen</div>').text, 'seen');
  assert.equal(readHtml('<ul><li style="display:none">a<li>b</ul>').text, 'b');
  assert.equal(readHtml('</b></div>seen</html>').text, 'seen');
});

test('hostile input is bounded and linear', () => {
  const deep = readHtml('<b>'.repeat(300_000));
  assert.equal(deep.truncated, true);
  const flip = readHtml('<b><i></b></i>'.repeat(70_000));
  assert.equal(flip.text, '');
  const attributes = readHtml(`<a ${'x=1 '.repeat(200_000)} href="late">t</a>`);
  assert.equal(attributes.text, 't');
  const links = readHtml('<a href=x>y</a>'.repeat(50_000));
  assert.equal(links.links.length, 2000);
  const open = readHtml(`<!--${'<'.repeat(500_000)}`);
  assert.equal(open.text, '');
  const entities = readHtml('&amp;&#x41;&#1114112;&bogus;'.repeat(10_000));
  assert.ok(entities.text.startsWith('&A'));
  const long = readHtml(`<p>${'x'.repeat(2_000_000)}</p>`);
  assert.deepEqual([long.text.length, long.truncated], [262_143, true]);
});

import assert from 'node:assert/strict';
import test from 'node:test';
import { inspectContent } from '../../src/mail/archives.ts';
import { hasHtmlSmuggling } from '../../src/mail/threats.ts';

const payload = 'TVqQAAMAAAAEAAAA//8AALgAAAAAAAAAQAAAAAAAAAAA'.repeat(40);
const numbers = Array.from({ length: 600 }, (_, at) => at % 256).join(',');
const hex = Buffer.alloc(800, 0x4d).toString('hex');
const picture = `<img src="data:image/png;base64,${payload}">`;

const SMUGGLED: Readonly<Record<string, string>> = {
  'atob and Blob': `<script>var u=URL.createObjectURL(new Blob([atob("${payload}")]));</script>`,
  msSaveOrOpenBlob: `<script>var b=Uint8Array.from("${payload}",c=>c.charCodeAt());navigator.msSaveOrOpenBlob(b,'a.iso')</script>`,
  'numbers and fromCharCode, written into the page': `<script>document.write(String.fromCharCode(${numbers}))</script>`,
  'numbers, evaluated': `<script>eval(String.fromCharCode(${numbers}))</script>`,
  unescape: `<script>document.write(unescape("${hex.replace(/../g, '%$&')}"))</script>`,
  'hex and parseInt': `<script>var h="${hex}";for(i=0;i<h.length;i+=2)a.push(parseInt(h.substr(i,2),16));new Blob([a])</script>`,
  'a name in brackets': `<script>window["Blob"];var x=atob("${payload}");a["download"]="x.zip"</script>`,
  WebAssembly: `<script>WebAssembly.instantiate(Uint8Array.from([${numbers}])).then(r=>new Blob([r]))</script>`,
  'an event handler': `<body onload="a.href=URL.createObjectURL(new Blob([atob('${payload}')]))">`,
  svg: `<svg xmlns="http://www.w3.org/2000/svg"><script>new Blob([atob("${payload}")])</script></svg>`,
  'split literal': `<script>var s="${payload.match(/.{1,300}/g)?.join('"+\n"')}";new Blob([atob(s)])</script>`,
  'a link without a script': `<a download="invoice.zip" href="data:application/zip;base64,${payload}">Open</a>`,
  'such a link with the attribute behind': `<a href='data:application/octet-stream;base64,${payload}' download>Open</a>`,
  'an address as data, clicked': `<script>a.href="data:application/x-zip;base64,${payload}";a.download="x.zip";a.click()</script>`,
};

const HONEST: Readonly<Record<string, string>> = {
  'invoice with a logo': `<html><body>${picture}<table><tr><td>Total</td><td>12.00</td></tr></table></body></html>`,
  'invoice that prints itself': `<html><body>${picture}<script>function p(){window.print()}</script><a href="javascript:p()">Print</a></body></html>`,
  'newsletter with analytics': `<script>(function(w,d){var s=d.createElement('script');s.src='https://a.example/a.js';d.write=document.write;decodeURIComponent(location.hash)})(window,document)</script>${picture}`,
  'page with an embedded font and a script': `<style>@font-face{src:url(data:font/woff2;base64,${payload})}</style><script>document.write(unescape('%3Cp%3E'))</script>`,
  'picture to be saved': `<a download="chart.png" href="data:image/png;base64,${payload}">Chart</a>`,
  'link to a file on a server':
    '<a download href="https://files.example/report.pdf">Report</a><script>var x=atob("aGk=")</script>',
  'long text': `<script>var t=decodeURIComponent("x")</script><p>${'A long text of words that people write. '.repeat(200)}</p>`,
  'saved web page': `<script>var config={"a":1,"b":[1,2,3]};document.write('<p>hi</p>');eval('1')</script>${'<p>text</p>'.repeat(300)}`,
  'small data link': '<a download="a.ics" href="data:text/calendar,BEGIN:VCALENDAR">Add to calendar</a>',
};

for (const [title, html] of Object.entries(SMUGGLED)) {
  test(`smuggling: ${title}`, async () => {
    assert.equal(hasHtmlSmuggling(html), true);
    for (const name of ['a.html', 'a.htm', 'a.xhtml', 'a.svg', 'a.shtml']) {
      const { inspection } = await inspectContent([name], 'application/octet-stream', Buffer.from(html));
      assert.equal(inspection.htmlSmuggling, true, name);
    }
  });
}

for (const [title, html] of Object.entries(HONEST)) {
  test(`honest page: ${title}`, () => assert.equal(hasHtmlSmuggling(html), false));
}

test('a page in UTF-16 is read as browsers read it', async () => {
  const html = `\ufeff<html>${SMUGGLED['atob and Blob']}</html>`;
  const { inspection } = await inspectContent(['a.html'], '', Buffer.from(html, 'utf16le'));
  assert.equal(inspection.htmlSmuggling, true);
});

test('a page of links that never end costs one pass', () => {
  assert.equal(hasHtmlSmuggling('<a href="data:application/zip,'.repeat(200_000)), false);
});

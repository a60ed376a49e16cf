import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { test } from 'node:test';
import { simpleParser } from 'mailparser';
import { setBrand } from '../../src/accounts/branding.ts';
import { silentLogger } from '../../src/core/log.ts';
import { sweepDigests } from '../../src/digest/sweep.ts';
import { createPreviewer } from '../../src/quarantine/preview.ts';
import { BROWSER_MS, openBrowser } from '../support/browser.ts';
import { hold, openDigests } from '../support/digests.ts';
import { openServer } from '../support/http.ts';

const MAIL = [
  'From: Shop <shop@sender.example>',
  'To: ann@acme.example',
  'Subject: Your order of 14 October',
  'MIME-Version: 1.0',
  'Content-Type: text/html; charset=utf-8',
  '',
  '<h1 style="color:#0a7d33">Thank you for your order</h1><p>Two chairs and a lamp arrive on Friday.</p>',
  '<script>document.title="owned"</script><img src="https://tracker.example/pixel.gif" width="1" height="1">',
  '<form action="https://thief.example/"><input name="password"><button>Log in</button></form>',
  '',
].join('\r\n');

/** Where to put pictures of the pages, for a person to look at; nowhere in an ordinary run. */
const SHOTS = process.env['TEST_SCREENSHOTS'];

test('in a browser: from the digest to the message, released by a click, delivered; no script, nothing remote, works on a phone', async (t) => {
  const rig = await openDigests(t);
  const { db, partner, clientId } = rig;
  const previewer = createPreviewer({ store: rig.spool, logger: silentLogger });
  t.after(() => previewer.close());
  const server = await openServer(t, {
    db,
    clock: rig.clock,
    pages: { signer: rig.deps.signer, preview: (id) => previewer.preview(id), request: async () => undefined },
  });
  await db.tenant(partner.id, (tx) => setBrand(tx, { primaryColor: '#7a1f5f' }));
  const content = await rig.spool.write(Readable.from([Buffer.from(MAIL)]));
  const subjects = ['Invoice overdue: act now', 'Win a holiday', 'Account suspended', 'Re: your parcel 4711'];
  for (const [index, subject] of subjects.entries()) {
    await hold(db, partner.id, clientId, {
      mailboxId: rig.ann,
      subject,
      fromName: ['Billing', 'Travel Club', 'Bank security', 'Parcel service'][index] ?? '',
      verdict: (['spam', 'bulk', 'phish', 'malware'] as const)[index] ?? 'spam',
      at: new Date(rig.clock.now().getTime() - (index + 1) * 3_600_000),
    });
  }
  const order = await hold(db, partner.id, clientId, {
    mailboxId: rig.ann,
    subject: 'Your order of 14 October',
    fromName: 'Shop',
    fromAddress: 'shop@sender.example',
    contentId: content.id,
  });
  rig.clock.set('2026-10-15T07:00:00Z');
  const deps = { ...rig.deps, publicUrl: () => server.url, logger: silentLogger };
  assert.equal(await sweepDigests(deps), 1);
  await rig.delivery.drainOnce();
  const digest = await simpleParser(Buffer.from(rig.sink.mail.pop()?.body ?? '', 'latin1'));

  const shot = async (page: { screenshot(options: object): Promise<unknown> }, name: string) =>
    SHOTS === undefined ? undefined : page.screenshot({ path: `${SHOTS}/${name}.png`, fullPage: true });
  const sizes = { phone: { width: 380, height: 740 }, desktop: { width: 1200, height: 800 } };

  for (const [name, viewport] of Object.entries(sizes)) {
    // A browser each: this build ends with its first context.
    const browser = await openBrowser(t);
    // Without JavaScript everything is there; in the dark too.
    const context = await browser.newContext({
      viewport,
      javaScriptEnabled: false,
      colorScheme: name === 'phone' ? 'dark' : 'light',
    });
    context.setDefaultTimeout(BROWSER_MS);
    const page = await context.newPage();
    /** Clicks on what leads to another page, and waits until it is there. */
    const follow = async (link: { click(): Promise<void> }) => {
      const there = page.waitForEvent('load');
      await link.click();
      await there;
    };
    const asked: string[] = [];
    const faults: string[] = [];
    page.on('request', (request) => asked.push(request.url()));
    page.on('console', (message) => (message.type() === 'error' ? faults.push(message.text()) : undefined));
    const fits = async (what: string) => {
      // Playwright may look into a page even where the page's own scripts are off.
      const wide = await page.evaluate('document.documentElement.scrollWidth - document.documentElement.clientWidth');
      assert.equal(wide, 0, `${what} on a ${name} does not scroll sideways`);
    };
    await page.setContent(String(digest.html));
    await fits('the digest');
    await shot(page, `digest-${name}`);
    const listLink = await page.getByRole('link', { name: 'Open the quarantine' }).getAttribute('href');
    await page.goto(listLink ?? '');
    await page.getByRole('heading', { name: 'Quarantine of ann@acme.example' }).waitFor();
    const row = (subject: string) => page.getByRole('listitem').filter({ hasText: subject });
    assert.match((await row('Win a holiday').textContent()) ?? '', /Advertising or a newsletter/);
    await fits('the list');
    await shot(page, `list-${name}`);
    await page.getByLabel('Search subject, sender or recipient').fill('order of 14');
    await follow(page.getByRole('button', { name: 'Search' }));
    assert.equal(await page.getByRole('listitem').count(), 1);
    await page.getByRole('link', { name: 'Your order of 14 October' }).click();
    const frame = page.frameLocator('iframe[title="Preview"]');
    await frame.getByRole('heading', { name: 'Thank you for your order' }).waitFor();
    assert.equal(await frame.locator('script, form, img[src^="http"]').count(), 0);
    assert.equal(await page.locator('iframe').getAttribute('sandbox'), '');
    await fits('the message');
    await shot(page, `message-${name}`);
    if (name === 'desktop') {
      await page.getByRole('button', { name: 'Release', exact: true }).click();
      await page.getByText('1 message on the way to the mailbox.').waitFor();
      await page.getByText('It is on the way to the mailbox.', { exact: true }).waitFor();
      await shot(page, 'released');
      await follow(page.getByRole('link', { name: /Back to the quarantine/ }));
      assert.equal(await row('Your order of 14 October').count(), 0);
      await rig.delivery.drainOnce();
      await row('Win a holiday').getByRole('checkbox').check();
      await row('Account suspended').getByRole('checkbox').check();
      await page.getByRole('button', { name: 'Delete', exact: true }).click();
      await page.getByText('2 messages deleted.').waitFor();
      await shot(page, 'deleted');
    }
    await page.goto(listLink ?? '');
    await page.getByRole('link', { name: 'Re: your parcel 4711' }).click();
    await page.getByText(/It holds a harmful program\. A link/).waitFor();
    await shot(page, `malware-${name}`);
    for (const url of asked) assert.ok(url.startsWith(server.url) || url.startsWith('about:'), url);
    assert.deepEqual(
      faults.filter((text) => !text.includes('favicon')),
      [],
    );
    await browser.close();
  }
  assert.deepEqual(
    rig.sink.mail.map((one) => one.to),
    [['ann@acme.example']],
  );
  const ended = await rig.owner.query('select disposition from deliveries where id = $1', [order]);
  assert.deepEqual(ended.rows, [{ disposition: 'released' }]);
});

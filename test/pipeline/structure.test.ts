import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseMail } from '../../src/mail/parse.ts';
import { isThrowAway } from '../../src/pipeline/rules/structure.ts';
import { rulesStage } from '../../src/pipeline/stages/rules.ts';
import { envelope } from '../support/pipeline.ts';

async function codesOf(headers: string, body: string, type = 'text/html; charset=utf-8'): Promise<string[]> {
  const raw =
    `From: Anna <anna@partner.example>\nTo: bob.smith@client.example\nSubject: Hello\nDate: Tue, 24 Nov 2026 09:00:00 +0100\nMessage-ID: <1@partner.example>\n`
      .split('\n')
      .filter((line) => !headers.split('\n').some((one) => one.split(':')[0] === line.split(':')[0]))
      .join('\n');
  const mail = await parseMail(Buffer.from(`${headers}\n${raw}Content-Type: ${type}\n\n${body}\n`));
  return rulesStage({ mail, envelope: envelope() }).reasons.map((reason) => reason.code);
}

test('domains that were registered for one campaign, and names that were not', () => {
  for (const host of [
    'account-verify-secure24.com',
    'login-portal-authentication.net',
    'vbnxqtrl.shop',
    'track-package-info24.top',
  ]) {
    assert.ok(isThrowAway(host), host);
  }
  for (const host of [
    'harbourandpine.co.uk',
    'service.gov.uk',
    'paypal.com',
    'deutsche-bank.de',
    'post.ch',
    'info-tech.example',
    'freshrpms.net',
    'gmail.com',
  ]) {
    assert.ok(!isThrowAway(host), host);
  }
});

test('borrowed authority: an office or the domain of the recipient as display name', async () => {
  const away = '<p>Please read this.</p><a href="https://elsewhere.example/x">open</a>';
  const own = '<p>Please read this.</p><a href="https://www.partner.example/x">open</a>';
  assert.ok((await codesOf('From: IT Help Desk <anna@partner.example>', away)).includes('rules.name_office'));
  assert.ok(!(await codesOf('From: IT Help Desk <anna@partner.example>', own)).includes('rules.name_office'));
  assert.ok(!(await codesOf('From: IT Help Desk <it@client.example>', away)).includes('rules.name_office'));
  assert.ok(
    (await codesOf('From: client.example support <anna@partner.example>', away)).includes(
      'rules.name_recipient_domain',
    ),
  );
  assert.ok(
    !(await codesOf('From: client.example support <it@client.example>', away)).includes('rules.name_recipient_domain'),
  );
});

test('the address where honest mail has a name', async () => {
  const body = '<p>Dear bob.smith@client.example,</p><p>here is the report that you asked for.</p>';
  assert.ok((await codesOf('Subject: Hello', body)).includes('rules.greets_address'));
  assert.ok(
    (await codesOf('Subject: Notice for bob.smith@client.example', '<p>Hi</p>')).includes('rules.subject_recipient'),
  );
  assert.ok(
    !(await codesOf('Subject: Hello', '<p>Dear Bob,</p><p>here is the report.</p>')).includes('rules.greets_address'),
  );
});

test('HTML that only filters read', async () => {
  const letters = [...'verify your account now please'].map((letter) => `&#${letter.charCodeAt(0)};`).join('');
  assert.ok((await codesOf('Subject: Hello', `<p>${letters.repeat(2)}</p>`)).includes('rules.entity_letters'));
  assert.ok(
    !(await codesOf('Subject: Hello', `<p>${'It&#8217;s &#233;t&#233; &#8211; '.repeat(40)}</p>`)).includes(
      'rules.entity_letters',
    ),
  );
  const split =
    'pay<span style="font-size:0">xq</span>pal acc<span style="display:none">zz</span>ount ver<span style="font-size:0px">k</span>ify';
  assert.ok((await codesOf('Subject: Hello', `<p>${split}</p>`)).includes('rules.hidden_splitters'));
  assert.ok((await codesOf('Subject: Hello', '<img src="cid:qr1">')).includes('rules.image_only'));
  assert.ok(
    (await codesOf('Subject: Hello', `<p>Hi</p><!-- ${'river stone lamp '.repeat(200)}-->`)).includes(
      'rules.comment_filler',
    ),
  );
});

test('links that lead on, a picture code, an impossible time zone, a plea from a free mail account', async () => {
  assert.ok(
    (await codesOf('Subject: Hello', '<a href="https://www.google.com/url?q=https://evil.example/">x</a>')).includes(
      'rules.link_redirect',
    ),
  );
  const code = '<p>Scan the QR code with your phone to re-authenticate: multi-factor access expires today.</p>';
  assert.ok((await codesOf('Subject: Hello', code)).includes('rules.scam_qr'));
  assert.ok(
    !(await codesOf('Subject: Tickets', '<p>Show the QR code at the entrance. Doors open at 18:30.</p>')).includes(
      'rules.scam_qr',
    ),
  );
  assert.ok((await codesOf('Date: Tue, 24 Nov 2026 09:00:00 -1700', '<p>Hi</p>')).includes('rules.date_zone'));
  const plea = 'We can place your website on the first page of Google. May I send you a quote and price list?';
  assert.ok((await codesOf('From: Emily <emily@gmail.com>', plea, 'text/plain')).includes('rules.free_pitch'));
});

test('a brand at the head of a lure that neither sends nor is linked', async () => {
  const lure = (host: string) =>
    `<p>Netflix: your account has been suspended. Update your payment details within 24 hours.</p><a href="https://${host}/x">Update</a>`;
  assert.ok((await codesOf('Subject: Hello', lure('elsewhere.example'))).includes('rules.lure_brand'));
  assert.ok(!(await codesOf('Subject: Hello', lure('www.netflix.com'))).includes('rules.lure_brand'));
});

test('hostile names and pages cost no time', async () => {
  const host = `${'id1'.repeat(12)}x.example`;
  const links = Array.from(
    { length: 300 },
    (_, at) => `<a href="https://${'verif1d'.repeat(4)}${at}.example/">x</a>`,
  ).join('');
  const words = `${'konto '.repeat(1500)}${'x'.repeat(8000)}`;
  const before = process.cpuUsage();
  isThrowAway(host);
  await codesOf('Subject: Hello', links);
  await codesOf('Subject: Hello', `<p>${words}</p>`);
  const { user } = process.cpuUsage(before);
  assert.ok(user < 5_000_000, `${user} microseconds`);
});

import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { setBrand } from '../../src/accounts/branding.ts';
import { silentLogger } from '../../src/core/log.ts';
import { LINK_ACTIONS, type Link, LinkSigner } from '../../src/digest/links.ts';
import { OWN_READER, readerTag } from '../../src/digest/reader.ts';
import { setDigest } from '../../src/digest/settings.ts';
import { requestDigest } from '../../src/digest/sweep.ts';
import { createPreviewer } from '../../src/quarantine/preview.ts';
import { hold, openDigests, SIGN_KEY } from '../support/digests.ts';
import { openServer } from '../support/http.ts';
import { seedClient, seedPartner } from '../support/seed.ts';

const FAST = { capacity: 1e9, perSecond: 1e6 };
const PNG = Buffer.from(
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==',
  'base64',
);

async function openPages(t: TestContext) {
  const rig = await openDigests(t);
  const previewer = createPreviewer({ store: rig.spool, logger: silentLogger });
  t.after(() => previewer.close());
  const asked: string[] = [];
  const server = await openServer(t, {
    db: rig.db,
    clock: rig.clock,
    pages: {
      signer: rig.deps.signer,
      preview: (id) => previewer.preview(id),
      request: async (address) => {
        asked.push(address);
        return requestDigest(rig.deps, address);
      },
      holderRate: FAST,
      strangerRate: FAST,
    },
  });
  const sign = (action: Link['action'], deliveryId: string | null, given: Partial<Link> = {}, key = SIGN_KEY) =>
    new LinkSigner(key).sign(
      {
        partnerId: rig.partner.id,
        scope: 'mailbox',
        subjectId: rig.ann,
        deliveryId,
        action,
        reader: given.scope === undefined || given.scope === 'mailbox' ? OWN_READER : readerTag('it@elsewhere.example'),
        expiresAt: new Date(rig.clock.now().getTime() + 86_400_000),
        ...given,
      },
      rig.clock.now(),
    );
  const get = (token: string, init: RequestInit = {}) =>
    fetch(`${server.url}/q/${token}`, { redirect: 'manual', ...init });
  const post = (token: string, form: Record<string, string> | [string, string][] = {}) =>
    get(token, { method: 'POST', body: new URLSearchParams(form) });
  const dump = async () =>
    JSON.stringify(
      (
        await rig.owner.query(`
          select (select json_agg(d order by d.id) from deliveries d) as d, (select json_agg(q) from queue q) as q,
            (select count(*) from ledger) as l, (select count(*) from audit) as a, (select count(*) from list_entries) as e,
            (select count(*) from release_requests) as r, (select count(*) from digest_runs) as g`)
      ).rows,
    );
  const disposition = async (id: string) =>
    (await rig.owner.query<{ disposition: string }>('select disposition from deliveries where id = $1', [id])).rows[0]
      ?.disposition;
  const toAdmin = (clientId: string | null, recipient = 'it@elsewhere.example', mode: 'daily' | 'off' = 'daily') =>
    rig.db.tenant(rig.partner.id, (tx) =>
      setDigest(tx, { audience: 'admin', clientId, mailboxId: null }, { mode, recipient }, 'test'),
    );
  return { ...rig, server, sign, get, post, dump, disposition, asked, toAdmin };
}

test('rule 9: GET, HEAD and prefetch of every kind of link a hundred times change nothing at all', async (t) => {
  const rig = await openPages(t);
  const id = await hold(rig.db, rig.partner.id, rig.clientId, { mailboxId: rig.ann });
  const before = await rig.dump();
  for (const action of LINK_ACTIONS) {
    const token = rig.sign(action, action === 'list' ? null : id);
    for (let n = 0; n < 100; n += 1) {
      const init: RequestInit =
        n % 3 === 0
          ? { method: 'HEAD' }
          : n % 3 === 1
            ? { headers: { 'sec-purpose': 'prefetch', purpose: 'prefetch' } }
            : {};
      const answer = await rig.get(`${token}${n % 2 === 0 ? '' : '?act=release'}`, init);
      assert.equal(answer.status, 200, action);
      if (n > 0) continue;
      assert.equal(answer.headers.get('cache-control'), 'no-store');
      assert.equal(answer.headers.get('referrer-policy'), 'no-referrer');
      assert.match(answer.headers.get('content-security-policy') ?? '', /default-src 'none'.*frame-ancestors 'none'/);
      assert.doesNotMatch(answer.headers.get('content-security-policy') ?? '', /script-src|https?:/);
    }
  }
  assert.equal(await rig.dump(), before);
});

test('forged, altered and expired links, and links of others, show one page and do nothing, GET and POST', async (t) => {
  const rig = await openPages(t);
  const id = await hold(rig.db, rig.partner.id, rig.clientId, { mailboxId: rig.ann, subject: 'A secret subject' });
  const bobs = await hold(rig.db, rig.partner.id, rig.clientId, {
    mailboxId: rig.bob,
    recipient: 'bob@acme.example',
    subject: 'A secret subject',
  });
  const out = await hold(rig.db, rig.partner.id, rig.clientId, {
    mailboxId: rig.ann,
    direction: 'outbound',
    subject: 'A secret subject',
  });
  const other = await seedPartner(rig.db, 'Other IT');
  const otherClient = await seedClient(rig.db, other.id, { domain: 'other.example', mailboxes: ['oscar'] });
  const good = rig.sign('release', id);
  const cut = good.slice(0, -3);
  const flipped = Buffer.from(good, 'base64url');
  // The action byte: a link to look at made into one that releases.
  flipped[4] = 3;
  const matrix: Record<string, [string, number]> = {
    'another key': [rig.sign('release', id, {}, Buffer.alloc(32, 9)), 404],
    cut: [cut, 404],
    lengthened: [`${good}AAAA`, 404],
    'another action': [flipped.toString('base64url'), 404],
    nonsense: ['hello', 404],
    'a mailbox that is not there': [rig.sign('release', id, { subjectId: id }), 404],
    'another partner': [rig.sign('release', id, { partnerId: other.id }), 404],
    'a partner as mailbox': [rig.sign('list', null, { scope: 'partner', subjectId: other.id }), 404],
    "another mailbox's message": [rig.sign('release', bobs), 404],
    "another client's scope": [rig.sign('release', id, { scope: 'client', subjectId: otherClient }), 404],
    'outbound mail': [rig.sign('release', out), 404],
  };
  const expired = rig.sign('release', id, { expiresAt: new Date(rig.clock.now().getTime() + 1000) });
  rig.clock.advance(2000);
  matrix['expired'] = [expired, 410];
  const before = await rig.dump();
  for (const [name, [token, status]] of Object.entries(matrix)) {
    for (const ask of [() => rig.get(token), () => rig.post(token, { act: 'release', id })]) {
      const answer = await ask();
      const text = await answer.text();
      assert.equal(answer.status, status, name);
      assert.match(answer.headers.get('content-type') ?? '', /^text\/html/);
      assert.doesNotMatch(text, /secret subject|bob@acme|Acme/, name);
    }
  }
  assert.equal(await rig.dump(), before);
  // A list link acts on its own mailbox's mail only, whatever ids are sent with it.
  const list = await rig.post(rig.sign('list', null), [
    ['act', 'release'],
    ['id', bobs],
    ['id', out],
    ['id', "' or 1=1"],
  ]);
  assert.match(await list.text(), /2 messages left as before/);
  assert.equal(await rig.dump(), before);
});

test('a link does what it names and nothing else', async (t) => {
  const rig = await openPages(t);
  const at = (subject: string) =>
    hold(rig.db, rig.partner.id, rig.clientId, {
      mailboxId: rig.ann,
      subject,
      fromAddress: `${subject}@sender.example`,
    });
  const [one, two, three, four] = [await at('one'), await at('two'), await at('three'), await at('four')];
  await rig.post(rig.sign('view', one), { act: 'release' });
  assert.equal(await rig.disposition(one), 'quarantined', 'a link to look at');
  await rig.post(rig.sign('delete', one), { act: 'release' });
  assert.equal(await rig.disposition(one), 'discarded', 'a link to delete, whatever the form says');
  const release = rig.sign('release', two);
  assert.match(await (await rig.post(release)).text(), /on the way to the mailbox/);
  assert.equal((await rig.post(release)).status, 200, 'twice is once');
  await rig.post(rig.sign('allow', three));
  await rig.post(rig.sign('block', four));
  assert.deepEqual(
    [await rig.disposition(two), await rig.disposition(three), await rig.disposition(four)],
    ['queued', 'queued', 'discarded'],
  );
  const { rows } = await rig.owner.query('select kind, pattern, mailbox_id from list_entries order by kind');
  assert.deepEqual(
    rows.map((row) => [row.kind, row.pattern, row.mailbox_id]),
    [
      ['allow', 'three@sender.example', rig.ann],
      ['block', 'four@sender.example', rig.ann],
    ],
  );
  const audit = await rig.owner.query("select distinct actor from audit where action like 'quarantine.%'");
  assert.deepEqual(audit.rows, [{ actor: 'ann@acme.example' }]);
  const queue = await rig.owner.query('select count(*)::int as n from queue');
  assert.deepEqual(queue.rows, [{ n: 2 }]);
});

test('malware and phishing are not let out by a link of a mailbox: the page says why, and an administrator is asked', async (t) => {
  const rig = await openPages(t);
  const { db, partner, clientId } = rig;
  const malware = await hold(db, partner.id, clientId, { mailboxId: rig.ann, verdict: 'malware' });
  const phish = await hold(db, partner.id, clientId, { mailboxId: rig.ann, verdict: 'phish' });
  const scopes: Partial<Link>[] = [
    {},
    { scope: 'client', subjectId: clientId },
    { scope: 'partner', subjectId: partner.id },
  ];
  await rig.toAdmin(clientId);
  await rig.toAdmin(null);
  for (const given of scopes) {
    for (const action of ['release', 'allow'] as const) {
      assert.match(await (await rig.post(rig.sign(action, malware, given))).text(), /left as before/);
      await rig.post(rig.sign('list', null, given), { act: action, id: malware });
      assert.equal(await rig.disposition(malware), 'quarantined', `${given.scope} ${action}`);
    }
  }
  await rig.post(rig.sign('release', phish));
  assert.equal(await rig.disposition(phish), 'quarantined');
  const view = rig.sign('view', malware);
  const page = await (await rig.get(view)).text();
  assert.match(page, /harmful program/);
  assert.doesNotMatch(page, />Release</);
  const said = await (await rig.post(view, { act: 'ask', note: '\0I await this <b>file</b>' })).text();
  assert.match(said, /An administrator was asked about 1 message/);
  assert.match(said, /was asked to release it/);
  await rig.post(view, { act: 'ask' });
  const { rows } = await rig.owner.query('select requested_by, requested_role, note from release_requests');
  assert.deepEqual(rows, [
    { requested_by: 'ann@acme.example', requested_role: 'user', note: 'I await this <b>file</b>' },
  ]);
});

test('markup, control characters and bidirectional overrides of strangers stay text', async (t) => {
  const rig = await openPages(t);
  const evil = `"><script>alert(1)</script>\u202egpj.exe\u0007'`;
  const id = await hold(rig.db, rig.partner.id, rig.clientId, {
    mailboxId: rig.ann,
    subject: evil,
    fromName: evil,
    fromAddress: '"<img src=x>"@evil.example',
    reasons: [{ code: 'content.model', detail: evil }],
  });
  for (const token of [
    rig.sign('list', null),
    rig.sign('view', id),
    `${rig.sign('list', null)}?q=${encodeURIComponent(evil)}`,
  ]) {
    const text = await (await rig.get(token)).text();
    assert.doesNotMatch(text, /<script|<img src=x|\u202e/);
    assert.ok(!text.includes('\u0007'));
  }
});

test('the list pages, searches and shows 50 at a time', async (t) => {
  const rig = await openPages(t);
  for (let n = 0; n < 120; n += 1) {
    rig.clock.advance(1);
    await hold(rig.db, rig.partner.id, rig.clientId, { mailboxId: rig.ann, subject: `Number ${n}%_` });
  }
  const token = rig.sign('list', null);
  const seen: string[] = [];
  let query = '';
  for (let page = 0; page < 3; page += 1) {
    const text = await (await rig.get(`${token}${query}`)).text();
    assert.match(text, /120 messages held/);
    seen.push(...[...text.matchAll(/>Number (\d+)%_</g)].map((match) => match[1] ?? ''));
    query = /rel="next" href="[^"?]*(\?[^"]*)"/.exec(text)?.[1]?.replaceAll('&amp;', '&') ?? '';
    assert.equal(query === '', page === 2);
  }
  assert.deepEqual(
    seen.map(Number),
    Array.from({ length: 120 }, (_, n) => 119 - n),
  );
  const found = await (await rig.get(`${token}?q=${encodeURIComponent('number 11%')}`)).text();
  assert.deepEqual(
    [...found.matchAll(/>Number (\d+)%_</g)].map((match) => match[1]),
    ['11'],
  );
  assert.match(await (await rig.get(`${token}?q=nothing`)).text(), /Nothing that is held matches/);
  for (const odd of [
    '?after=x',
    '?after=1.2&q=%00',
    '?q=a&q=b',
    '?after=999999999999999.01a2b3c4-0000-7000-8000-000000000000',
  ]) {
    assert.equal((await rig.get(`${token}${odd}`)).status, 200, odd);
  }
});

test('asking for a digest answers the same for every address, and sends at most one an hour', async (t) => {
  const rig = await openPages(t);
  const ask = async (address: string) => {
    const answer = await rig.post('request', { address });
    const headers = Object.fromEntries(answer.headers);
    for (const name of ['date', 'x-request-id']) delete headers[name];
    return JSON.stringify([answer.status, headers, await answer.text()]);
  };
  const first = await ask('ann@acme.example');
  for (const address of [
    'ANN@acme.example',
    'nobody@acme.example',
    'x@elsewhere.example',
    'rubbish',
    '',
    'a'.repeat(5000),
  ]) {
    assert.equal(await ask(address), first, address.slice(0, 30));
  }
  assert.equal((await rig.get('request')).status, 200);
  // Closing waits for what is under way.
  await rig.server.http.close(0);
  await rig.delivery.drainOnce();
  assert.deepEqual(
    rig.sink.mail.map((one) => one.to),
    [['ann@acme.example']],
  );
});

test('rates: a stranger who guesses, and a holder who hammers, are told to wait, and others are not', async (t) => {
  const rig = await openDigests(t);
  const server = await openServer(t, {
    db: rig.db,
    clock: rig.clock,
    pages: {
      signer: rig.deps.signer,
      preview: () => Promise.reject(new Error('no preview')),
      request: async () => undefined,
      holderRate: { capacity: 3, perSecond: 1 },
      strangerRate: { capacity: 3, perSecond: 1 },
    },
  });
  const status = async (token: string) => {
    const answer = await fetch(`${server.url}/q/${token}`);
    assert.match(answer.headers.get('content-type') ?? '', /^text\/html/);
    return [answer.status, answer.headers.get('retry-after')];
  };
  const link = (subjectId: string) =>
    rig.deps.signer.sign(
      {
        partnerId: rig.partner.id,
        scope: 'mailbox',
        subjectId,
        deliveryId: null,
        action: 'list',
        reader: OWN_READER,
        expiresAt: new Date(rig.clock.now().getTime() + 1000),
      },
      rig.clock.now(),
    );
  const anns = link(rig.ann);
  for (let n = 0; n < 3; n += 1) assert.equal((await status('guess'))[0], 404);
  assert.deepEqual(await status('guess'), [429, '1']);
  for (let n = 0; n < 3; n += 1) assert.equal((await status(anns))[0], 200);
  assert.deepEqual(await status(anns), [429, '1']);
  assert.equal((await status(link(rig.bob)))[0], 200);
});

test('the partner sees its logo and colour on its pages, and nobody without a link does', async (t) => {
  const rig = await openPages(t);
  await rig.db.tenant(rig.partner.id, (tx) => setBrand(tx, { primaryColor: '#ffe000', logo: PNG }));
  const token = rig.sign('list', null);
  const text = await (await rig.get(token)).text();
  assert.match(text, /assets\/brand\/ffe000\.css/);
  assert.match(text, /Northwind IT/);
  const css = await (await fetch(`${rig.server.url}/q/assets/brand/ffe000.css`)).text();
  assert.match(css, /--brand-ink:#000000/);
  assert.equal((await fetch(`${rig.server.url}/q/assets/brand/red.css`)).status, 404);
  const logo = await rig.get(`${token}/logo`);
  assert.deepEqual(
    [logo.headers.get('content-type'), Buffer.from(await logo.arrayBuffer()).equals(PNG)],
    ['image/png', true],
  );
  assert.equal((await rig.get('guess/logo')).status, 404);
});

test("an administrator's links open nothing once the digest is switched off, sent to another, or its reader has left", async (t) => {
  const rig = await openPages(t);
  const id = await hold(rig.db, rig.partner.id, rig.clientId, { mailboxId: rig.ann });
  const given = { scope: 'client', subjectId: rig.clientId } as const;
  const set = (recipient: string, mode: 'daily' | 'off' = 'daily') => rig.toAdmin(rig.clientId, recipient, mode);
  const opens = async (address: string) => {
    const reader = readerTag(address);
    const { status } = await rig.get(rig.sign('list', null, { ...given, reader }));
    const posted = await rig.post(rig.sign('view', id, { ...given, reader }));
    assert.equal(posted.status, status);
    return status === 200;
  };
  const status = (to: string) => rig.owner.query('update mailboxes set status = $2 where id = $1', [rig.bob, to]);
  const [it, bob] = ['it@elsewhere.example', 'bob@acme.example'];
  assert.equal(await opens(it), false, 'there is no such digest');
  await set(it);
  assert.deepEqual([await opens(it), await opens(it.toUpperCase()), await opens(bob)], [true, true, false]);
  await set(it, 'off');
  assert.equal(await opens(it), false);
  await set(bob);
  assert.deepEqual([await opens(it), await opens(bob)], [false, true], 'another reads it now');
  await status('blocked');
  assert.equal(await opens(bob), false, 'the reader has left');
  await status('active');
  assert.equal(await opens(bob), true);
  assert.equal(await rig.disposition(id), 'quarantined');
  assert.equal((await rig.get(rig.sign('list', null))).status, 200, "the mailbox's own links are others");
});

test("links of a mailbox's digest that somebody else reads end with that, its own do not", async (t) => {
  const rig = await openPages(t);
  await hold(rig.db, rig.partner.id, rig.clientId, { mailboxId: rig.ann });
  const set = (recipient: string | null) =>
    rig.db.tenant(rig.partner.id, (tx) =>
      setDigest(tx, { audience: 'users', clientId: rig.clientId, mailboxId: rig.ann }, { recipient }, 'test'),
    );
  const opens = async (reader: string) => (await rig.get(rig.sign('list', null, { reader }))).status === 200;
  const bobs = readerTag('bob@acme.example');
  assert.deepEqual([await opens(bobs), await opens(OWN_READER)], [false, true]);
  await set('bob@acme.example');
  assert.deepEqual([await opens(bobs), await opens(OWN_READER)], [true, true]);
  await set(null);
  assert.deepEqual([await opens(bobs), await opens(OWN_READER)], [false, true]);
});

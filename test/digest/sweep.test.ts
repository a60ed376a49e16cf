import assert from 'node:assert/strict';
import { test } from 'node:test';
import { simpleParser } from 'mailparser';
import { setBrand } from '../../src/accounts/branding.ts';
import { importMailboxes } from '../../src/accounts/mailboxes.ts';
import { silentLogger } from '../../src/core/log.ts';
import type { DigestDeps } from '../../src/digest/send.ts';
import { setDigest } from '../../src/digest/settings.ts';
import { requestDigest, sendDigestNow, sweepDigests } from '../../src/digest/sweep.ts';
import { zoneResolver } from '../../src/mail/resolver.ts';
import { openSink } from '../gateway/support/rig.ts';
import { hold, openDigests } from '../support/digests.ts';
import { rollAll } from '../support/roll.ts';
import { seedClient } from '../support/seed.ts';

type Rig = Awaited<ReturnType<typeof openDigests>>;

const sweep = (rig: Rig, deps: DigestDeps = rig.deps) => sweepDigests({ ...deps, logger: silentLogger });
const parse = (body: string) => simpleParser(Buffer.from(body, 'latin1'));
const PNG = Buffer.from(
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==',
  'base64',
);

test('a digest arrives at the mailbox by SMTP: branded, in two parts, once, and with nothing remote in it', async (t) => {
  const rig = await openDigests(t);
  await rig.db.tenant(rig.partner.id, (tx) => setBrand(tx, { primaryColor: '#7a1f5f', logo: PNG }));
  await hold(rig.db, rig.partner.id, rig.clientId, { mailboxId: rig.ann, subject: 'Grüße <b>&', fromName: 'Müller' });
  await hold(rig.db, rig.partner.id, rig.clientId, {
    mailboxId: rig.ann,
    recipient: 'sales@acme.example',
    subject: 'To an alias',
    verdict: 'malware',
  });
  await hold(rig.db, rig.partner.id, rig.clientId, {
    mailboxId: rig.ann,
    subject: 'Ours going out',
    direction: 'outbound',
  });
  assert.equal(await sweep(rig), 0, 'its hour has not come');
  rig.clock.set('2026-10-15T07:00:00Z');
  assert.equal(await sweep(rig), 1);
  assert.equal(await sweep(rig), 0);
  await rig.delivery.drainOnce();
  assert.equal(rig.sink.mail.length, 1);
  const [sent] = rig.sink.mail;
  assert.deepEqual([sent?.from, sent?.to], ['', ['ann@acme.example']]);
  const body = sent?.body ?? '';
  assert.ok(body.split('\r\n').every((line) => line.length <= 998 && /^[\t -~]*$/.test(line)));
  const mail = await parse(body);
  assert.equal(mail.headers.get('auto-submitted'), 'auto-generated');
  assert.match(String(body.match(/^List-Id: .*$/m)), /<digest\.acme\.example\.mx\.tollgate\.example>/);
  assert.equal(mail.from?.value[0]?.name, 'Northwind IT');
  assert.equal(mail.subject, '2 messages held for ann@acme.example');
  const html = String(mail.html);
  assert.match(html, /#7a1f5f/);
  assert.match(html, /Grüße &lt;b&gt;&amp;/);
  assert.doesNotMatch(html, /<script|<link|<form|<iframe|url\(|Ours going out/i);
  const sources = [...html.matchAll(/src="([^"]*)"/g)].map((match) => match[1] ?? '');
  assert.ok(sources.length === 1 && /^(cid:|data:image\/png)/.test(sources[0] ?? ''), 'the logo travels in the mail');
  assert.ok(mail.attachments.every((file) => file.contentType === 'image/png'));
  const links = [...html.matchAll(/href="([^"]*)"/g)].map((match) => match[1] ?? '');
  assert.ok(links.length > 5 && links.every((link) => link.startsWith('https://mail.northwind.example/q/')));
  const malware = html.slice(html.indexOf('To an alias')).split('</tr>')[0] ?? '';
  assert.doesNotMatch(malware, />Release</);
  assert.match(mail.text ?? '', /Grüße <b>&\n {2}From: Müller <eve@sender.example>/);
});

test('a digest counts once, as one outbound message of the client, and is never answered by a bounce', async (t) => {
  const rig = await openDigests(t, { answer: () => 550 });
  await hold(rig.db, rig.partner.id, rig.clientId, { mailboxId: rig.ann });
  rig.clock.set('2026-10-15T07:00:00Z');
  await sweep(rig);
  await rig.delivery.drainOnce();
  await rig.delivery.drainOnce();
  const { rows } = await rig.owner.query(
    'select kind, direction, mailbox_id, verdict from ledger order by occurred_at, kind, id',
  );
  assert.deepEqual(rows, [
    { kind: 'accepted', direction: 'outbound', mailbox_id: null, verdict: 'clean' },
    { kind: 'bounced', direction: 'outbound', mailbox_id: null, verdict: 'clean' },
  ]);
  await rollAll(rig.db);
  const queued = await rig.owner.query('select count(*)::int as n from queue');
  assert.deepEqual(queued.rows, [{ n: 0 }]);
});

test('only what is new, at most 100 rows, and after a break one digest for all the slots that were missed', async (t) => {
  const rig = await openDigests(t);
  for (let n = 0; n < 103; n += 1) {
    await hold(rig.db, rig.partner.id, rig.clientId, { mailboxId: rig.ann, subject: `Number ${n}` });
  }
  // Down from Wednesday to the next Tuesday.
  rig.clock.set('2026-10-20T10:00:00Z');
  assert.equal(await sweep(rig), 1);
  await rig.delivery.drainOnce();
  const first = await parse(rig.sink.mail[0]?.body ?? '');
  assert.equal(first.subject, '103 messages held for ann@acme.example');
  assert.equal(String(first.html).match(/>View</g)?.length, 100);
  assert.match(String(first.html), /and 3 more/);
  assert.ok(String(first.html).length < 140_000, `${String(first.html).length} octets of HTML`);
  rig.clock.set('2026-10-21T10:00:00Z');
  assert.equal(await sweep(rig), 0, 'nothing new');
  await hold(rig.db, rig.partner.id, rig.clientId, { mailboxId: rig.ann, subject: 'Fresh' });
  // Its transaction began before the slot of which the digest has gone out, and ended after it: it must not be forgotten.
  await hold(rig.db, rig.partner.id, rig.clientId, {
    mailboxId: rig.ann,
    subject: 'Late commit',
    at: new Date('2026-10-20T06:59:59Z'),
  });
  rig.clock.set('2026-10-22T10:00:00Z');
  assert.equal(await sweep(rig), 1);
  await rig.delivery.drainOnce();
  const second = await parse(rig.sink.mail[1]?.body ?? '');
  assert.equal(second.subject, '2 messages held for ann@acme.example');
});

test('rule 6: twice an hour, a jump of the clocks, and each digest once', async (t) => {
  const rig = await openDigests(t, { zone: 'Europe/Berlin' });
  const sent: string[] = [];
  await rig.db.tenant(rig.partner.id, (tx) =>
    setDigest(
      tx,
      { audience: 'users', clientId: rig.clientId, mailboxId: null },
      { mode: 'intraday', hours: ['02:30', '12:00'], days: [7] },
      'test',
    ),
  );
  // 25 October 2026 shows 02:30 twice; 28 March 2027 jumps over it.
  for (const day of ['2026-10-25', '2027-03-28']) {
    const start = Date.parse(`${day}T00:00:00Z`) - 3_600_000;
    for (let minute = 0; minute <= 14 * 60; minute += 15) {
      rig.clock.set(new Date(start + minute * 60_000));
      await hold(rig.db, rig.partner.id, rig.clientId, { mailboxId: rig.ann });
      if ((await sweep(rig)) > 0) sent.push(rig.clock.now().toISOString());
    }
  }
  assert.deepEqual(sent, [
    '2026-10-25T00:30:00.000Z',
    '2026-10-25T11:00:00.000Z',
    '2027-03-28T01:00:00.000Z',
    '2027-03-28T10:00:00.000Z',
  ]);
});

test('digest twice or never: a crash at any step of sending gives exactly one per slot', async (t) => {
  const rig = await openDigests(t);
  const { post } = rig.deps;
  const crash = () => Promise.reject(new Error('power lost'));
  const faults: Record<string, Partial<DigestDeps['post']>> = {
    'before the body is stored': { store: crash },
    'after the body is stored': { queue: crash },
    'after the message was queued, before the commit': {
      queue: async (...args) => {
        await post.queue(...args);
        return crash();
      },
    },
  };
  let day = 15;
  for (const [name, fault] of Object.entries(faults)) {
    await hold(rig.db, rig.partner.id, rig.clientId, { mailboxId: rig.ann, subject: name });
    rig.clock.set(`2026-10-${day}T07:00:10Z`);
    const wrapped: DigestDeps['post'] = {
      store: (bytes) => post.store(bytes),
      discard: (content) => post.discard(content),
      queue: (...args) => post.queue(...args),
      ...fault,
    };
    assert.equal(await sweep(rig, { ...rig.deps, post: wrapped }), 0, name);
    await rig.delivery.drainOnce();
    assert.equal(rig.sink.mail.length, 0, name);
    // The next sweep, and ten at once on as many nodes.
    const sent = await Promise.all(Array.from({ length: 10 }, () => sweep(rig)));
    assert.equal(
      sent.reduce((sum, one) => sum + one, 0),
      1,
      name,
    );
    await rig.delivery.drainOnce();
    assert.equal(rig.sink.mail.length, 1, name);
    assert.match((await parse(rig.sink.mail.pop()?.body ?? '')).text ?? '', new RegExp(name));
    day += day === 16 ? 3 : 1;
  }
  const runs = await rig.owner.query(
    'select count(*)::int as runs, count(distinct slot)::int as slots, count(distinct message_id)::int as messages from digest_runs',
  );
  assert.deepEqual(runs.rows, [{ runs: 3, slots: 3, messages: 3 }]);
  const messages = await rig.owner.query("select count(*)::int as n from messages where direction = 'outbound'");
  assert.deepEqual(messages.rows, [{ n: 3 }]);
});

test('groups need a reader, a mailbox its own setting, and one client that fails does not stop the others', async (t) => {
  const rig = await openDigests(t);
  const { db, partner, clientId } = rig;
  await db.tenant(partner.id, (tx) =>
    importMailboxes(
      tx,
      clientId,
      [
        { address: 'team@acme.example', name: 'Team', kind: 'group' },
        { address: 'info@acme.example', name: 'Info', kind: 'shared' },
      ],
      'test',
    ),
  );
  const { rows } = await rig.owner.query<{ id: string; address: string }>('select id, address from mailboxes');
  const idOf = (local: string) => rows.find((row) => row.address.startsWith(local))?.id ?? '';
  for (const local of ['team', 'info', 'ann', 'bob']) {
    await hold(db, partner.id, clientId, { mailboxId: idOf(local), recipient: `${local}@acme.example` });
  }
  const set = (mailboxId: string | null, given: Parameters<typeof setDigest>[2]) =>
    db.tenant(partner.id, (tx) => setDigest(tx, { audience: 'users', clientId, mailboxId }, given, 'test'));
  await set(idOf('bob'), { mode: 'off' });
  rig.clock.set('2026-10-15T07:00:00Z');
  assert.equal(await sweep(rig), 2);
  await set(idOf('team'), { recipient: 'bob@acme.example' });
  await assert.rejects(set(idOf('team'), { recipient: 'thief@else.example' }), /not in the directory/);
  assert.equal(await sweep(rig), 0, 'a setting is for the slots after it');
  rig.clock.set('2026-10-16T07:00:00Z');
  assert.equal(await sweep(rig), 1);
  await rig.delivery.drainOnce();
  assert.deepEqual(rig.sink.mail.map((one) => one.to[0]).sort(), [
    'ann@acme.example',
    'bob@acme.example',
    'info@acme.example',
  ]);
  const { rows: audit } = await rig.owner.query("select count(*)::int as n from audit where action = 'digest.set'");
  assert.deepEqual(audit, [{ n: 2 }]);
});

test('an administrator gets one digest of all mailboxes, and the partner one of all clients', async (t) => {
  const rig = await openDigests(t);
  const { db, partner, clientId } = rig;
  const admin = (client: string | null, recipient: string) =>
    db.tenant(partner.id, (tx) =>
      setDigest(
        tx,
        { audience: 'admin', clientId: client, mailboxId: null },
        { mode: 'daily', hours: ['07:30'], recipient },
        'test',
      ),
    );
  await db.tenant(partner.id, (tx) =>
    setDigest(tx, { audience: 'users', clientId, mailboxId: null }, { mode: 'off' }, 'test'),
  );
  await admin(clientId, 'ann@acme.example');
  await admin(null, 'noc@acme.example');
  await hold(db, partner.id, clientId, { mailboxId: rig.ann });
  await hold(db, partner.id, clientId, { mailboxId: rig.bob, recipient: 'bob@acme.example' });
  rig.clock.set('2026-10-15T06:30:00Z');
  assert.equal(await sweep(rig), 2);
  assert.equal(await sweep(rig), 0);
  await rig.delivery.drainOnce();
  const mails = await Promise.all(rig.sink.mail.map((one) => parse(one.body)));
  assert.deepEqual(mails.map((mail) => mail.subject).sort(), [
    '2 messages held for Acme',
    '2 messages held for Northwind IT',
  ]);
  for (const mail of mails) assert.match(mail.text ?? '', /To: bob@acme.example/);
});

test("a digest for somebody outside goes by MX, one for another client's domain to that client's server", async (t) => {
  const outside = await openSink(t);
  const rig = await openDigests(t, {
    rig: {
      mxPort: outside.port,
      resolver: zoneResolver({
        'msp.example': { MX: [{ exchange: 'mx.msp.example', priority: 10 }] },
        'mx.msp.example': { A: ['127.0.0.1'] },
      }),
    },
  });
  const second = await openSink(t);
  const { db, partner, clientId } = rig;
  const other = await seedClient(db, partner.id, {
    name: 'Beta',
    domain: 'beta.example',
    relays: [{ host: '127.0.0.1', port: second.port }],
  });
  const admin = (client: string | null, recipient: string) =>
    db.tenant(partner.id, (tx) =>
      setDigest(tx, { audience: 'admin', clientId: client, mailboxId: null }, { recipient }, 'test'),
    );
  await admin(clientId, 'boss@beta.example');
  await admin(null, 'noc@msp.example');
  await hold(db, partner.id, clientId, { mailboxId: rig.bob, recipient: 'bob@acme.example' });
  rig.clock.set('2026-10-15T07:00:00Z');
  assert.equal(await sweep(rig), 3);
  await rig.delivery.drainOnce();
  const to = (sink: { mail: readonly { from: string; to: readonly string[] }[] }) =>
    sink.mail.map((one) => [one.from, one.to[0]]);
  assert.deepEqual(to(rig.sink), [['', 'bob@acme.example']]);
  assert.deepEqual(to(second), [['', 'boss@beta.example']]);
  assert.deepEqual(to(outside), [['', 'noc@msp.example']]);
  const { rows } = await rig.owner.query(
    "select client_id, recipient from ledger where kind = 'delivered' order by recipient",
  );
  assert.deepEqual(rows, [
    { client_id: clientId, recipient: 'bob@acme.example' },
    { client_id: other, recipient: 'boss@beta.example' },
    { client_id: clientId, recipient: 'noc@msp.example' },
  ]);
});

test('a digest that is asked for holds everything, once an hour; an address that is not here does nothing', async (t) => {
  const rig = await openDigests(t);
  await hold(rig.db, rig.partner.id, rig.clientId, { mailboxId: rig.ann });
  rig.clock.set('2026-10-15T07:00:00Z');
  await sweep(rig);
  rig.clock.advance(60_000);
  assert.equal(await requestDigest(rig.deps, 'ann@acme.example'), 'queued');
  assert.equal(await requestDigest(rig.deps, 'ann@acme.example'), 'already');
  rig.clock.advance(59 * 60_000);
  const both = await Promise.all([1, 2, 3].map(() => requestDigest(rig.deps, 'ann@acme.example')));
  assert.deepEqual(both, ['already', 'already', 'already']);
  rig.clock.advance(60_000);
  const many = await Promise.all([1, 2, 3].map(() => requestDigest(rig.deps, 'ann@acme.example')));
  assert.deepEqual(many.sort(), ['already', 'already', 'queued']);
  assert.equal(await requestDigest(rig.deps, 'nobody@acme.example'), 'unknown');
  assert.equal(await requestDigest(rig.deps, 'ann@elsewhere.example'), 'unknown');
  assert.equal(await sendDigestNow(rig.deps, rig.partner.id, rig.bob, 'command'), 'queued', 'with nothing in it');
  await assert.rejects(sendDigestNow(rig.deps, rig.partner.id, rig.clientId, 'command'), /no such mailbox/);
  await rig.delivery.drainOnce();
  assert.equal(rig.sink.mail.length, 4);
});

test('a reader who has left the directory gets no links any more: the mailbox itself is told', async (t) => {
  const rig = await openDigests(t);
  await rig.db.tenant(rig.partner.id, (tx) =>
    setDigest(
      tx,
      { audience: 'users', clientId: rig.clientId, mailboxId: rig.ann },
      { recipient: 'bob@acme.example' },
      'test',
    ),
  );
  const told = async () => {
    await hold(rig.db, rig.partner.id, rig.clientId, { mailboxId: rig.ann });
    rig.clock.advance(86_400_000);
    assert.equal(await sweep(rig), 1);
    await rig.delivery.drainOnce();
    return rig.sink.mail.at(-1)?.to;
  };
  assert.deepEqual(await told(), ['bob@acme.example']);
  await rig.owner.query("update mailboxes set status = 'deleted' where address = 'bob@acme.example'");
  assert.deepEqual(await told(), ['ann@acme.example']);
  await sendDigestNow(rig.deps, rig.partner.id, rig.ann, 'command');
  await rig.delivery.drainOnce();
  assert.deepEqual(rig.sink.mail.at(-1)?.to, ['ann@acme.example']);
});

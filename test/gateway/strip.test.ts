import assert from 'node:assert/strict';
import { test } from 'node:test';
import { resolvePolicy } from '../../src/accounts/policy.ts';
import type { FilterClass, Pipeline } from '../../src/core/message.ts';
import { stripDecision } from '../../src/gateway/strip.ts';
import { stripInThread } from '../../src/gateway/strip-thread.ts';
import { parseMail } from '../../src/mail/parse.ts';
import { seedClient, seedPartner } from '../support/seed.ts';
import { byLocalPart, openRig, openSink, Talker } from './support/rig.ts';

type Wish = 'allow' | 'quarantine' | 'reject' | 'strip';

const policyWith = (wishes: Partial<Record<FilterClass, Wish>>) => {
  const base = resolvePolicy({});
  return { ...base, attachments: { ...base.attachments, ...wishes } };
};

const decisionOf = (...classes: FilterClass[]) => ({
  verdict: 'policy' as const,
  action: 'strip' as const,
  score: 0,
  reasons: classes.map((one) => ({ code: `attachment.${one}`, detail: '' })),
});

test('only the classes that the policy strips are named; what cannot be taken out is quarantined', () => {
  const policy = policyWith({ executable: 'strip', macro: 'allow', html_smuggling: 'strip' });
  const codes = (...classes: FilterClass[]) =>
    stripDecision(decisionOf(...classes), policy).reasons.flatMap(({ code }) =>
      code.startsWith('policy.') ? [code] : [],
    );
  assert.deepEqual(codes('executable', 'macro'), ['policy.strip_executable']);
  assert.deepEqual(codes('executable', 'html_smuggling'), ['policy.strip_downgraded']);
  assert.equal(stripDecision(decisionOf('executable', 'html_smuggling'), policy).action, 'quarantine');
  assert.equal(stripDecision(decisionOf('macro'), policy).action, 'quarantine');
  assert.equal(stripDecision({ ...decisionOf('executable'), action: 'deliver' }, policy).reasons.length, 1);
});

test('files are taken out in a thread, which is ended when it takes too long', async () => {
  const whole = Buffer.from(MESSAGE);
  const { message, removed } = await stripInThread(whole, ['executable']);
  assert.deepEqual(removed, ['tool.exe']);
  assert.ok(!message.includes(program));
  assert.deepEqual((await stripInThread(whole, ['macro'])).removed, []);
  await assert.rejects(stripInThread(whole, ['executable'], 0), /too long/);
});

const program = Buffer.from(`MZ${'\0'.repeat(58)}\x40\0\0\0PE\0\0${'\0'.repeat(200)}`, 'latin1').toString('base64');
const smuggler = Buffer.from(
  `<script>const b = new Blob([Uint8Array.from(atob("${'QUJD'.repeat(2000)}"), c => c.charCodeAt(0))]);
  const a = document.createElement('a'); a.href = URL.createObjectURL(b); a.download = 'x.zip'; a.click();</script>`,
).toString('base64');
const MESSAGE = [
  'Subject: Files',
  'MIME-Version: 1.0',
  'Content-Type: multipart/mixed; boundary=b1',
  '',
  '--b1',
  'Content-Type: text/plain',
  '',
  'two files',
  '--b1',
  'Content-Type: application/octet-stream; name=tool.exe',
  'Content-Disposition: attachment; filename=tool.exe',
  'Content-Transfer-Encoding: base64',
  '',
  program,
  '--b1',
  'Content-Type: text/html; name=page.html',
  'Content-Disposition: attachment; filename=page.html',
  'Content-Transfer-Encoding: base64',
  '',
  smuggler,
  '--b1--',
  '',
].join('\r\n');

/** Both files have findings; every recipient strips programs and allows the page. */
const stripping: Pipeline = {
  ...byLocalPart,
  async run(input, signal) {
    const { facts } = await byLocalPart.run(input, signal);
    return {
      decisions: input.recipients.map(() => decisionOf('executable', 'html_smuggling')),
      facts,
      authenticationResults: null,
    };
  },
};

test('a file of a class that is allowed stays, one that is to be stripped goes', async (t) => {
  const found = (await parseMail(Buffer.from(MESSAGE))).attachments.map((one) => one.inspection);
  assert.deepEqual(
    found.map(({ executable, htmlSmuggling }) => [executable, htmlSmuggling]),
    [
      [true, false],
      [false, true],
    ],
  );
  const sink = await openSink(t);
  const rig = await openRig(t, {
    pipeline: {
      ...stripping,
      // The directory's policy is the default one: the recipient's wish is put in here.
      async run(input, signal) {
        const policy = policyWith({ executable: 'strip', html_smuggling: 'allow' });
        for (const recipient of input.recipients) Object.assign(recipient, { policy });
        return stripping.run(input, signal);
      },
    },
  });
  const partner = await seedPartner(rig.db);
  await seedClient(rig.db, partner.id, { relays: [{ host: '127.0.0.1', port: sink.port }] });
  const client = await Talker.open(rig.smtp);
  assert.match((await client.send('eve@far.example', ['ann@acme.example'], MESSAGE)).at(-1) ?? '', /^250/);
  // The same verdict on a message without such a file: it must not go out as it is.
  assert.match((await client.send('eve@far.example', ['bob@acme.example'])).at(-1) ?? '', /^250/);
  client.close();
  assert.equal(await rig.delivery.drainOnce(), 2);
  const { rows } = await rig.owner.query('select recipient, disposition from deliveries order by recipient');
  assert.deepEqual(
    rows.map((row) => [row.recipient, row.disposition]),
    [
      ['ann@acme.example', 'stripped'],
      ['bob@acme.example', 'deferred'],
    ],
  );
  assert.equal(sink.mail.length, 1);
  const body = sink.mail[0]?.body ?? '';
  assert.ok(!body.includes('tool.exe'));
  assert.ok(body.includes('filename=page.html'));
  assert.ok(body.includes(smuggler));
  // A file of ours that cannot be read is not the server's fault.
  assert.deepEqual((await rig.owner.query('select state from route_health')).rows, [{ state: 'up' }]);
});

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { silentLogger } from '../../src/core/log.ts';
import { interval } from '../../src/core/period.ts';
import { partnerId } from '../../src/core/tenant.ts';
import { findCampaigns } from '../../src/insights/campaign-rows.ts';
import { createPipeline } from '../../src/pipeline/create.ts';
import { seedClient, seedPartner } from '../support/seed.ts';
import { openRig, Talker } from './support/rig.ts';

const EICAR = ['X5O!P%@AP[4\\PZX54(P^)7CC)7}$EICAR', '-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*'].join('');
const message = (subject: string, payload: string) =>
  [
    'From: eve@far.example',
    'To: you',
    `Subject: ${subject}`,
    `Message-ID: <${subject.replaceAll(' ', '-')}@far.example>`,
    'MIME-Version: 1.0',
    'Content-Type: multipart/mixed; boundary=b1',
    '',
    '--b1',
    'Content-Type: text/html',
    '',
    `<p>Look here: <a href="https://evil.example/pay/now?who=${subject.length}">now</a></p>`,
    '--b1',
    'Content-Type: application/octet-stream; name=a.com',
    'Content-Disposition: attachment; filename=a.com',
    'Content-Transfer-Encoding: base64',
    '',
    Buffer.from(payload).toString('base64'),
    '--b1--',
    '',
  ].join('\r\n');

test('unwanted mail leaves its traits with its row, ordinary mail none, and a campaign is found over two clients', async (t) => {
  const pipeline = createPipeline({ threads: 1, resolver: null, hostName: 'mx.gate.example', logger: silentLogger });
  const rig = await openRig(t, { pipeline });
  rig.before(() => pipeline.close());
  const partner = await seedPartner(rig.db);
  await seedClient(rig.db, partner.id);
  await seedClient(rig.db, partner.id, { name: 'zeta', domain: 'zeta.example' });
  const client = await Talker.open(rig.smtp);
  const send = async (to: string[], text: string) =>
    assert.match((await client.send('eve@far.example', to, text)).at(-1) ?? '', /^250/);
  await send(['ann@acme.example', 'bob@acme.example'], message('The first of all the letters', EICAR));
  await send(['ann@zeta.example'], message('Another one with the same file', EICAR));
  await send(
    ['bob@acme.example'],
    [
      'From: ann@far.example',
      'To: bob',
      'Subject: Minutes of the meeting today',
      '',
      'Hello Bob, here they are.',
      '',
    ].join('\r\n'),
  );
  client.close();
  const { rows } = await rig.owner.query<{ kind: string; label: string; digest: string; n: string }>(
    `select t.kind, t.label, encode(t.digest, 'hex') as digest, count(*) over (partition by t.kind, t.digest) as n
     from threat_traits t join messages m on m.partner_id = t.partner_id and m.id = t.message_id order by 1, 2`,
  );
  assert.deepEqual(
    rows.map(({ kind, label, n }) => [kind, label, n]),
    [
      ['link', 'evil.example/pay/now', '2'],
      ['link', 'evil.example/pay/now', '2'],
      ['payload', 'a.com', '2'],
      ['payload', 'a.com', '2'],
      ['subject', 'Another one with the same file', '1'],
      ['subject', 'The first of all the letters', '1'],
    ],
  );
  assert.equal(rows.find((row) => row.kind === 'payload')?.digest, createHash('sha256').update(EICAR).digest('hex'));

  const range = interval({ from: '2026-10-14', to: '2026-10-14', zone: 'UTC' });
  const { campaigns } = await rig.db.tenant(partnerId(partner.id), (tx) => findCampaigns(tx, null, range));
  assert.deepEqual(
    campaigns.map(({ deliveries, mailboxes, clientIds, topSender, delivered }) => [
      deliveries,
      mailboxes,
      clientIds.length,
      topSender,
      delivered,
    ]),
    [[3, 3, 2, 'eve@far.example', 0]],
  );
  // The traits go with the detail of the mail.
  await rig.owner.query('delete from messages');
  assert.equal((await rig.owner.query('select from threat_traits')).rowCount, 0);
});
